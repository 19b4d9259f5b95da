//! How many events a second each space may publish: as its settings in the bucket `tidings_spaces`
//! say, or as the options do. Every ingest counts for itself.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU32;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use governor::clock::{Clock as _, MonotonicClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::state::{InMemoryState, NotKeyed};
use governor::{NotUntil, Quota, RateLimiter};
use http::StatusCode;
use tidings_core::name::Space;
use tidings_core::space::{EVENTS_PER_SECOND_MAX, EventRate, SpaceSettings};
use tidings_nats::table::Sink;
use tidings_service::problem::Problem;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// How often spaces that publish nothing are forgotten.
const FORGET_INTERVAL: Duration = Duration::from_secs(60);

type Instant = <MonotonicClock as governor::clock::Clock>::Instant;
type Unlimited = NoOpMiddleware<Instant>;
type Common = RateLimiter<Space, HashMapStateStore<Space>, MonotonicClock, Unlimited>;
type Single = RateLimiter<NotKeyed, InMemoryState, MonotonicClock, Unlimited>;

/// The limits of all spaces.
#[derive(Debug)]
pub struct SpaceRate {
    /// The limit of each space that has none of its own.
    common: Option<Common>,
    own: RwLock<HashMap<Space, Own>>,
}

/// The limit that one space has by its settings.
#[derive(Debug)]
struct Own {
    rate: EventRate,
    limiter: Option<Single>,
}

impl Own {
    fn new(rate: EventRate) -> Self {
        let limiter =
            quota(rate).map(|quota| RateLimiter::direct_with_clock(quota, MonotonicClock));
        Self { rate, limiter }
    }
}

impl SpaceRate {
    /// `rate` for each space that has no other one in its settings.
    #[must_use]
    pub fn new(rate: EventRate) -> Self {
        let common =
            quota(rate).map(|quota| RateLimiter::hashmap_with_clock(quota, MonotonicClock));
        Self {
            common,
            own: RwLock::default(),
        }
    }

    /// Takes one event of `space` into account.
    ///
    /// # Errors
    /// The space has published too many; the problem says when it may again.
    pub fn take(&self, space: &Space) -> Result<(), Problem> {
        let own = self.own.read().unwrap_or_else(PoisonError::into_inner);
        let taken = match (own.get(space), &self.common) {
            (Some(own), _) => own.limiter.as_ref().map(Single::check),
            (None, common) => common.as_ref().map(|common| common.check_key(space)),
        };
        taken.unwrap_or(Ok(())).map_err(|until| problem(&until))
    }

    /// Forgets idle spaces now and then, until `stop` is cancelled.
    pub async fn forget_idle(&self, stop: &CancellationToken) {
        let Some(common) = &self.common else { return };
        let mut interval = tokio::time::interval(FORGET_INTERVAL);
        while stop.run_until_cancelled(interval.tick()).await.is_some() {
            common.retain_recent();
            common.shrink_to_fit();
        }
    }

    /// Sets the limit of a space, or that it has none of its own. One that stays as it is goes on
    /// counting.
    fn set(&self, space: Space, rate: Option<EventRate>) {
        let mut own = self.own.write().unwrap_or_else(PoisonError::into_inner);
        match rate {
            None => drop(own.remove(&space)),
            Some(rate) if own.get(&space).is_some_and(|own| own.rate == rate) => {}
            Some(rate) => drop(own.insert(space, Own::new(rate))),
        }
    }
}

impl Sink for SpaceRate {
    /// Settings that cannot be read are as good as none.
    fn put(&self, key: &str, value: &[u8]) {
        let Ok(space) = key.parse() else { return };
        match serde_json::from_slice::<SpaceSettings>(value) {
            Ok(settings) => self.set(space, settings.ingest_rate),
            Err(error) => {
                warn!(%space, %error, "the space's settings cannot be read; the usual rate holds");
                self.set(space, None);
            }
        }
    }

    fn remove(&self, key: &str) {
        if let Ok(space) = key.parse() {
            self.set(space, None);
        }
    }

    fn retain(&self, keys: &HashSet<String>) {
        let mut own = self.own.write().unwrap_or_else(PoisonError::into_inner);
        own.retain(|space, _| keys.contains(space.as_str()));
    }
}

/// `None` for any number.
fn quota(rate: EventRate) -> Option<Quota> {
    let per_second = NonZeroU32::new(rate.events_per_second.min(EVENTS_PER_SECOND_MAX))?;
    let burst = rate.burst.unwrap_or(per_second);
    Some(Quota::per_second(per_second).allow_burst(burst))
}

fn problem(until: &NotUntil<Instant>) -> Problem {
    let wait = until.wait_time_from(MonotonicClock.now());
    let detail = "the space publishes more events than it may; try again later";
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail)
        .retry_after(Duration::from_secs(wait.as_secs() + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(events_per_second: u32, burst: u32) -> SpaceRate {
        SpaceRate::new(EventRate {
            events_per_second,
            burst: NonZeroU32::new(burst),
        })
    }

    fn spaces() -> [Space; 2] {
        ["acme", "other"].map(|name| name.parse().unwrap())
    }

    /// How many of ten events are taken.
    fn taken(rate: &SpaceRate, space: &Space) -> usize {
        (0..10).filter(|_| rate.take(space).is_ok()).count()
    }

    #[test]
    fn a_space_over_its_rate_is_told_to_wait_and_others_are_not() {
        let rate = rate(1, 2);
        let [acme, other] = spaces();
        assert!(rate.take(&acme).is_ok() && rate.take(&acme).is_ok());
        let problem = rate.take(&acme).unwrap_err();
        assert_eq!(problem.status, StatusCode::TOO_MANY_REQUESTS);
        assert!(problem.retry_after.is_some());
        assert!(rate.take(&other).is_ok());
    }

    #[test]
    fn no_rate_is_no_limit() {
        let rate = rate(0, 0);
        assert!((0..10_000).all(|_| rate.take(&"acme".parse().unwrap()).is_ok()));
    }

    #[test]
    fn a_rate_of_its_own_wins_until_it_is_taken_back() {
        let rate = rate(1, 2);
        let [acme, other] = spaces();
        rate.put("acme", br#"{"ingestRate":{"eventsPerSecond":1,"burst":5}}"#);
        // A slow machine may let another one go by.
        assert!((5..10).contains(&taken(&rate, &acme)) && taken(&rate, &other) < 5);
        // The same settings again do not give the space another burst.
        rate.put(
            "acme",
            br#"{"name":"Acme","ingestRate":{"eventsPerSecond":1,"burst":5}}"#,
        );
        assert!(taken(&rate, &acme) < 5);
        rate.put("acme", br#"{"ingestRate":{"eventsPerSecond":0}}"#);
        assert_eq!(taken(&rate, &acme), 10);
        for gone in [
            &|rate: &SpaceRate| rate.remove("acme"),
            &|rate: &SpaceRate| rate.put("acme", b"{}"),
            &|rate: &SpaceRate| rate.put("acme", b"broken"),
            &|rate: &SpaceRate| rate.retain(&HashSet::new()),
        ] as [&dyn Fn(&SpaceRate); 4]
        {
            rate.put("acme", br#"{"ingestRate":{"eventsPerSecond":0}}"#);
            assert_eq!(taken(&rate, &acme), 10);
            gone(&rate);
            assert!(taken(&rate, &acme) < 10);
        }
    }
}
