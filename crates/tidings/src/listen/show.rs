//! How a webhook that arrived is shown, to people and to machines.

use std::fmt::Write as _;

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};

use super::receiver::Received;
use super::text::{indent, one_line, printable, thousands};

/// How much of a body people are shown.
const SHOWN_BYTES_MAX: usize = 16 << 10;

/// Headers that name what happened, in the formats that are in use.
const TOPIC_HEADERS: [&str; 4] = [
    "x-contentful-topic",
    "umb-webhook-event",
    "umb-headless-event",
    "ce-type",
];

/// Some lines for people, ending with an empty one.
pub(crate) fn human(received: &Received) -> String {
    let mut out = head_line(received);
    let mut field = |name: &str, value: &str| {
        let _ = writeln!(out, "  {name:<11} {value}");
    };
    if let Some(id) = received.id() {
        field("webhook-id", &one_line(id));
    }
    if let Some(attempt) = attempt(received) {
        field("attempt", &attempt);
    }
    field("signature", &received.check.to_string());
    field("answered", received.status.as_str());
    let media = header(&received.headers, CONTENT_TYPE.as_str()).unwrap_or("no content type");
    let size = thousands(received.body.len());
    field("body", &format!("{size} bytes, {}", one_line(media)));
    out.push_str(&body(&received.body));
    out.push('\n');
    out
}

fn head_line(received: &Received) -> String {
    let time = received.at.strftime("%H:%M:%S%.3fZ");
    let topic = topic(received).map_or_else(String::new, |topic| format!("  {}", one_line(&topic)));
    format!(
        "{time} {} {}{topic}\n",
        received.method,
        one_line(&received.path)
    )
}

/// One JSON object in one line, for machines.
pub(crate) fn machine(received: &Received) -> String {
    let headers: Map<String, Value> = received
        .headers
        .keys()
        .map(|name| {
            let values = received.headers.get_all(name).iter();
            let texts: Vec<_> = values
                .map(|value| String::from_utf8_lossy(value.as_bytes()))
                .collect();
            (name.as_str().to_owned(), Value::from(texts.join(", ")))
        })
        .collect();
    let line = json!({
        "time": received.at,
        "method": received.method.as_str(),
        "path": received.path,
        "topic": topic(received),
        "webhookId": received.id(),
        "timesSeen": received.times_seen,
        "signature": received.check.as_str(),
        "status": received.status.as_u16(),
        "headers": headers,
        "bodyBytes": received.body.len(),
        "body": String::from_utf8_lossy(&received.body),
    });
    // JSON leaves some control characters as they are; their escapes mean the same inside its
    // strings, and outside of strings it has none.
    format!("{}\n", printable(&line.to_string()))
}

/// What the webhook says has happened.
pub(crate) fn topic(received: &Received) -> Option<String> {
    #[derive(Deserialize)]
    struct Envelope {
        r#type: String,
    }
    let named = TOPIC_HEADERS
        .iter()
        .find_map(|name| header(&received.headers, name));
    if let Some(topic) = named {
        return Some(topic.to_owned());
    }
    let envelope: Envelope = serde_json::from_slice(&received.body).ok()?;
    Some(envelope.r#type)
}

/// As the sender counts, where it tells; otherwise as it was seen here.
fn attempt(received: &Received) -> Option<String> {
    if let Some(retry) = header(&received.headers, "umb-webhook-retrycount")
        && let Ok(retry) = retry.parse::<u32>()
    {
        return Some(retry.saturating_add(1).to_string());
    }
    match received.times_seen {
        0 => None,
        1 => Some(String::from("first seen here")),
        times => Some(format!("seen here {times} times")),
    }
}

fn body(body: &[u8]) -> String {
    if body.is_empty() {
        return String::new();
    }
    let text = String::from_utf8_lossy(body);
    let (shown, is_cut) = match serde_json::from_str::<IgnoredAny>(&text) {
        Ok(_) => indent(&text, SHOWN_BYTES_MAX),
        Err(_) => head(&text),
    };
    let mut out = String::with_capacity(shown.len() + 64);
    for line in printable(&shown).lines() {
        let _ = writeln!(out, "  {line}");
    }
    if is_cut {
        out.push_str("  … (more is not shown)\n");
    }
    out
}

fn head(text: &str) -> (String, bool) {
    let end = text.floor_char_boundary(SHOWN_BYTES_MAX);
    (text[..end].to_owned(), end < text.len())
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{Method, StatusCode};

    use super::*;
    use crate::listen::verify::Check;

    fn received(headers: &[(&'static str, &'static str)], body: &str) -> Received {
        Received {
            at: "2026-11-22T10:00:00.1234Z".parse().unwrap(),
            method: Method::POST,
            path: "/hooks/1?a=b".into(),
            headers: headers
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
                .collect(),
            body: Bytes::from(body.to_owned()),
            times_seen: 2,
            check: Check::Verified,
            status: StatusCode::OK,
        }
    }

    #[test]
    fn people_see_what_came_and_what_was_found() {
        let headers = [
            ("webhook-id", "dlv_1"),
            ("content-type", "application/json"),
        ];
        let shown = human(&received(
            &headers,
            r#"{"type":"Entry.publish","n":9007199254740993}"#,
        ));
        assert_eq!(
            shown,
            "10:00:00.123Z POST /hooks/1?a=b  Entry.publish
  webhook-id  dlv_1
  attempt     seen here 2 times
  signature   verified
  answered    200
  body        45 bytes, application/json
  {
    \"type\": \"Entry.publish\",
    \"n\": 9007199254740993
  }

"
        );
    }

    #[test]
    fn the_topic_is_read_from_headers_first() {
        for (name, value) in [
            ("x-contentful-topic", "ContentManagement.Entry.publish"),
            ("umb-webhook-event", "Umbraco.ContentPublish"),
            ("umb-headless-event", "content.delete"),
            ("ce-type", "Entry.publish"),
        ] {
            assert_eq!(topic(&received(&[(name, value)], "{}")).unwrap(), value);
        }
        assert_eq!(topic(&received(&[], "no json")), None);
    }

    #[test]
    fn machines_get_one_line_that_reads_back() {
        let line = machine(&received(
            &[("x-a", "1"), ("x-a", "2")],
            "{\n\"a\":\"\u{9b}\"\n}",
        ));
        assert!(line.ends_with('\n') && line.lines().count() == 1 && !line.contains('\u{9b}'));
        let value: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["body"], "{\n\"a\":\"\u{9b}\"\n}");
        assert_eq!(value["headers"]["x-a"], "1, 2");
        assert_eq!(value["signature"], "verified");
    }

    #[test]
    fn what_is_no_json_is_shown_without_its_control_characters() {
        let shown = human(&received(&[], "\u{1b}]0;title\u{7}\nnext"));
        assert!(
            shown.contains("  \\u001b]0;title\\u0007\n  next\n"),
            "{shown}"
        );
        let long = human(&received(&[], &"é".repeat(SHOWN_BYTES_MAX)));
        assert!(long.contains("more is not shown"));
    }
}
