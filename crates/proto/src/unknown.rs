//! Fields that a newer version of the schema has. What is passed on keeps them, although the
//! generated types drop them: protobuf messages are merged by writing one behind the other.

use bytes::{Bytes, BytesMut};
use prost::DecodeError;
use prost::encoding::{DecodeContext, WireType, decode_key, encode_key, encode_varint, skip_field};

use crate::known;

/// The numbers of the fields that an `Event` has once: all that are known but its context.
const EVENTS_FIELDS: [u32; 9] = [1, 2, 3, 4, 5, 6, 7, 9, 15];

/// The number of the field of a `DeadLetter` that holds its delivery.
const LETTERS_DELIVERY: u32 = 6;

/// The number of a field that an `Event` has twice although it can have it once. Readers differ in
/// which of the two they take, so nobody should take either.
///
/// # Errors
/// It is not of the wire form.
pub fn repeated_of_event(event: &Bytes) -> Result<Option<u32>, DecodeError> {
    let mut seen = [false; EVENTS_FIELDS.len()];
    for field in fields(event) {
        let number = field?.number;
        let place = EVENTS_FIELDS.iter().position(|known| *known == number);
        if place.is_some_and(|place| std::mem::replace(&mut seen[place], true)) {
            return Ok(Some(number));
        }
    }
    Ok(None)
}

/// The fields of a `Delivery` that this version does not know, as they came.
///
/// # Errors
/// It is not of the wire form.
pub fn unknown_of_delivery(delivery: &Bytes) -> Result<Bytes, DecodeError> {
    unknown(delivery, known::DELIVERY)
}

/// The `Delivery` in a `DeadLetter`, as it lies there.
///
/// # Errors
/// It is not of the wire form.
pub fn delivery_of_letter(letter: &Bytes) -> Result<Bytes, DecodeError> {
    let mut found = BytesMut::new();
    for field in fields(letter) {
        let Field {
            number, content, ..
        } = field?;
        if number == LETTERS_DELIVERY {
            found.extend_from_slice(&content);
        }
    }
    Ok(found.freeze())
}

/// Writes further fields of its delivery behind a `DeadLetter`.
pub fn append_to_letters_delivery(letter: &mut Vec<u8>, unknown: &Bytes) {
    if !unknown.is_empty() {
        encode_key(LETTERS_DELIVERY, WireType::LengthDelimited, letter);
        encode_varint(unknown.len() as u64, letter);
        letter.extend_from_slice(unknown);
    }
}

fn unknown(message: &Bytes, known: &[u32]) -> Result<Bytes, DecodeError> {
    let mut found = BytesMut::new();
    for field in fields(message) {
        let field = field?;
        if !known.contains(&field.number) {
            found.extend_from_slice(&field.whole);
        }
    }
    Ok(found.freeze())
}

/// A field of a message.
struct Field {
    number: u32,
    /// With its key and length.
    whole: Bytes,
    /// Without them; for a field of bytes only.
    content: Bytes,
}

fn fields(message: &Bytes) -> impl Iterator<Item = Result<Field, DecodeError>> {
    let mut rest = message.clone();
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let read = field(&mut rest);
        if read.is_err() {
            rest.clear();
        }
        Some(read)
    })
}

fn field(rest: &mut Bytes) -> Result<Field, DecodeError> {
    let before = rest.clone();
    let (number, wire_type) = decode_key(rest)?;
    let mut content = rest.clone();
    skip_field(wire_type, number, rest, DecodeContext::default())?;
    let whole = before.slice(..before.len() - rest.len());
    content.truncate(content.len() - rest.len());
    if wire_type == WireType::LengthDelimited {
        prost::encoding::decode_varint(&mut content)?;
    }
    Ok(Field {
        number,
        whole,
        content,
    })
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::v1;

    /// Field 100, a string, and field 101, a number.
    const NEWER: &[u8] = b"\xa2\x06\x05newer\xa8\x06\x07";

    #[test]
    fn what_is_not_known_is_found_and_what_is_known_is_not() {
        let delivery = v1::Delivery {
            id: String::from("dlv_1"),
            attempt: 3,
            schema_version: 1,
            ..v1::Delivery::default()
        };
        let mut bytes = delivery.encode_to_vec();
        assert_eq!(unknown_of_delivery(&bytes.clone().into()).unwrap(), "");
        bytes.splice(0..0, NEWER.iter().copied());
        assert_eq!(unknown_of_delivery(&bytes.into()).unwrap(), NEWER);
        assert!(unknown_of_delivery(&Bytes::from_static(b"\xa2\x06\x05new")).is_err());
    }

    #[test]
    fn a_letter_keeps_what_its_delivery_has_more() {
        let letter = v1::DeadLetter {
            delivery: Some(v1::Delivery {
                id: String::from("dlv_1"),
                ..v1::Delivery::default()
            }),
            ..v1::DeadLetter::default()
        };
        let mut bytes = letter.encode_to_vec();
        append_to_letters_delivery(&mut bytes, &Bytes::from_static(NEWER));
        let bytes = Bytes::from(bytes);
        assert_eq!(v1::DeadLetter::decode(bytes.clone()).unwrap(), letter);
        let delivery = delivery_of_letter(&bytes).unwrap();
        assert_eq!(unknown_of_delivery(&delivery).unwrap(), NEWER);
        assert_eq!(v1::Delivery::decode(delivery).unwrap().id, "dlv_1");
    }

    #[test]
    fn an_events_fields_are_there_once_but_its_context() {
        let event = v1::Event {
            topic: "Entry.publish".into(),
            payload: Bytes::from_static(b"1"),
            context: [("a".into(), "1".into()), ("b".into(), "2".into())].into(),
            ..v1::Event::default()
        };
        let once = event.encode_to_vec();
        assert_eq!(repeated_of_event(&once.clone().into()), Ok(None));
        let unknown = [&once[..], NEWER, NEWER].concat();
        assert_eq!(repeated_of_event(&unknown.into()), Ok(None));
        let twice = [&once[..], b"\x4a\x012"].concat();
        assert_eq!(repeated_of_event(&twice.into()), Ok(Some(9)));
        assert!(repeated_of_event(&Bytes::from_static(b"\x0a\x05a")).is_err());
    }
}
