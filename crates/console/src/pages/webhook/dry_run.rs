//! What topics and filters would have done to the events that came in last.

use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use serde_json::{Map, Value};
use tidings_core::matching::explain;
use tidings_core::name::Space;
use tidings_core::webhook::{Definition, SCHEMA_VERSION, Webhook};
use tidings_manage::StoredEvent;

use super::super::answer::{Answer, Oops};
use super::super::words::number;
use super::form::{DryRun, Example};
use crate::App;
use crate::log::EventFilter;

const EVENTS_MAX: usize = 1_000;
const PAGE: usize = 200;
const READS_AT_ONCE: usize = 32;
const EXAMPLES_MAX: usize = 5;

/// Says that it cannot be tried as it stands.
pub(super) fn impossible() -> DryRun {
    DryRun {
        tone: "bad",
        text: String::from("It cannot be tried yet: see what is wrong with topics and filters."),
        examples: Vec::new(),
    }
}

/// Tries a definition's topics, content types and filters on the last events of the space.
pub(super) async fn run(
    app: &Arc<App>,
    space: &Space,
    definition: &Map<String, Value>,
) -> Answer<DryRun> {
    let mut wanted = Map::new();
    for field in ["topics", "contentTypes", "filters"] {
        wanted.extend(definition.get(field).map(|value| (field.to_owned(), value.clone())));
    }
    wanted.insert(String::from("url"), "https://example.com/".into());
    let definition: Definition = serde_json::from_value(wanted.into())
        .map_err(|error| Oops::Invalid(error.to_string()))?;
    let id = "wh_preview".parse();
    let webhook = Webhook {
        schema: SCHEMA_VERSION,
        id: id.map_err(|_| Oops::not_found("webhook"))?,
        space: space.clone(),
        definition,
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
        version: 1,
    };
    let events = last_events(app, space).await?;
    let judged = tokio::task::spawn_blocking(move || judge(&webhook, &events));
    judged
        .await
        .map_err(|_| Oops::Unavailable(String::from("The console is stopping.")))
}

async fn last_events(app: &Arc<App>, space: &Space) -> Answer<Vec<StoredEvent>> {
    let mut sequences = Vec::new();
    let mut cursor = None;
    while sequences.len() < EVENTS_MAX {
        let filter = EventFilter::default();
        let page = app.log.events(space.as_str(), filter, cursor, PAGE).await?;
        sequences.extend(page.items.iter().map(|event| event.sequence));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    let read = |sequence| app.manage.event(space, sequence);
    let events = stream::iter(sequences).map(read).buffered(READS_AT_ONCE);
    let events: Vec<Option<StoredEvent>> = events.try_collect().await?;
    Ok(events.into_iter().flatten().collect())
}

fn judge(webhook: &Webhook, events: &[StoredEvent]) -> DryRun {
    let is_match = |event: &&StoredEvent| explain(webhook, &event.event).matches;
    let matching: Vec<&StoredEvent> = events.iter().filter(is_match).collect();
    let total = u64::try_from(events.len()).unwrap_or(u64::MAX);
    let count = u64::try_from(matching.len()).unwrap_or(u64::MAX);
    let text = match (total, count) {
        (0, _) => String::from("There are no events yet to try it on."),
        (1, _) => format!("Would have matched {count} of the only event so far."),
        (_, 0) => format!("Would have matched none of the last {} events.", number(total)),
        _ => {
            let (count, total) = (number(count), number(total));
            format!("Would have matched {count} of the last {total} events.")
        }
    };
    let example = |event: &&StoredEvent| Example {
        id: event.event.id.to_string(),
        text: format!("{} {}", event.event.topic, event.event.entity.id),
    };
    DryRun {
        tone: if count == 0 { "warn" } else { "ok" },
        text,
        examples: matching.iter().take(EXAMPLES_MAX).map(example).collect(),
    }
}
