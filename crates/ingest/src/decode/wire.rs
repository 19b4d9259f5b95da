//! The protobuf wire format, without a schema: a message taken apart into its fields.

use std::ops::Range;

/// The most fields in one message, those that are unknown included.
pub(super) const FIELDS_MAX: usize = 2_048;
/// The deepest nesting of groups, which only unknown fields may be.
const GROUPS_MAX: usize = 16;
const VARINT_BYTES_MAX: usize = 10;
const NUMBER_MAX: u64 = (1 << 29) - 1;

/// What breaks the wire format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum WireFault {
    #[error("it ends in the middle of a field")]
    Truncated,
    #[error("the number at byte {at} does not end, or is too large")]
    Varint { at: usize },
    #[error("the tag at byte {at} has no valid field number")]
    Tag { at: usize },
    #[error("the tag at byte {at} has no valid wire type, or a group is not closed")]
    WireType { at: usize },
    #[error("it has more than {FIELDS_MAX} fields")]
    TooMany,
}

impl WireFault {
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Truncated => "truncated_protobuf",
            Self::Varint { .. } => "bad_varint",
            Self::Tag { .. } => "bad_tag",
            Self::WireType { .. } => "bad_wire_type",
            Self::TooMany => "too_many_fields",
        }
    }
}

/// A field as it lies in its message.
#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) number: u32,
    pub(super) value: Value,
    /// Tag and value.
    pub(super) span: Range<usize>,
}

#[derive(Debug, Clone)]
pub(super) enum Value {
    Varint(u64),
    Bytes(Range<usize>),
    /// Fixed numbers and groups, which the schema has none of.
    Other,
}

/// Takes a message apart, without recursion and without a schema.
pub(super) fn split(message: &[u8]) -> Result<Vec<Field>, WireFault> {
    let mut fields = Vec::new();
    let mut groups: Vec<(u32, usize)> = Vec::new();
    let mut at = 0;
    while at < message.len() {
        let start = at;
        let (number, wire_type, value_at) = tag(message, at)?;
        let wrong_type = WireFault::WireType { at: start };
        let value;
        (value, at) = match wire_type {
            0 => varint(message, value_at).map(|(number, end)| (Value::Varint(number), end))?,
            1 => (Value::Other, skip(message, value_at, 8)?),
            2 => {
                let (length, start) = length(message, value_at)?;
                (Value::Bytes(start..start + length), start + length)
            }
            3 if groups.len() < GROUPS_MAX => {
                groups.push((number, start));
                at = value_at;
                continue;
            }
            4 if groups.last().is_some_and(|group| group.0 == number) => (Value::Other, value_at),
            5 => (Value::Other, skip(message, value_at, 4)?),
            _ => return Err(wrong_type),
        };
        let start = match wire_type {
            4 => groups.pop().map_or(start, |group| group.1),
            _ => start,
        };
        if groups.is_empty() {
            fields.push(Field {
                number,
                value,
                span: start..at,
            });
        }
        if fields.len() > FIELDS_MAX {
            return Err(WireFault::TooMany);
        }
    }
    match groups.last() {
        None => Ok(fields),
        Some(group) => Err(WireFault::WireType { at: group.1 }),
    }
}

/// Reads a tag: field number, wire type, and where the value begins.
fn tag(message: &[u8], at: usize) -> Result<(u32, u64, usize), WireFault> {
    let (tag, value_at) = varint(message, at)?;
    let number = tag >> 3;
    match u32::try_from(number) {
        Ok(small) if (1..=NUMBER_MAX).contains(&number) => Ok((small, tag & 7, value_at)),
        _ => Err(WireFault::Tag { at }),
    }
}

/// Reads a length: how many bytes follow, and where. They are all there.
pub(super) fn length(message: &[u8], at: usize) -> Result<(usize, usize), WireFault> {
    let (length, start) = varint(message, at)?;
    match usize::try_from(length) {
        Ok(length) if length <= message.len() - start => Ok((length, start)),
        _ => Err(WireFault::Truncated),
    }
}

fn skip(message: &[u8], at: usize, bytes: usize) -> Result<usize, WireFault> {
    match at + bytes <= message.len() {
        true => Ok(at + bytes),
        false => Err(WireFault::Truncated),
    }
}

/// Reads a number of at most 64 bits, and where it ends.
fn varint(message: &[u8], at: usize) -> Result<(u64, usize), WireFault> {
    let wrong = Err(WireFault::Varint { at });
    let mut number = 0;
    for (index, byte) in message[at..].iter().take(VARINT_BYTES_MAX).enumerate() {
        if index == VARINT_BYTES_MAX - 1 && *byte > 1 {
            return wrong;
        }
        number |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok((number, at + index + 1));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_messages_are_refused() {
        for (message, code) in [
            (&b"\x7b\"id\":1}"[..], "truncated_protobuf"),
            (b"\x18\x80", "bad_varint"),
            (
                b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",
                "bad_varint",
            ),
            (b"\x0a\x7fa", "truncated_protobuf"),
            (
                b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
                "truncated_protobuf",
            ),
            (b"\x99\x06\0", "truncated_protobuf"),
            (b"\x9d\x06\0", "truncated_protobuf"),
            (b"\x0e", "bad_wire_type"),
            (b"\x0f", "bad_wire_type"),
            (b"\xf8\xff\xff\xff\xff\x01\x01", "bad_tag"),
            (b"\x00\x01", "bad_tag"),
            (b"\x0b", "bad_wire_type"),
            (b"\x0c", "bad_wire_type"),
            (b"\xa3\x06\xac\x06", "bad_wire_type"),
        ] {
            assert_eq!(split(message).unwrap_err().code(), code, "{message:?}");
        }
    }

    #[test]
    fn a_message_has_a_bounded_number_of_fields() {
        let many = b"\xa0\x06\x01".repeat(FIELDS_MAX);
        assert_eq!(split(&many).unwrap().len(), FIELDS_MAX);
        let more = [many, b"\xa0\x06\x01".to_vec()].concat();
        assert_eq!(split(&more).unwrap_err(), WireFault::TooMany);
    }
}
