//! Events in a file, taken apart without touching what they say.

use std::borrow::Cow;
use std::collections::HashMap;

use anyhow::Context as _;
use bytes::Bytes;
use serde::Deserialize as _;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use tidings_core::json;

/// The events of `text`: an object, an array of objects, or several of these one after the other,
/// such as JSON lines.
///
/// # Errors
/// It is no JSON.
pub(super) fn split(text: &Bytes) -> anyhow::Result<Vec<Bytes>> {
    // Before the parser, whose stack deep nesting would exhaust.
    json::check_text(text).context("the events cannot be read")?;
    let mut events = Vec::new();
    for value in serde_json::Deserializer::from_slice(text).into_iter::<&RawValue>() {
        let value = value.context("the events are no JSON")?;
        if !value.get().starts_with('[') {
            events.push(text.slice_ref(value.get().as_bytes()));
            continue;
        }
        let items: Vec<&RawValue> = serde_json::from_str(value.get())?;
        events.extend(
            items
                .iter()
                .map(|item| text.slice_ref(item.get().as_bytes())),
        );
    }
    anyhow::ensure!(!events.is_empty(), "there are no events to publish");
    Ok(events)
}

/// Adds the fields that an event does not have. Everything else stays byte for byte.
pub(super) fn fill(event: Bytes, fields: &[(&str, Option<&str>)]) -> Bytes {
    let (Some(own), Some(rest)) = (names(&event), event.strip_prefix(b"{")) else {
        // It is no object, which its reader will tell.
        return event;
    };
    let missing = |(name, value): &(&str, Option<&str>)| match own.contains_key(*name) {
        true => None,
        false => value.map(|value| format!("\"{name}\":\"{value}\"")),
    };
    let added: Vec<String> = fields.iter().filter_map(missing).collect();
    if added.is_empty() {
        return event;
    }
    let comma = if own.is_empty() { "" } else { "," };
    [b"{", added.join(",").as_bytes(), comma.as_bytes(), rest]
        .concat()
        .into()
}

fn names(event: &[u8]) -> Option<HashMap<Cow<'_, str>, IgnoredAny>> {
    let mut reader = serde_json::Deserializer::from_slice(event);
    HashMap::deserialize(&mut reader).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split_text(text: &'static str) -> Vec<Bytes> {
        split(&Bytes::from_static(text.as_bytes())).unwrap()
    }

    #[test]
    fn events_come_alone_in_an_array_or_in_lines() {
        assert_eq!(split_text("{\"a\": 1e999}"), ["{\"a\": 1e999}"]);
        assert_eq!(split_text("[{\"a\":1}, {}]"), ["{\"a\":1}", "{}"]);
        assert_eq!(
            split_text("{\"a\":1}\n{\"b\":2}\n"),
            ["{\"a\":1}", "{\"b\":2}"]
        );
        for bad in ["", "[]", "{", "{}x"] {
            assert!(split(&Bytes::from_static(bad.as_bytes())).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_what_is_missing_is_filled_in() {
        let fill = |text: &'static str| {
            fill(
                Bytes::from_static(text.as_bytes()),
                &[("space", Some("acme")), ("x", None)],
            )
        };
        assert_eq!(fill("{}"), "{\"space\":\"acme\"}");
        assert_eq!(
            fill("{ \"p\": 1.10 }"),
            "{\"space\":\"acme\", \"p\": 1.10 }"
        );
        assert_eq!(fill("{\"space\":null}"), "{\"space\":null}");
        assert_eq!(fill("[1]"), "[1]");
    }
}
