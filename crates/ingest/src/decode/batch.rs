//! A batch taken apart into its events. Whether these are any good is not looked at here.

use std::fmt;

use bytes::{Buf as _, Bytes};
use serde::Deserialize;
use serde::de::{Error as _, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;
use tidings_core::event::EventError;

use super::text::{self, Wanted, begin, whole};
use super::wire;

/// The most events in a batch (CONTRACT.md section 3).
pub const BATCH_EVENTS_MAX: usize = 1_000;

/// The events of a JSON array, each as it lies in the body.
///
/// # Errors
/// The body is no JSON array, is empty, or has too many items.
pub fn json(body: &Bytes) -> Result<Vec<Bytes>, EventError> {
    let Items { first, count } = text::parse(begin(body, Wanted::Array)?)?;
    check_count(count)?;
    let bytes_of = |item: &RawValue| body.slice_ref(item.get().as_bytes());
    Ok(first.into_iter().map(bytes_of).collect())
}

/// The messages of a length-delimited protobuf stream: each with its length before it.
///
/// # Errors
/// A length is unreadable or reaches beyond the end, there is no message, or there are too many.
pub fn protobuf(body: &Bytes) -> Result<Vec<Bytes>, EventError> {
    let mut rest = body.clone();
    let mut messages = Vec::new();
    while rest.has_remaining() {
        if messages.len() == BATCH_EVENTS_MAX {
            return Err(too_many("more"));
        }
        let (length, at) = wire::length(&rest, 0)
            .map_err(|error| whole(error.code(), format!("message {}: {error}", messages.len())))?;
        rest.advance(at);
        messages.push(rest.split_to(length));
    }
    check_count(messages.len())?;
    Ok(messages)
}

fn check_count(count: usize) -> Result<(), EventError> {
    match count {
        0 => Err(whole("empty_batch", "the batch has no events")),
        1..=BATCH_EVENTS_MAX => Ok(()),
        _ => Err(too_many(&count.to_string())),
    }
}

fn too_many(count: &str) -> EventError {
    whole(
        "batch_too_large",
        format!("the batch has {count} events, the limit is {BATCH_EVENTS_MAX}"),
    )
}

/// The items of an array: as many as a batch may have, and how many there are.
struct Items<'a> {
    first: Vec<&'a RawValue>,
    count: usize,
}

impl<'de> Deserialize<'de> for Items<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Take;

        impl<'de> Visitor<'de> for Take {
            type Value = Items<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut first = Vec::new();
                while first.len() < BATCH_EVENTS_MAX {
                    // The parser adds where it is.
                    let named = |error| A::Error::custom(format!("item {}: {error}", first.len()));
                    match seq.next_element().map_err(named)? {
                        Some(item) => first.push(item),
                        None => break,
                    }
                }
                let mut count = first.len();
                while seq.next_element::<IgnoredAny>()?.is_some() {
                    count += 1;
                }
                Ok(Items { first, count })
            }
        }

        from.deserialize_seq(Take)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json_of(text: &str) -> Result<Vec<Bytes>, &'static str> {
        json(&Bytes::copy_from_slice(text.as_bytes())).map_err(|error| error.code)
    }

    #[test]
    fn a_json_batch_is_an_array_of_at_most_a_thousand() {
        let items = |count: usize| format!("[{}]", vec!["{}"; count].join(","));
        assert_eq!(json_of(r#" [ {"a":1} , 2 ] "#).unwrap(), ["{\"a\":1}", "2"]);
        assert_eq!(json_of(&items(1_000)).unwrap().len(), 1_000);
        assert_eq!(json_of(&items(1_001)), Err("batch_too_large"));
        for (text, code) in [
            ("", "empty_body"),
            ("[]", "empty_batch"),
            ("{}", "not_an_array"),
            ("[1,]", "bad_json"),
            ("[1] 2", "trailing_data"),
            ("[", "bad_json"),
        ] {
            assert_eq!(json_of(text), Err(code), "{text}");
        }
    }

    #[test]
    fn an_item_that_breaks_the_grammar_is_named() {
        let body = Bytes::from_static(br#"[{"a":1}, 2, {]"#);
        let detail = json(&body).unwrap_err().detail;
        assert!(detail.starts_with("item 2: "), "{detail}");
        assert_eq!(detail.matches("line 1 column 15").count(), 1, "{detail}");
    }

    #[test]
    fn a_protobuf_batch_has_a_length_before_each_message() {
        let read =
            |bytes: &'static [u8]| protobuf(&Bytes::from_static(bytes)).map_err(|error| error.code);
        assert_eq!(read(b"\x01a\x00\x02bc").unwrap(), ["a", "", "bc"]);
        assert_eq!(read(b""), Err("empty_batch"));
        assert_eq!(read(b"\x05ab"), Err("truncated_protobuf"));
        assert_eq!(read(b"\x80"), Err("bad_varint"));
        assert_eq!(read(&[0; 1_001]), Err("batch_too_large"));
    }
}
