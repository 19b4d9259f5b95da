//! How many attempts are under way in this sender at once, and who comes next.
//!
//! First attempts go before retries, but of eight permits at least one goes to a retry if one
//! waits. Whoever waits costs a place in a queue, which its lane's room bounds.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// A retry that waits gets at least every eighth permit.
const FIRST_ATTEMPTS_IN_A_ROW_MAX: u32 = 7;

/// The two ways a delivery comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    /// First attempts, from DELIVERIES.
    First,
    /// Retries that are due, from RETRIES.
    Retry,
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

#[derive(Debug)]
struct State {
    free: usize,
    first: VecDeque<oneshot::Sender<Permit>>,
    retry: VecDeque<oneshot::Sender<Permit>>,
    /// How many first attempts got a permit since a retry that waits did.
    first_in_a_row: u32,
}

impl Permits {
    /// This many permits.
    #[must_use]
    pub fn new(count: usize) -> Arc<Self> {
        let state = State {
            free: count,
            first: VecDeque::new(),
            retry: VecDeque::new(),
            first_in_a_row: 0,
        };
        Arc::new(Self {
            state: Mutex::new(state),
        })
    }

    /// Waits for a permit. Drop the future to leave the queue.
    pub async fn acquire(self: &Arc<Self>, lane: Lane) -> Permit {
        let waiting = {
            let mut state = self.state();
            if state.free > 0 {
                state.free -= 1;
                return Permit::of(self);
            }
            let (granted, waiting) = oneshot::channel();
            state.queue(lane).push_back(granted);
            waiting
        };
        waiting
            .await
            .expect("the queue is part of `self`, which outlives this")
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

impl State {
    fn queue(&mut self, lane: Lane) -> &mut VecDeque<oneshot::Sender<Permit>> {
        match lane {
            Lane::First => &mut self.first,
            Lane::Retry => &mut self.retry,
        }
    }

    /// Who gets the permit that was given back; it is free if nobody waits.
    fn next_or_free(&mut self) -> Option<oneshot::Sender<Permit>> {
        let is_retrys_turn = self.first_in_a_row >= FIRST_ATTEMPTS_IN_A_ROW_MAX;
        if !self.retry.is_empty() && (self.first.is_empty() || is_retrys_turn) {
            self.first_in_a_row = 0;
            return self.retry.pop_front();
        }
        let Some(first) = self.first.pop_front() else {
            self.free += 1;
            return None;
        };
        self.first_in_a_row = match self.retry.is_empty() {
            true => 0,
            false => self.first_in_a_row + 1,
        };
        Some(first)
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

    /// A permit that is waited for, in its queue.
    fn waiting(permits: &Arc<Permits>, lane: Lane) -> BoxFuture<'static, Permit> {
        let permits = Arc::clone(permits);
        let mut acquiring = async move { permits.acquire(lane).await }.boxed();
        assert!((&mut acquiring).now_or_never().is_none());
        acquiring
    }

    #[tokio::test]
    async fn first_attempts_go_before_retries_but_for_every_eighth() {
        let permits = Permits::new(1);
        let held = permits.acquire(Lane::First).await;
        let mut queue: Vec<_> = (0..4)
            .map(|_| (Lane::Retry, waiting(&permits, Lane::Retry)))
            .collect();
        queue.extend((0..16).map(|_| (Lane::First, waiting(&permits, Lane::First))));
        drop(held);
        let mut order = String::new();
        while !queue.is_empty() {
            let mut granted = None;
            for (index, (lane, acquiring)) in queue.iter_mut().enumerate() {
                if let Some(permit) = acquiring.now_or_never() {
                    order.push(if *lane == Lane::First { 'f' } else { 'r' });
                    granted = Some((index, permit));
                    break;
                }
            }
            let (index, permit) = granted.expect("one permit goes round");
            drop(queue.remove(index));
            drop(permit);
        }
        assert_eq!(order, "fffffffrfffffffrffrr");
    }

    #[tokio::test]
    async fn who_leaves_the_queue_takes_no_permit_along() {
        let permits = Permits::new(1);
        let held = permits.acquire(Lane::First).await;
        let left = waiting(&permits, Lane::First);
        let stayed = waiting(&permits, Lane::Retry);
        drop(left);
        drop(held);
        let permit = stayed.now_or_never().expect("it is its turn");
        let granted_late = waiting(&permits, Lane::First);
        drop(permit);
        // Granted, but dropped before it was looked at.
        drop(granted_late);
        assert!(permits.acquire(Lane::First).now_or_never().is_some());
    }
}
