//! Events as JSON: the canonical protobuf JSON mapping, with the payload as a JSON value.
//!
//! As in that mapping, names are taken in both spellings (`occurredAt`, `occurred_at`) and `null`
//! stands for an absent field, except in `payload`, where it is a value.

use std::collections::HashMap;

use bytes::Bytes;
use serde_json::value::RawValue;
use tidings_core::event::{EventError, Faults};
use tidings_proto::{timestamp_to_wire, v1};

use super::object::Object;
use super::text::{Wanted, begin, check_depth};
use super::value;
use super::{Candidate, Names};

/// Reads one event.
///
/// # Errors
/// The body is no JSON object, nested too deeply, or fields are unknown, repeated, missing or of
/// another type.
pub fn event(body: &Bytes) -> Result<Candidate, EventError> {
    let text = begin(body, Wanted::Object)?;
    check_depth(body, "")?;
    let mut object = Object::open(text, "")?;
    let mut faults = Faults::default();
    let [id, space, environment] = [
        ("bad_id", "id"),
        ("bad_space", "space"),
        ("bad_environment", "environment"),
    ]
    .map(|(code, name)| faults.note(object.name(code, &[name])).flatten());
    let topic = faults.note(object.name("bad_topic", &["topic"]));
    let entity_value = faults.note(object.take(&["entity"])).flatten();
    let event = v1::Event {
        id: id.unwrap_or_default(),
        space: space.unwrap_or_default(),
        environment: environment.unwrap_or_default(),
        topic: topic.clone().flatten().unwrap_or_default(),
        entity: entity_value.and_then(|value| faults.note(entity(value))),
        occurred_at: faults.note(occurred_at(&mut object)).flatten(),
        actor: faults
            .note(object.text("bad_actor", &["actor"]))
            .flatten()
            .unwrap_or_default(),
        context: faults.note(context(&mut object)).unwrap_or_default(),
        schema_version: faults
            .note(number(&mut object, &["schemaVersion", "schema_version"]))
            .unwrap_or_default(),
        payload: faults.note(payload(&mut object, body)).unwrap_or_default(),
    };
    faults.note(object.finish());
    if topic == Some(None) {
        faults.add(missing(
            "/topic",
            "`Entity.action`, such as `Entry.publish`",
        ));
    }
    faults.finish()?;
    Ok(Candidate {
        event,
        original: None,
        trace: None,
        names: Names::Tidings,
    })
}

/// A required field is not there.
pub(super) fn missing(pointer: &str, what: &str) -> EventError {
    EventError::new(
        "missing_field",
        pointer,
        format!("it is missing; it must be {what}"),
    )
}

/// The payload's bytes, as they lie in the body.
fn payload(object: &mut Object<'_>, body: &Bytes) -> Result<Bytes, EventError> {
    match object.take_with_null(&["payload"])? {
        Some(payload) => Ok(body.slice_ref(payload.get().as_bytes())),
        None => Err(missing("/payload", "a JSON value")),
    }
}

fn occurred_at(object: &mut Object<'_>) -> Result<Option<prost_types::Timestamp>, EventError> {
    const CODE: &str = "bad_timestamp";
    let Some(text) = object.text(CODE, &["occurredAt", "occurred_at"])? else {
        return Ok(None);
    };
    let timestamp =
        value::timestamp(&text).map_err(|detail| EventError::new(CODE, "/occurredAt", detail))?;
    Ok(Some(timestamp_to_wire(timestamp)))
}

fn number(object: &mut Object<'_>, names: &[&str]) -> Result<u32, EventError> {
    let Some(number) = object.take(names)? else {
        return Ok(0);
    };
    value::uint32(number)
        .map_err(|detail| EventError::new("bad_number", &object.pointer_of(names[0]), detail))
}

fn entity(entity: &RawValue) -> Result<v1::Entity, EventError> {
    const CODE: &str = "bad_entity";
    const AT: &str = "/entity";
    let text = begin(entity.get().as_bytes(), Wanted::Object)
        .map_err(|_| EventError::new(CODE, AT, "it must be an object"))?;
    let mut object = Object::open(text, AT)?;
    let mut faults = Faults::default();
    let mut text = |object: &mut Object<'_>, names: &[&str]| {
        let text = faults.note(object.text(CODE, names));
        text.flatten().unwrap_or_default()
    };
    let [id, kind, content_type] = [&["id"][..], &["type"], &["contentType", "content_type"]]
        .map(|names| text(&mut object, names));
    let entity = v1::Entity {
        id,
        r#type: kind,
        content_type,
        revision: faults
            .note(number(&mut object, &["revision"]))
            .unwrap_or_default(),
        locales: faults.note(locales(&mut object)).unwrap_or_default(),
    };
    faults.note(object.finish());
    faults.finish()?;
    Ok(entity)
}

fn locales(entity: &mut Object<'_>) -> Result<Vec<String>, EventError> {
    let Some(locales) = entity.take(&["locales"])? else {
        return Ok(Vec::new());
    };
    value::texts(locales).map_err(|detail| EventError::new("bad_entity", "/entity/locales", detail))
}

fn context(object: &mut Object<'_>) -> Result<HashMap<String, String>, EventError> {
    match object.take(&["context"])? {
        None => Ok(HashMap::new()),
        Some(context) => value::text_map(context, "bad_context", "/context"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<v1::Event, EventError> {
        event(&Bytes::copy_from_slice(text.as_bytes())).map(|candidate| candidate.event)
    }

    fn fault(text: &str) -> (&'static str, String) {
        let fault = read(text).unwrap_err();
        (fault.code, fault.pointer)
    }

    #[test]
    fn every_field_is_read_in_both_spellings() {
        let camel = r#"{"id":"e1","space":"acme","environment":"staging","topic":"Entry.publish",
            "entity":{"id":"5Ks","type":"Entry","contentType":"article","revision":7,
            "locales":["en-US","de"]},"occurredAt":"2026-11-22T10:00:00.5+02:00","actor":"user-42",
            "context":{"releaseId":"r1"},"payload":{"n":12345678901234567890},"schemaVersion":1}"#;
        let snake = camel
            .replace("contentType", "content_type")
            .replace("occurredAt", "occurred_at")
            .replace("schemaVersion", "schema_version");
        let event = read(camel).unwrap();
        assert_eq!(event, read(&snake).unwrap());
        assert_eq!(event.payload, &br#"{"n":12345678901234567890}"#[..]);
        assert_eq!(event.entity.unwrap().locales, ["en-US", "de"]);
        let occurred_at = event.occurred_at.unwrap();
        assert_eq!(
            (occurred_at.seconds, occurred_at.nanos),
            (1_795_334_400, 500_000_000)
        );
    }

    #[test]
    fn null_is_an_absent_field_but_a_present_payload() {
        let event = read(
            r#"{"id":null,"entity":null,"occurredAt":null,"context":null,
            "topic":"a.b","payload": null }"#,
        );
        let expected = v1::Event {
            topic: "a.b".into(),
            payload: Bytes::from_static(b"null"),
            ..v1::Event::default()
        };
        assert_eq!(event, Ok(expected));
        assert_eq!(fault(r#"{"topic":null,"payload":1}"#).0, "missing_field");
    }

    #[test]
    fn the_payload_is_a_part_of_the_body_and_no_copy() {
        let body = Bytes::from_static(br#"{"topic":"a.b","payload":  [ 1e999, "\u0000" ] }"#);
        let payload = event(&body).unwrap().event.payload;
        assert_eq!(payload, &br#"[ 1e999, "\u0000" ]"#[..]);
        assert!(body.as_ptr_range().contains(&payload.as_ptr()));
    }

    fn check_faults(table: &[(&str, &'static str, &str)]) {
        for (text, code, pointer) in table {
            assert_eq!(fault(text), (*code, (*pointer).to_owned()), "{text}");
        }
    }

    #[test]
    fn each_fault_names_its_field() {
        check_faults(&[
            (r#"{"payload":1}"#, "missing_field", "/topic"),
            (r#"{"topic":"a.b"}"#, "missing_field", "/payload"),
            (r#"{"id":""}"#, "bad_id", "/id"),
            (r#"{"id":5}"#, "bad_id", "/id"),
            (r#"{"space":""}"#, "bad_space", "/space"),
            (r#"{"topic":""}"#, "bad_topic", "/topic"),
            (r#"{"topic":["a.b"]}"#, "bad_topic", "/topic"),
            (r#"{"occurredAt":"no"}"#, "bad_timestamp", "/occurredAt"),
            (r#"{"occurredAt":1}"#, "bad_timestamp", "/occurredAt"),
            (r#"{"entity":["id"]}"#, "bad_entity", "/entity"),
            (r#"{"entity":{"id":1}}"#, "bad_entity", "/entity/id"),
            (
                r#"{"entity":{"revision":-1}}"#,
                "bad_number",
                "/entity/revision",
            ),
            (
                r#"{"entity":{"locales":"en"}}"#,
                "bad_entity",
                "/entity/locales",
            ),
            (
                r#"{"entity":{"locales":[null]}}"#,
                "bad_entity",
                "/entity/locales",
            ),
            (r#"{"context":[]}"#, "bad_context", "/context"),
            (r#"{"context":{"a":1}}"#, "bad_context", "/context/a"),
        ]);
    }

    #[test]
    fn a_field_is_known_and_there_once() {
        const TWICE: &str = "duplicate_field";
        const UNKNOWN: &str = "unknown_field";
        check_faults(&[
            (r#"{"topic":"a.b","payload":1,"x":2}"#, UNKNOWN, "/x"),
            (
                r#"{"topic":"a.b","payload":1,"a/b~c":2}"#,
                UNKNOWN,
                "/a~1b~0c",
            ),
            (r#"{"entity":{"colour":1}}"#, UNKNOWN, "/entity/colour"),
            (
                r#"{"topic":"a.b","topic":"a.b","payload":1}"#,
                TWICE,
                "/topic",
            ),
            (
                r#"{"topic":"a.b","\u0074opic":"a.b","payload":1}"#,
                TWICE,
                "/topic",
            ),
            (
                r#"{"occurredAt":null,"occurred_at":null}"#,
                TWICE,
                "/occurredAt",
            ),
            (
                r#"{"topic":"a.b","payload":1,"payload":2}"#,
                TWICE,
                "/payload",
            ),
            (r#"{"entity":{"id":"a","id":"b"}}"#, TWICE, "/entity/id"),
            (r#"{"context":{"a":"1","a":"1"}}"#, TWICE, "/context/a"),
        ]);
    }

    #[test]
    fn the_grammar_is_kept() {
        for (text, code) in [
            ("", "empty_body"),
            (" \n", "empty_body"),
            ("null", "not_an_object"),
            ("[]", "not_an_object"),
            ("1 1", "trailing_data"),
            ("{}x", "trailing_data"),
            ("{'id':'a'}", "bad_json"),
            ("{\"a\":[1,]}", "bad_json"),
            ("\u{feff}{}", "bad_json"),
            ("{\"payload\":\"\\ud800\"}", "bad_json"),
            ("{\"payload\":01}", "bad_json"),
            ("{", "bad_json"),
        ] {
            assert_eq!(fault(text).0, code, "{text:?}");
        }
        assert_eq!(
            fault(&format!("{{\"payload\":{}", "[".repeat(100_000))).0,
            "too_deep"
        );
        assert_eq!(
            event(&Bytes::from_static(b"{\"\xff")).unwrap_err().code,
            "bad_utf8"
        );
    }
}
