//! The webhooks of one space, found by topic and by what they are pinned to.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::sync::{Arc, LazyLock};

use rpds::{HashTrieMapSync, RedBlackTreeSetSync};

use super::Subscriber;
use super::pin::{PROPERTIES, pin, values};
use crate::event::Event;
use crate::filter::{Doc, Facts};
use crate::id::WebhookId;
use crate::topic::{Topic, TopicPattern};

/// The docs of [`PROPERTIES`].
static DOCS: LazyLock<[Doc; PROPERTIES.len()]> =
    LazyLock::new(|| PROPERTIES.map(|text| Doc::parse(text).expect("it is a path")));

/// The webhooks of one space. A clone shares everything with the original, and a change copies
/// only the way to what it touches: that is how readers keep an old index while a new one is made.
#[derive(Debug, Clone)]
pub struct SpaceIndex {
    subscribers: Group,
    /// Under each topic in lower case, wildcards included: `entry.publish`, `*.publish`.
    by_topic: HashTrieMapSync<Box<str>, Bucket>,
}

type Group = RedBlackTreeSetSync<ById>;

/// The webhooks with one topic.
#[derive(Debug, Clone)]
struct Bucket {
    unpinned: Group,
    /// Under the number of the property and the value: `0master`.
    pinned: HashTrieMapSync<Box<str>, Group>,
    /// How many groups there are for each property.
    groups: [usize; PROPERTIES.len()],
}

impl Default for SpaceIndex {
    fn default() -> Self {
        Self {
            subscribers: Group::new_sync(),
            by_topic: HashTrieMapSync::new_sync(),
        }
    }
}

impl Default for Bucket {
    fn default() -> Self {
        Self {
            unpinned: Group::new_sync(),
            pinned: HashTrieMapSync::new_sync(),
            groups: Default::default(),
        }
    }
}

impl SpaceIndex {
    /// The webhooks that get `event`, each once, in no order.
    #[must_use]
    pub fn candidates<'i>(&'i self, event: &Event) -> Vec<&'i Arc<Subscriber>> {
        self.matching(&Facts::new(event))
    }

    pub(super) fn matching<'i>(&'i self, facts: &Facts<'_>) -> Vec<&'i Arc<Subscriber>> {
        if facts.event().is_test() {
            return self.tested(facts);
        }
        let mut asked: Vec<&Arc<Subscriber>> = Vec::new();
        let mut groups = 0;
        let mut visit = |group: &'i Group| {
            groups += 1;
            asked.extend(group.iter().map(|item| &item.0));
        };
        let mut keys = EventKeys::new(facts);
        for topic in topic_keys(&facts.event().topic) {
            if let Some(bucket) = self.by_topic.get(&*topic) {
                visit(&bucket.unpinned);
                bucket.visit_pinned(&mut keys, &mut visit);
            }
        }
        if groups > 1 {
            asked.sort_unstable_by_key(|subscriber| Arc::as_ptr(subscriber));
            asked.dedup_by(|a, b| Arc::ptr_eq(a, b));
        }
        asked.retain(|subscriber| subscriber.wants(facts));
        asked
    }

    /// The webhook that a test event names.
    fn tested<'i>(&'i self, facts: &Facts<'_>) -> Vec<&'i Arc<Subscriber>> {
        let id = WebhookId::try_from(facts.event().entity.id.clone());
        let named = id.ok().and_then(|id| self.get(&id));
        let named = named.filter(|subscriber| subscriber.wants(facts));
        named.into_iter().collect()
    }

    /// Puts a webhook in, in place of an older version of it.
    pub fn insert(&mut self, subscriber: Arc<Subscriber>) {
        self.remove(&subscriber.id);
        for (topic, groups) in places(&subscriber) {
            let mut bucket = self.by_topic.get(&topic).cloned().unwrap_or_default();
            bucket.insert(&groups, &subscriber);
            self.by_topic.insert_mut(topic, bucket);
        }
        self.subscribers.insert_mut(ById(subscriber));
    }

    /// Takes a webhook out, if it is there.
    pub fn remove(&mut self, id: &WebhookId) {
        let Some(old) = self.get(id).map(Arc::clone) else {
            return;
        };
        self.subscribers.remove_mut(id);
        for (topic, groups) in places(&old) {
            let Some(bucket) = self.by_topic.get_mut(&topic) else {
                continue;
            };
            bucket.remove(&groups, id);
            if bucket.is_empty() {
                self.by_topic.remove_mut(&topic);
            }
        }
    }

    /// The webhook with this id.
    #[must_use]
    pub fn get(&self, id: &WebhookId) -> Option<&Arc<Subscriber>> {
        self.subscribers.get(id).map(|item| &item.0)
    }

    /// How many webhooks there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.subscribers.size()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.subscribers.is_empty()
    }

    /// All webhooks, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Subscriber>> {
        self.subscribers.iter().map(|item| &item.0)
    }

    #[cfg(test)]
    pub(super) fn topics(&self) -> usize {
        self.by_topic.size()
    }
}

impl Bucket {
    fn insert(&mut self, groups: &Groups, subscriber: &Arc<Subscriber>) {
        let item = || ById(Arc::clone(subscriber));
        let Groups::Pinned(property, keys) = groups else {
            return self.unpinned.insert_mut(item());
        };
        for key in keys {
            if let Some(group) = self.pinned.get_mut(key) {
                group.insert_mut(item());
                continue;
            }
            let mut group = Group::new_sync();
            group.insert_mut(item());
            self.pinned.insert_mut(key.clone(), group);
            self.groups[*property] += 1;
        }
    }

    fn remove(&mut self, groups: &Groups, id: &WebhookId) {
        let Groups::Pinned(property, keys) = groups else {
            self.unpinned.remove_mut(id);
            return;
        };
        for key in keys {
            let Some(group) = self.pinned.get_mut(key) else {
                continue;
            };
            group.remove_mut(id);
            if group.is_empty() {
                self.pinned.remove_mut(key);
                self.groups[*property] -= 1;
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.unpinned.is_empty() && self.pinned.is_empty()
    }

    /// Looks an event's properties up only where some webhook is pinned to them.
    fn visit_pinned<'b>(&'b self, keys: &mut EventKeys<'_, '_>, visit: &mut impl FnMut(&'b Group)) {
        for (property, groups) in self.groups.iter().enumerate() {
            if *groups == 0 {
                continue;
            }
            keys.of(property)
                .iter()
                .filter_map(|key| self.pinned.get(key))
                .for_each(&mut *visit);
        }
    }
}

/// Where in a bucket a subscriber lies.
enum Groups {
    Unpinned,
    /// The property, and the keys of the groups.
    Pinned(usize, Vec<Box<str>>),
}

/// The buckets a subscriber lies in, and where in each. A disabled one lies nowhere.
fn places(subscriber: &Subscriber) -> impl Iterator<Item = (Box<str>, Groups)> {
    let topics = match subscriber.is_enabled {
        true => distinct_topics(&subscriber.topics),
        false => Vec::new(),
    };
    topics.into_iter().map(|topic| {
        let groups = match pin(subscriber) {
            None => Groups::Unpinned,
            Some(pin) => {
                let keys = pin.values.iter().map(|value| key(pin.property, value));
                Groups::Pinned(pin.property, keys.collect())
            }
        };
        (topic, groups)
    })
}

fn distinct_topics(patterns: &[TopicPattern]) -> Vec<Box<str>> {
    let mut topics: Vec<Box<str>> = patterns
        .iter()
        .map(|pattern| pattern.as_str().to_ascii_lowercase().into())
        .collect();
    topics.sort_unstable();
    topics.dedup();
    topics
}

/// The four patterns that choose a topic.
fn topic_keys(topic: &Topic) -> [String; 4] {
    let whole = topic.as_str().to_ascii_lowercase();
    let (entity, action) = whole.split_once('.').unwrap_or((&whole, ""));
    [
        format!("{entity}.*"),
        format!("*.{action}"),
        "*.*".to_owned(),
        whole,
    ]
}

fn key(property: usize, value: &str) -> Box<str> {
    format!("{property}{value}").into()
}

/// The keys under which an event's webhooks are pinned, made when first needed.
struct EventKeys<'f, 'a> {
    facts: &'f Facts<'a>,
    keys: [Option<Vec<Box<str>>>; PROPERTIES.len()],
}

impl<'f, 'a> EventKeys<'f, 'a> {
    fn new(facts: &'f Facts<'a>) -> Self {
        Self {
            facts,
            keys: Default::default(),
        }
    }

    fn of(&mut self, property: usize) -> &[Box<str>] {
        self.keys[property].get_or_insert_with(|| {
            values(self.facts, &DOCS[property])
                .into_iter()
                .map(|value| key(property, value))
                .collect()
        })
    }
}

/// A subscriber that is found by its id.
#[derive(Debug, Clone)]
struct ById(Arc<Subscriber>);

impl Borrow<WebhookId> for ById {
    fn borrow(&self) -> &WebhookId {
        &self.0.id
    }
}

impl Ord for ById {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.id.cmp(&other.0.id)
    }
}

impl PartialOrd for ById {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ById {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for ById {}
