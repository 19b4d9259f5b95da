//! A short memory of webhooks that were looked for thoroughly and are not there, so that a backlog
//! of deliveries to a deleted webhook does not wait for the watch one by one.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tidings_core::delivery::Delivery;
use tidings_core::id::WebhookId;
use tidings_core::name::Space;
use tokio::time::Instant;

/// A webhook may be made anew under the id of a deleted one.
const AGE_MAX: Duration = Duration::from_secs(10);
const COUNT_MAX: usize = 1_024;

/// Webhooks that were not there a moment ago.
#[derive(Debug, Default)]
pub(super) struct Absent(Mutex<HashMap<(Space, WebhookId), Instant>>);

impl Absent {
    pub(super) fn insert(&self, delivery: &Delivery) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= COUNT_MAX {
            all.clear();
        }
        all.insert(key(delivery), Instant::now());
    }

    pub(super) fn contains(&self, delivery: &Delivery) -> bool {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&key(delivery))
            .is_some_and(|since| since.elapsed() < AGE_MAX)
    }
}

fn key(delivery: &Delivery) -> (Space, WebhookId) {
    (delivery.space.clone(), delivery.webhook_id.clone())
}
