//! How many requests to one host are under way in this sender, whatever number of webhooks call it.

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

/// The right to have one request to a host under way; given back when dropped.
#[derive(Debug)]
pub struct HostSlot {
    _permit: OwnedSemaphorePermit,
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

    /// Asks for a slot of `origin`; `None` if none came back soon. Drop the future to leave.
    pub async fn enter(&self, origin: String) -> Option<HostSlot> {
        let acquired = timeout(WAIT_MAX, self.slots(origin).acquire_owned()).await;
        let permit = acquired.ok()?.expect("nobody closes this semaphore");
        Some(HostSlot { _permit: permit })
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
        let enter = |origin: &str| hosts.enter(origin.to_owned());
        let one = enter("http://a").await;
        let _other = enter("http://a").await.unwrap();
        assert!(enter("http://a").await.is_none());
        assert!(enter("http://b").await.is_some());
        drop(one);
        assert!(enter("http://a").await.is_some());
    }

    #[tokio::test]
    async fn hosts_that_nobody_calls_are_forgotten() {
        let hosts = Hosts::new(1);
        for number in 0..100_000 {
            hosts.enter(format!("http://{number}")).await.unwrap();
        }
        assert!(hosts.known.lock().unwrap().len() < 10_000);
    }
}
