//! All webhooks, found by space and topic, kept fresh while events are matched.
//!
//! The index is an immutable map that is swapped as a whole. Readers never wait. A change makes a
//! new map that shares all but the way to the changed webhook with the old one, so it costs the
//! same however many webhooks there are.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use rpds::HashTrieMapSync;
use tidings_core::event::Event;
use tidings_core::id::WebhookId;
use tidings_core::matching::{Posting, Shared, SpaceIndex, Subscriber};
use tidings_core::name::{Pool, Space};
use tidings_core::webhook::{EndpointState, Status, StoredError, Webhook};
use tidings_nats::table::Sink;
use tracing::warn;

type Spaces = HashTrieMapSync<Space, SpaceIndex>;
type States = HashTrieMapSync<Space, HashTrieMapSync<WebhookId, EndpointState>>;

/// All webhooks and the states of their endpoints.
pub struct Index {
    spaces: ArcSwap<Spaces>,
    /// Only endpoints that were disabled.
    disabled: ArcSwap<States>,
    /// Records of a newer version, and whose they are: events of these spaces wait.
    newer: ArcSwap<HashMap<String, Space>>,
    /// Only the watch of the webhooks adds to it.
    shared: Mutex<Shared>,
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index")
            .field("webhooks", &self.len())
            .finish_non_exhaustive()
    }
}

impl Default for Index {
    fn default() -> Self {
        Self {
            spaces: ArcSwap::from_pointee(Spaces::new_sync()),
            disabled: ArcSwap::from_pointee(States::new_sync()),
            newer: ArcSwap::default(),
            shared: Mutex::default(),
        }
    }
}

impl Index {
    /// Whether a webhook of `space` was written by a newer version, so that nobody here can say
    /// which events it gets.
    #[must_use]
    pub fn waits_for_upgrade(&self, space: &Space) -> bool {
        self.newer.load().values().any(|waiting| waiting == space)
    }

    fn wait_for_upgrade(&self, key: &str) {
        let Some((space, _)) = read_key(key) else {
            return;
        };
        let mut newer = HashMap::clone(&self.newer.load());
        newer.insert(key.to_owned(), space);
        self.newer.store(Arc::new(newer));
    }

    fn forget_newer(&self, key: &str) {
        if self.newer.load().contains_key(key) {
            let mut newer = HashMap::clone(&self.newer.load());
            newer.remove(key);
            self.newer.store(Arc::new(newer));
        }
    }

    /// All webhooks as they are now. They stay so in it, whatever changes meanwhile.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            spaces: self.spaces.load_full(),
            disabled: self.disabled.load_full(),
        }
    }

    /// How many webhooks there are. Asks every space.
    #[must_use]
    pub fn len(&self) -> usize {
        self.spaces.load().values().map(SpaceIndex::len).sum()
    }

    /// The pools that webhooks name, each with how many do. Asks every webhook.
    #[must_use]
    pub fn pools(&self) -> BTreeMap<Pool, usize> {
        let mut pools = BTreeMap::new();
        let spaces = self.spaces.load();
        for webhook in spaces.values().flat_map(SpaceIndex::iter) {
            match pools.get_mut(webhook.pool()) {
                Some(count) => *count += 1,
                None => drop(pools.insert(webhook.pool().clone(), 1)),
            }
        }
        pools
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.spaces.load().is_empty()
    }

    /// Where the bucket of webhooks goes.
    pub fn webhooks(&self) -> impl Sink + '_ {
        WebhookSink(self)
    }

    /// Where the bucket of endpoint states goes.
    pub fn states(&self) -> impl Sink + '_ {
        StateSink(self)
    }

    /// Swaps in what `change` makes of a space's index. One writer at a time: the bucket's watch.
    fn change(&self, space: &Space, change: impl FnOnce(&mut SpaceIndex)) {
        let mut spaces = Spaces::clone(&self.spaces.load());
        let mut index = spaces.get(space).cloned().unwrap_or_default();
        change(&mut index);
        match index.is_empty() {
            true => {
                spaces.remove_mut(space);
            }
            false => spaces.insert_mut(space.clone(), index),
        }
        self.spaces.store(Arc::new(spaces));
    }
}

/// All webhooks at one time.
///
/// What matches an event is lent from here, and nothing of it is copied or counted: with a million
/// webhooks, hardly any lies in the processor's cache, so each one that is touched costs more than
/// all there is to compute about it.
#[derive(Debug)]
pub struct Snapshot {
    spaces: Arc<Spaces>,
    disabled: Arc<States>,
}

impl Snapshot {
    /// The webhooks that get `event`, each once, in no order. Those whose endpoint was disabled get
    /// nothing.
    #[must_use]
    pub fn candidates(&self, event: &Event) -> Vec<&Posting> {
        let Some(space) = self.spaces.get(&event.space) else {
            return Vec::new();
        };
        let mut found = space.candidates(event);
        if let Some(states) = self.disabled.get(&event.space) {
            found.retain(|webhook| {
                let version = || space.get(&webhook.id).map(|known| known.version());
                let state = states.get(&webhook.id);
                !state.is_some_and(|state| version().is_some_and(|it| state.holds_for(it)))
            });
        }
        found
    }
}

struct WebhookSink<'a>(&'a Index);

impl Sink for WebhookSink<'_> {
    fn put(&self, key: &str, value: &[u8]) {
        let webhook = match Webhook::from_stored(value) {
            Ok(webhook) if key == key_of(&webhook.space, &webhook.id) => webhook,
            Ok(_) => return warn!(key, "a webhook lies under a key that is not its own"),
            Err(error) => {
                if matches!(error, StoredError::Newer { .. }) {
                    self.0.wait_for_upgrade(key);
                }
                return warn!(key, %error, "a webhook cannot be read; what it was before stays");
            }
        };
        self.0.forget_newer(key);
        let mut shared = self.0.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let compiled = Subscriber::compile(&webhook, &mut shared);
        drop(shared);
        match compiled {
            Ok(subscriber) => self.0.change(&webhook.space, |index| {
                index.insert(Arc::new(subscriber));
            }),
            Err(faults) => {
                let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
                let faults = faults.join("; ");
                warn!(key, %faults, "a webhook's filters are not understood; what it was before stays");
            }
        }
    }

    fn remove(&self, key: &str) {
        self.0.forget_newer(key);
        if let Some((space, id)) = read_key(key) {
            self.0.change(&space, |index| index.remove(&id));
        }
    }

    fn retain(&self, keys: &HashSet<String>) {
        let spaces = self.0.spaces.load();
        let gone = spaces
            .values()
            .flat_map(SpaceIndex::iter)
            .filter(|webhook| !keys.contains(&key_of(webhook.space(), webhook.id())));
        for webhook in gone {
            self.0
                .change(webhook.space(), |index| index.remove(webhook.id()));
        }
    }
}

struct StateSink<'a>(&'a Index);

impl StateSink<'_> {
    fn change(
        &self,
        key: &str,
        change: impl FnOnce(&mut HashTrieMapSync<WebhookId, EndpointState>, WebhookId),
    ) {
        let Some((space, id)) = read_key(key) else {
            return;
        };
        let mut all = States::clone(&self.0.disabled.load());
        let mut states = all
            .get(&space)
            .cloned()
            .unwrap_or_else(HashTrieMapSync::new_sync);
        change(&mut states, id);
        match states.is_empty() {
            true => {
                all.remove_mut(&space);
            }
            false => all.insert_mut(space, states),
        }
        self.0.disabled.store(Arc::new(all));
    }
}

impl Sink for StateSink<'_> {
    fn put(&self, key: &str, value: &[u8]) {
        match serde_json::from_slice::<EndpointState>(value) {
            Ok(state) if state.status == Status::Disabled => {
                self.change(key, |states, id| states.insert_mut(id, state));
            }
            Ok(_) => self.remove(key),
            Err(error) => warn!(key, %error, "an endpoint's state cannot be read"),
        }
    }

    fn remove(&self, key: &str) {
        self.change(key, |states, id| {
            states.remove_mut(&id);
        });
    }

    fn retain(&self, keys: &HashSet<String>) {
        let all = self.0.disabled.load();
        let known = all
            .iter()
            .flat_map(|(space, states)| states.keys().map(|id| key_of(space, id)));
        for key in known.filter(|key| !keys.contains(key)) {
            self.remove(&key);
        }
    }
}

/// The key of a webhook in both buckets.
fn key_of(space: &Space, id: &WebhookId) -> String {
    format!("{space}.{id}")
}

fn read_key(key: &str) -> Option<(Space, WebhookId)> {
    let (space, id) = key.split_once('.')?;
    Some((space.parse().ok()?, id.parse().ok()?))
}

#[cfg(test)]
mod tests;
