//! Events as they lie in their stream.

use async_nats::HeaderMap;
use async_nats::jetstream::stream::DirectGetErrorKind;
use bytes::Bytes;
use jiff::Timestamp;
use prost::Message as _;
use serde_json::json;
use tidings_core::event::Event;
use tidings_core::id::{DeliveryId, EventId};
use tidings_core::name::Space;
use tidings_core::topic::TEST_TOPIC;
use tidings_core::webhook::Status;
use tidings_nats::publish::Outgoing;
use tidings_nats::stored_event::open_stored;
use tidings_nats::subject;
use tidings_nats::topology::EVENTS;
use tidings_proto::{SCHEMA_VERSION, timestamp_to_wire, v1};
use tidings_service::clock;

use crate::audit::Change;
use crate::webhook::Target;
use crate::{Error, Manage, Result, new_ulid};

/// An event as it lies in its stream.
#[derive(Debug, Clone)]
pub struct StoredEvent {
    /// Its place.
    pub sequence: u64,
    /// When the stream took it in.
    pub stored_at: Timestamp,
    /// The event.
    pub event: Event,
    /// The message, as deliveries carry it.
    pub message: Bytes,
    /// Its headers.
    pub headers: HeaderMap,
}

/// A test event that is on its way.
#[derive(Debug, Clone)]
pub struct SentTest {
    /// The event.
    pub event_id: EventId,
    /// Its only delivery, which exists as soon as the router has seen the event.
    pub delivery_id: DeliveryId,
}

impl Manage {
    /// The event at this place, if it is of the space and still kept.
    ///
    /// # Errors
    /// The broker does not answer.
    pub async fn event(&self, space: &Space, sequence: u64) -> Result<Option<StoredEvent>> {
        let failed = |error: &dyn std::fmt::Display| Error::broker(EVENTS, error);
        let stream = self.context().get_stream_no_info(EVENTS).await;
        let stream = stream.map_err(|error| failed(&error))?;
        let message = match stream.direct_get(sequence).await {
            Ok(message) => message,
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(&error)),
        };
        let nanos = message.time.unix_timestamp_nanos();
        let stored_at = Timestamp::from_nanosecond(nanos).map_err(|error| failed(&error))?;
        // What nobody could read is among the dead letters.
        let opened = open_stored(&message).ok();
        let opened = opened.filter(|opened| opened.event.space == *space);
        Ok(opened.map(|opened| StoredEvent {
            sequence,
            stored_at,
            event: opened.event,
            message: opened.bytes,
            headers: message.headers,
        }))
    }

    /// Publishes an event that goes to this webhook and no other, whatever its topics and filters
    /// ask for: through the stream, the router and a sender, as any event does.
    ///
    /// # Errors
    /// The webhook is not there or is disabled, or the broker does not answer.
    pub async fn send_test(&self, target: Target<'_>) -> Result<SentTest> {
        let Target {
            actor, space, id, ..
        } = target;
        let kept = self.webhook(space, id).await?;
        if kept.effective().status == Status::Disabled {
            let detail = format!("{id} is disabled; enable it to send it a test");
            return Err(Error::conflict("webhook_disabled", detail));
        }
        let now = clock::now();
        let event_id = EventId::generate(new_ulid(now));
        let payload = json!({
            "webhook": { "id": id, "name": kept.webhook.definition.name },
            "message": "This is a test of this webhook.",
            "sentAt": now,
        });
        let environment = tidings_core::name::Environment::default();
        let wire = v1::Event {
            id: event_id.to_string(),
            space: space.to_string(),
            environment: environment.to_string(),
            topic: TEST_TOPIC.to_owned(),
            entity: Some(v1::Entity {
                id: id.to_string(),
                r#type: String::from("Webhook"),
                ..v1::Entity::default()
            }),
            occurred_at: Some(timestamp_to_wire(now)),
            actor: actor.id.clone(),
            payload: payload.to_string().into_bytes().into(),
            schema_version: SCHEMA_VERSION,
            ..v1::Event::default()
        };
        let topic = TEST_TOPIC
            .parse()
            .map_err(|error| Error::broker("topic", error))?;
        let (publisher, _) = self.publisher().await?;
        let message = Outgoing {
            subject: subject::event(space, &environment, &topic),
            id: format!("{space}.{environment}.{event_id}"),
            headers: HeaderMap::new(),
            payload: wire.encode_to_vec().into(),
        };
        publisher.publish(message).await?;
        self.record(Change {
            actor,
            space: Some(space),
            action: "webhook.test",
            target: id.as_str(),
            old: serde_json::Value::Null,
            new: json!({ "eventId": event_id }),
        })
        .await;
        Ok(SentTest {
            delivery_id: DeliveryId::derive(space, &environment, &event_id, id),
            event_id,
        })
    }
}
