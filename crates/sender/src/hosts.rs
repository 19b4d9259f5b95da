//! How many requests to one host are under way in this sender, whatever number of webhooks call it.
//!
//! The only request of a webhook never waits: one that hangs on a host must not keep its neighbours
//! there from being called. So a host may get more than its slots, one for each webhook.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Nobody waits here longer than this.
const WAIT_MAX: Duration = Duration::from_secs(1);
/// Hosts that nobody calls any more are forgotten once there may be this many of them.
const FORGOTTEN_FROM: usize = 1_024;

/// All hosts that are being called, by scheme, host and port.
#[derive(Debug)]
pub struct Hosts {
    slots_max: usize,
    known: Mutex<HashMap<String, Weak<Semaphore>>>,
}

/// The slots of one host.
#[derive(Debug, Clone)]
pub struct Host(Arc<Semaphore>);

/// The right to have one request to a host under way; given back when dropped.
#[derive(Debug)]
pub struct HostSlot {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Host {
    /// Whether none of its slots is free.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.0.available_permits() == 0
    }

    /// Asks for a slot; `None` if none came back soon. `is_only` tells that the webhook has no other
    /// request under way. Drop the future to leave.
    pub async fn enter(&self, is_only: bool) -> Option<HostSlot> {
        let slots = Arc::clone(&self.0);
        if is_only {
            let permit = slots.try_acquire_owned().ok();
            return Some(HostSlot { _permit: permit });
        }
        let acquired = timeout(WAIT_MAX, slots.acquire_owned()).await;
        let permit = acquired.ok()?.expect("nobody closes this semaphore");
        Some(HostSlot {
            _permit: Some(permit),
        })
    }
}

impl Hosts {
    /// At most `slots_max` requests to each host at once.
    #[must_use]
    pub fn new(slots_max: usize) -> Self {
        Self {
            slots_max,
            known: Mutex::default(),
        }
    }

    /// The host of `origin`.
    pub fn at(&self, origin: String) -> Host {
        Host(self.slots(origin))
    }

    fn slots(&self, origin: String) -> Arc<Semaphore> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slots) = known.get(&origin).and_then(Weak::upgrade) {
            return slots;
        }
        if known.len() >= FORGOTTEN_FROM && known.len() == known.capacity() {
            known.retain(|_, slots| slots.strong_count() > 0);
        }
        let slots = Arc::new(Semaphore::new(self.slots_max));
        known.insert(origin, Arc::downgrade(&slots));
        slots
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_host_has_its_slots_and_no_other_hosts() {
        let hosts = Hosts::new(2);
        let [a, b] = ["http://a", "http://b"].map(|origin| hosts.at(origin.to_owned()));
        let one = a.enter(false).await;
        let _other = a.enter(false).await.unwrap();
        assert!(a.is_full());
        assert!(a.enter(false).await.is_none());
        assert!(b.enter(false).await.is_some());
        drop(one);
        assert!(a.enter(false).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn the_only_request_of_a_webhook_goes_to_a_full_host_too() {
        let hosts = Hosts::new(1);
        let host = hosts.at("http://a".to_owned());
        let _hanging = host.enter(true).await.unwrap();
        assert!(host.enter(false).await.is_none());
        assert!(host.enter(true).await.is_some());
    }

    #[tokio::test]
    async fn hosts_that_nobody_calls_are_forgotten() {
        let hosts = Hosts::new(1);
        for number in 0..100_000 {
            let host = hosts.at(format!("http://{number}"));
            host.enter(false).await.unwrap();
        }
        assert!(hosts.known.lock().unwrap().len() < 10_000);
    }
}
