//! Errors of operations as problems.

use std::time::Duration;

use http::StatusCode;
use tidings_manage::Error;
use tidings_service::problem::Problem;

/// When to come back if the broker does not answer.
const RETRY_SOON: Duration = Duration::from_secs(2);

/// The problem that tells of an error.
#[must_use]
pub fn problem(error: Error) -> Problem {
    match error {
        Error::NotFound { .. } => {
            Problem::new(StatusCode::NOT_FOUND, "not_found", error.to_string())
        }
        Error::Stale(detail) => {
            Problem::new(StatusCode::PRECONDITION_FAILED, "version_conflict", detail)
        }
        Error::Conflict { code, detail } => Problem::new(StatusCode::CONFLICT, code, detail),
        Error::Invalid(faults) => {
            let detail = "it cannot be used; nothing was stored";
            let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail);
            faults.into_iter().fold(problem, |problem, fault| {
                problem.at(fault.pointer, fault.detail)
            })
        }
        Error::Unavailable(detail) => {
            let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail);
            problem.retry_after(RETRY_SOON)
        }
    }
}
