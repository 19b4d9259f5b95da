//! Transformations and the events they are rendered for: the fields of a webhook in JSON, a line break,
//! a payload.
#![no_main]

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use tidings_core::endpoint_url::UrlPolicy;
use tidings_core::event::{Entity, Event};
use tidings_core::format::{Content, Template};
use tidings_core::transformation::BODY_BYTES_MAX;
use tidings_core::webhook::{Definition, Format, SCHEMA_VERSION, Webhook, check};

const FORM: &str = "application/x-www-form-urlencoded";

fuzz_target!(|data: &[u8]| {
    let end = data.iter().position(|byte| *byte == b'\n');
    let (fields, payload) = data.split_at(end.unwrap_or(data.len()));
    let Ok(fields) = serde_json::from_slice::<Map<String, Value>>(fields) else {
        return;
    };
    let mut definition = json!({ "url": "https://a.example.com/x", "topics": ["*.*"] });
    for (name, value) in fields {
        definition[name] = value;
    }
    let Ok(definition) = serde_json::from_value::<Definition>(definition) else {
        return;
    };
    let faults = check(&definition, &UrlPolicy::default());
    for fault in &faults {
        let at_a_place = fault.pointer.is_empty() || fault.pointer.starts_with('/');
        assert!(at_a_place && !fault.code.is_empty() && !fault.detail.is_empty());
    }
    let is_fine = faults.is_empty();
    let webhook = webhook(definition);
    // What was stored by others is compiled without having been checked here.
    let template = match Template::new(&webhook, &Arc::default()) {
        Ok(template) => template,
        Err(error) => return assert!(!is_fine, "what was checked can be compiled: {error}"),
    };
    if !is_fine {
        return;
    }
    let event = event(payload.get(1..).unwrap_or_default());
    let content = Content { delivery: &"dlv_1".parse().expect("it is an id"), attempt: 1, event: &event };
    let Ok(rendered) = template.render(content, Timestamp::UNIX_EPOCH) else {
        return;
    };
    // One host, one line for each header, and a body of its kind within its bound.
    assert_eq!(rendered.url.origin(), template.url().origin());
    for value in rendered.headers.values() {
        assert!(!value.as_bytes().iter().any(|byte| byte.is_ascii_control() && *byte != b'\t'));
    }
    let Some(typed) = &webhook.definition.transformation else {
        return;
    };
    let is_enveloped = webhook.definition.format == Format::CloudeventsStructured;
    if rendered.body.is_empty() || typed.body.is_none() || is_enveloped {
        return;
    }
    assert!(rendered.body.len() <= BODY_BYTES_MAX);
    let media = typed.content_type.as_deref().unwrap_or_default().trim_start();
    if media.len() >= FORM.len() && media[..FORM.len()].eq_ignore_ascii_case(FORM) {
        assert!(rendered.body.iter().all(u8::is_ascii_graphic));
    } else if serde_json::from_slice::<&RawValue>(&event.payload).is_ok() {
        serde_json::from_slice::<&RawValue>(&rendered.body).expect("a body is JSON");
    }
});

fn webhook(definition: Definition) -> Webhook {
    Webhook {
        schema: SCHEMA_VERSION,
        id: "wh_1".parse().expect("it is an id"),
        space: "acme".parse().expect("it is a name"),
        definition,
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
        version: 1,
    }
}

fn event(payload: &[u8]) -> Event {
    Event {
        id: "e1".parse().expect("it is an id"),
        space: "acme".parse().expect("it is a name"),
        environment: "master".parse().expect("it is a name"),
        topic: "Entry.publish".parse().expect("it is a topic"),
        entity: Entity {
            id: String::from("home/é"),
            revision: 7,
            locales: vec![String::from("en-US")],
            ..Entity::default()
        },
        occurred_at: Timestamp::UNIX_EPOCH,
        actor: String::from("user-42"),
        context: BTreeMap::from([(String::from("releaseId"), String::from("winter"))]),
        payload: Bytes::copy_from_slice(payload),
    }
}
