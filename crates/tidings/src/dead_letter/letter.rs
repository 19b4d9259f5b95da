//! A dead letter as it lies in its stream.

use jiff::Timestamp;
use prost::Message as _;
use serde::Serialize;
use tidings_core::id::WebhookId;
use tidings_core::name::Space;
use tidings_proto::{timestamp_from_wire, v1};

use super::Filter;
use crate::scan::Lying;

/// What is shown of a dead letter.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Letter {
    /// Its place in the stream of dead letters.
    pub(super) sequence: u64,
    pub(super) reason: String,
    pub(super) detail: String,
    pub(super) at: Option<Timestamp>,
    pub(super) space: String,
    pub(super) webhook_id: String,
    /// Empty if it is of no delivery.
    pub(super) delivery_id: String,
    pub(super) event_id: String,
    /// How many attempts were made.
    pub(super) attempts: u32,
    pub(super) last_outcome: String,
    /// Where the message lay that became this letter.
    pub(super) subject: String,
}

impl Letter {
    /// Reads a letter, its event left out. What cannot be read is shown as such.
    pub(super) fn read(lying: &Lying) -> Self {
        let unread = || v1::DeadLetter {
            reason: String::from("(unreadable)"),
            detail: String::from("it is no dead letter; a newer version may have written it"),
            ..v1::DeadLetter::default()
        };
        let wire = v1::DeadLetter::decode(lying.payload.clone()).unwrap_or_else(|_| unread());
        let delivery = wire.delivery.unwrap_or_default();
        Self {
            sequence: lying.sequence,
            reason: wire.reason,
            detail: wire.detail,
            at: wire.at.as_ref().and_then(timestamp_from_wire),
            space: wire.space,
            webhook_id: wire.webhook_id,
            delivery_id: delivery.id,
            event_id: delivery.event_id,
            attempts: delivery.attempt.saturating_sub(1),
            last_outcome: wire.last_outcome,
            subject: wire.subject,
        }
    }
}

impl Filter {
    /// The subject that holds at least what is meant.
    pub(super) fn subject(&self) -> String {
        let space = self.space.as_ref().map_or("*", Space::as_str);
        let webhook = self.webhook.as_ref().map_or("*", WebhookId::as_str);
        format!("tidings.dead.{space}.{webhook}")
    }

    /// Whether a letter on that subject is meant.
    pub(super) fn is_meant(&self, letter: &Letter) -> bool {
        self.reason
            .is_none_or(|wanted| wanted.as_str() == letter.reason)
    }
}
