//! CloudEvents 1.0: structured JSON, batches of these, and binary mode over HTTP.
//!
//! | CloudEvents | event |
//! |---|---|
//! | `id` | `id`; what does not fit `[A-Za-z0-9_-]{1,128}` is refused |
//! | `type` | `topic`: `Entity.action`, or the last two parts of a reverse-DNS name (`com.example.Entry.publish`) |
//! | `source` | `context.source`, so that one id of two sources is a conflict and no duplicate |
//! | `subject`, or the extension `entityid` | `entity.id` |
//! | `time` | `occurredAt` |
//! | `data`, `data_base64`, the body in binary mode | `payload`, byte for byte; `null` when absent |
//! | `datacontenttype`, `Content-Type` in binary mode | must be JSON |
//! | extensions `space`, `environment`, `actor` | the same |
//! | extensions `entitytype`, `contenttype`, `revision`, `locales` (`,` between them) | `entity.*` |
//! | extensions `releaseid`, `bulkactionid` | `context.releaseId`, `context.bulkActionId` |
//! | extensions `traceparent`, `tracestate` | the trace context, before that of the request |
//! | `dataschema` and every other extension | `context` under its own name |

mod attributes;
mod binary;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::value::RawValue;
use tidings_core::event::{EventError, Faults};

use super::object::Object;
use super::text::{Wanted, begin, check_depth};
use super::{Candidate, payload, value};

pub(crate) use attributes::is_json;
use attributes::{Attributes, bad_attribute};
pub use binary::{binary, is_binary};

const NO_DATA: Bytes = Bytes::from_static(value::NULL.as_bytes());

/// The fields that have other names in CloudEvents, each with its name there.
const POINTERS: [(&str, &str); 9] = [
    ("/topic", "/type"),
    ("/occurredAt", "/time"),
    ("/payload", "/data"),
    ("/entity/id", "/subject"),
    ("/entity/type", "/entitytype"),
    ("/entity/contentType", "/contenttype"),
    ("/entity/locales", "/locales"),
    ("/context/releaseId", "/releaseid"),
    ("/context/bulkActionId", "/bulkactionid"),
];

/// The pointer into the CloudEvent for one into the event.
pub(super) fn pointer(pointer: &str) -> String {
    match POINTERS.iter().find(|(own, _)| pointer == *own) {
        Some((_, theirs)) => (*theirs).to_owned(),
        None => pointer
            .strip_prefix("/context")
            .unwrap_or(pointer)
            .to_owned(),
    }
}

/// Reads one event in structured mode (CloudEvents JSON format 1.0).
///
/// # Errors
/// The body is no JSON object, a required attribute is missing, or one has a value that an event
/// cannot have.
pub fn structured(body: &Bytes) -> Result<Candidate, EventError> {
    let text = begin(body, Wanted::Object)?;
    check_depth(body, "")?;
    let mut object = Object::open(text, "")?;
    let data = object.take_with_null(&["data"])?;
    let data_base64 = object.text("bad_data", &["data_base64"])?;
    let payload = match (data, data_base64) {
        (None, None) => NO_DATA,
        (Some(data), None) => body.slice_ref(data.get().as_bytes()),
        (None, Some(encoded)) => decode_base64(&encoded)?,
        (Some(_), Some(_)) => {
            let detail = "there is `data` as well; only one of the two may be there";
            return Err(EventError::new("duplicate_field", "/data_base64", detail));
        }
    };
    let mut faults = Faults::default();
    let mut attributes = Attributes::default();
    for (name, value) in object.rest() {
        let text = faults.note(attribute_text(&name, value));
        if let Some(text) = text.flatten() {
            faults.note(attributes.insert(&name, text));
        }
    }
    faults.finish()?;
    attributes.into_candidate(payload)
}

fn decode_base64(encoded: &str) -> Result<Bytes, EventError> {
    const AT: &str = "/data_base64";
    let data = STANDARD
        .decode(encoded)
        .map_err(|error| EventError::new("bad_data", AT, error.to_string()))?;
    payload::check(&data, AT)?;
    Ok(data.into())
}

/// An attribute's value as text; `null` stands for an attribute that is not there. Only extensions
/// can be booleans and whole numbers of 32 bits (CloudEvents 1.0, section 3.1).
fn attribute_text(name: &str, value: &RawValue) -> Result<Option<String>, EventError> {
    let text = value.get();
    if text == value::NULL {
        return Ok(None);
    }
    if text.starts_with('"') {
        let read = value::text(value).map(Some);
        return read.map_err(|detail| bad_attribute(name, detail));
    }
    if attributes::is_of_the_specification(name) {
        return Err(bad_attribute(name, "it must be a string"));
    }
    match matches!(text, "true" | "false") || text.parse::<i32>().is_ok() {
        true => Ok(Some(text.to_owned())),
        false => Err(bad_attribute(
            name,
            "it must be a string, a boolean or a whole number of 32 bits",
        )),
    }
}

#[cfg(test)]
mod tests {
    use tidings_proto::v1;

    use super::*;

    fn read(text: &str) -> Result<Candidate, EventError> {
        structured(&Bytes::copy_from_slice(text.as_bytes()))
    }

    fn with(more: &str) -> Result<Candidate, EventError> {
        read(&format!(
            r#"{{"specversion":"1.0","id":"e1","source":"/cms","type":"Entry.publish"{more}}}"#
        ))
    }

    #[test]
    fn every_attribute_finds_its_field() {
        let candidate = with(
            r#","subject":"5Ks","time":"2026-11-22T10:00:00Z","datacontenttype":"application/json",
            "dataschema":"https://example.com/s","space":"acme","environment":"staging",
            "entitytype":"Entry","contenttype":"article","revision":7,"locales":"en-US, de",
            "actor":"user-42","releaseid":"r1","bulkactionid":"b1","partitionkey":"p","urgent":true,
            "traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "data":{"n": 1e999}"#,
        )
        .unwrap();
        let context = [
            ("source", "/cms"),
            ("dataschema", "https://example.com/s"),
            ("releaseId", "r1"),
            ("bulkActionId", "b1"),
            ("partitionkey", "p"),
            ("urgent", "true"),
        ];
        let expected = v1::Event {
            id: "e1".into(),
            space: "acme".into(),
            environment: "staging".into(),
            topic: "Entry.publish".into(),
            entity: Some(v1::Entity {
                id: "5Ks".into(),
                r#type: "Entry".into(),
                content_type: "article".into(),
                revision: 7,
                locales: vec!["en-US".into(), "de".into()],
            }),
            occurred_at: Some(prost_types::Timestamp {
                seconds: 1_795_341_600,
                nanos: 0,
            }),
            actor: "user-42".into(),
            context: context
                .map(|(key, value)| (key.into(), value.into()))
                .into(),
            payload: Bytes::from_static(br#"{"n": 1e999}"#),
            schema_version: 0,
        };
        assert_eq!(candidate.event, expected);
        assert!(candidate.trace.is_some());
    }

    #[test]
    fn data_is_json_in_any_form_and_null_when_absent() {
        let payload = |more: &str| with(more).map(|candidate| candidate.event.payload);
        assert_eq!(payload("").unwrap(), "null");
        assert_eq!(payload(r#","data":null"#).unwrap(), "null");
        assert_eq!(payload(r#","data":"x""#).unwrap(), "\"x\"");
        assert_eq!(
            payload(r#","data_base64":"eyJhIjoxfQ==""#).unwrap(),
            "{\"a\":1}"
        );
        assert_eq!(payload(r#","data_base64":null"#).unwrap(), "null");
    }

    #[test]
    fn each_fault_names_its_attribute() {
        for (text, code, pointer) in [
            (
                r#"{"id":"e1","source":"/","type":"a.b"}"#,
                "missing_field",
                "/specversion",
            ),
            (
                r#"{"specversion":"0.3"}"#,
                "bad_specversion",
                "/specversion",
            ),
            (
                r#"{"specversion":"1.0","source":"/","type":"a.b"}"#,
                "missing_field",
                "/id",
            ),
            (
                r#"{"specversion":"1.0","id":"e","type":"a.b"}"#,
                "missing_field",
                "/source",
            ),
            (
                r#"{"specversion":"1.0","id":"e","source":"/"}"#,
                "missing_field",
                "/type",
            ),
            (
                r#"{"specversion":"1.0","id":"","source":"/"}"#,
                "bad_id",
                "/id",
            ),
            (r#"{"specversion":{}}"#, "bad_attribute", "/specversion"),
            (r#"{"specversion":1.0}"#, "bad_attribute", "/specversion"),
            (r#"{"specversion":"1.0","id":5}"#, "bad_attribute", "/id"),
            (
                r#"{"specversion":"1.0","id":"e","source":"a b","type":"a.b"}"#,
                "bad_attribute",
                "/source",
            ),
            (
                r#"{"specversion":"1.0","specversion":"1.0"}"#,
                "duplicate_field",
                "/specversion",
            ),
            (r#"{"occurredAt":"x"}"#, "unknown_field", "/occurredAt"),
            ("[]", "not_an_object", ""),
        ] {
            let fault = read(text).unwrap_err();
            assert_eq!(
                (fault.code, fault.pointer.as_str()),
                (code, pointer),
                "{text}"
            );
        }
    }

    #[test]
    fn each_fault_of_an_optional_attribute_names_it() {
        for (more, code, pointer) in [
            (r#","time":"now""#, "bad_timestamp", "/time"),
            (r#","revision":"x""#, "bad_attribute", "/revision"),
            (r#","subject":"""#, "bad_attribute", "/subject"),
            (r#","dataschema":"""#, "bad_attribute", "/dataschema"),
            (r#","dataschema":"a b""#, "bad_attribute", "/dataschema"),
            (r#","time":5"#, "bad_attribute", "/time"),
            (r#","own":1.5"#, "bad_attribute", "/own"),
            (r#","own":2147483648"#, "bad_attribute", "/own"),
            (r#","own":[]"#, "bad_attribute", "/own"),
            (r#","Own":"a""#, "unknown_field", "/Own"),
            (
                r#","datacontenttype":"text/xml""#,
                "bad_data",
                "/datacontenttype",
            ),
            (
                r#","data":1,"data_base64":"MQ==""#,
                "duplicate_field",
                "/data_base64",
            ),
            (r#","data_base64":"%""#, "bad_data", "/data_base64"),
            (r#","data_base64":"ew==""#, "bad_json", "/data_base64"),
        ] {
            let fault = with(more).unwrap_err();
            assert_eq!(
                (fault.code, fault.pointer.as_str()),
                (code, pointer),
                "{more}"
            );
        }
    }

    #[test]
    fn a_pointer_into_the_event_becomes_one_into_the_cloudevent() {
        for (own, theirs) in [
            ("/topic", "/type"),
            ("/id", "/id"),
            ("/entity/id", "/subject"),
            ("/context/partitionkey", "/partitionkey"),
            ("/context/releaseId", "/releaseid"),
        ] {
            assert_eq!(pointer(own), theirs);
        }
    }
}
