//! The webhooks as they are now, ready to be called: a local table, kept fresh by watching the
//! buckets of definitions and of endpoint states.

mod absent;
mod entry;
mod find;
mod locked;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};

use async_nats::jetstream::kv::Store;
use tidings_core::endpoint_url::UrlPolicy;
use tidings_core::id::WebhookId;
use tidings_core::name::{Pool, Space};
use tidings_core::webhook::EndpointState;
use tidings_nats::table::Sink;
use tidings_service::health::Health;
use tidings_vault::KeyRing;
use tokio::sync::watch;
use tracing::warn;

use absent::Absent;
use entry::{Definition, Known};
pub use entry::{Entry, Target, Unusable};
pub use find::Found;
use locked::Locked;

/// All webhooks.
#[derive(Debug)]
pub struct Webhooks {
    policy: Arc<UrlPolicy>,
    keys: KeyRing,
    locked: Locked,
    bucket: Store,
    /// By id; more than one only if two spaces have webhooks of the same id.
    known: RwLock<HashMap<WebhookId, Vec<Known>>>,
    changed: watch::Sender<()>,
    absent: Absent,
}

impl Webhooks {
    /// An empty table. `keys` open secrets; `health` is told when one is missing. `bucket` is asked
    /// about a webhook that is not in it yet.
    #[must_use]
    pub fn new(policy: UrlPolicy, keys: KeyRing, bucket: Store, health: Health) -> Self {
        Self {
            policy: Arc::new(policy),
            keys,
            locked: Locked::new(health),
            bucket,
            known: RwLock::default(),
            changed: watch::Sender::new(()),
            absent: Absent::default(),
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known
            .values()
            .flatten()
            .filter(|known| known.stored.is_some())
            .count()
    }

    /// How many of `pool` are paused, as their senders recorded it.
    #[must_use]
    pub fn paused(&self, pool: &Pool) -> usize {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known
            .values()
            .flatten()
            .filter(|known| known.is_paused_in(pool))
            .count()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where the bucket of definitions goes.
    pub fn definitions(&self) -> impl Sink + '_ {
        Definitions(self)
    }

    /// Where the bucket of endpoint states goes.
    pub fn states(&self) -> impl Sink + '_ {
        States(self)
    }

    /// Applies `change` to what is known under `key`, and makes the entry anew.
    fn change(&self, key: &str, change: impl FnOnce(&mut Known)) {
        let Some((space, id)) = read_key(key) else {
            return warn!(key, "a key is not of the form <space>.<webhook>");
        };
        let mut all = self.known.write().unwrap_or_else(PoisonError::into_inner);
        // Hardly ever more than one, and a vector begins with room for four.
        let namesakes = all
            .entry(id.clone())
            .or_insert_with(|| Vec::with_capacity(1));
        let index = match namesakes.iter().position(|known| known.space == space) {
            Some(index) => index,
            None => {
                namesakes.push(Known::new(space));
                namesakes.len() - 1
            }
        };
        change(&mut namesakes[index]);
        if !namesakes[index].refresh() {
            namesakes.swap_remove(index);
            if namesakes.is_empty() {
                all.remove(&id);
            }
        }
        drop(all);
        self.changed.send_replace(());
    }

    /// The keys of all of which `has` holds.
    fn keys(&self, has: impl Fn(&Known) -> bool) -> Vec<String> {
        let all = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let keys = all.iter().flat_map(|(id, namesakes)| {
            let mine = namesakes.iter().filter(|known| has(known));
            mine.map(move |known| format!("{}.{id}", known.space))
        });
        keys.collect()
    }
}

fn read_key(key: &str) -> Option<(Space, WebhookId)> {
    let (space, id) = key.split_once('.')?;
    Some((space.parse().ok()?, id.parse().ok()?))
}

struct Definitions<'a>(&'a Webhooks);

impl Sink for Definitions<'_> {
    fn put(&self, key: &str, value: &[u8]) {
        let definition = Definition::read(key, value, &self.0.policy, &self.0.keys);
        self.0.locked.set(key, definition.missing_key());
        if let Some(fault) = definition.fault() {
            warn!(key, "a webhook cannot be called: {fault}");
        }
        self.0.change(key, |known| known.define(value, definition));
    }

    fn remove(&self, key: &str) {
        self.0.locked.set(key, None);
        self.0.change(key, Known::undefine);
    }

    fn retain(&self, keys: &HashSet<String>) {
        let gone = self.0.keys(|known| known.stored.is_some());
        for key in gone.iter().filter(|key| !keys.contains(*key)) {
            self.remove(key);
        }
    }
}

struct States<'a>(&'a Webhooks);

impl Sink for States<'_> {
    fn put(&self, key: &str, value: &[u8]) {
        match serde_json::from_slice::<EndpointState>(value) {
            Ok(state) => self
                .0
                .change(key, |known| known.recorded = Some(Box::new(state))),
            Err(error) => warn!(key, %error, "the state of an endpoint cannot be read"),
        }
    }

    fn remove(&self, key: &str) {
        self.0.change(key, |known| known.recorded = None);
    }

    fn retain(&self, keys: &HashSet<String>) {
        let gone = self.0.keys(|known| known.recorded.is_some());
        for key in gone.iter().filter(|key| !keys.contains(*key)) {
            self.remove(key);
        }
    }
}
