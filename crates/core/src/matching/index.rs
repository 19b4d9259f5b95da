//! The webhooks of one space, found by topic and by what they are pinned to.

use std::cell::OnceCell;
use std::sync::{Arc, LazyLock};

use super::group::Group;
use super::key_map::{Key, KeyMap};
use super::pin::{PROPERTIES, Pins, key, values};
use super::posting::{PROPERTIES_COUNT, Posting, Tag};
use super::subscriber::Subscriber;
use crate::event::Event;
use crate::filter::{Doc, Facts};
use crate::id::WebhookId;
use crate::topic::{Topic, TopicPattern};

/// The docs of [`PROPERTIES`].
static DOCS: LazyLock<[Doc; PROPERTIES_COUNT]> =
    LazyLock::new(|| PROPERTIES.map(|text| Doc::parse(text).expect("it is a path")));

/// To how many groups an event mostly leads: for each of its four topics, to those without a pin and
/// those with one of each kind.
const LEADS_MOSTLY: usize = 4 * (1 + PROPERTIES_COUNT);
/// Room for so many matches is made at once; more is made as they are found.
const ROOM_MAX: usize = 1_024;

/// The webhooks of one space. A clone shares everything with the original, and a change copies
/// only the way to what it touches: that is how readers keep an old index while a new one is made.
#[derive(Debug, Clone, Default)]
pub struct SpaceIndex {
    subscribers: Group<Arc<Subscriber>>,
    /// Under each topic in lower case, wildcards included: `entry.publish`, `*.publish`.
    by_topic: KeyMap<Bucket>,
}

/// The webhooks with one topic.
#[derive(Debug, Clone, Default)]
struct Bucket {
    unpinned: Group<Posting>,
    /// Under the number of the property and the value: `0master`.
    pinned: KeyMap<Group<Posting>>,
    /// How many groups there are for each property.
    groups: [u32; PROPERTIES_COUNT],
}

impl SpaceIndex {
    /// The webhooks that get `event`, which is of this space, each once, in no order.
    #[must_use]
    pub fn candidates<'i>(&'i self, event: &Event) -> Vec<&'i Posting> {
        self.matching(&Facts::new(event))
    }

    pub(super) fn matching<'i>(&'i self, facts: &Facts<'_>) -> Vec<&'i Posting> {
        if facts.event().is_test() {
            return self.tested(facts);
        }
        let keys = EventKeys::new(facts);
        Found::among(&self.groups_of(&keys), &keys).distinct()
    }

    /// The groups that an event leads to. All are found before one is read: they lie far apart, and
    /// so the processor fetches several at a time.
    fn groups_of<'i>(&'i self, keys: &EventKeys<'_, '_>) -> Vec<Lead<'i>> {
        let topics = topic_keys(&keys.facts.event().topic);
        let buckets = topics.each_ref().map(|topic| self.by_topic.get(topic));
        let mut leads = Vec::with_capacity(LEADS_MOSTLY);
        for bucket in buckets.into_iter().flatten() {
            bucket.find(keys, &mut leads);
        }
        leads
    }

    /// The webhook that a test event names.
    fn tested<'i>(&'i self, facts: &Facts<'_>) -> Vec<&'i Posting> {
        let id = WebhookId::try_from(facts.event().entity.id.clone());
        let named = id.ok().and_then(|id| self.get(&id));
        let named = named.filter(|subscriber| subscriber.wants(facts));
        named
            .map(|subscriber| &subscriber.posting)
            .into_iter()
            .collect()
    }

    /// Puts a webhook in, in place of an older version of it.
    pub fn insert(&mut self, subscriber: Arc<Subscriber>) {
        self.remove(subscriber.id());
        let all = Places::of(&subscriber);
        for topic in &all.topics {
            let bucket = self.by_topic.get_or_default(topic);
            bucket.insert(&all.groups, &subscriber.posting);
        }
        self.subscribers.insert(subscriber);
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
                self.by_topic.remove(topic);
            }
        }
    }

    /// The webhook with this id.
    #[must_use]
    pub fn get(&self, id: &WebhookId) -> Option<&Arc<Subscriber>> {
        self.subscribers.get(id)
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
        self.subscribers.iter()
    }

    #[cfg(test)]
    pub(super) fn topics(&self) -> usize {
        self.by_topic.len()
    }
}

/// A group that an event leads to.
struct Lead<'i> {
    group: &'i Group<Posting>,
    /// Whether the event has several values of the property by which it was found.
    is_one_of_several: bool,
}

/// The webhooks that were found to want an event.
struct Found<'i> {
    postings: Vec<&'i Posting>,
    /// Whether one of them may have been found twice.
    may_repeat: bool,
}

impl<'i> Found<'i> {
    /// Those of some groups that want the event.
    fn among(leads: &[Lead<'i>], keys: &EventKeys<'_, '_>) -> Self {
        let mut found = Self {
            // Most of a large group may be ruled out.
            postings: Vec::with_capacity(
                leads
                    .iter()
                    .map(|lead| lead.group.len())
                    .sum::<usize>()
                    .min(ROOM_MAX),
            ),
            may_repeat: false,
        };
        let mut asked = Vec::new();
        for lead in leads {
            for posting in lead.group.iter() {
                match &posting.asks {
                    None => found.add(posting, lead),
                    Some(wants) if keys.may_pass(&posting.tags) => {
                        asked.push((posting, wants, lead));
                    }
                    Some(_) => {}
                }
            }
        }
        // Afterwards, so that going through the lists is not held up by reading conditions.
        for (posting, wants, lead) in asked {
            if wants.hold(keys.facts) {
                found.add(posting, lead);
            }
        }
        found
    }

    fn add(&mut self, posting: &'i Posting, lead: &Lead<'i>) {
        let repeats = posting.repeats;
        self.may_repeat |= repeats.by_topic || (lead.is_one_of_several && repeats.by_value);
        self.postings.push(posting);
    }

    fn distinct(mut self) -> Vec<&'i Posting> {
        if self.may_repeat {
            self.postings.sort_unstable_by_key(|posting| &posting.id);
            self.postings.dedup_by_key(|posting| &posting.id);
        }
        self.postings
    }
}

impl Bucket {
    fn insert(&mut self, groups: &Groups, posting: &Posting) {
        let Groups::Pinned(property, keys) = groups else {
            return self.unpinned.insert(posting.clone());
        };
        for key in keys {
            let group = self.pinned.get_or_default(key);
            self.groups[*property] += u32::from(group.is_empty());
            group.insert(posting.clone());
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
                self.pinned.remove(key);
                self.groups[*property] -= 1;
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.unpinned.is_empty() && self.pinned.is_empty()
    }

    /// Adds the groups that an event leads to. Its properties are looked up only where some webhook
    /// is pinned to them.
    fn find<'i>(&'i self, keys: &EventKeys<'_, '_>, leads: &mut Vec<Lead<'i>>) {
        leads.push(Lead {
            group: &self.unpinned,
            is_one_of_several: false,
        });
        for (property, groups) in self.groups.iter().enumerate() {
            if *groups == 0 {
                continue;
            }
            let values = keys.of(property);
            let groups = values.iter().filter_map(|key| self.pinned.get(key));
            leads.extend(groups.map(|group| Lead {
                group,
                is_one_of_several: values.len() > 1,
            }));
        }
    }
}

/// Where in a bucket a subscriber lies.
enum Groups {
    Unpinned,
    /// The property, and the keys of the groups.
    Pinned(usize, Vec<Key>),
}

/// Everywhere a subscriber lies. A disabled one lies nowhere.
struct Places {
    topics: Vec<Key>,
    groups: Groups,
}

impl Places {
    fn of(subscriber: &Subscriber) -> Self {
        Self {
            topics: match subscriber.is_enabled {
                true => distinct_topics(&subscriber.topics),
                false => Vec::new(),
            },
            groups: match Pins::of(&subscriber.wants).best {
                None => Groups::Unpinned,
                Some(pin) => {
                    let keys = pin.values.iter().map(|value| key(pin.property, value));
                    Groups::Pinned(pin.property, keys.collect())
                }
            },
        }
    }
}

fn distinct_topics(patterns: &[TopicPattern]) -> Vec<Key> {
    let mut topics: Vec<String> = patterns
        .iter()
        .map(|pattern| pattern.as_str().to_ascii_lowercase())
        .collect();
    topics.sort_unstable();
    topics.dedup();
    topics.iter().map(|topic| Key::new(topic)).collect()
}

/// The four patterns that choose a topic.
fn topic_keys(topic: &Topic) -> [Key; 4] {
    let whole = topic.as_str().to_ascii_lowercase();
    let (entity, action) = whole.split_once('.').unwrap_or((&whole, ""));
    [
        Key::new(&whole),
        Key::new(&format!("{entity}.*")),
        Key::new(&format!("*.{action}")),
        Key::new("*.*"),
    ]
}

/// The keys under which an event's webhooks are pinned, made when first needed.
struct EventKeys<'f, 'a> {
    facts: &'f Facts<'a>,
    keys: [OnceCell<Box<[Key]>>; PROPERTIES_COUNT],
}

impl<'f, 'a> EventKeys<'f, 'a> {
    fn new(facts: &'f Facts<'a>) -> Self {
        Self {
            facts,
            keys: Default::default(),
        }
    }

    fn of(&self, property: usize) -> &[Key] {
        self.keys[property].get_or_init(|| {
            let mut values = values(self.facts, &DOCS[property]);
            values.sort_unstable();
            values.dedup();
            values.iter().map(|value| key(property, value)).collect()
        })
    }

    /// Whether the event may have the values that these tags stand for. If not, it has not.
    fn may_pass(&self, tags: &[Tag; PROPERTIES_COUNT]) -> bool {
        tags.iter().enumerate().all(|(property, tag)| {
            *tag == Tag::ANY || self.of(property).iter().any(|key| Tag::of(key) == *tag)
        })
    }
}
