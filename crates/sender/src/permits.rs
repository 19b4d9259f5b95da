//! How many attempts are under way in this sender at once, and who comes next.
//!
//! First attempts go before retries, and these before what is sent again on request. But whoever
//! waits has a floor: of eight permits at least one goes to a retry if one waits, of sixteen at least
//! one to a replay. Within a rank spaces take turns, and within a space its webhooks.
//!
//! Who keeps permits for long may not take so many that others find none: a webhook that is not known
//! to be quick may have at most half as many requests under way as there are permits left
//! ([`Permits::share_max`]). One that is alone gets a third of all; a hundred that hang leave a
//! fiftieth free.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidings_core::fair_queue::FairQueue;
use tidings_core::id::WebhookId;
use tidings_core::name::Space;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// Nobody waits here longer than this: who waits takes room of its lane, which others need.
const WAIT_MAX: Duration = Duration::from_secs(1);
/// A retry that waits gets at least every eighth permit.
const WITHOUT_RETRY_MAX: u32 = 7;
/// A replay that waits gets at least every sixteenth permit.
const WITHOUT_REPLAY_MAX: u32 = 15;
/// It is not looked who has left while fewer than this wait.
const LOOK_FROM_MIN: usize = 1_024;
/// A webhook may have one request under way for so many permits that are free.
const FREE_PER_REQUEST: usize = 2;

/// The two ways a delivery comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    /// First attempts, from DELIVERIES.
    First,
    /// Retries that are due, from RETRIES.
    Retry,
}

/// Who goes before whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rank {
    /// First attempts.
    First,
    /// Retries, and first attempts that were put off.
    Retry,
    /// What is sent again because somebody asked for it.
    Replay,
}

/// Who asks for a permit.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// What its attempt is.
    pub rank: Rank,
    /// The space it is of.
    pub space: &'a Space,
    /// The webhook it is for.
    pub webhook: &'a WebhookId,
}

/// All permits of a sender.
#[derive(Debug)]
pub struct Permits {
    state: Mutex<State>,
}

/// The right to have one attempt under way; given back when dropped.
#[derive(Debug)]
pub struct Permit {
    /// `None` once it is void.
    permits: Option<Arc<Permits>>,
}

/// Those of one rank that wait. Who leaves is noticed late.
#[derive(Debug, Default)]
struct Waiting {
    queue: FairQueue<oneshot::Sender<Permit>>,
    /// From how many on it is looked who has left.
    look_from: usize,
}

#[derive(Debug)]
struct State {
    free: usize,
    first: Waiting,
    retry: Waiting,
    replay: Waiting,
    /// How many permits others got since a retry that waits did.
    without_retry: u32,
    /// How many permits others got since a replay that waits did.
    without_replay: u32,
}

impl Permits {
    /// This many permits.
    #[must_use]
    pub fn new(count: usize) -> Arc<Self> {
        let state = State {
            free: count,
            first: Waiting::default(),
            retry: Waiting::default(),
            replay: Waiting::default(),
            without_retry: 0,
            without_replay: 0,
        };
        Arc::new(Self {
            state: Mutex::new(state),
        })
    }

    /// How many requests of one webhook may be under way at the moment: the fewer permits are free,
    /// the fewer. At least one.
    #[must_use]
    pub fn share_max(&self) -> u32 {
        let share = (self.state().free / FREE_PER_REQUEST).max(1);
        u32::try_from(share).unwrap_or(u32::MAX)
    }

    /// Waits for a permit; `None` if it does not come soon. Drop the future to leave the queue.
    pub async fn acquire(self: &Arc<Self>, asker: Asker<'_>) -> Option<Permit> {
        let waiting = {
            let mut state = self.state();
            if state.free > 0 {
                state.free -= 1;
                return Some(Permit::of(self));
            }
            let (granted, waiting) = oneshot::channel();
            state.of(asker.rank).push(asker, granted);
            waiting
        };
        let granted = timeout(WAIT_MAX, waiting).await.ok()?;
        Some(granted.expect("the queue is part of `self`, which outlives this"))
    }

    fn give_back(self: &Arc<Self>) {
        loop {
            let Some(next) = self.state().next_or_free() else {
                return;
            };
            match next.send(Permit::of(self)) {
                Ok(()) => return,
                // It left the queue: the permit is for the next one.
                Err(permit) => permit.void(),
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn push(&mut self, asker: Asker<'_>, granted: oneshot::Sender<Permit>) {
        if self.queue.len() >= self.look_from {
            self.queue.retain(|waiting| !waiting.is_closed());
            self.look_from = LOOK_FROM_MIN.max(2 * self.queue.len());
        }
        self.queue.push(asker.space, asker.webhook, granted);
    }
}

impl State {
    fn of(&mut self, rank: Rank) -> &mut Waiting {
        match rank {
            Rank::First => &mut self.first,
            Rank::Retry => &mut self.retry,
            Rank::Replay => &mut self.replay,
        }
    }

    /// Who gets the permit that was given back; it is free if nobody waits.
    fn next_or_free(&mut self) -> Option<oneshot::Sender<Permit>> {
        let Some(rank) = self.next_rank() else {
            self.free += 1;
            return None;
        };
        let count =
            |is_granted: bool, is_waiting: bool, without: u32| match is_waiting && !is_granted {
                true => without + 1,
                false => 0,
            };
        let is = |other| rank == other;
        self.without_retry = count(
            is(Rank::Retry),
            !self.retry.queue.is_empty(),
            self.without_retry,
        );
        self.without_replay = count(
            is(Rank::Replay),
            !self.replay.queue.is_empty(),
            self.without_replay,
        );
        self.of(rank).queue.pop()
    }

    fn next_rank(&self) -> Option<Rank> {
        let is_replays_turn = self.without_replay >= WITHOUT_REPLAY_MAX;
        let is_retrys_turn = self.without_retry >= WITHOUT_RETRY_MAX;
        let by_floor = [
            (is_replays_turn && !self.replay.queue.is_empty()).then_some(Rank::Replay),
            (is_retrys_turn && !self.retry.queue.is_empty()).then_some(Rank::Retry),
        ];
        let by_rank = [
            (!self.first.queue.is_empty()).then_some(Rank::First),
            (!self.retry.queue.is_empty()).then_some(Rank::Retry),
            (!self.replay.queue.is_empty()).then_some(Rank::Replay),
        ];
        by_floor.into_iter().chain(by_rank).flatten().next()
    }
}

impl Permit {
    fn of(permits: &Arc<Permits>) -> Self {
        Self {
            permits: Some(Arc::clone(permits)),
        }
    }

    fn void(mut self) {
        self.permits = None;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(permits) = self.permits.take() {
            permits.give_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use futures_util::future::BoxFuture;

    use super::*;

    const ALL: [Rank; 3] = [Rank::First, Rank::Retry, Rank::Replay];

    /// A permit that is waited for, in its queue.
    fn waiting(
        permits: &Arc<Permits>,
        rank: Rank,
        webhook: &str,
    ) -> BoxFuture<'static, Option<Permit>> {
        let permits = Arc::clone(permits);
        let (space, webhook) = ("acme".parse().unwrap(), webhook.parse().unwrap());
        let mut acquiring = async move {
            let asker = Asker {
                rank,
                space: &space,
                webhook: &webhook,
            };
            permits.acquire(asker).await
        }
        .boxed();
        assert!((&mut acquiring).now_or_never().is_none());
        acquiring
    }

    async fn take(permits: &Arc<Permits>) -> Permit {
        let (space, webhook) = ("acme".parse().unwrap(), "wh_0".parse().unwrap());
        let asker = Asker {
            rank: Rank::First,
            space: &space,
            webhook: &webhook,
        };
        permits.acquire(asker).await.unwrap()
    }

    /// Lets one permit go round until everybody had it, and says who had it when.
    fn order(held: Permit, mut queue: Vec<(char, BoxFuture<'static, Option<Permit>>)>) -> String {
        drop(held);
        let mut order = String::new();
        while !queue.is_empty() {
            let mut granted = None;
            for (index, (name, acquiring)) in queue.iter_mut().enumerate() {
                if let Some(permit) = acquiring.now_or_never() {
                    order.push(*name);
                    granted = Some((index, permit));
                    break;
                }
            }
            let (index, permit) = granted.expect("one permit goes round");
            drop(queue.remove(index));
            drop(permit);
        }
        order
    }

    #[tokio::test]
    async fn first_attempts_go_before_retries_and_these_before_replays_but_each_has_a_floor() {
        let permits = Permits::new(1);
        let held = take(&permits).await;
        let mut queue = Vec::new();
        for (rank, name, count) in [(ALL[2], 'p', 3), (ALL[1], 'r', 4), (ALL[0], 'f', 32)] {
            queue.extend((0..count).map(|_| (name, waiting(&permits, rank, "wh_1"))));
        }
        let order = order(held, queue);
        assert_eq!(order, "fffffffrfffffffprfffffffrffffffprfffffp");
    }

    #[tokio::test]
    async fn webhooks_take_turns() {
        let permits = Permits::new(1);
        let held = take(&permits).await;
        let mut queue = Vec::new();
        for (webhook, name, count) in [("wh_1", 'a', 5), ("wh_2", 'b', 2), ("wh_3", 'c', 1)] {
            queue.extend((0..count).map(|_| (name, waiting(&permits, Rank::First, webhook))));
        }
        assert_eq!(order(held, queue), "abcabaaa");
    }

    #[tokio::test]
    async fn who_leaves_the_queue_takes_no_permit_along() {
        let permits = Permits::new(1);
        let held = take(&permits).await;
        let left = waiting(&permits, Rank::First, "wh_1");
        let stayed = waiting(&permits, Rank::Retry, "wh_1");
        drop(left);
        drop(held);
        let permit = stayed.now_or_never().expect("it is its turn");
        let granted_late = waiting(&permits, Rank::First, "wh_1");
        drop(permit);
        // Granted, but dropped before it was looked at.
        drop(granted_late);
        drop(take(&permits).await);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_long() {
        let permits = Permits::new(1);
        let held = take(&permits).await;
        assert!(waiting(&permits, Rank::First, "wh_1").await.is_none());
        drop(held);
        drop(take(&permits).await);
    }

    #[tokio::test]
    async fn those_that_hang_leave_something_to_others() {
        let permits = Permits::new(512);
        let mut held = Vec::new();
        let mut taken = [0_u32; 100];
        loop {
            let before = held.len();
            for own in &mut taken {
                if *own < permits.share_max().min(32) {
                    *own += 1;
                    held.push(take(&permits).await);
                }
            }
            if held.len() == before {
                break;
            }
        }
        assert!(512 - held.len() >= 8, "{} are under way", held.len());
        assert!(permits.share_max() >= 4);
    }
}
