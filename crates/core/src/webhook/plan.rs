//! How a webhook's deliveries are attempted: retries, timeouts and limits.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::name::Pool;
use crate::retry::RetrySchedule;

/// How deliveries of a webhook are attempted. Every field has the contract's default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct DeliveryPlan {
    /// How often a failed delivery is tried again.
    pub max_retries: u32,
    /// The waits between attempts.
    pub retry_schedule: RetrySchedule,
    /// From dialling to the last byte of the answer's head.
    #[serde(with = "crate::duration::text")]
    pub timeout: Duration,
    /// How old a delivery may become.
    #[serde(with = "crate::duration::text")]
    pub max_age: Duration,
    /// How fast requests are made.
    pub rate_limit: RateLimit,
    /// How many requests are under way at once.
    pub max_in_flight: NonZeroU32,
    /// Which fleet sends them.
    pub pool: Pool,
}

/// A rate of requests, over all senders of the pool together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RateLimit {
    /// How many requests.
    pub requests: NonZeroU32,
    /// In which time.
    #[serde(with = "crate::duration::text")]
    pub per: Duration,
    /// How many may come at once; as many as `requests` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<NonZeroU32>,
}

impl Default for RateLimit {
    fn default() -> Self {
        let fifty = NonZeroU32::new(50).expect("50 is not 0");
        Self {
            requests: fifty,
            per: Duration::from_secs(1),
            burst: Some(fifty),
        }
    }
}

impl Default for DeliveryPlan {
    fn default() -> Self {
        Self {
            max_retries: 9,
            retry_schedule: RetrySchedule::default(),
            timeout: Duration::from_secs(15),
            max_age: Duration::from_secs(96 * 60 * 60),
            rate_limit: RateLimit::default(),
            max_in_flight: NonZeroU32::new(32).expect("32 is not 0"),
            pool: Pool::default(),
        }
    }
}
