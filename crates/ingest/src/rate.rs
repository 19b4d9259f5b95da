//! How many events a second each space may publish. Every ingest counts for itself.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock as _, MonotonicClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use http::StatusCode;
use tidings_core::name::Space;
use tidings_service::problem::Problem;
use tokio_util::sync::CancellationToken;

/// How often spaces that publish nothing are forgotten.
const FORGET_INTERVAL: Duration = Duration::from_secs(60);

type Limiter = RateLimiter<
    Space,
    HashMapStateStore<Space>,
    MonotonicClock,
    NoOpMiddleware<<MonotonicClock as governor::clock::Clock>::Instant>,
>;

/// The limit of all spaces, if there is one.
#[derive(Debug)]
pub struct SpaceRate {
    limiter: Option<Limiter>,
}

impl SpaceRate {
    /// `per_second` events for each space, 0 for any number, and `burst` at once: as many as a
    /// second's when not given.
    #[must_use]
    pub fn new(per_second: u32, burst: Option<u32>) -> Self {
        let limiter = NonZeroU32::new(per_second).map(|rate| {
            let burst = burst.and_then(NonZeroU32::new).unwrap_or(rate);
            let quota = Quota::per_second(rate).allow_burst(burst);
            RateLimiter::hashmap_with_clock(quota, MonotonicClock)
        });
        Self { limiter }
    }

    /// Takes one event of `space` into account.
    ///
    /// # Errors
    /// The space has published too many; the problem says when it may again.
    pub fn take(&self, space: &Space) -> Result<(), Problem> {
        let Some(limiter) = &self.limiter else {
            return Ok(());
        };
        limiter.check_key(space).map_err(|until| {
            let wait = until.wait_time_from(MonotonicClock.now());
            let detail = "the space publishes more events than it may; try again later";
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail)
                .retry_after(Duration::from_secs(wait.as_secs() + 1))
        })
    }

    /// Forgets idle spaces now and then, until `stop` is cancelled.
    pub async fn forget_idle(&self, stop: &CancellationToken) {
        let Some(limiter) = &self.limiter else { return };
        let mut interval = tokio::time::interval(FORGET_INTERVAL);
        while stop.run_until_cancelled(interval.tick()).await.is_some() {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_space_over_its_rate_is_told_to_wait_and_others_are_not() {
        let rate = SpaceRate::new(1, Some(2));
        let [acme, other]: [Space; 2] = ["acme", "other"].map(|name| name.parse().unwrap());
        assert!(rate.take(&acme).is_ok() && rate.take(&acme).is_ok());
        let problem = rate.take(&acme).unwrap_err();
        assert_eq!(problem.status, StatusCode::TOO_MANY_REQUESTS);
        assert!(problem.retry_after.is_some());
        assert!(rate.take(&other).is_ok());
    }

    #[test]
    fn no_rate_is_no_limit() {
        let rate = SpaceRate::new(0, None);
        assert!((0..10_000).all(|_| rate.take(&"acme".parse().unwrap()).is_ok()));
    }
}
