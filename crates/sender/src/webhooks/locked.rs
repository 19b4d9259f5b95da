//! Webhooks whose secrets no key opens: their deliveries wait, and the sender is not ready.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tidings_service::health::Health;

const CHECK: &str = "secrets";

/// By the webhook's key in its bucket, the id of the key that is missing.
#[derive(Debug)]
pub(super) struct Locked {
    missing: Mutex<HashMap<String, String>>,
    health: Health,
}

impl Locked {
    pub(super) fn new(health: Health) -> Self {
        health.ready(CHECK);
        Self {
            missing: Mutex::default(),
            health,
        }
    }

    /// The webhook at `key` needs the key `missing`, or none that is not there.
    pub(super) fn set(&self, key: &str, missing: Option<&str>) {
        let mut all = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        let old = match missing {
            Some(id) => all.insert(key.to_owned(), id.to_owned()),
            None => all.remove(key),
        };
        if old.as_deref() == missing {
            return;
        }
        match all.values().next() {
            None => self.health.ready(CHECK),
            Some(id) => self.health.unready(
                CHECK,
                format!(
                    "{} webhooks wait for a key, such as {id}; add it with --secret-key-file",
                    all.len()
                ),
            ),
        }
    }
}
