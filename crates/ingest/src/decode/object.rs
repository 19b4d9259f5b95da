//! A JSON object taken apart by name, each member's value as it was written.
//!
//! The parser only sees the grammar; types, unknown and repeated names are told here, so that every
//! fault has its code and its pointer without reading a parser's message.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;
use tidings_core::event::{EventError, Faults};

use super::text;
use super::value::{self, NULL};

/// The members of an object that nobody has asked for yet.
#[derive(Debug)]
pub(super) struct Object<'a> {
    pointer: String,
    members: Vec<(Cow<'a, str>, &'a RawValue)>,
}

impl<'a> Object<'a> {
    /// Takes the object at `pointer` apart.
    pub(super) fn open(text: &'a str, pointer: &str) -> Result<Self, EventError> {
        let Members(members) = text::parse(text)?;
        Ok(Self {
            pointer: pointer.to_owned(),
            members,
        })
    }

    /// Takes the member with one of these names; `null` stands for none.
    pub(super) fn take(&mut self, names: &[&str]) -> Result<Option<&'a RawValue>, EventError> {
        let value = self.take_with_null(names)?;
        Ok(value.filter(|value| value.get() != NULL))
    }

    /// As [`Object::take`], but `null` is a value.
    pub(super) fn take_with_null(
        &mut self,
        names: &[&str],
    ) -> Result<Option<&'a RawValue>, EventError> {
        let is_meant = |member: &(Cow<'a, str>, &RawValue)| names.contains(&member.0.as_ref());
        let Some(place) = self.members.iter().position(is_meant) else {
            return Ok(None);
        };
        let (_, value) = self.members.remove(place);
        let before = self.members.len();
        // What repeats it is told as that, and as nothing else.
        self.members.retain(|member| !is_meant(member));
        match self.members.len() == before {
            true => Ok(Some(value)),
            false => Err(self.duplicate(names[0])),
        }
    }

    /// Takes a text.
    pub(super) fn text(
        &mut self,
        code: &'static str,
        names: &[&str],
    ) -> Result<Option<String>, EventError> {
        let text = self.take(names)?.map(value::text);
        text.transpose()
            .map_err(|detail| EventError::new(code, &self.pointer_of(names[0]), detail))
    }

    /// Takes a text that may be absent but not empty.
    pub(super) fn name(
        &mut self,
        code: &'static str,
        names: &[&str],
    ) -> Result<Option<String>, EventError> {
        match self.text(code, names)? {
            Some(text) if text.is_empty() => {
                let pointer = self.pointer_of(names[0]);
                Err(EventError::new(code, &pointer, "it is empty"))
            }
            name => Ok(name),
        }
    }

    /// The members that are left.
    pub(super) fn rest(self) -> Vec<(Cow<'a, str>, &'a RawValue)> {
        self.members
    }

    /// Fails if members are left, and names each.
    pub(super) fn finish(self) -> Result<(), EventError> {
        let mut faults = Faults::default();
        for (name, _) in &self.members {
            let detail = "an event has no such field";
            let pointer = self.pointer_of(name);
            faults.add(EventError::new("unknown_field", &pointer, detail));
        }
        faults.finish()
    }

    /// The pointer (RFC 6901) of the member `name`, however long that is.
    pub(super) fn pointer_of(&self, name: &str) -> String {
        pointer_to(&self.pointer, name)
    }

    fn duplicate(&self, name: &str) -> EventError {
        EventError::new(
            "duplicate_field",
            &self.pointer_of(name),
            "it is there twice",
        )
    }
}

/// The pointer (RFC 6901) to `name` within what is at `parent`.
pub(super) fn pointer_to(parent: &str, name: &str) -> String {
    const NAME_CHARS_MAX: usize = 80;
    let name: String = name.chars().take(NAME_CHARS_MAX).collect();
    format!("{parent}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// The members of an object, in order.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Take;

        impl<'de> Visitor<'de> for Take {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(Name(name)) = map.next_key()? {
                    members.push((name, map.next_value()?));
                }
                Ok(Members(members))
            }
        }

        from.deserialize_map(Take)
    }
}
