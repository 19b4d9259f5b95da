//! What topics and filters would have done to the events that came in last.

use tidings_core::name::Space;
use tidings_core::webhook::FieldError;
use tidings_manage::Error;
use tidings_manage::webhook::Draft;

use super::super::answer::Answer;
use super::super::words::number;
use super::form::{DryRun, Example};
use crate::App;
use crate::view::DryRunView;

/// Tries a draft's topics, content types and filters on the last events of the space. Returns
/// what is wrong with them instead, if they cannot be tried.
pub(super) async fn run(
    app: &App,
    space: &Space,
    draft: Draft,
) -> Answer<Result<DryRun, Vec<FieldError>>> {
    match app.dry_run(space, draft).await {
        Ok(found) => Ok(Ok(shown(&found))),
        Err(Error::Invalid(faults)) => Ok(Err(faults)),
        Err(other) => Err(other.into()),
    }
}

/// Says that it cannot be tried as it stands.
pub(super) fn impossible() -> DryRun {
    DryRun {
        tone: "bad",
        text: String::from("It cannot be tried yet: see what is wrong with topics and filters."),
        examples: Vec::new(),
    }
}

fn shown(found: &DryRunView) -> DryRun {
    let (matched, checked) = (number(found.matched), number(found.checked));
    let text = match (found.checked, found.matched) {
        (0, _) => String::from("There are no events yet to try it on."),
        (_, 0) => format!("Would have matched none of the last {checked} events."),
        _ => format!("Would have matched {matched} of the last {checked} events."),
    };
    let example = |event: &crate::view::EventView| Example {
        id: event.id.clone(),
        text: event.topic.clone(),
    };
    DryRun {
        tone: if found.matched == 0 { "warn" } else { "ok" },
        text,
        examples: found.examples.iter().map(example).collect(),
    }
}
