//! What content management systems really emit, as events: Contentful, Umbraco and Umbraco Heartcore.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tidings_core::event::{Entity, Event};
use tidings_core::id::EventId;
use tidings_core::name::{Environment, Space};
use tidings_core::topic::Topic;

/// The space that all fixtures belong to.
pub(crate) const SPACE: &str = "demo";

/// An event in JSON (CONTRACT.md section 3), without an id.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fixture {
    /// Which system emits it, and when.
    pub(crate) name: &'static str,
    json: &'static str,
}

/// All fixtures.
pub(crate) const FIXTURES: [Fixture; 11] = [
    Fixture {
        name: "contentful-entry-auto-save",
        json: include_str!("../../../fixtures/contentful-entry-auto-save.json"),
    },
    Fixture {
        name: "contentful-entry-publish",
        json: include_str!("../../../fixtures/contentful-entry-publish.json"),
    },
    Fixture {
        name: "contentful-entry-unpublish",
        json: include_str!("../../../fixtures/contentful-entry-unpublish.json"),
    },
    Fixture {
        name: "contentful-entry-delete",
        json: include_str!("../../../fixtures/contentful-entry-delete.json"),
    },
    Fixture {
        name: "contentful-asset-publish",
        json: include_str!("../../../fixtures/contentful-asset-publish.json"),
    },
    Fixture {
        name: "umbraco-content-publish-legacy",
        json: include_str!("../../../fixtures/umbraco-content-publish-legacy.json"),
    },
    Fixture {
        name: "umbraco-content-publish-minimal",
        json: include_str!("../../../fixtures/umbraco-content-publish-minimal.json"),
    },
    Fixture {
        name: "umbraco-content-publish-extended",
        json: include_str!("../../../fixtures/umbraco-content-publish-extended.json"),
    },
    Fixture {
        name: "umbraco-content-unpublish",
        json: include_str!("../../../fixtures/umbraco-content-unpublish.json"),
    },
    Fixture {
        name: "umbraco-media-save",
        json: include_str!("../../../fixtures/umbraco-media-save.json"),
    },
    Fixture {
        name: "heartcore-content-delete",
        json: include_str!("../../../fixtures/heartcore-content-delete.json"),
    },
];

/// An event as JSON, its payload byte for byte as it stands there.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct JsonEvent<'a> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<EventId>,
    space: Space,
    environment: Environment,
    topic: Topic,
    entity: JsonEntity,
    occurred_at: Timestamp,
    #[serde(default)]
    actor: String,
    #[serde(default)]
    context: BTreeMap<String, String>,
    #[serde(borrow)]
    payload: &'a RawValue,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct JsonEntity {
    id: String,
    r#type: String,
    content_type: String,
    revision: u32,
    locales: Vec<String>,
}

impl Fixture {
    /// The event, with an id of its own.
    ///
    /// # Errors
    /// The file is no event.
    pub(crate) fn event(&self, id: EventId) -> serde_json::Result<Event> {
        let read: JsonEvent<'static> = serde_json::from_str(self.json)?;
        let entity = Entity {
            id: read.entity.id,
            kind: read.entity.r#type,
            content_type: read.entity.content_type,
            revision: read.entity.revision,
            locales: read.entity.locales,
        };
        Ok(Event {
            id,
            space: read.space,
            environment: read.environment,
            topic: read.topic,
            entity,
            occurred_at: read.occurred_at,
            actor: read.actor,
            context: read.context,
            payload: Bytes::from_static(read.payload.get().as_bytes()),
        })
    }
}

/// Writes an event as JSON, its payload byte for byte.
///
/// # Errors
/// The payload is no JSON.
pub(crate) fn to_json(event: &Event) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&JsonEvent {
        id: Some(event.id.clone()),
        space: event.space.clone(),
        environment: event.environment.clone(),
        topic: event.topic.clone(),
        entity: JsonEntity {
            id: event.entity.id.clone(),
            r#type: event.entity.kind.clone(),
            content_type: event.entity.content_type.clone(),
            revision: event.entity.revision,
            locales: event.entity.locales.clone(),
        },
        occurred_at: event.occurred_at,
        actor: event.actor.clone(),
        context: event.context.clone(),
        payload: serde_json::from_slice(&event.payload)?,
    })
}

#[cfg(test)]
mod tests {
    use tidings_core::event::check_texts;
    use tidings_core::json::check_text;

    use super::*;

    #[test]
    fn every_fixture_is_an_event_of_the_demo_space() {
        for fixture in FIXTURES {
            let event = fixture.event("e1".parse().unwrap()).unwrap();
            assert_eq!(event.space.as_str(), SPACE, "{}", fixture.name);
            check_texts(&event.entity, &event.actor, &event.context).unwrap();
            check_text(&event.payload).unwrap();
        }
    }

    #[test]
    fn the_payload_goes_through_json_byte_for_byte() {
        for fixture in FIXTURES {
            let event = fixture.event("e1".parse().unwrap()).unwrap();
            let payload = std::str::from_utf8(&event.payload).unwrap();
            assert!(fixture.json.contains(payload), "{}", fixture.name);
            let json = String::from_utf8(to_json(&event).unwrap()).unwrap();
            assert!(json.contains(payload), "{}", fixture.name);
        }
    }

    #[test]
    fn numbers_escapes_and_white_space_that_a_parser_would_change_are_among_them() {
        let all: String = FIXTURES.iter().map(|fixture| fixture.json).collect();
        for detail in [
            "9007199254740993",
            "18446744073709551617",
            "4.50",
            r"\ud83d\ude80",
            r"\/",
        ] {
            assert!(all.contains(detail), "{detail}");
        }
    }
}
