//! Fields of a webhook that an answer has and nobody sets. Written back as they are they are fine;
//! one that says something else is refused, so that nobody believes that it was changed.

use jiff::Timestamp;
use serde_json::{Map, Value};
use tidings_core::name::Space;
use tidings_core::webhook::FieldError;
use tidings_manage::webhook::Kept;
use tidings_manage::{Error, Result};

const CODE: &str = "read_only";
/// What a new webhook does not have yet.
const MADE_HERE: [&str; 5] = ["id", "version", "createdAt", "updatedAt", "state"];

/// Checks what is given for a new webhook of `space`.
///
/// # Errors
/// A field is given that is made here, or another space.
pub(super) fn check_new(space: &Space, fields: &Map<String, Value>) -> Result<()> {
    let mut faults: Vec<FieldError> = MADE_HERE
        .iter()
        .filter(|field| given(fields, field).is_some())
        .map(|field| fault(field, "it is made here; leave it out"))
        .collect();
    if given(fields, "space").is_some_and(|given| given != space.as_str()) {
        let detail = format!("the URL says {space}; leave it out, or give the same");
        faults.push(fault("space", &detail));
    }
    refused(faults)
}

/// Checks what is given for a webhook that is there.
///
/// # Errors
/// A read-only field says something else than is so.
pub(super) fn check_known(kept: &Kept, fields: &Map<String, Value>) -> Result<()> {
    let shown = kept.view();
    let mut faults = Vec::new();
    for field in ["id", "space", "version", "createdAt", "updatedAt"] {
        let Some(given) = given(fields, field) else {
            continue;
        };
        if !is_same(given, &shown[field]) {
            let detail = format!(
                "it is {} and cannot be set; leave it out, or get the webhook again",
                shown[field]
            );
            faults.push(fault(field, &detail));
        }
    }
    // Why and until when may have become something else since the webhook was read.
    let state = given(fields, "state");
    if state.is_some_and(|given| given["status"] != shown["state"]["status"]) {
        let detail = format!(
            "its status is {} and cannot be set here; use `enabled`, or POST to /pause or /resume",
            shown["state"]["status"]
        );
        faults.push(fault("state", &detail));
    }
    refused(faults)
}

fn given<'a>(fields: &'a Map<String, Value>, field: &str) -> Option<&'a Value> {
    fields.get(field).filter(|value| !value.is_null())
}

/// A time may be written in several ways.
fn is_same(given: &Value, shown: &Value) -> bool {
    let time = |value: &Value| value.as_str()?.parse::<Timestamp>().ok();
    given == shown || time(given).is_some_and(|given| Some(given) == time(shown))
}

fn fault(field: &str, detail: &str) -> FieldError {
    FieldError {
        pointer: format!("/{field}"),
        code: CODE,
        detail: detail.to_owned(),
    }
}

fn refused(faults: Vec<FieldError>) -> Result<()> {
    match faults.is_empty() {
        true => Ok(()),
        false => Err(Error::Invalid(faults)),
    }
}
