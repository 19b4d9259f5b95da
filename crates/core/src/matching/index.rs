//! The webhooks of one space, found by topic and by what they are pinned to.

use std::sync::{Arc, LazyLock};

use rpds::HashTrieMapSync;

use super::Subscriber;
use super::group::{Entry, Group};
use super::pin::{PROPERTIES, is_all, pin, values};
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
            subscribers: Group::default(),
            by_topic: HashTrieMapSync::new_sync(),
        }
    }
}

impl Default for Bucket {
    fn default() -> Self {
        Self {
            unpinned: Group::default(),
            pinned: HashTrieMapSync::new_sync(),
            groups: Default::default(),
        }
    }
}

impl SpaceIndex {
    /// The webhooks that get `event`, which is of this space, each once, in no order.
    #[must_use]
    pub fn candidates<'i>(&'i self, event: &Event) -> Vec<&'i Arc<Subscriber>> {
        self.matching(&Facts::new(event))
    }

    pub(super) fn matching<'i>(&'i self, facts: &Facts<'_>) -> Vec<&'i Arc<Subscriber>> {
        if facts.event().is_test() {
            return self.tested(facts);
        }
        let mut found = Found::default();
        let mut keys = EventKeys::new(facts);
        for topic in topic_keys(&facts.event().topic) {
            if let Some(bucket) = self.by_topic.get(&*topic) {
                found.ask(&bucket.unpinned, facts);
                bucket.visit_pinned(&mut keys, |group| found.ask(group, facts));
            }
        }
        found.distinct()
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
        let all = Places::of(&subscriber);
        let entry = Entry {
            subscriber,
            is_sure: all.is_sure,
            is_elsewhere: all.topics.len() > 1,
        };
        for topic in &all.topics {
            match self.by_topic.get_mut(topic) {
                Some(bucket) => bucket.insert(&all.groups, &entry),
                None => {
                    let mut bucket = Bucket::default();
                    bucket.insert(&all.groups, &entry);
                    self.by_topic.insert_mut(topic.clone(), bucket);
                }
            }
        }
        self.subscribers.insert(entry);
    }

    /// Takes a webhook out, if it is there.
    pub fn remove(&mut self, id: &WebhookId) {
        let Some(old) = self.get(id).map(Arc::clone) else {
            return;
        };
        self.subscribers.remove(id);
        let all = Places::of(&old);
        for topic in &all.topics {
            let Some(bucket) = self.by_topic.get_mut(topic) else {
                continue;
            };
            bucket.remove(&all.groups, id);
            if bucket.is_empty() {
                self.by_topic.remove_mut(topic);
            }
        }
    }

    /// The webhook with this id.
    #[must_use]
    pub fn get(&self, id: &WebhookId) -> Option<&Arc<Subscriber>> {
        self.subscribers.get(id).map(|entry| &entry.subscriber)
    }

    /// How many webhooks there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.subscribers.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.subscribers.is_empty()
    }

    /// All webhooks, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Subscriber>> {
        self.subscribers.iter().map(|entry| &entry.subscriber)
    }

    #[cfg(test)]
    pub(super) fn topics(&self) -> usize {
        self.by_topic.size()
    }
}

/// The webhooks that were found to want an event.
#[derive(Default)]
struct Found<'i> {
    subscribers: Vec<&'i Arc<Subscriber>>,
    groups: usize,
    /// Whether one of them may have been found twice.
    may_repeat: bool,
}

impl<'i> Found<'i> {
    /// Adds those of a group that want the event.
    fn ask(&mut self, group: &'i Group, facts: &Facts<'_>) {
        self.groups += 1;
        for entry in group.iter() {
            if entry.is_sure || entry.subscriber.wants_found(facts) {
                self.may_repeat |= entry.is_elsewhere;
                self.subscribers.push(&entry.subscriber);
            }
        }
    }

    fn distinct(mut self) -> Vec<&'i Arc<Subscriber>> {
        if self.may_repeat && self.groups > 1 {
            self.subscribers
                .sort_unstable_by_key(|subscriber| Arc::as_ptr(subscriber));
            self.subscribers.dedup_by(|a, b| Arc::ptr_eq(a, b));
        }
        self.subscribers
    }
}

impl Bucket {
    fn insert(&mut self, groups: &Groups, entry: &Entry) {
        let Groups::Pinned(property, keys) = groups else {
            return self.unpinned.insert(entry.clone());
        };
        let entry = Entry {
            // An event with a list of values may lead to several of these.
            is_elsewhere: entry.is_elsewhere || keys.len() > 1,
            ..entry.clone()
        };
        for key in keys {
            if let Some(group) = self.pinned.get_mut(key) {
                group.insert(entry.clone());
                continue;
            }
            let mut group = Group::default();
            group.insert(entry.clone());
            self.pinned.insert_mut(key.clone(), group);
            self.groups[*property] += 1;
        }
    }

    fn remove(&mut self, groups: &Groups, id: &WebhookId) {
        let Groups::Pinned(property, keys) = groups else {
            return self.unpinned.remove(id);
        };
        for key in keys {
            let Some(group) = self.pinned.get_mut(key) else {
                continue;
            };
            group.remove(id);
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
    fn visit_pinned<'b>(&'b self, keys: &mut EventKeys<'_, '_>, mut visit: impl FnMut(&'b Group)) {
        for (property, groups) in self.groups.iter().enumerate() {
            if *groups == 0 {
                continue;
            }
            keys.of(property)
                .iter()
                .filter_map(|key| self.pinned.get(key))
                .for_each(&mut visit);
        }
    }
}

/// Where in a bucket a subscriber lies.
enum Groups {
    Unpinned,
    /// The property, and the keys of the groups.
    Pinned(usize, Vec<Box<str>>),
}

/// Everywhere a subscriber lies. A disabled one lies nowhere.
struct Places {
    topics: Vec<Box<str>>,
    groups: Groups,
    /// Whether topic and pin are all it asks for.
    is_sure: bool,
}

impl Places {
    fn of(subscriber: &Subscriber) -> Self {
        let pin = pin(subscriber);
        Self {
            topics: match subscriber.is_enabled {
                true => distinct_topics(&subscriber.topics),
                false => Vec::new(),
            },
            is_sure: is_all(subscriber, pin.as_ref()),
            groups: match pin {
                None => Groups::Unpinned,
                Some(pin) => {
                    let keys = pin.values.iter().map(|value| key(pin.property, value));
                    Groups::Pinned(pin.property, keys.collect())
                }
            },
        }
    }
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
            let mut keys: Vec<Box<str>> = values(self.facts, &DOCS[property])
                .into_iter()
                .map(|value| key(property, value))
                .collect();
            keys.sort_unstable();
            keys.dedup();
            keys
        })
    }
}
