//! A payload that is read no further than somebody looks.
//!
//! Each level of arrays and objects is split when it is first entered, and then kept. So a look
//! costs at most the length of the payload for each step of its path, and a second look nothing.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::HashMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

use super::number::Decimal;

/// A value somewhere in a payload.
#[derive(Debug)]
pub(crate) struct Node<'a> {
    text: &'a RawValue,
    /// `None` inside for what stands for no value, such as a string with half a surrogate pair.
    value: OnceCell<Option<Value<'a>>>,
}

/// What a [`Node`] holds, its members still unread.
#[derive(Debug)]
pub(crate) enum Value<'a> {
    Null,
    Bool(bool),
    Number(Decimal<'a>),
    Text(Cow<'a, str>),
    List(Vec<Node<'a>>),
    Object(HashMap<Cow<'a, str>, Node<'a>>),
}

impl<'a> Node<'a> {
    /// A payload as it came; `None` if it is no JSON.
    pub(crate) fn parse(payload: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(payload).ok().map(Self::new)
    }

    fn new(text: &'a RawValue) -> Self {
        Self {
            text,
            value: OnceCell::new(),
        }
    }

    /// The JSON text, as it stands in the payload.
    pub(crate) fn text(&self) -> &'a str {
        self.text.get()
    }

    pub(crate) fn value(&self) -> Option<&Value<'a>> {
        self.value.get_or_init(|| read(self.text.get())).as_ref()
    }

    /// The member or element named by one step of a path.
    pub(crate) fn child(&self, step: &str) -> Option<&Self> {
        match self.value()? {
            Value::Object(members) => members.get(step),
            Value::List(elements) => elements.get(index(step)?),
            _ => None,
        }
    }
}

/// An index without leading zeros (RFC 6901 section 4).
pub(crate) fn index(step: &str) -> Option<usize> {
    let is_canonical = step == "0" || !step.starts_with(['0', '+']);
    is_canonical.then(|| step.parse().ok()).flatten()
}

fn read(text: &str) -> Option<Value<'_>> {
    Some(match text.as_bytes().first()? {
        b'n' => Value::Null,
        b't' => Value::Bool(true),
        b'f' => Value::Bool(false),
        b'"' => Value::Text(serde_json::from_str::<Text<'_>>(text).ok()?.0),
        b'[' => {
            let elements: Vec<&RawValue> = serde_json::from_str(text).ok()?;
            Value::List(elements.into_iter().map(Node::new).collect())
        }
        b'{' => Value::Object(serde_json::from_str::<Members<'_>>(text).ok()?.0),
        _ => Value::Number(Decimal::parse(text)),
    })
}

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Of members with the same name the last one counts, as in every parser that a receiver may use.
struct Members<'a>(HashMap<Cow<'a, str>, Node<'a>>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = HashMap::new();
                while let Some((Text(name), text)) = map.next_entry::<Text<'de>, &RawValue>()? {
                    members.insert(name, Node::new(text));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Reader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at<'n>(node: &'n Node<'_>, path: &[&str]) -> Option<&'n str> {
        path.iter()
            .try_fold(node, |node, step| node.child(step))
            .map(Node::text)
    }

    #[test]
    fn members_and_elements_are_found_and_their_text_is_kept() {
        let payload = r#" {"a": [1, {"é\n": 1.50 }], "": null, "a.b": {"0": "x"}} "#;
        let node = Node::parse(payload.as_bytes()).unwrap();
        for (path, expected) in [
            (&["a", "0"][..], Some("1")),
            (&["a", "1", "é\n"], Some("1.50")),
            (&[""], Some("null")),
            (&["a.b", "0"], Some(r#""x""#)),
            (&["a", "2"], None),
            (&["a", "00"], None),
            (&["a", "+1"], None),
            (&["a", "-1"], None),
            (&["a", "1", "é\n", "x"], None),
            (&["b"], None),
            (&[], Some(payload.trim())),
        ] {
            assert_eq!(at(&node, path), expected, "{path:?}");
        }
    }

    #[test]
    fn the_last_of_equal_names_counts() {
        let node = Node::parse(br#"{"a": 1, "\u0061": 2}"#).unwrap();
        assert_eq!(at(&node, &["a"]), Some("2"));
    }

    #[test]
    fn what_is_no_json_has_no_values() {
        for text in ["", "{", "{} {}", "\u{feff}{}", "nul"] {
            assert!(Node::parse(text.as_bytes()).is_none(), "{text:?}");
        }
        assert!(Node::parse(b"\"\xff\"").is_none());
        let node = Node::parse(br#"{"a": "\ud800"}"#).unwrap();
        assert!(node.child("a").unwrap().value().is_none());
    }

    #[test]
    fn deep_payloads_are_read_without_a_stack() {
        let payload = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        let node = Node::parse(payload.as_bytes()).unwrap();
        assert!(at(&node, &["0", "0", "0"]).is_some());
    }
}
