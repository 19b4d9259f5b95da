//! A webhook's rate limit, and the turns of those that must wait (DESIGN.md section 7).
//!
//! governor decides what goes now. What cannot go gets a turn of its own, one after the other at
//! the limit's pace, so that a backlog of n is scheduled once, at now + n / rate, and not shuffled.
//! A delivery that comes back for its turn goes before newcomers: while turns are handed out beyond
//! `now`, a newcomer queues up behind them.

use std::fmt;
use std::num::NonZeroU32;
use std::ops::Add;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::clock::{Clock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use crate::webhook::RateLimit;

/// An instant, in nanoseconds since a beginning that the caller chose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(u64);

impl Instant {
    /// The instant `elapsed` after the beginning.
    #[must_use]
    pub fn since_beginning(elapsed: Duration) -> Self {
        Self(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX))
    }

    /// How long after `earlier` it is; zero if it is before.
    #[must_use]
    pub fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    fn after(self, wait: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX)),
        )
    }
}

impl Add<Nanos> for Instant {
    type Output = Self;

    fn add(self, other: Nanos) -> Self {
        Self(self.0.saturating_add(other.as_u64()))
    }
}

impl Reference for Instant {
    fn duration_since(&self, earlier: Self) -> Nanos {
        self.0.saturating_sub(earlier.0).into()
    }

    fn saturating_sub(&self, duration: Nanos) -> Self {
        Self(self.0.saturating_sub(duration.as_u64()))
    }
}

/// The time as it was given last.
#[derive(Debug, Clone, Default)]
struct GivenClock(Arc<AtomicU64>);

impl Clock for GivenClock {
    type Instant = Instant;

    fn now(&self) -> Instant {
        Instant(self.0.load(Ordering::Relaxed))
    }
}

/// What may happen to a delivery now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It goes.
    Now,
    /// It comes back after this long, and then says that it has a turn.
    In(Duration),
}

/// The rate limit of one webhook, kept by the one sender that owns it.
pub struct Throttle {
    limit: RateLimit,
    clock: GivenClock,
    limiter: RateLimiter<NotKeyed, InMemoryState, GivenClock, NoOpMiddleware<Instant>>,
    /// The next turn that nobody has.
    next_turn: Instant,
}

impl fmt::Debug for Throttle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Throttle")
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

impl Throttle {
    /// A throttle that lets a whole burst go at `now`.
    #[must_use]
    pub fn new(limit: RateLimit, now: Instant) -> Self {
        let clock = GivenClock::default();
        clock.0.store(now.0, Ordering::Relaxed);
        let burst = limit.burst.unwrap_or(limit.requests);
        let quota = Quota::with_period(interval(limit))
            .unwrap_or_else(|| Quota::per_second(NonZeroU32::MAX))
            .allow_burst(burst);
        let limiter = RateLimiter::direct_with_clock(quota, clock.clone());
        Self {
            limit,
            clock,
            limiter,
            next_turn: now,
        }
    }

    /// A throttle whose burst is used up: that of a sender which takes over from another one that
    /// may still be sending.
    #[must_use]
    pub fn new_empty(limit: RateLimit, now: Instant) -> Self {
        let throttle = Self::new(limit, now);
        let burst = limit.burst.unwrap_or(limit.requests);
        // It never fails: the whole burst is there.
        let _ = throttle.limiter.check_n(burst);
        throttle
    }

    /// The limit it keeps.
    #[must_use]
    pub fn limit(&self) -> RateLimit {
        self.limit
    }

    /// Whether a delivery may go at `now`. `has_turn` tells that it waited for its turn.
    pub fn ask(&mut self, has_turn: bool, now: Instant) -> Turn {
        self.clock.0.store(now.0, Ordering::Relaxed);
        let is_free = has_turn || self.next_turn <= now;
        if is_free {
            match self.limiter.check() {
                Ok(()) => return Turn::Now,
                // It came a little early, or others late: it keeps its place.
                Err(not_until) if has_turn => return Turn::In(not_until.wait_time_from(now)),
                Err(_) => {}
            }
        }
        Turn::In(self.reserve(now))
    }

    /// Gives away a turn; returns how long it is until then. For a delivery that comes too late for
    /// its own, among many.
    pub fn reserve(&mut self, now: Instant) -> Duration {
        let earliest = now.after(interval(self.limit));
        let turn = self.next_turn.max(earliest);
        self.next_turn = turn.after(interval(self.limit));
        turn.saturating_since(now)
    }
}

/// The time between two requests at the limit's pace.
fn interval(limit: RateLimit) -> Duration {
    limit.per / limit.requests.get()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn limit(requests: u32, per: Duration, burst: u32) -> RateLimit {
        RateLimit {
            requests: NonZeroU32::new(requests).unwrap(),
            per,
            burst: NonZeroU32::new(burst),
        }
    }

    fn ms(milliseconds: u64) -> Instant {
        Instant::since_beginning(Duration::from_millis(milliseconds))
    }

    #[test]
    fn a_burst_goes_and_the_rest_gets_turns_at_the_pace() {
        let mut throttle = Throttle::new(limit(10, Duration::from_secs(1), 3), ms(0));
        let turns: Vec<Turn> = (0..6).map(|_| throttle.ask(false, ms(0))).collect();
        let wait = |milliseconds| Turn::In(Duration::from_millis(milliseconds));
        assert_eq!(
            turns,
            [
                Turn::Now,
                Turn::Now,
                Turn::Now,
                wait(100),
                wait(200),
                wait(300)
            ]
        );
    }

    #[test]
    fn who_has_a_turn_goes_before_newcomers() {
        let mut throttle = Throttle::new(limit(10, Duration::from_secs(1), 1), ms(0));
        assert_eq!(throttle.ask(false, ms(0)), Turn::Now);
        assert_eq!(
            throttle.ask(false, ms(0)),
            Turn::In(Duration::from_millis(100))
        );
        assert_eq!(
            throttle.ask(false, ms(100)),
            Turn::In(Duration::from_millis(100))
        );
        assert_eq!(throttle.ask(true, ms(100)), Turn::Now);
    }

    #[test]
    fn a_backlog_is_scheduled_once() {
        let mut throttle = Throttle::new(limit(10, Duration::from_secs(1), 10), ms(0));
        let last = (0..100_000).map(|_| throttle.ask(false, ms(0))).last();
        let Some(Turn::In(wait)) = last else {
            panic!("it waits")
        };
        assert_eq!(wait.as_secs(), (100_000 - 10) / 10);
    }

    #[test]
    fn a_newcomer_among_senders_starts_without_a_burst() {
        let mut throttle = Throttle::new_empty(limit(10, Duration::from_secs(1), 10), ms(0));
        assert_ne!(throttle.ask(false, ms(0)), Turn::Now);
    }

    proptest! {
        /// However deliveries come, no window of time sees more requests than its burst and pace.
        #[test]
        fn no_window_sees_more_than_the_limit(
            requests in 1_u32..50,
            burst in 1_u32..50,
            gaps in prop::collection::vec(0_u64..60, 1..300),
        ) {
            let limit = limit(requests, Duration::from_secs(1), burst);
            let mut throttle = Throttle::new(limit, ms(0));
            let mut waiting = std::collections::BinaryHeap::new();
            let (mut now, mut sent) = (0_u64, Vec::new());
            let mut arrivals = gaps.iter();
            loop {
                let arrival = arrivals.next().map(|gap| now + gap);
                let until = arrival.unwrap_or(now + 1_000_000);
                while let Some(&std::cmp::Reverse(due)) = waiting.peek() {
                    if due > until { break; }
                    waiting.pop();
                    match throttle.ask(true, ms(due)) {
                        Turn::Now => sent.push(due),
                        Turn::In(wait) => {
                            waiting.push(std::cmp::Reverse(due + wait.as_millis() as u64 + 1));
                        }
                    }
                }
                let Some(at) = arrival else { break };
                now = at;
                match throttle.ask(false, ms(now)) {
                    Turn::Now => sent.push(now),
                    Turn::In(wait) => waiting.push(std::cmp::Reverse(now + wait.as_millis() as u64 + 1)),
                }
            }
            prop_assert_eq!(sent.len(), gaps.len());
            for (index, &from) in sent.iter().enumerate() {
                let within = sent[index..].iter().take_while(|&&at| at < from + 1_000).count();
                prop_assert!(within <= (requests + burst) as usize + 1, "{} within a second", within);
            }
        }
    }
}
