//! One event: take, decide, act, settle.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::{AckKind, Message};
use async_nats::{Client, HeaderMap};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use jiff::{SignedDuration, Timestamp};
use opentelemetry::KeyValue;
use tidings_core::dead_letter::Reason;
use tidings_core::delivery::{Delivery, Progress};
use tidings_core::event::EventError;
use tidings_core::id::DeliveryId;
use tidings_core::matching::Posting;
use tidings_core::name::Space;
use tidings_nats::publish::{Bounds, Outgoing, PublishError, Publisher};
use tidings_nats::stored_event::{Opened, Place, open};
use tidings_nats::topology::{ACK_WAIT, Commit, Layout, ROUTER_CONSUMER};
use tidings_nats::trace_context::{self, TraceContext};
use tidings_nats::{event_time, subject};
use tidings_proto::{NEWER_SCHEMA, delivery_to_wire, timestamp_to_wire, v1};
use tidings_service::clock;
use tidings_service::lifecycle::Lifecycle;
use tidings_service::trace::Span;
use tokio::sync::Semaphore;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::carry::Carried;
use crate::index::Index;
use crate::metrics::Metrics;
use crate::waiting::WaitingRoom;

/// How many deliveries of one event are stored at once, so that a huge fan-out lets others by.
const FAN_OUT_CONCURRENCY: usize = 256;
const BLOCK_BYTES: usize = 1_024;
/// 64 MiB of deliveries on their way into the stream.
const BLOCKS_MAX: usize = 64 * 1_024;
/// What an event that cannot be routed yet counts as.
const LATER: &str = "later";
/// How long an event waits for a newer router.
const LATER_WAIT: Duration = Duration::from_secs(10);
/// How long an event waits after the broker has refused something.
const FAILED_WAIT: Duration = Duration::from_secs(1);

/// How long an event that a newer version wrote waits for a router that can read it. What no upgrade
/// comes for becomes a dead letter.
const UPGRADE_PATIENCE: SignedDuration = SignedDuration::from_hours(24);

/// Routes events.
#[derive(Debug)]
pub struct Router {
    index: Arc<Index>,
    deliveries: Publisher,
    dead_letters: Publisher,
    partitions: u16,
    /// Whether senders look payloads up.
    has_references: bool,
    /// The copies of events that are under way, in blocks.
    memory: Semaphore,
    waiting_room: Arc<WaitingRoom>,
    metrics: Metrics,
    stop: CancellationToken,
}

impl Router {
    /// A router over `index` that stops repeating itself when `lifecycle` is told to leave.
    #[must_use]
    pub fn new(client: Client, layout: &Layout, index: Arc<Index>, lifecycle: &Lifecycle) -> Self {
        Self {
            index,
            deliveries: Publisher::new(client.clone(), layout.commit, Bounds::default()),
            dead_letters: Publisher::new(client, Commit::Single, Bounds::default()),
            partitions: layout.partitions,
            has_references: layout.has_references,
            memory: Semaphore::new(BLOCKS_MAX),
            waiting_room: Arc::default(),
            metrics: Metrics::new(),
            stop: lifecycle.abort.clone(),
        }
    }

    /// How much room there is for events that wait.
    pub(crate) fn waiting_room(&self) -> Arc<WaitingRoom> {
        Arc::clone(&self.waiting_room)
    }

    /// Routes one message. Whatever cannot be settled stays in the stream and comes again.
    pub async fn handle(&self, message: Message) {
        let given = trace_context::read(message.headers.as_ref());
        let span = Span::consumer("process tidings.event")
            .caused_by(given.as_ref())
            .of_message(
                "process",
                "tidings.event",
                &message.subject,
                message.payload.len(),
            )
            .word("messaging.consumer.group.name", ROUTER_CONSUMER)
            .begin();
        let outcome = span.cover(self.handle_traced(message, given)).await;
        span.text("tidings.outcome", outcome);
    }

    async fn handle_traced(&self, message: Message, trace: Option<TraceContext>) -> &'static str {
        let begun = Instant::now();
        let routed = self.route(&message, trace.as_ref());
        let outcome = match self.keep_alive(&message, routed).await {
            Ok(LATER) => {
                settle(&message, AckKind::Nak(Some(LATER_WAIT))).await;
                LATER
            }
            Ok(outcome) => {
                settle(&message, AckKind::Ack).await;
                outcome
            }
            Err(error) => {
                warn!(%error, subject = %message.subject, "an event is not routed yet; it comes again");
                settle(&message, AckKind::Nak(Some(FAILED_WAIT))).await;
                LATER
            }
        };
        self.metrics
            .events
            .add(1, &[KeyValue::new("outcome", outcome)]);
        self.metrics
            .seconds
            .record(begun.elapsed().as_secs_f64(), &[]);
        outcome
    }

    async fn route(
        &self,
        message: &Message,
        trace: Option<&TraceContext>,
    ) -> Result<&'static str, PublishError> {
        let place = Place::of(message);
        let opened = match open(message, place) {
            Ok(opened) => opened,
            Err(error) if waits_for_upgrade(&error, place, clock::now()) => {
                return self.wait(message, place, &error).await;
            }
            Err(error) => {
                self.bury_event(message, place, Reason::InvalidEvent, &error)
                    .await?;
                return Ok("invalid");
            }
        };
        if self.index.waits_for_upgrade(&opened.event.space) {
            let detail = "a webhook of its space was written by a newer version";
            let error = EventError::new(NEWER_SCHEMA, "/space", detail);
            return self.wait(message, place, &error).await;
        }
        let begun = Instant::now();
        let snapshot = self.index.snapshot();
        let webhooks = snapshot.candidates(&opened.event);
        self.metrics.matched(webhooks.len(), begun.elapsed());
        if webhooks.is_empty() {
            return Ok("unmatched");
        }
        let carried = Carried::of(&opened, self.has_references);
        let mut rest = webhooks.iter();
        let mut under_way = FuturesUnordered::new();
        loop {
            while under_way.len() < FAN_OUT_CONCURRENCY
                && let Some(webhook) = rest.next()
            {
                under_way.push(self.fan_out(&opened, &carried, webhook, trace));
            }
            match under_way.next().await {
                Some(stored) => stored?,
                None => return Ok("matched"),
            }
        }
    }

    /// Leaves an event to newer routers: in its stream while there is room, else as a dead letter.
    async fn wait(
        &self,
        message: &Message,
        place: Place,
        error: &EventError,
    ) -> Result<&'static str, PublishError> {
        let is_new = message.info().is_ok_and(|info| info.delivered == 1);
        if self.waiting_room.admits(is_new) {
            // Said once, and not whenever it comes again.
            if is_new {
                warn!(subject = %message.subject, sequence = place.sequence,
                      "an event waits for a newer router: {error}");
            }
            return Ok(LATER);
        }
        self.bury_event(message, place, Reason::NewerSchema, error)
            .await?;
        Ok("invalid")
    }

    /// Stores the delivery of an event to one webhook. Doing it again stores nothing new.
    async fn fan_out(
        &self,
        opened: &Opened,
        carried: &Carried,
        webhook: &Posting,
        trace: Option<&TraceContext>,
    ) -> Result<(), PublishError> {
        // Each delivery has a copy of these bytes, so only so many are made before they are stored.
        let blocks = carried
            .bytes
            .len()
            .div_ceil(BLOCK_BYTES)
            .clamp(1, BLOCKS_MAX);
        let blocks = u32::try_from(blocks).unwrap_or(u32::MAX);
        let _memory = self.memory.acquire_many(blocks).await;
        let delivery = delivery_of(opened, carried, webhook);
        let mut outgoing = Outgoing {
            subject: carried.subject(&webhook.pool, webhook.slot.among(self.partitions)),
            id: delivery.id.to_string(),
            headers: HeaderMap::new(),
            payload: encode(&delivery_to_wire(&delivery)),
        };
        event_time::write(opened.stored_at, &mut outgoing.headers);
        // A part of the event's processing, and linked to the event itself: many come from one.
        let span = Span::producer("publish tidings.delivery")
            .linked_to(trace)
            .of_message(
                "send",
                "tidings.delivery",
                &outgoing.subject,
                outgoing.payload.len(),
            )
            .text("messaging.message.id", &delivery.id)
            .text("tidings.webhook.id", &delivery.webhook_id)
            .begin();
        if let Some(trace) = span.onward(trace) {
            trace_context::write(&trace, &mut outgoing.headers);
        }
        let publishing = self.deliveries.publish_persistently(outgoing, &self.stop);
        match span.cover(publishing).await {
            Ok(stored) => {
                span.flag("tidings.duplicate", stored.duplicate);
                self.metrics.stored(stored.duplicate);
                Ok(())
            }
            Err(PublishError::TooLarge { bytes }) => self.bury_oversized(&delivery, bytes).await,
            Err(error) => {
                span.failed("not_stored");
                Err(error)
            }
        }
    }

    async fn bury_event(
        &self,
        message: &Message,
        place: Place,
        reason: Reason,
        error: &EventError,
    ) -> Result<(), PublishError> {
        let space: Option<Space> =
            subject::read_event(&message.subject).and_then(|subject| subject.space.parse().ok());
        let pointer = if error.pointer.is_empty() {
            "the event"
        } else {
            &error.pointer
        };
        let detail = format!("{}: {pointer}: {}", error.code, error.detail);
        warn!(%reason, subject = %message.subject, sequence = place.sequence,
              "an event that cannot be routed: {detail}");
        let letter = v1::DeadLetter {
            space: space.as_ref().map(ToString::to_string).unwrap_or_default(),
            raw: message.payload.clone(),
            subject: message.subject.to_string(),
            sequence: place.sequence,
            ..dead_letter(reason, detail)
        };
        let id = format!("event.{}.dead", place.sequence);
        self.bury(subject::dead_letter(space.as_ref(), None), id, letter)
            .await
    }

    async fn bury_oversized(&self, delivery: &Delivery, bytes: usize) -> Result<(), PublishError> {
        let detail = format!("the delivery has {bytes} bytes, which is more than the stream takes");
        let letter = v1::DeadLetter {
            space: delivery.space.to_string(),
            webhook_id: delivery.webhook_id.to_string(),
            delivery: Some(v1::Delivery {
                event: Bytes::new(),
                ..delivery_to_wire(delivery)
            }),
            sequence: delivery.event_sequence,
            ..dead_letter(Reason::Oversized, detail)
        };
        let subject = subject::dead_letter(Some(&delivery.space), Some(&delivery.webhook_id));
        let id = format!("{}.{}.dead", delivery.id, delivery.progress.attempt);
        self.bury(subject, id, letter).await
    }

    /// Stores a dead letter; without the message's bytes where they do not fit.
    async fn bury(
        &self,
        subject: String,
        id: String,
        letter: v1::DeadLetter,
    ) -> Result<(), PublishError> {
        let reason = letter.reason.clone();
        let outgoing = Outgoing {
            subject,
            id,
            headers: HeaderMap::new(),
            payload: encode(&letter),
        };
        let shorter = Outgoing {
            payload: encode(&v1::DeadLetter {
                raw: Bytes::new(),
                ..letter
            }),
            ..outgoing.clone()
        };
        let stored = match self
            .dead_letters
            .publish_persistently(outgoing, &self.stop)
            .await
        {
            Err(PublishError::TooLarge { .. }) => {
                self.dead_letters
                    .publish_persistently(shorter, &self.stop)
                    .await
            }
            stored => stored,
        };
        stored?;
        self.metrics
            .dead_letters
            .add(1, &[KeyValue::new("reason", reason)]);
        Ok(())
    }

    /// Tells the broker that the message is being worked on, for as long as `work` takes.
    async fn keep_alive<T>(&self, message: &Message, work: impl Future<Output = T>) -> T {
        let period = ACK_WAIT / 3;
        let mut ticks = tokio::time::interval_at(Instant::now() + period, period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                result = &mut work => return result,
                _ = ticks.tick() => settle(message, AckKind::Progress).await,
            }
        }
    }
}

fn delivery_of(opened: &Opened, carried: &Carried, webhook: &Posting) -> Delivery {
    let event = &opened.event;
    let now = clock::now();
    Delivery {
        id: DeliveryId::derive(&event.space, &event.environment, &event.id, &webhook.id),
        webhook_id: webhook.id.clone(),
        space: event.space.clone(),
        environment: event.environment.clone(),
        event_id: event.id.clone(),
        event_sequence: opened.sequence,
        event: carried.bytes.clone(),
        by_reference: carried.reference.is_some(),
        created_at: now,
        progress: Progress::first(now),
    }
}

fn dead_letter(reason: Reason, detail: String) -> v1::DeadLetter {
    v1::DeadLetter {
        reason: reason.to_string(),
        detail,
        at: Some(timestamp_to_wire(clock::now())),
        schema_version: tidings_proto::SCHEMA_VERSION,
        ..v1::DeadLetter::default()
    }
}

fn encode(message: &impl prost::Message) -> Bytes {
    Bytes::from(message.encode_to_vec())
}

/// An acknowledgement that gets lost costs a repetition, never a message.
async fn settle(message: &Message, kind: AckKind) {
    if let Err(error) = message.ack_with(kind).await {
        debug!(%error, "could not tell the broker; the message comes again");
    }
}

/// Whether an event that cannot be read may be read by the next version.
fn waits_for_upgrade(error: &EventError, place: Place, now: Timestamp) -> bool {
    error.code == NEWER_SCHEMA && now.duration_since(place.published_at) < UPGRADE_PATIENCE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_of_tomorrow_waits_for_a_day_and_an_event_that_is_wrong_does_not() {
        let place = Place {
            sequence: 1,
            published_at: Timestamp::UNIX_EPOCH,
        };
        let after = |hours| Timestamp::UNIX_EPOCH + SignedDuration::from_hours(hours);
        let newer = EventError::new(NEWER_SCHEMA, "/schemaVersion", "");
        let wrong = EventError::new("bad_topic", "/topic", "");
        assert!(waits_for_upgrade(&newer, place, after(0)));
        assert!(waits_for_upgrade(&newer, place, after(23)));
        assert!(!waits_for_upgrade(&newer, place, after(24)));
        assert!(!waits_for_upgrade(&wrong, place, after(0)));
    }
}
