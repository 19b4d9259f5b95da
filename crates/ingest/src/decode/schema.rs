//! The schema of an event, as far as a message is held against it before prost decodes it.
//!
//! prost takes the last of a repeated scalar and drops the bits of a number that is too large
//! (measured: reference/reliability.md 3.3). Other services may do otherwise, so both are refused.

use std::collections::HashSet;

use tidings_core::event::EventError;

use super::object::pointer_to;
use super::wire::{Field, Value, split};

/// A field that the schema has.
#[derive(Debug)]
struct Known {
    number: u32,
    name: &'static str,
    kind: Kind,
    is_repeated: bool,
}

#[derive(Debug)]
enum Kind {
    Text,
    Bytes,
    Int,
    Uint32,
    Message(&'static [Known]),
}

const fn known(number: u32, name: &'static str, kind: Kind) -> Known {
    let is_repeated = false;
    Known {
        number,
        name,
        kind,
        is_repeated,
    }
}

const fn repeated(number: u32, name: &'static str, kind: Kind) -> Known {
    let is_repeated = true;
    Known {
        number,
        name,
        kind,
        is_repeated,
    }
}

/// The number of `id`.
pub(super) const ID: u32 = 1;
/// The number of `space`.
pub(super) const SPACE: u32 = 2;
/// The number of `occurred_at`.
pub(super) const OCCURRED_AT: u32 = 6;
/// The number of `context`, of which a message has one for each entry.
pub(super) const CONTEXT: u32 = 8;

/// `tidings.v1.Event`; a test compares it with the compiled schema.
const EVENT: &[Known] = &[
    known(ID, "id", Kind::Text),
    known(SPACE, "space", Kind::Text),
    known(3, "environment", Kind::Text),
    known(4, "topic", Kind::Text),
    known(5, "entity", Kind::Message(ENTITY)),
    known(OCCURRED_AT, "occurredAt", Kind::Message(TIMESTAMP)),
    known(7, "actor", Kind::Text),
    repeated(CONTEXT, "context", Kind::Message(CONTEXT_ENTRY)),
    known(9, "payload", Kind::Bytes),
    known(15, "schemaVersion", Kind::Uint32),
];
const ENTITY: &[Known] = &[
    known(1, "id", Kind::Text),
    known(2, "type", Kind::Text),
    known(3, "contentType", Kind::Text),
    known(4, "revision", Kind::Uint32),
    repeated(5, "locales", Kind::Text),
];
const TIMESTAMP: &[Known] = &[known(1, "seconds", Kind::Int), known(2, "nanos", Kind::Int)];
const CONTEXT_ENTRY: &[Known] = &[known(1, "key", Kind::Text), known(2, "value", Kind::Text)];

/// Takes an event's message apart and checks every field that the schema has.
pub(super) fn read_event(message: &[u8]) -> Result<Vec<Field>, EventError> {
    read(message, EVENT, "")
}

/// Takes the message at `pointer` apart and holds it against `schema`.
fn read(message: &[u8], schema: &'static [Known], pointer: &str) -> Result<Vec<Field>, EventError> {
    let fields = split(message)
        .map_err(|error| EventError::new(error.code(), pointer, error.to_string()))?;
    let mut seen = HashSet::new();
    for field in &fields {
        let Some(known) = schema.iter().find(|known| known.number == field.number) else {
            continue;
        };
        let pointer = pointer_to(pointer, known.name);
        if !known.is_repeated && !seen.insert(known.number) {
            return Err(EventError::new(
                "duplicate_field",
                &pointer,
                "it is there twice",
            ));
        }
        check_value(message, field, &known.kind, &pointer)?;
    }
    Ok(fields)
}

fn check_value(
    message: &[u8],
    field: &Field,
    kind: &'static Kind,
    pointer: &str,
) -> Result<(), EventError> {
    let fault = |code, detail| Err(EventError::new(code, pointer, detail));
    match (kind, &field.value) {
        (Kind::Text, Value::Bytes(range)) => match std::str::from_utf8(&message[range.clone()]) {
            Ok(_) => Ok(()),
            Err(_) => fault("bad_utf8", "it is not UTF-8"),
        },
        (Kind::Message(schema), Value::Bytes(range)) => {
            read(&message[range.clone()], schema, pointer).map(drop)
        }
        (Kind::Uint32, Value::Varint(number)) if u32::try_from(*number).is_err() => {
            fault("bad_number", "it is larger than 32 bits")
        }
        (Kind::Bytes, Value::Bytes(_)) | (Kind::Int | Kind::Uint32, Value::Varint(_)) => Ok(()),
        _ => fault(
            "wrong_wire_type",
            "it has another type than in `event.proto`",
        ),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use prost::Message as _;
    use tidings_proto::v1;

    use super::*;

    #[test]
    fn the_table_is_the_compiled_schema() {
        let event = v1::Event {
            id: "i".into(),
            space: "s".into(),
            environment: "e".into(),
            topic: "t".into(),
            entity: Some(v1::Entity {
                id: "i".into(),
                r#type: "t".into(),
                content_type: "c".into(),
                revision: 1,
                locales: vec!["a".into(), "b".into()],
            }),
            occurred_at: Some(prost_types::Timestamp {
                seconds: -1,
                nanos: 1,
            }),
            actor: "a".into(),
            context: [("k".into(), "v".into()), ("l".into(), "w".into())].into(),
            payload: Bytes::from_static(b"1"),
            schema_version: 1,
        };
        let fields = read_event(&event.encode_to_vec()).unwrap();
        let mut numbers: Vec<u32> = fields.iter().map(|field| field.number).collect();
        numbers.dedup();
        assert_eq!(
            numbers,
            EVENT.iter().map(|known| known.number).collect::<Vec<_>>()
        );
        let entity = event.entity.unwrap().encode_to_vec();
        assert_eq!(read(&entity, ENTITY, "").unwrap().len(), 6);
    }

    #[test]
    fn fields_are_held_against_the_schema() {
        for (message, code, pointer) in [
            (&b"\x08\x01"[..], "wrong_wire_type", "/id"),
            (b"\x0b\x0c", "wrong_wire_type", "/id"),
            (b"\x0a\x02\xff\xfe", "bad_utf8", "/id"),
            (b"\x0a\x01a\x0a\x01b", "duplicate_field", "/id"),
            (b"\x2a\x03\x0a\x01\xff", "bad_utf8", "/entity/id"),
            (b"\x2a\0\x2a\0", "duplicate_field", "/entity"),
            (
                b"\x2a\x06\x20\xff\xff\xff\xff\x10",
                "bad_number",
                "/entity/revision",
            ),
            (b"\x42\x03\x0a\x01\xff", "bad_utf8", "/context/key"),
            (b"\x32\x02\x0a\0", "wrong_wire_type", "/occurredAt/seconds"),
            (b"\x2a\x02\x0a\x05", "truncated_protobuf", "/entity"),
        ] {
            let fault = read_event(message).unwrap_err();
            assert_eq!((fault.code, fault.pointer.as_str()), (code, pointer));
        }
    }
}
