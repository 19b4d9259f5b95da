//! Holds a read event against the rules of CONTRACT.md section 3 and fills in what was left out.

use bytes::Bytes;
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use prost::Message as _;
use tidings_core::event::{Event, EventError};
use tidings_core::id::EventId;
use tidings_core::name::Space;
use tidings_proto::{event_from_wire, event_to_wire, timestamp_to_wire, v1};
use tidings_service::problem::Problem;
use ulid::Ulid;

use crate::decode::Candidate;

/// How far ahead of our clock an event may say that it occurred. There is no such limit for the
/// past, because imports and replays publish what happened years ago.
pub const AHEAD_MAX: SignedDuration = SignedDuration::from_hours(24);

/// An event that keeps the rules, and the bytes to be stored for it.
#[derive(Debug)]
pub struct Checked {
    /// The event.
    pub event: Event,
    /// The same as a protobuf message. Fields that this version does not know are kept.
    pub message: Bytes,
    /// Whether the id is the producer's own.
    pub has_own_id: bool,
    /// Whether the producer told when it occurred.
    pub has_own_time: bool,
}

/// Checks an event of `space`, which the caller may publish to. `now` is the time of arrival and
/// `ulid` the id for an event without one.
///
/// # Errors
/// The fields that break a rule.
pub fn check(
    candidate: Candidate,
    space: Space,
    now: Timestamp,
    ulid: Ulid,
) -> Result<Checked, EventError> {
    let Candidate {
        event: wire,
        original,
        names,
        ..
    } = candidate;
    let has_own_id = !wire.id.is_empty();
    let has_own_time = wire.occurred_at.is_some();
    let has_own_space = !wire.space.is_empty();
    let wire = v1::Event {
        space: space.into(),
        ..wire
    };
    let event = event_from_wire(wire, || EventId::generate(ulid), now)
        .and_then(|event| make_sense(event, now))
        .map_err(|fault| names.translate(fault))?;
    let message = match original {
        None => event_to_wire(&event).encode_to_vec().into(),
        Some(original) => {
            let mut filled = v1::Event::default();
            if !has_own_id {
                filled.id = event.id.to_string();
            }
            if !has_own_space {
                filled.space = event.space.to_string();
            }
            if !has_own_time {
                filled.occurred_at = Some(timestamp_to_wire(event.occurred_at));
            }
            original.with(&filled)
        }
    };
    Ok(Checked {
        event,
        message,
        has_own_id,
        has_own_time,
    })
}

/// Refuses what is well formed and cannot be true.
fn make_sense(event: Event, now: Timestamp) -> Result<Event, EventError> {
    if event.occurred_at.duration_since(now) > AHEAD_MAX {
        let detail = format!("it is more than 24 hours ahead of our clock, which says {now:.0}");
        return Err(EventError::new("clock_skew", "/occurredAt", detail));
    }
    Ok(event)
}

/// A fault of an event as its producer is told.
#[must_use]
pub fn problem(fault: &EventError) -> Problem {
    let status = match fault.code {
        "clock_skew" => StatusCode::UNPROCESSABLE_ENTITY,
        "too_large" => StatusCode::PAYLOAD_TOO_LARGE,
        _ => StatusCode::BAD_REQUEST,
    };
    let told: Vec<String> = fault.all().map(told).collect();
    let fields = fault.all().filter(|fault| !fault.pointer.is_empty());
    fields.fold(
        Problem::new(status, fault.code, told.join("; ")),
        |problem, fault| problem.at(&fault.pointer, &fault.detail),
    )
}

fn told(fault: &EventError) -> String {
    match fault.pointer.is_empty() {
        true => fault.detail.clone(),
        false => format!("{}: {}", fault.pointer, fault.detail),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{cloudevents, json, protobuf};

    const NOW: &str = "2026-11-22T10:00:00Z";

    fn checked(candidate: Candidate) -> Result<Checked, EventError> {
        let space = "acme".parse().unwrap();
        check(
            candidate,
            space,
            NOW.parse().unwrap(),
            Ulid::from_parts(1, 2),
        )
    }

    fn of_json(text: &str) -> Result<Checked, EventError> {
        checked(json::event(&Bytes::copy_from_slice(text.as_bytes())).unwrap())
    }

    fn fault(text: &str) -> (&'static str, String) {
        let fault = of_json(text).unwrap_err();
        (fault.code, fault.pointer)
    }

    #[test]
    fn what_was_left_out_is_filled_in() {
        let checked = of_json(r#"{"topic":"Entry.publish","payload":1}"#).unwrap();
        assert!(!checked.has_own_id && !checked.has_own_time);
        assert_eq!(checked.event.id.as_str(), "evt_00000000010000000000000002");
        assert_eq!(checked.event.environment.as_str(), "master");
        assert_eq!(checked.event.occurred_at.to_string(), NOW);
        let stored = v1::Event::decode(checked.message).unwrap();
        assert_eq!(stored, event_to_wire(&checked.event));
    }

    #[test]
    fn a_protobuf_message_is_stored_as_it_came() {
        let unknown = b"\xa0\x06\x07";
        let given = v1::Event {
            topic: "Entry.publish".into(),
            payload: Bytes::from_static(b"1"),
            ..v1::Event::default()
        };
        let message = [&given.encode_to_vec()[..], unknown].concat();
        let stored = checked(protobuf::event(&message.clone().into()).unwrap())
            .unwrap()
            .message;
        assert!(stored.starts_with(&message));
        let stored = v1::Event::decode(stored).unwrap();
        assert_eq!(
            (stored.id.as_str(), stored.space.as_str()),
            ("evt_00000000010000000000000002", "acme")
        );
        assert!(stored.occurred_at.is_some());

        let complete = v1::Event {
            id: "e1".into(),
            space: "acme".into(),
            occurred_at: Some(prost_types::Timestamp {
                seconds: 0,
                nanos: 0,
            }),
            ..given
        };
        let message = Bytes::from([&complete.encode_to_vec()[..], unknown].concat());
        assert_eq!(
            checked(protobuf::event(&message).unwrap()).unwrap().message,
            message
        );
    }

    #[test]
    fn rules_are_told_with_the_field() {
        for (fields, code, pointer) in [
            (r#""id":"a.b","topic":"t.x""#, "bad_id", "/id"),
            (r#""topic":"t.>""#, "bad_topic", "/topic"),
            (
                r#""topic":"t.x","environment":"a b""#,
                "bad_environment",
                "/environment",
            ),
            (r#""topic":"t.x","actor":"\u0000""#, "bad_actor", "/actor"),
            (
                r#""topic":"t.x","schemaVersion":999"#,
                "newer_schema",
                "/schemaVersion",
            ),
            (
                r#""topic":"t.x","occurredAt":"2026-11-23T10:00:01Z""#,
                "clock_skew",
                "/occurredAt",
            ),
        ] {
            let text = format!(r#"{{{fields},"payload":1}}"#);
            assert_eq!(fault(&text), (code, pointer.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_makes_sense_is_taken() {
        for fields in [
            r#""topic":"t.x","occurredAt":"2026-11-23T10:00:00Z""#,
            r#""topic":"t.x","occurredAt":"1969-07-20T20:17:40Z""#,
            r#""topic":"Entry.delete","entity":{"type":"DeletedEntry"}"#,
            // A CMS's own word for its types is not ours to judge.
            r#""topic":"Umbraco.ContentPublish","entity":{"type":"Content"}"#,
            r#""topic":"Workflow.complete","entity":{"type":"Entry"}"#,
        ] {
            let text = format!(r#"{{{fields},"payload":1}}"#);
            assert!(of_json(&text).is_ok(), "{text}");
        }
    }

    #[test]
    fn a_cloudevent_is_told_in_its_own_words() {
        let text = br#"{"specversion":"1.0","id":"a.b","source":"/","type":"nothing"}"#;
        let candidate = cloudevents::structured(&Bytes::from_static(text)).unwrap();
        assert_eq!(checked(candidate).unwrap_err().pointer, "/id");
        let text = br#"{"specversion":"1.0","id":"ab","source":"/","type":"nothing"}"#;
        let candidate = cloudevents::structured(&Bytes::from_static(text)).unwrap();
        assert_eq!(checked(candidate).unwrap_err().pointer, "/type");
    }

    #[test]
    fn all_fields_that_break_a_rule_are_told_at_once() {
        let pointers = |fault: EventError| -> Vec<String> {
            let problem = problem(&fault);
            let errors = problem.errors.iter();
            errors.map(|error| error.pointer.clone()).collect()
        };
        let rules = of_json(
            r#"{"id":"a b","topic":"t","environment":"x.y","actor":"\u0000","payload":1,
            "entity":{"id":"\u0001"},"context":{"k":"\u0002"}}"#,
        );
        assert_eq!(
            pointers(rules.unwrap_err()),
            [
                "/id",
                "/environment",
                "/topic",
                "/entity/id",
                "/actor",
                "/context/k"
            ]
        );
        let form = br#"{"id":5,"occurredAt":"no","entity":{"id":1,"revision":-1},"x":1,"y":2}"#;
        let form = json::event(&Bytes::from_static(form)).unwrap_err();
        assert_eq!(form.code, "bad_id");
        assert_eq!(
            pointers(form),
            [
                "/id",
                "/entity/id",
                "/entity/revision",
                "/occurredAt",
                "/payload",
                "/x",
                "/y",
                "/topic"
            ]
        );
        let fields: Vec<String> = (0..1_000)
            .map(|number| format!("\"f{number}\":1"))
            .collect();
        let many = Bytes::from(format!("{{{}}}", fields.join(",")));
        assert_eq!(json::event(&many).unwrap_err().all().count(), 32, "bounded");
    }

    #[test]
    fn sense_is_another_status_than_form() {
        for (code, status) in [("bad_id", 400), ("clock_skew", 422), ("too_large", 413)] {
            let problem = problem(&EventError::new(code, "/id", "it is wrong"));
            assert_eq!((problem.status.as_u16(), problem.errors.len()), (status, 1));
        }
    }
}
