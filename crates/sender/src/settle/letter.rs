//! A dead letter, as it goes into its stream.

use async_nats::HeaderMap;
use bytes::Bytes;
use prost::Message as _;
use tidings_core::attempt::Outcome;
use tidings_core::dead_letter::Reason;
use tidings_core::delivery::{Delivery, Progress};
use tidings_nats::publish::Outgoing;
use tidings_nats::subject;
use tidings_nats::trace_context::{self, TraceContext};
use tidings_proto::{
    SCHEMA_VERSION, append_to_letters_delivery, delivery_to_wire, timestamp_to_wire, v1,
};
use tidings_service::clock;

use super::tag;
use crate::hand::Taken;
use crate::open::OpenError;

/// A dead letter with its address.
#[derive(Debug, Clone)]
pub(super) struct Letter {
    subject: String,
    /// Unique for the message that is buried: a delivery that was redelivered dies again under
    /// another id, and must not be taken for the same letter.
    id: String,
    reason: Reason,
    /// Kept for a redelivery.
    trace: Option<TraceContext>,
    content: v1::DeadLetter,
    /// What a newer version wrote into the delivery.
    unknown: Bytes,
}

impl Letter {
    /// The letter of a delivery that ended, with the outcome of its last attempt if this was one.
    pub(super) fn of(
        taken: &Taken,
        (delivery, unknown): (&Delivery, &Bytes),
        reason: Reason,
        outcome: Option<&Outcome>,
    ) -> Self {
        let content = v1::DeadLetter {
            space: delivery.space.to_string(),
            webhook_id: delivery.webhook_id.to_string(),
            delivery: Some(delivery_to_wire(delivery)),
            last_outcome: outcome
                .map(|outcome| outcome.code().to_owned())
                .unwrap_or_default(),
            ..content(taken, reason, detail(reason, delivery, outcome))
        };
        let attempt = delivery.progress.attempt;
        Self {
            subject: subject::dead_letter(Some(&delivery.space), Some(&delivery.webhook_id)),
            id: format!("{}.{attempt}.dead.{}", delivery.id, tag(taken.place)),
            reason,
            trace: trace_context::read(taken.headers.as_ref()),
            content,
            unknown: Bytes::clone(unknown),
        }
    }

    /// The letter of a message that is no delivery, with its bytes.
    pub(super) fn unread(taken: &Taken, error: &OpenError) -> Self {
        let reason = Reason::InvalidDelivery;
        let content = v1::DeadLetter {
            raw: taken.payload.clone(),
            ..content(taken, reason, error.to_string())
        };
        Self {
            subject: subject::dead_letter(None, None),
            id: format!("message.dead.{}", tag(taken.place)),
            reason,
            trace: trace_context::read(taken.headers.as_ref()),
            content,
            unknown: Bytes::new(),
        }
    }

    /// The letter of a delivery that stands at `progress`, which a redelivery goes on from.
    pub(super) fn at(mut self, progress: Progress) -> Self {
        if let Some(delivery) = &mut self.content.delivery {
            delivery.attempt = progress.attempt;
        }
        self
    }

    /// The letter without the bytes that do not fit. Ids and the event's place stay, so that the
    /// event can be found; a message that is no delivery keeps its reason.
    pub(super) fn without_bytes(mut self, bytes: usize) -> Self {
        let detail = format!("{bytes} bytes are more than the stream takes");
        self.empty();
        match &self.content.delivery {
            Some(_) => {
                let before = match self.reason {
                    Reason::Oversized => String::new(),
                    other => format!("; it ended as `{other}`: {}", self.content.detail),
                };
                self.content.detail = format!("{detail}{before}");
                self.reason = Reason::Oversized;
            }
            None => {
                self.content.detail = format!("{}; {detail}", self.content.detail);
            }
        }
        self.content.reason = self.reason.to_string();
        self
    }

    /// The letter without its bytes, for a stream that is full. Ids and the event's place stay, so
    /// that the event can be found.
    pub(super) fn without_event(mut self) -> Self {
        self.empty();
        let detail = &mut self.content.detail;
        detail.push_str("; kept without its bytes, because the stream was full");
        self
    }

    fn empty(&mut self) {
        self.content.raw = Bytes::new();
        self.unknown = Bytes::new();
        if let Some(delivery) = &mut self.content.delivery {
            delivery.event = Bytes::new();
        }
    }

    pub(super) fn reason(&self) -> Reason {
        self.reason
    }

    pub(super) fn outgoing(&self) -> Outgoing {
        let mut headers = HeaderMap::new();
        if let Some(trace) = &self.trace {
            trace_context::write(trace, &mut headers);
        }
        let mut payload = self.content.encode_to_vec();
        append_to_letters_delivery(&mut payload, &self.unknown);
        Outgoing {
            subject: self.subject.clone(),
            id: self.id.clone(),
            headers,
            payload: Bytes::from(payload),
        }
    }
}

fn content(taken: &Taken, reason: Reason, detail: String) -> v1::DeadLetter {
    v1::DeadLetter {
        reason: reason.to_string(),
        detail,
        at: Some(timestamp_to_wire(clock::now())),
        subject: taken.subject.to_string(),
        sequence: taken.place.sequence,
        schema_version: SCHEMA_VERSION,
        ..v1::DeadLetter::default()
    }
}

/// The reason for people.
fn detail(reason: Reason, delivery: &Delivery, outcome: Option<&Outcome>) -> String {
    let attempt = delivery.progress.attempt;
    let last = outcome.map(|outcome| format!("; attempt {attempt} ended with {outcome}"));
    let text = match reason {
        Reason::Exhausted => "every retry was used up",
        Reason::Expired => "it is older than the webhook's maxAge, or would be at its next attempt",
        Reason::Gone => "the endpoint answered 410 Gone; the webhook was disabled",
        Reason::WebhookDisabled => "the webhook is disabled",
        Reason::WebhookDeleted => "the webhook does not exist any more",
        Reason::InvalidTransformation => "its request could not be rendered",
        Reason::Oversized => "it is larger than may be sent or stored",
        Reason::SpaceMismatch => "its webhook belongs to another space",
        Reason::Quarantined => {
            "it was taken many times and never settled; it may be what kills senders"
        }
        Reason::PayloadMissing => {
            "its payload was left in the stream of events and is not there any more; publish the \
             event again"
        }
        Reason::InvalidEvent | Reason::NewerSchema | Reason::InvalidDelivery => "it cannot be read",
    };
    format!("{text}{}", last.unwrap_or_default())
}
