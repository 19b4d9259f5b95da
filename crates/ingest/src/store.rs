//! The way into the stream of events, and back out of it when an event was there already.

use async_nats::jetstream::Context;
use async_nats::jetstream::stream::{DirectGetErrorKind, Stream};
use async_nats::{Client, HeaderMap};
use bytes::Bytes;
use http::StatusCode;
use jiff::Timestamp;
use prost::Message as _;
use std::time::Duration;
use tidings_core::event::Event;
use tidings_core::id::EventId;
use tidings_nats::publish::{Bounds, Outgoing, PublishError, Publisher, Stored};
use tidings_nats::subject;
use tidings_nats::topology::{Commit, EVENTS};
use tidings_nats::trace_context::{self, TraceContext};
use tidings_proto::{event_from_wire, v1};
use tidings_service::problem::Problem;
use tidings_service::trace::Span;
use tracing::error;

use crate::check::Checked;

/// When to come back after a hiccup.
const RETRY_SOON: Duration = Duration::from_secs(1);
/// When to come back to a full stream, which takes its time to drain.
const RETRY_FULL: Duration = Duration::from_secs(5);

/// The stream of events.
#[derive(Debug)]
pub(crate) struct Store {
    publisher: Publisher,
    events: Stream<()>,
}

impl Store {
    /// The stream of events behind `context`, which is provisioned for `commit`.
    ///
    /// # Errors
    /// Never in practice: the stream's name is a valid one.
    pub(crate) async fn open(
        client: Client,
        context: &Context,
        commit: Commit,
        bounds: Bounds,
    ) -> Result<Self, async_nats::Error> {
        let events = context.get_stream_no_info(EVENTS).await?;
        let publisher = Publisher::new(client, commit, bounds);
        Ok(Self { publisher, events })
    }

    /// Stores an event; returns once the stream has acknowledged it. It goes on with its own trace,
    /// or with that of the request that brought it.
    ///
    /// # Errors
    /// It is not known to be stored. The producer may publish it again with the same id.
    pub(crate) async fn put(
        &self,
        checked: &Checked,
        own_trace: Option<&TraceContext>,
        trace: Option<&TraceContext>,
    ) -> Result<Stored, Problem> {
        let Event {
            id,
            space,
            environment,
            topic,
            ..
        } = &checked.event;
        let mut message = Outgoing {
            subject: subject::event(space, environment, topic),
            id: format!("{space}.{environment}.{id}"),
            headers: HeaderMap::new(),
            payload: checked.message.clone(),
        };
        let span = Span::producer("publish tidings.event")
            .caused_by(own_trace)
            .linked_to(own_trace.and(trace))
            .of_message(
                "send",
                "tidings.event",
                &message.subject,
                message.payload.len(),
            )
            .text("messaging.message.id", &message.id)
            .text("tidings.event.id", id)
            .begin();
        if let Some(trace) = span.onward(own_trace.or(trace)) {
            trace_context::write(&trace, &mut message.headers);
        }
        let stored = span.cover(self.publisher.try_publish(message)).await;
        match stored {
            Ok(stored) => {
                span.number("tidings.event.sequence", stored.sequence);
                span.flag("tidings.duplicate", stored.duplicate);
                Ok(stored)
            }
            Err(error) => {
                let problem = problem(&error);
                span.failed(problem.code);
                Err(problem)
            }
        }
    }

    /// Refuses an event whose id the stream knows from another event.
    ///
    /// # Errors
    /// The stored event differs in something that the producer gave, or could not be read.
    pub(crate) async fn compare(&self, checked: &Checked, sequence: u64) -> Result<(), Problem> {
        let stored = match self.events.direct_get(sequence).await {
            Ok(message) => message.payload,
            // Already forgotten, so nobody can tell: it was acknowledged, and that is the answer.
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => return Ok(()),
            Err(error) => {
                let detail = format!("the event is stored, but could not be compared: {error}");
                return Err(unavailable("store_unavailable", detail, RETRY_SOON));
            }
        };
        if is_same(checked, stored) {
            return Ok(());
        }
        let detail = "another event was published with this id less than two minutes ago";
        Err(Problem::new(StatusCode::CONFLICT, "id_conflict", detail).at("/id", detail))
    }
}

/// Whether the stored message says the same as the producer said just now.
fn is_same(checked: &Checked, stored: Bytes) -> bool {
    let event = &checked.event;
    let fallback_id = || EventId::of_sequence(0);
    let Some(stored) = v1::Event::decode(stored)
        .ok()
        .and_then(|wire| event_from_wire(wire, fallback_id, Timestamp::UNIX_EPOCH).ok())
    else {
        return false;
    };
    let is_same_time = !checked.has_own_time || stored.occurred_at == event.occurred_at;
    is_same_time
        && stored.topic.as_str() == event.topic.as_str()
        && stored.environment == event.environment
        && stored.entity == event.entity
        && stored.actor == event.actor
        && stored.context == event.context
        && stored.payload == event.payload
}

fn problem(error: &PublishError) -> Problem {
    match error {
        PublishError::Overloaded => {
            let detail = "too many events wait to be stored; try again";
            unavailable("overloaded", detail, RETRY_SOON)
        }
        PublishError::Unavailable { .. } => {
            let detail = "the broker is away or did not acknowledge in time; the event may or may \
                          not be stored, publish it again with the same id";
            unavailable("store_unavailable", detail, RETRY_SOON)
        }
        PublishError::Full { .. } => {
            let detail = "the stream of events is full; try again when the backlog has drained";
            unavailable("backlog_full", detail, RETRY_FULL)
        }
        PublishError::TooLarge { .. } => {
            let detail = "the event is larger than the broker takes";
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
        }
        PublishError::Refused { .. } => {
            error!(%error, "the broker refuses events; check the streams and permissions");
            let detail = "the broker refuses the event; the operator must look into it";
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "store_refused", detail)
        }
    }
}

/// Nothing can be taken now.
pub(crate) fn unavailable(
    code: &'static str,
    detail: impl Into<String>,
    wait: Duration,
) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).retry_after(wait)
}

/// The service has not found its broker, streams or tokens yet.
pub(crate) fn not_ready() -> Problem {
    let detail = "the service is starting or waits for its broker; try again";
    unavailable("store_unavailable", detail, RETRY_SOON)
}

#[cfg(test)]
mod tests {
    use tidings_core::event::Entity;
    use tidings_proto::event_to_wire;

    use super::*;

    fn event(payload: &'static str) -> Event {
        Event {
            id: "e1".parse().unwrap(),
            space: "acme".parse().unwrap(),
            environment: Default::default(),
            topic: "Entry.publish".parse().unwrap(),
            entity: Entity::default(),
            occurred_at: Timestamp::UNIX_EPOCH,
            actor: String::new(),
            context: Default::default(),
            payload: Bytes::from_static(payload.as_bytes()),
        }
    }

    fn published(event: Event, has_own_time: bool) -> Checked {
        let message = event_to_wire(&event).encode_to_vec().into();
        Checked {
            event,
            message,
            has_own_id: true,
            has_own_time,
        }
    }

    #[test]
    fn an_event_is_the_same_if_everything_the_producer_gave_is() {
        let stored = published(event("1"), true).message;
        assert!(is_same(&published(event("1"), true), stored.clone()));
        let later = Event {
            occurred_at: "2026-01-01T00:00:00Z".parse().unwrap(),
            ..event("1")
        };
        assert!(is_same(&published(later.clone(), false), stored.clone()));
        assert!(!is_same(&published(later, true), stored.clone()));
        assert!(!is_same(&published(event("1.0"), true), stored.clone()));
        let renamed = Event {
            topic: "entry.publish".parse().unwrap(),
            ..event("1")
        };
        assert!(!is_same(&published(renamed, true), stored));
        assert!(!is_same(
            &published(event("1"), true),
            Bytes::from_static(b"\xff")
        ));
    }
}
