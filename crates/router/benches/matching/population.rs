//! Webhooks and events as a large installation may have them.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};
use tidings_core::event::{Entity, Event};
use tidings_core::webhook::{SCHEMA_VERSION, Webhook};

const SPACES_MAX: usize = 1_000;
const CONTENT_TYPES: usize = 64;
const TOPICS: [&str; 8] = [
    "Entry.publish",
    "Entry.unpublish",
    "Entry.save",
    "Entry.delete",
    "Asset.publish",
    "Asset.delete",
    "Entry.*",
    "*.publish",
];

/// This many webhooks, spread evenly over up to 1,000 spaces.
#[derive(Debug)]
pub(crate) struct Population {
    spaces: usize,
}

/// A webhook as it lies in its bucket.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) key: String,
    pub(crate) value: Vec<u8>,
}

impl Population {
    pub(crate) fn new(size: usize) -> Self {
        Self {
            spaces: SPACES_MAX.min(size),
        }
    }

    /// One of the webhooks.
    pub(crate) fn stored(&self, number: usize) -> Stored {
        self.webhook(number, 1)
    }

    /// A later version of it, which wants something else.
    pub(crate) fn changed(&self, number: usize, version: u64) -> Stored {
        self.webhook(number, version)
    }

    fn webhook(&self, number: usize, version: u64) -> Stored {
        let space = format!("space-{}", number % self.spaces);
        let place = number / self.spaces;
        let mut traits = Draws(number as u64 * 1_000 + version);
        let mut definition = json!({
            "name": format!("Webhook number {number}"),
            "url": format!("https://receiver-{number}.example.com/hooks/{place}"),
            "topics": [TOPICS[traits.below(TOPICS.len())]],
            "headers": [{"key": "X-Source", "value": "cms"}],
            "signing": {"secrets": [{"id": "sec_1", "key": {
                "keyId": "0102030405060708", "text": "A".repeat(108), "hint": "…abcd",
            }}]},
        });
        // Seven of ten want one content type; half look at one environment.
        if traits.below(10) < 7 {
            definition["contentTypes"] = json!([content_type(traits.below(CONTENT_TYPES))]);
        }
        let mut filters = Vec::new();
        if traits.below(2) == 0 {
            let environment = ["master", "staging"][traits.below(2)];
            filters.push(json!({"equals": [{"doc": "sys.environment.sys.id"}, environment]}));
        }
        match traits.below(20) {
            0 => filters.push(json!({"equals": [{"doc": "sys.id"}, format!("e{}", number % 100)]})),
            1 => filters.push(json!({"equals": [{"doc": "fields.category.en-US"}, "news"]})),
            2 => filters.push(json!({"regexp": [{"doc": "sys.id"}, {"pattern": "^e[0-9]+$"}]})),
            _ => {}
        }
        definition["filters"] = Value::from(filters);
        let webhook = Webhook {
            schema: SCHEMA_VERSION,
            id: format!("wh_{number:026}").parse().expect("it is a word"),
            space: space.parse().expect("it is a name"),
            definition: serde_json::from_value(definition).expect("it is a definition"),
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
            version,
        };
        Stored {
            key: format!("{space}.{}", webhook.id),
            value: webhook.to_stored(),
        }
    }

    /// Events that take turns over the spaces, topics and content types.
    pub(crate) fn events(&self) -> Vec<Event> {
        (0..self.spaces)
            .map(|space| Event {
                id: format!("e{space}").parse().expect("it is a word"),
                space: format!("space-{space}").parse().expect("it is a name"),
                environment: "master".parse().expect("it is a name"),
                topic: "Entry.publish".parse().expect("it is a topic"),
                entity: Entity {
                    id: format!("e{}", space % 100),
                    kind: String::from("Entry"),
                    content_type: content_type(space % CONTENT_TYPES),
                    ..Entity::default()
                },
                occurred_at: Timestamp::UNIX_EPOCH,
                actor: String::from("user-42"),
                context: BTreeMap::new(),
                payload: Bytes::from(payload()),
            })
            .collect()
    }
}

/// About a kilobyte.
fn payload() -> String {
    let text = "The quick brown fox jumps over the lazy dog. ".repeat(18);
    json!({
        "sys": {"type": "Entry", "revision": 7},
        "fields": {
            "title": {"en-US": "A title"}, "text": {"en-US": text},
            "category": {"en-US": "news"},
        },
    })
    .to_string()
}

fn content_type(number: usize) -> String {
    format!("contentType{number}")
}

/// Numbers that look random and are the same in every run (splitmix64).
struct Draws(u64);

impl Draws {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % limit as u64) as usize
    }
}
