//! Deliveries, dead letters and events.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::log::Status;
use crate::view::{DeliveryView, EventView, LagView, LetterView};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct DeliveryQuery {
    /// Only those that stand so; `failed` is another word for `dead`.
    #[param(inline)]
    pub(in crate::api) status: Option<StatusInput>,
    /// Only those of events with this topic, in whatever case; one topic, no pattern.
    pub(in crate::api) topic: Option<String>,
    /// Only those of this event.
    pub(in crate::api) event_id: Option<String>,
    /// Not before.
    pub(in crate::api) from: Option<Timestamp>,
    /// Before.
    pub(in crate::api) to: Option<Timestamp>,
    /// How many items at the most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    pub(in crate::api) limit: Option<u32>,
    /// The `nextCursor` of the page before.
    pub(in crate::api) cursor: Option<String>,
}

/// How a delivery stands.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::api) enum StatusInput {
    Pending,
    Retrying,
    Delivered,
    Dead,
    Failed,
}

impl From<StatusInput> for Status {
    fn from(status: StatusInput) -> Self {
        match status {
            StatusInput::Pending => Self::Pending,
            StatusInput::Retrying => Self::Retrying,
            StatusInput::Delivered => Self::Delivered,
            StatusInput::Dead | StatusInput::Failed => Self::Dead,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct LetterQuery {
    /// Only those of this webhook.
    pub(in crate::api) webhook_id: Option<String>,
    /// Only those that ended for this reason, such as `exhausted`.
    pub(in crate::api) reason: Option<String>,
    /// How many items at the most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    pub(in crate::api) limit: Option<u32>,
    /// The `nextCursor` of the page before.
    pub(in crate::api) cursor: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct EventQuery {
    /// Only those with this id.
    pub(in crate::api) id: Option<String>,
    /// Only those with this topic, in whatever case; one topic, no pattern.
    pub(in crate::api) topic: Option<String>,
    /// Not before.
    pub(in crate::api) from: Option<Timestamp>,
    /// Before.
    pub(in crate::api) to: Option<Timestamp>,
    /// How many items at the most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    pub(in crate::api) limit: Option<u32>,
    /// The `nextCursor` of the page before.
    pub(in crate::api) cursor: Option<String>,
}

/// Deliveries, the newest first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct DeliveryPage {
    pub(in crate::api) items: Vec<DeliveryView>,
    pub(in crate::api) next_cursor: Option<String>,
    /// How far the answer is behind.
    pub(in crate::api) lag: LagView,
}

/// Dead letters, the newest first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct LetterPage {
    pub(in crate::api) items: Vec<LetterView>,
    pub(in crate::api) next_cursor: Option<String>,
    /// How far the answer is behind.
    pub(in crate::api) lag: LagView,
}

/// Events, the newest first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct EventPage {
    pub(in crate::api) items: Vec<EventView>,
    pub(in crate::api) next_cursor: Option<String>,
    /// How far the answer is behind.
    pub(in crate::api) lag: LagView,
}

/// A delivery that was sent again.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct Redelivered {
    /// The same id as before.
    delivery_id: String,
    /// The number of its next attempt.
    next_attempt: u32,
}
