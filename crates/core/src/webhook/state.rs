//! What became of a webhook's endpoint: active, paused or disabled.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Webhook;
use crate::pause::{Cause, Pause};

/// Whether deliveries are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// They are.
    #[default]
    Active,
    /// They wait until the endpoint has recovered.
    Paused,
    /// They are not.
    Disabled,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Disabled => "disabled",
        })
    }
}

/// The state of an endpoint as senders record it, beside the webhook's definition.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointState {
    /// Whether deliveries are sent.
    pub status: Status,
    /// Why it is not active.
    #[serde(default)]
    pub reason: String,
    /// When a pause is looked at again.
    #[serde(default)]
    pub until: Option<Timestamp>,
    /// The webhook's version that this state was found at. A newer definition, such as one that
    /// enables the webhook again, makes the state void.
    pub webhook_version: u64,
    /// How the endpoint's pause stands, for whoever sends for it next; absent in what a person
    /// recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<Pause>,
}

impl EndpointState {
    /// A person pauses the endpoint, until `until` or until it is resumed.
    #[must_use]
    pub fn paused_by_hand(until: Option<Timestamp>, webhook_version: u64) -> Self {
        Self {
            status: Status::Paused,
            reason: Cause::Manual.as_str().to_owned(),
            until,
            webhook_version,
            pause: None,
        }
    }

    /// A person resumes the endpoint.
    #[must_use]
    pub fn resumed_by_hand(webhook_version: u64) -> Self {
        Self {
            status: Status::Active,
            reason: Cause::Manual.as_str().to_owned(),
            until: None,
            webhook_version,
            pause: None,
        }
    }

    /// Whether a person recorded it, and no sender has taken it in yet.
    #[must_use]
    pub fn is_by_hand(&self) -> bool {
        self.pause.is_none() && self.reason == Cause::Manual.as_str()
    }

    /// What a sender found out.
    #[must_use]
    pub fn of_pause(pause: &Pause, webhook_version: u64) -> Self {
        let (status, reason, until) = match *pause {
            Pause::Flowing { .. } | Pause::Ramping { .. } => (Status::Active, "", None),
            Pause::Paused { cause, until, .. } => (Status::Paused, cause.as_str(), until),
            Pause::Probing { until, .. } => (Status::Paused, Cause::Failing.as_str(), Some(until)),
        };
        Self {
            status,
            reason: reason.to_owned(),
            until,
            webhook_version,
            pause: Some(pause.clone()),
        }
    }

    /// Whether it holds for this version of its webhook.
    #[must_use]
    pub fn holds_for(&self, webhook_version: u64) -> bool {
        self.webhook_version >= webhook_version
    }

    /// The state that holds for `webhook`: its own toggle first, then what senders found.
    #[must_use]
    pub fn effective(webhook: &Webhook, recorded: Option<&Self>) -> Self {
        let version = webhook.version;
        if !webhook.definition.enabled {
            let reason = String::from("disabled by hand");
            return Self {
                status: Status::Disabled,
                reason,
                until: None,
                webhook_version: version,
                pause: None,
            };
        }
        match recorded {
            Some(state) if state.holds_for(version) => state.clone(),
            _ => Self {
                webhook_version: version,
                ..Self::default()
            },
        }
    }
}
