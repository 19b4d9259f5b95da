//! What went wrong.

use serde::Serialize;
use utoipa::ToSchema;

/// Why something was not done (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct Problem {
    /// The kind of problem, as a URN.
    r#type: String,
    /// The same for people.
    title: String,
    /// The status code.
    status: u16,
    /// What is wrong here, and what to do about it.
    detail: String,
    /// A stable word for the kind of problem.
    code: String,
    /// The fields that are wrong.
    #[serde(default)]
    errors: Vec<FieldProblem>,
}

/// A field that is wrong.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct FieldProblem {
    /// JSON pointer (RFC 6901) to the field.
    pointer: String,
    /// What is wrong with it, and what is allowed.
    detail: String,
}
