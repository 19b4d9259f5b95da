//! Wire and domain, in both directions.

use bytes::Bytes;
use jiff::Timestamp;
use tidings_core::delivery::{Delivery, Progress};
use tidings_core::event::{Entity, Event, EventError, Faults, check_texts};
use tidings_core::id::EventId;
use tidings_core::name::{Environment, Space};
use tidings_core::topic::Topic;

use crate::time::{timestamp_from_wire, timestamp_to_wire};
use crate::v1;

/// The version of the wire schema that this build writes, and the newest it reads.
pub const SCHEMA_VERSION: u32 = 1;

/// The code of the error of an event that a newer version wrote.
pub const NEWER_SCHEMA: &str = "newer_schema";

/// The newest version of a delivery that this build reads: from 2 on, its payload may be left in the
/// events stream. Deliveries that carry theirs are written as 1, for senders that know no other.
pub const DELIVERY_SCHEMA_VERSION: u32 = 2;

/// Why a wire message is no delivery.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A field is absent or breaks its rule.
    #[error("the field `{field}` is unusable: {detail}")]
    Field {
        /// The field's name in the `.proto` file.
        field: &'static str,
        /// What is wrong.
        detail: String,
    },
    /// A newer version of Tidings wrote it.
    #[error(
        "its schema is {found}, this version knows {DELIVERY_SCHEMA_VERSION}; upgrade this service"
    )]
    Newer {
        /// The schema found.
        found: u32,
    },
}

/// Checks an event from the wire. What may be absent is given: `fallback_id` for an event without
/// one, `received_at` for one that does not say when it occurred.
///
/// The payload's JSON is not looked at: ingest does that once, and what is published directly is
/// trusted with it.
///
/// # Errors
/// The fields that break a rule of CONTRACT.md section 3.
pub fn event_from_wire(
    wire: v1::Event,
    fallback_id: impl FnOnce() -> EventId,
    received_at: Timestamp,
) -> Result<Event, EventError> {
    if wire.schema_version > SCHEMA_VERSION {
        let detail = format!(
            "it is {}, this version knows {SCHEMA_VERSION}; upgrade Tidings and publish it again",
            wire.schema_version
        );
        return Err(EventError::new(NEWER_SCHEMA, "/schemaVersion", detail));
    }
    let mut faults = Faults::default();
    let id = match wire.id.is_empty() {
        true => Some(fallback_id()),
        false => faults.note(
            EventId::try_from(wire.id)
                .map_err(|error| EventError::new("bad_id", "/id", error.to_string())),
        ),
    };
    let space = faults.note(
        Space::try_from(wire.space)
            .map_err(|error| EventError::new("bad_space", "/space", error.to_string())),
    );
    let environment = match wire.environment.is_empty() {
        true => Some(Environment::default()),
        false => faults.note(Environment::try_from(wire.environment).map_err(|error| {
            EventError::new("bad_environment", "/environment", error.to_string())
        })),
    };
    let topic = faults.note(
        Topic::try_from(wire.topic)
            .map_err(|error| EventError::new("bad_topic", "/topic", error.to_string())),
    );
    let occurred_at = match &wire.occurred_at {
        None => Some(received_at),
        Some(timestamp) => faults.note(timestamp_from_wire(timestamp).ok_or_else(|| {
            EventError::new(
                "bad_timestamp",
                "/occurredAt",
                "it is no instant of the years 1 to 9999",
            )
        })),
    };
    let entity = entity_from_wire(wire.entity.unwrap_or_default());
    let context = wire.context.into_iter().collect();
    faults.note(check_texts(&entity, &wire.actor, &context));
    faults.finish()?;
    let fields = || Some((id?, space?, environment?, topic?, occurred_at?));
    let (id, space, environment, topic, occurred_at) =
        fields().expect("a field is only missing with a fault");
    let actor = wire.actor;
    Ok(Event {
        id,
        space,
        environment,
        topic,
        entity,
        occurred_at,
        actor,
        context,
        payload: wire.payload,
    })
}

fn entity_from_wire(wire: v1::Entity) -> Entity {
    Entity {
        id: wire.id,
        kind: wire.r#type,
        content_type: wire.content_type,
        revision: wire.revision,
        locales: wire.locales,
    }
}

/// Writes an event.
#[must_use]
pub fn event_to_wire(event: &Event) -> v1::Event {
    let entity = &event.entity;
    let wire_entity = v1::Entity {
        id: entity.id.clone(),
        r#type: entity.kind.clone(),
        content_type: entity.content_type.clone(),
        revision: entity.revision,
        locales: entity.locales.clone(),
    };
    v1::Event {
        id: event.id.to_string(),
        space: event.space.to_string(),
        environment: event.environment.to_string(),
        topic: event.topic.to_string(),
        entity: (*entity != Entity::default()).then_some(wire_entity),
        occurred_at: Some(timestamp_to_wire(event.occurred_at)),
        actor: event.actor.clone(),
        context: event.context.clone().into_iter().collect(),
        payload: event.payload.clone(),
        schema_version: SCHEMA_VERSION,
    }
}

/// Checks a delivery from the wire.
///
/// # Errors
/// A field is absent or breaks its rule, or the message is a newer version's.
pub fn delivery_from_wire(wire: v1::Delivery) -> Result<Delivery, WireError> {
    if wire.schema_version > DELIVERY_SCHEMA_VERSION {
        return Err(WireError::Newer {
            found: wire.schema_version,
        });
    }
    let created_at = time_field("created_at", wire.created_at.as_ref())?;
    let round_started_at = time_field("round_started_at", wire.round_started_at.as_ref())?;
    Ok(Delivery {
        id: checked("id", wire.id)?,
        webhook_id: checked("webhook_id", wire.webhook_id)?,
        space: checked("space", wire.space)?,
        environment: checked("environment", wire.environment)?,
        event_id: checked("event_id", wire.event_id)?,
        event_sequence: wire.event_sequence,
        event: wire.event,
        by_reference: wire.by_reference,
        created_at,
        progress: Progress {
            attempt: wire.attempt.max(1),
            round_start: wire.round_start.max(1),
            round_started_at,
        },
    })
}

/// Writes a delivery.
#[must_use]
pub fn delivery_to_wire(delivery: &Delivery) -> v1::Delivery {
    v1::Delivery {
        id: delivery.id.to_string(),
        webhook_id: delivery.webhook_id.to_string(),
        space: delivery.space.to_string(),
        environment: delivery.environment.to_string(),
        event_id: delivery.event_id.to_string(),
        event_sequence: delivery.event_sequence,
        event: Bytes::clone(&delivery.event),
        created_at: Some(timestamp_to_wire(delivery.created_at)),
        attempt: delivery.progress.attempt,
        round_start: delivery.progress.round_start,
        round_started_at: Some(timestamp_to_wire(delivery.progress.round_started_at)),
        by_reference: delivery.by_reference,
        schema_version: match delivery.by_reference {
            true => DELIVERY_SCHEMA_VERSION,
            false => SCHEMA_VERSION,
        },
    }
}

fn checked<T: TryFrom<String, Error: std::fmt::Display>>(
    field: &'static str,
    text: String,
) -> Result<T, WireError> {
    T::try_from(text).map_err(|error| WireError::Field {
        field,
        detail: error.to_string(),
    })
}

fn time_field(
    field: &'static str,
    wire: Option<&prost_types::Timestamp>,
) -> Result<Timestamp, WireError> {
    wire.and_then(timestamp_from_wire)
        .ok_or_else(|| WireError::Field {
            field,
            detail: String::from("it is no timestamp"),
        })
}
