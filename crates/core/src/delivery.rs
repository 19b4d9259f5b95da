//! A delivery: one event on its way to one webhook.

use bytes::Bytes;
use jiff::Timestamp;

use crate::id::{DeliveryId, EventId, WebhookId};
use crate::name::{Environment, Space};

/// A delivery as it waits for its next attempt.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Derived from event and webhook; the receiver sees it as `webhook-id`.
    pub id: DeliveryId,
    /// Whom it goes to.
    pub webhook_id: WebhookId,
    /// Whose it is.
    pub space: Space,
    /// The event's environment.
    pub environment: Environment,
    /// The event's id.
    pub event_id: EventId,
    /// The event's place in the EVENTS stream.
    pub event_sequence: u64,
    /// The event as it lies in the EVENTS stream, protobuf, unknown fields included; without its
    /// payload if that is left there.
    pub event: Bytes,
    /// Whether the payload is left in the EVENTS stream, at `event_sequence`.
    pub by_reference: bool,
    /// When the event was fanned out; `maxAge` counts from here.
    pub created_at: Timestamp,
    /// Where it stands.
    pub progress: Progress,
}

/// Where a delivery stands: which attempt comes next, and since when this round of attempts runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The number of the next attempt, counted from 1 over the delivery's whole life.
    pub attempt: u32,
    /// The number of the first attempt of this round: 1, or more after a redelivery, which gets
    /// the whole schedule again.
    pub round_start: u32,
    /// When this round began; `maxAge` counts from here.
    pub round_started_at: Timestamp,
}

impl Progress {
    /// The state of a delivery that was never attempted.
    #[must_use]
    pub fn first(now: Timestamp) -> Self {
        Self {
            attempt: 1,
            round_start: 1,
            round_started_at: now,
        }
    }

    /// The same round, one attempt later.
    #[must_use]
    pub fn next(self) -> Self {
        Self {
            attempt: self.attempt.saturating_add(1),
            ..self
        }
    }

    /// A new round that begins with `attempt`, as a redelivery does.
    #[must_use]
    pub fn redelivery(attempt: u32, now: Timestamp) -> Self {
        Self {
            attempt,
            round_start: attempt,
            round_started_at: now,
        }
    }

    /// How many retries of this round were made when the next attempt has been made: 0 for the
    /// round's first attempt.
    #[must_use]
    pub fn retries(self) -> u32 {
        self.attempt.saturating_sub(self.round_start)
    }
}
