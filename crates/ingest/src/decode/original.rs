//! A producer's own protobuf message, kept so that what is stored is what came: prost forgets the
//! fields that it does not know.

use std::ops::Range;

use bytes::Bytes;
use prost::Message as _;
use tidings_core::event::EventError;
use tidings_proto::v1;

use super::schema::{ID, OCCURRED_AT, SPACE, read_event};

/// An event's own bytes, and where its fields lie in them.
#[derive(Debug, Clone)]
pub struct Original {
    message: Bytes,
    fields: Vec<(u32, Range<usize>)>,
}

impl Original {
    /// Takes `message` apart and holds it against the schema.
    pub(super) fn read(message: &Bytes) -> Result<Self, EventError> {
        let fields = read_event(message)?;
        Ok(Self {
            message: message.clone(),
            fields: fields
                .into_iter()
                .map(|field| (field.number, field.span))
                .collect(),
        })
    }

    /// How many times the field `number` is there.
    pub(super) fn count(&self, number: u32) -> usize {
        self.fields.iter().filter(|field| field.0 == number).count()
    }

    /// The same message with the fields that are set in `filled`, everything else as it came.
    #[must_use]
    pub fn with(&self, filled: &v1::Event) -> Bytes {
        if *filled == v1::Event::default() {
            return self.message.clone();
        }
        let is_replaced = |number| match number {
            ID => !filled.id.is_empty(),
            SPACE => !filled.space.is_empty(),
            OCCURRED_AT => filled.occurred_at.is_some(),
            _ => false,
        };
        let mut message = Vec::with_capacity(self.message.len() + filled.encoded_len());
        for (number, span) in &self.fields {
            if !is_replaced(*number) {
                message.extend_from_slice(&self.message[span.clone()]);
            }
        }
        // Messages put one after the other are merged: that is how protobuf is defined.
        message.extend_from_slice(&filled.encode_to_vec());
        message.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_filled_in_replaces_what_was_empty_and_keeps_the_rest() {
        // An empty id, an unknown field 100, an unknown group 101, a topic.
        let message = Bytes::from_static(b"\x0a\0\xa0\x06\x07\xab\x06\x08\x01\xac\x06\x22\x03a.b");
        let original = Original::read(&message).unwrap();
        assert_eq!(original.with(&v1::Event::default()), message);
        let filled = v1::Event {
            id: "e1".into(),
            ..v1::Event::default()
        };
        let stored = original.with(&filled);
        assert_eq!(
            stored,
            &b"\xa0\x06\x07\xab\x06\x08\x01\xac\x06\x22\x03a.b\x0a\x02e1"[..]
        );
        assert!(Original::read(&stored).is_ok());
    }
}
