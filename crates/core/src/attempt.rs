//! An attempt: one HTTP request of a delivery, with its outcome.

use std::fmt;
use std::time::Duration;

use crate::dead_letter::Reason;
use crate::transformation::RenderError;

/// How an attempt came out, as far as what follows depends on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A final answer's head arrived in time.
    Answered {
        /// The HTTP status code.
        status: u16,
        /// What the endpoint asked for in `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// No answer came.
    Failed {
        /// A stable word for the reason, such as `timeout` or `dns_error`.
        code: &'static str,
    },
    /// The request could not be made of the event, and never can be: nothing was sent.
    Unrenderable {
        /// As what the delivery ends.
        reason: Reason,
        /// What is wrong, for people.
        detail: String,
    },
}

impl From<&RenderError> for Outcome {
    fn from(error: &RenderError) -> Self {
        Self::Unrenderable {
            reason: match error {
                RenderError::Oversized => Reason::Oversized,
                RenderError::Payload
                | RenderError::Text { .. }
                | RenderError::Form { .. }
                | RenderError::Url { .. }
                | RenderError::Header { .. } => Reason::InvalidTransformation,
            },
            detail: error.to_string(),
        }
    }
}

impl Outcome {
    /// Whether the endpoint took the delivery: 200..=299, nothing else (CONTRACT.md section 5.1).
    #[must_use]
    pub fn is_success(&self) -> bool {
        matches!(
            self,
            Self::Answered {
                status: 200..=299,
                ..
            }
        )
    }

    /// A stable word for the outcome, for records and metrics: `delivered`, the class of an
    /// unsuccessful status, or the reason of the failure.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Answered {
                status: 200..=299, ..
            } => "delivered",
            Self::Answered {
                status: 300..=399, ..
            } => "redirect_not_followed",
            Self::Answered { status: 410, .. } => "gone",
            Self::Answered { status: 429, .. } => "throttled",
            Self::Answered {
                status: 400..=499, ..
            } => "http_4xx",
            Self::Answered {
                status: 500..=599, ..
            } => "http_5xx",
            Self::Answered { .. } => "http_other",
            Self::Failed { code } => code,
            Self::Unrenderable { reason, .. } => reason.as_str(),
        }
    }

    /// What the endpoint asked for in `Retry-After`.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Answered { retry_after, .. } => *retry_after,
            Self::Failed { .. } | Self::Unrenderable { .. } => None,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered { status, .. } => write!(f, "{} ({status})", self.code()),
            Self::Failed { code } => f.write_str(code),
            Self::Unrenderable { reason, detail } => write!(f, "{reason}: {detail}"),
        }
    }
}
