//! Errors of an HTTP API as `application/problem+json` (RFC 9457).

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;

const TYPE_PREFIX: &str = "urn:tidings:problem:";

/// An error as the caller sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The same word as `code`; written as a URN that ends in it.
    #[serde(rename = "type", serialize_with = "as_urn")]
    kind: &'static str,
    /// The kind of problem, for people.
    pub title: &'static str,
    /// The HTTP status code.
    #[serde(serialize_with = "status_number")]
    pub status: StatusCode,
    /// What is wrong here, and what to do about it.
    pub detail: String,
    /// A stable word for the kind of problem.
    pub code: &'static str,
    /// The fields that are wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldProblem>,
    /// When to try again, sent as `Retry-After` in seconds.
    #[serde(skip)]
    pub retry_after: Option<Duration>,
}

/// A field that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldProblem {
    /// JSON pointer (RFC 6901) to the field.
    pub pointer: String,
    /// What is wrong with it, and what is allowed.
    pub detail: String,
}

impl Problem {
    /// A problem of kind `code`. The title is the status's own phrase.
    #[must_use]
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            kind: code,
            title: status.canonical_reason().unwrap_or("Error"),
            status,
            detail: detail.into(),
            code,
            errors: Vec::new(),
            retry_after: None,
        }
    }

    /// The same, naming the field at `pointer`.
    #[must_use]
    pub fn at(mut self, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        self.errors.push(FieldProblem {
            pointer: pointer.into(),
            detail: detail.into(),
        });
        self
    }

    /// The same, saying when to try again.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(wait) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

fn as_urn<S: serde::Serializer>(code: &str, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&format_args!("{TYPE_PREFIX}{code}"))
}

fn status_number<S: serde::Serializer>(status: &StatusCode, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u16(status.as_u16())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_names_its_fields() {
        let problem = Problem::new(
            StatusCode::BAD_REQUEST,
            "bad_id",
            "the event cannot be taken",
        )
        .at("/id", "it is empty");
        let json = serde_json::to_value(&problem).unwrap();
        assert_eq!(json["type"], "urn:tidings:problem:bad_id");
        assert_eq!(json["title"], "Bad Request");
        assert_eq!(json["status"], 400);
        assert_eq!(json["errors"][0]["pointer"], "/id");
    }
}
