//! Dead letters: deliveries that ended without success, and events that could not be read.

use std::fmt;
use std::str::FromStr;

/// Why a delivery or an event ended as a dead letter (CONTRACT.md section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Every retry was used up.
    Exhausted,
    /// The delivery's `maxAge` passed.
    Expired,
    /// The endpoint answered 410 Gone.
    Gone,
    /// The webhook was disabled while the delivery was under way.
    WebhookDisabled,
    /// The webhook was deleted while the delivery was under way.
    WebhookDeleted,
    /// The request could not be rendered by the webhook's transformation.
    InvalidTransformation,
    /// The rendered body is longer than a request's may be, or the delivery is larger than the
    /// stream takes.
    Oversized,
    /// The payload was left in the events stream and is not there any more.
    PayloadMissing,
    /// What lay in the events stream is no event, or contradicts its subject.
    InvalidEvent,
    /// The event, or a webhook of its space, is of a newer version than the routers, and there was
    /// no more room for it to wait for their upgrade.
    NewerSchema,
    /// What lay in the deliveries stream is no delivery.
    InvalidDelivery,
    /// The delivery belongs to another space than its webhook.
    SpaceMismatch,
    /// The broker delivered it again and again without its being settled, as when senders die of it.
    Quarantined,
}

/// All reasons, for tables and metrics.
pub const REASONS: [Reason; 13] = [
    Reason::Exhausted,
    Reason::Expired,
    Reason::Gone,
    Reason::WebhookDisabled,
    Reason::WebhookDeleted,
    Reason::InvalidTransformation,
    Reason::Oversized,
    Reason::PayloadMissing,
    Reason::InvalidEvent,
    Reason::NewerSchema,
    Reason::InvalidDelivery,
    Reason::SpaceMismatch,
    Reason::Quarantined,
];

/// The text is no reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no dead-letter reason; there are {}", REASONS.map(Reason::as_str).join(", "))]
pub struct ReasonError {
    text: String,
}

impl Reason {
    /// The reason's name in records, answers and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exhausted => "exhausted",
            Self::Expired => "expired",
            Self::Gone => "gone",
            Self::WebhookDisabled => "webhook_disabled",
            Self::WebhookDeleted => "webhook_deleted",
            Self::InvalidTransformation => "invalid_transformation",
            Self::Oversized => "oversized",
            Self::PayloadMissing => "payload_missing",
            Self::InvalidEvent => "invalid_event",
            Self::NewerSchema => "newer_schema",
            Self::InvalidDelivery => "invalid_delivery",
            Self::SpaceMismatch => "space_mismatch",
            Self::Quarantined => "quarantined",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Reason {
    type Err = ReasonError;

    fn from_str(text: &str) -> Result<Self, ReasonError> {
        REASONS
            .into_iter()
            .find(|reason| reason.as_str() == text)
            .ok_or_else(|| ReasonError {
                text: text.chars().take(40).collect(),
            })
    }
}
