//! Filters and the events they are asked about: a list of filters in JSON, a line break, a payload.
#![no_main]

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use tidings_core::event::{Entity, Event};
use tidings_core::filter::Facts;
use tidings_core::matching::{Check, Shared, SpaceIndex, Subscriber, explain};
use tidings_core::webhook::{SCHEMA_VERSION, Webhook};

fuzz_target!(|data: &[u8]| {
    let end = data.iter().position(|byte| *byte == b'\n');
    let (filters, payload) = data.split_at(end.unwrap_or(data.len()));
    let Ok(filters) = serde_json::from_slice::<Vec<Value>>(filters) else {
        return;
    };
    let whole = json!({ "filters": filters });
    let definition = json!({
        "url": "https://a.example.com/", "topics": ["*.*"], "filters": filters,
    });
    let webhook = Webhook {
        schema: SCHEMA_VERSION,
        id: "wh_1".parse().expect("it is an id"),
        space: "acme".parse().expect("it is a name"),
        definition: serde_json::from_value(definition).expect("filters are any JSON"),
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
        version: 1,
    };
    let event = event(payload.get(1..).unwrap_or_default());
    let explanation = explain(&webhook, &event);
    let subscriber = match Subscriber::compile(&webhook, &mut Shared::default()) {
        Ok(subscriber) => subscriber,
        Err(faults) => {
            assert!(!explanation.matches && !faults.is_empty());
            for fault in faults {
                assert!(leads_somewhere(&whole, &fault.pointer), "{}", fault.pointer);
            }
            return;
        }
    };
    // Deciding, explaining and finding by the index come to the same.
    let wants = subscriber.wants(&Facts::new(&event));
    assert_eq!(wants, explanation.matches);
    let mut index = SpaceIndex::default();
    index.insert(subscriber.into());
    assert_eq!(index.candidates(&event).len(), usize::from(wants));
    for check in &explanation.checks {
        assert_pointers(&whole, check);
    }
    serde_json::to_string(&explanation).expect("an explanation is JSON");
});

/// A fault is about something that is there, or that is missing from what is there.
fn leads_somewhere(whole: &Value, pointer: &str) -> bool {
    let parent = pointer.rsplit_once('/').map_or("", |(parent, _)| parent);
    whole.pointer(pointer).or(whole.pointer(parent)).is_some()
}

fn assert_pointers(whole: &Value, check: &Check) {
    if check.pointer.starts_with("/filters") {
        assert!(whole.pointer(&check.pointer).is_some(), "{}", check.pointer);
    }
    for part in &check.checks {
        assert_pointers(whole, part);
    }
}

fn event(payload: &[u8]) -> Event {
    Event {
        id: "e1".parse().expect("it is an id"),
        space: "acme".parse().expect("it is a name"),
        environment: "master".parse().expect("it is a name"),
        topic: "Entry.publish".parse().expect("it is a topic"),
        entity: Entity {
            id: String::from("home"),
            revision: 7,
            locales: vec![String::from("en-US"), String::from("de-DE")],
            ..Entity::default()
        },
        occurred_at: Timestamp::UNIX_EPOCH,
        actor: String::from("user-42"),
        context: BTreeMap::from([(String::from("releaseId"), String::from("winter"))]),
        payload: Bytes::copy_from_slice(payload),
    }
}
