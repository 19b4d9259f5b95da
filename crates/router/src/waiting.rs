//! Room for events that wait for a newer router.
//!
//! What waits is handed out again and again, and the broker hands out only so many at once. If all
//! of them waited, nothing else would be routed, and whoever may publish events of tomorrow could
//! stop those of everybody. So waiting has a part of that room, and what finds none becomes a dead
//! letter, from which it is published again after the upgrade.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::PullConsumer;
use tidings_nats::topology::{EVENTS, ROUTER_ACKS_PENDING_MAX, ROUTER_CONSUMER};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tracing::debug;

const LOOK_INTERVAL: Duration = Duration::from_secs(1);
const LOOK_WITHIN: Duration = Duration::from_secs(5);

/// How much of what all routers have taken may be waiting. The rest is for what can be routed.
const TAKEN_MAX: usize = ROUTER_ACKS_PENDING_MAX as usize / 4 * 3;

/// How many events all routers have taken and not settled: as the broker last said, and as this
/// router has changed it since.
#[derive(Debug, Default)]
pub struct WaitingRoom {
    taken: AtomicUsize,
}

impl WaitingRoom {
    /// Whether an event may wait, or go on waiting. `is_new` tells whether it was never handed out
    /// before. What may not is expected to be settled.
    #[must_use]
    pub fn admits(&self, is_new: bool) -> bool {
        let has_room = self.taken.load(Ordering::Relaxed) < TAKEN_MAX;
        match (has_room, is_new) {
            (true, true) => drop(self.taken.fetch_add(1, Ordering::Relaxed)),
            (false, false) => drop(self.taken.fetch_sub(1, Ordering::Relaxed)),
            _ => {}
        }
        has_room
    }

    /// Asks the broker every second until `stop` is cancelled. While it does not answer, what it
    /// said last counts.
    pub(crate) async fn watch(self: Arc<Self>, context: Context, stop: CancellationToken) {
        let mut looks = interval(LOOK_INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(looks.tick()).await.is_some() {
            let looking = context.get_consumer_from_stream(ROUTER_CONSUMER, EVENTS);
            let looked: Option<Result<PullConsumer, _>> = match stop
                .run_until_cancelled(timeout(LOOK_WITHIN, looking))
                .await
            {
                None => return,
                Some(looked) => looked.ok(),
            };
            match looked {
                Some(Ok(consumer)) => {
                    let taken = consumer.cached_info().num_ack_pending;
                    self.taken.store(taken, Ordering::Relaxed);
                }
                Some(Err(error)) => debug!(%error, "cannot look how many events are taken"),
                None => debug!("cannot look how many events are taken in time"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_until_three_quarters_are_taken() {
        let room = WaitingRoom::default();
        assert_eq!((0..2_000).filter(|_| room.admits(true)).count(), 1_536);
    }

    #[test]
    fn of_those_that_wait_as_many_leave_as_are_too_many() {
        let room = WaitingRoom::default();
        room.taken.store(2_048, Ordering::Relaxed);
        assert_eq!((0..2_048).filter(|_| !room.admits(false)).count(), 513);
    }
}
