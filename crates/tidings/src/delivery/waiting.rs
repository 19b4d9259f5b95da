//! Deliveries that wait: for their first attempt in DELIVERIES, for a retry in RETRIES.

use async_nats::jetstream::message::StreamMessage;
use jiff::Timestamp;
use prost::Message as _;
use tidings_core::id::{DeliveryId, WebhookId};
use tidings_core::partition::partition_of;
use tidings_core::waiting::Told;
use tidings_nats::subject::WAITS_HEADER;
use tidings_nats::topology::{DELIVERIES, RETRIES};
use tidings_proto::v1;

use super::summary::Sighting;
use crate::client::Client;
use crate::output::note;
use crate::scan;

/// How many messages that wait are looked at, in each stream.
const COUNT_MAX: usize = 10_000;
/// How many schedules of one delivery are looked at.
const SCHEDULES_MAX: usize = 100;
const SCHEDULE: &str = "Nats-Schedule";

/// Deliveries that wait; those of one webhook are found without looking at all others.
///
/// # Errors
/// The broker does not answer.
pub(super) async fn read(
    client: &Client,
    webhook: Option<&WebhookId>,
) -> anyhow::Result<Vec<Sighting>> {
    let layout = client.layout().await?;
    let partition = webhook.map_or_else(
        || String::from("*"),
        |webhook| partition_of(webhook, layout.partitions).to_string(),
    );
    let mut sightings = Vec::new();
    for (stream, subject) in [
        (DELIVERIES, format!("tidings.delivery.*.{partition}")),
        (DELIVERIES, format!("tidings.delivery.*.{partition}.>")),
        (RETRIES, format!("tidings.later.*.{partition}.>")),
        (RETRIES, format!("tidings.retry.*.{partition}")),
        (RETRIES, format!("tidings.retry.*.{partition}.>")),
    ] {
        let read = |message: &StreamMessage| sightings.extend(sighting(message));
        if scan::waiting(client, stream, &subject, COUNT_MAX, read).await? == COUNT_MAX {
            note(format_args!(
                "warning: more than {COUNT_MAX} deliveries wait in {stream}; not all were looked at"
            ));
        }
    }
    Ok(sightings)
}

/// The attempt that one delivery waits for, if there is one. Several may be scheduled, if a message
/// came again after its retry was stored: the furthest attempt is what the delivery stands at.
///
/// # Errors
/// The broker does not answer.
pub(super) async fn scheduled(
    client: &Client,
    id: &DeliveryId,
) -> anyhow::Result<Option<Sighting>> {
    let mut found = Vec::new();
    for subject in [
        format!("tidings.later.*.*.{id}.>"),
        format!("tidings.later.*.*.ref.*.{id}.>"),
    ] {
        let read =
            |message: &StreamMessage| found.extend(scheduled_at(message).zip(sighting(message)));
        scan::waiting(client, RETRIES, &subject, SCHEDULES_MAX, read).await?;
    }
    found.sort_by_key(|(due_at, _)| *due_at);
    let sightings = found.into_iter().map(|(_, sighting)| sighting);
    Ok(sightings.reduce(|mut merged, sighting| {
        merged.merge(sighting);
        merged
    }))
}

fn sighting(message: &StreamMessage) -> Option<Sighting> {
    // What is no delivery is the sender's to bury.
    let delivery = v1::Delivery::decode(message.payload.clone()).ok()?;
    let told = message.headers.get(WAITS_HEADER);
    let told = told.and_then(|told| Told::of(told.as_str()).last().map(str::to_owned));
    let due_at = scheduled_at(message);
    Some(Sighting::of_waiting(&delivery, due_at, told))
}

fn scheduled_at(message: &StreamMessage) -> Option<Timestamp> {
    let schedule = message.headers.get(SCHEDULE)?.as_str();
    schedule.strip_prefix("@at ")?.trim().parse().ok()
}
