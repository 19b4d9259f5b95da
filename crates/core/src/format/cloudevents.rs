//! The formats `cloudevents-binary` and `cloudevents-structured`: `CloudEvents` 1.0 over HTTP.
//!
//! What ingest reads out of a CloudEvent stands in it again: an event that came in as one goes out
//! with the same id, source and extensions.

use std::fmt::Write as _;

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::set;
use crate::event::Event;
use crate::percent;

/// The content type of structured mode.
pub(super) const CONTENT_TYPE: HeaderValue =
    HeaderValue::from_static("application/cloudevents+json");

/// The longest name of an extension: what the specification advises, and SDKs enforce.
const NAME_BYTES_MAX: usize = 20;

/// Names that a context's entry cannot have, because they mean something else.
const TAKEN: [&str; 15] = [
    "specversion",
    "id",
    "source",
    "type",
    "subject",
    "time",
    "data",
    "datacontenttype",
    "space",
    "environment",
    "entityid",
    "entitytype",
    "contenttype",
    "revision",
    "locales",
];

/// Adds the attributes as headers, for binary mode. `Content-Type` is `datacontenttype`.
pub(super) fn dress(event: &Event, headers: &mut HeaderMap) {
    for (name, value) in attributes(event) {
        let text = match value {
            Value::String(text) => escape(&text),
            other => other.to_string(),
        };
        if let Ok(name) = HeaderName::try_from(format!("ce-{name}")) {
            set(headers, name, &text);
        }
    }
}

/// Writes the event around the payload's own bytes, for structured mode.
pub(super) fn body(event: &Event, payload: &[u8]) -> Bytes {
    let mut head = String::from("{");
    for (name, value) in attributes(event) {
        let _ = write!(head, "\"{name}\":{value},");
    }
    head.push_str("\"datacontenttype\":\"application/json\",\"data\":");
    let mut body = BytesMut::with_capacity(head.len() + payload.len() + 1);
    body.put_slice(head.as_bytes());
    body.put_slice(payload);
    body.put_u8(b'}');
    body.freeze()
}

/// The attributes of an event but `datacontenttype`. None of them is empty.
fn attributes(event: &Event) -> Vec<(String, Value)> {
    let entity = &event.entity;
    let source = match event.context.get("source").filter(|own| !own.is_empty()) {
        Some(own) => own.clone(),
        None => format!("/spaces/{}/environments/{}", event.space, event.environment),
    };
    let mut all = vec![
        (String::from("specversion"), json!("1.0")),
        (String::from("id"), json!(event.id)),
        (String::from("source"), json!(source)),
        (String::from("type"), json!(event.topic.as_str())),
        (String::from("time"), json!(event.occurred_at)),
        (String::from("space"), json!(event.space)),
        (String::from("environment"), json!(event.environment)),
    ];
    for (name, text) in [
        ("subject", &entity.id),
        ("entitytype", &entity.kind),
        ("contenttype", &entity.content_type),
        ("locales", &entity.locales.join(",")),
        ("actor", &event.actor),
    ] {
        if !text.is_empty() {
            all.push((name.to_owned(), json!(text)));
        }
    }
    // An integer attribute has 32 bits and a sign.
    if let Ok(revision @ 1..) = i32::try_from(entity.revision) {
        all.push((String::from("revision"), json!(revision)));
    }
    for (key, text) in &event.context {
        if let Some(name) = extension_name(key).filter(|_| !text.is_empty())
            && !all.iter().any(|(own, _)| *own == name)
        {
            all.push((name, json!(text)));
        }
    }
    all
}

/// The name of a context's entry as an extension: `releaseId` becomes `releaseid`. `None` for a
/// name that no extension can have.
fn extension_name(key: &str) -> Option<String> {
    let is_plain = key.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let name = key.to_ascii_lowercase();
    let is_usable =
        is_plain && (1..=NAME_BYTES_MAX).contains(&name.len()) && !TAKEN.contains(&name.as_str());
    is_usable.then_some(name)
}

/// The HTTP binding's section 3.1.3.2: everything but visible ASCII, and `"` and `%`, is
/// percent-encoded.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let is_kept = |byte| matches!(byte, b'!'..=b'~') && !matches!(byte, b'"' | b'%');
    percent::encode(text, is_kept, &mut escaped);
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_values_are_escaped_as_the_binding_says() {
        let escaped = "Euro%20%E2%82%AC%20%F0%9F%98%80%22%25!~";
        assert_eq!(escape("Euro € 😀\"%!~"), escaped);
    }

    #[test]
    fn only_plain_names_become_extensions() {
        for (key, name) in [
            ("releaseId", Some("releaseid")),
            ("partitionkey", Some("partitionkey")),
            ("dataschema", Some("dataschema")),
            ("source", None),
            ("ID", None),
            ("x-y", None),
            ("", None),
            ("aVeryVeryVeryLongNameIndeed", None),
        ] {
            assert_eq!(extension_name(key).as_deref(), name, "{key}");
        }
    }
}
