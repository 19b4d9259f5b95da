//! How many requests to one webhook are under way, and how long one more would wait.

use std::time::Duration;

use tokio::time::Instant;

const TURN_MIN: Duration = Duration::from_secs(1);
/// A turn is never later than this, because the endpoint may recover.
const TURN_MAX: Duration = Duration::from_secs(60);
/// Who holds a slot for longer than this is not quick.
const QUICK_MAX: Duration = Duration::from_secs(1);
/// How much a new measurement changes what is expected: one part in so many.
const SMOOTHING: u32 = 4;

/// A webhook's slots.
#[derive(Debug, Default)]
pub(super) struct Slots {
    pub(super) taken: u32,
    /// How many wait here for one.
    pub(super) waiting: u32,
    /// How many there are at the moment.
    share: u32,
    /// Since when all have been taken and none came back.
    full_since: Option<Instant>,
    /// Since when some have been taken and none came back.
    busy_since: Option<Instant>,
    /// How long a slot is held, smoothed; `None` until one was given back.
    held: Option<Duration>,
    /// The last turn that was given away.
    last_turn: Option<Instant>,
}

impl Slots {
    /// Whether one of `share` is free.
    pub(super) fn is_free(&mut self, share: u32) -> bool {
        self.share = share;
        self.taken < share
    }

    pub(super) fn take(&mut self, now: Instant) {
        self.taken += 1;
        self.busy_since.get_or_insert(now);
        self.full_since = (self.taken >= self.share).then_some(now);
    }

    pub(super) fn give_back(&mut self, held: Duration, now: Instant) {
        self.taken = self.taken.saturating_sub(1);
        self.busy_since = (self.taken > 0).then_some(now);
        self.full_since = None;
        self.held = Some(match self.held {
            None => held,
            Some(old) => old - old / SMOOTHING + held / SMOOTHING,
        });
    }

    /// Whether slots come back soon, as far as is known. Who is quick keeps nothing from others.
    pub(super) fn is_quick(&self, now: Instant) -> bool {
        let busy_for = self.busy_since.map(|since| now.duration_since(since));
        self.held.is_some_and(|held| held <= QUICK_MAX)
            && busy_for.is_none_or(|busy_for| busy_for <= QUICK_MAX)
    }

    /// Whether all have been taken for longer than `timeout` and none came back.
    pub(super) fn is_stalled(&self, timeout: Duration, now: Instant) -> bool {
        let full_for = self.full_since.map(|since| now.duration_since(since));
        full_for.is_some_and(|full_for| full_for > timeout)
    }

    /// How long one more would wait here.
    pub(super) fn expected_wait(&self) -> Duration {
        self.interval().saturating_mul(self.waiting + 1)
    }

    /// A turn of one's own, so that those who are sent away do not all come back at once.
    pub(super) fn turn(&mut self, now: Instant) -> Duration {
        let after_last = self.last_turn.map_or(now, |last| last + self.interval());
        let turn = after_last.clamp(now + TURN_MIN, now + TURN_MAX);
        self.last_turn = Some(turn);
        turn - now
    }

    /// No slot came back for so long: that is how long each is held, at the least.
    pub(super) fn give_up(&mut self, waited: Duration, now: Instant) -> Duration {
        let all = waited.saturating_mul(self.share);
        self.held = self.held.max(Some(all));
        self.turn(now)
    }

    /// How long it takes until one of the slots comes back.
    fn interval(&self) -> Duration {
        self.held.unwrap_or_default() / self.share.max(1)
    }
}
