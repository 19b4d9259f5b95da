//! The index against the naive loop, and what explanations tell.

mod explanations;
mod index;
mod pins;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Shared, SpaceIndex, Subscriber};
use crate::event::{Entity, Event};
use crate::webhook::{SCHEMA_VERSION, Webhook};

/// A webhook with these fields, and a URL.
fn webhook(id: &str, mut definition: Value) -> Webhook {
    definition["url"] = json!("https://a.example.com");
    Webhook {
        schema: SCHEMA_VERSION,
        id: id.parse().unwrap(),
        space: "acme".parse().unwrap(),
        definition: serde_json::from_value(definition).unwrap(),
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
        version: 1,
    }
}

pub(super) fn subscriber(id: &str, definition: Value) -> Arc<Subscriber> {
    let webhook = webhook(id, definition);
    Arc::new(Subscriber::compile(&webhook, &mut Shared::default()).unwrap())
}

fn event(topic: &str, content_type: &str) -> Event {
    Event {
        id: "e1".parse().unwrap(),
        space: "acme".parse().unwrap(),
        environment: Default::default(),
        topic: topic.parse().unwrap(),
        entity: Entity {
            content_type: content_type.to_owned(),
            ..Entity::default()
        },
        occurred_at: Timestamp::UNIX_EPOCH,
        actor: String::new(),
        context: BTreeMap::new(),
        payload: Bytes::from_static(b"{}"),
    }
}

/// The ids of the webhooks that get an event, in order.
fn matched(index: &SpaceIndex, event: &Event) -> Vec<String> {
    let mut ids: Vec<String> = index
        .candidates(event)
        .iter()
        .map(|webhook| webhook.id.to_string())
        .collect();
    ids.sort();
    ids
}
