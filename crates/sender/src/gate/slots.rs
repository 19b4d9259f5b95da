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
        let old = self.held.unwrap_or(held);
        let new = old - old / SMOOTHING + held / SMOOTHING;
        self.held = Some(new);
        self.draw_in(old, new, now);
    }

    /// Turns that were given away while slots were held for longer lie further apart than they need
    /// to: those that follow are not put behind them, but where they would be by now.
    fn draw_in(&mut self, old: Duration, new: Duration, now: Instant) {
        let Some(last) = self.last_turn.filter(|last| *last > now && new < old) else {
            return;
        };
        let ahead = last.duration_since(now);
        self.last_turn = Some(now + ahead.mul_f64(new.as_secs_f64() / old.as_secs_f64()));
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

    /// Nobody waits any longer. Each slot that is taken is held for at least as long as none has
    /// come back by now. (That this one got none need not be the endpoint's doing: others may have
    /// been quicker, or this whole process was stopped for a while.)
    pub(super) fn give_up(&mut self, now: Instant) -> Duration {
        let without = self.busy_since.map(|since| now.duration_since(since));
        self.held = self.held.max(without);
        self.turn(now)
    }

    /// How long it takes until one of the slots comes back.
    fn interval(&self) -> Duration {
        self.held.unwrap_or_default() / self.share.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARE: u32 = 32;

    fn full(now: Instant) -> Slots {
        let mut slots = Slots::default();
        while slots.is_free(SHARE) {
            slots.take(now);
        }
        slots
    }

    #[test]
    fn those_who_give_up_come_back_as_close_together_as_slots_can() {
        let start = Instant::now();
        let mut slots = full(start);
        let given_up = start + Duration::from_secs(1);
        let turns = (0..100).map(|_| slots.give_up(given_up));
        // Whoever holds a slot has held it for a second, so that 32 come back in each second.
        let last = turns.last().unwrap();
        assert!(last < Duration::from_secs(5), "{last:?}");
        // It hangs on: who comes now stays away for longer.
        let later = start + Duration::from_secs(10);
        let turns: Vec<Duration> = (0..100).map(|_| slots.give_up(later)).collect();
        let between = turns[99] - turns[98];
        assert!(between > Duration::from_millis(300), "{between:?}");
    }

    #[test]
    fn after_a_stall_nobody_is_put_behind_those_who_were_sent_far_away() {
        let start = Instant::now();
        let mut slots = full(start);
        let mut now = start + Duration::from_secs(10);
        for _ in 0..100 {
            slots.give_up(now);
        }
        assert!(slots.turn(now) > Duration::from_secs(20));
        for _ in 0..SHARE {
            slots.give_back(Duration::from_secs(10), now);
        }
        for _ in 0..100 {
            slots.take(now);
            now += Duration::from_millis(5);
            slots.give_back(Duration::from_millis(5), now);
        }
        let turn = slots.turn(now);
        assert_eq!(turn, TURN_MIN, "the endpoint is quick again");
    }
}
