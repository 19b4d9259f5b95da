//! JSON as `application/x-www-form-urlencoded`, as JavaScript's `qs` and Rails write it: members of
//! objects and elements of arrays get their place in brackets, `a[b]=1&c[0]=2`.

use bytes::Bytes;
use url::form_urlencoded::byte_serialize;

use super::{BODY_BYTES_MAX, RenderError};
use crate::filter::payload::{Node, Value};

/// Deeper values are written as JSON, so that no payload can exhaust the stack.
const DEPTH_MAX: usize = 32;

/// Encodes an object. Texts are written as they are, `null` as nothing, other values as JSON; an
/// array or object without members leaves no trace.
///
/// # Errors
/// It is no object, has a text that stands for no Unicode text, or becomes too long.
pub(super) fn encode(json: &[u8]) -> Result<Bytes, RenderError> {
    let root = Node::parse(json).ok_or(RenderError::Payload)?;
    let mut form = Form(String::new());
    let found = match root.value() {
        Some(Value::Object(_)) => {
            form.write(&root, "", 0)?;
            return Ok(Bytes::from(form.0));
        }
        Some(Value::List(_)) => "an array",
        Some(Value::Text(_)) => "a text",
        Some(Value::Number(_)) => "a number",
        Some(Value::Bool(_)) => "true or false",
        Some(Value::Null) => "null",
        None => "no Unicode text",
    };
    Err(RenderError::Form { found })
}

struct Form(String);

impl Form {
    fn write(&mut self, node: &Node<'_>, place: &str, depth: usize) -> Result<(), RenderError> {
        let value = node.value().ok_or_else(|| RenderError::Text {
            pointer: place.to_owned(),
        })?;
        match value {
            Value::Object(members) if depth < DEPTH_MAX => {
                let mut members: Vec<_> = members.iter().collect();
                // The order of the text, since a map has none.
                members.sort_by_key(|(_, node)| node.text().as_ptr() as usize);
                for (name, member) in members {
                    let place = match place {
                        "" => name.to_string(),
                        place => format!("{place}[{name}]"),
                    };
                    self.write(member, &place, depth + 1)?;
                }
                Ok(())
            }
            Value::List(elements) if depth < DEPTH_MAX => {
                for (index, element) in elements.iter().enumerate() {
                    self.write(element, &format!("{place}[{index}]"), depth + 1)?;
                }
                Ok(())
            }
            Value::Null => self.pair(place, ""),
            Value::Text(text) => self.pair(place, text),
            Value::Bool(_) | Value::Number(_) | Value::List(_) | Value::Object(_) => {
                self.pair(place, node.text())
            }
        }
    }

    fn pair(&mut self, name: &str, value: &str) -> Result<(), RenderError> {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        self.0.extend(byte_serialize(name.as_bytes()));
        self.0.push('=');
        self.0.extend(byte_serialize(value.as_bytes()));
        match self.0.len() > BODY_BYTES_MAX {
            true => Err(RenderError::Oversized),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode_text(json: &str) -> Result<String, RenderError> {
        let bytes = encode(json.as_bytes())?;
        Ok(String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[test]
    fn nested_values_get_their_place_in_brackets() {
        for (json, form) in [
            ("{}", ""),
            (r#"{"b":"1","a":2}"#, "b=1&a=2"),
            (
                r#"{"a":"x y&z=1+2","é":"ü"}"#,
                "a=x+y%26z%3D1%2B2&%C3%A9=%C3%BC",
            ),
            (
                r#"{"a":{"b":[true,null,{"c":12345678901234567890.10}]},"d":[],"e":{}}"#,
                "a%5Bb%5D%5B0%5D=true&a%5Bb%5D%5B1%5D=&a%5Bb%5D%5B2%5D%5Bc%5D=12345678901234567890.10",
            ),
        ] {
            assert_eq!(encode_text(json).unwrap(), form, "{json}");
        }
    }

    #[test]
    fn only_an_object_is_a_form() {
        for (json, found) in [
            ("[1]", "an array"),
            ("\"a\"", "a text"),
            ("null", "null"),
            ("1", "a number"),
            ("true", "true or false"),
        ] {
            assert_eq!(encode_text(json), Err(RenderError::Form { found }));
        }
        assert!(matches!(
            encode_text(r#"{"a":"\ud800"}"#),
            Err(RenderError::Text { .. })
        ));
    }

    #[test]
    fn what_is_too_deep_is_written_as_json() {
        let json = format!("{}1{}", "{\"a\":".repeat(20_000), "}".repeat(20_000));
        assert!(encode_text(&json).is_ok());
    }

    #[test]
    fn a_long_form_is_refused() {
        let json = format!(r#"{{"a":"{}"}}"#, "é".repeat(BODY_BYTES_MAX / 4));
        assert_eq!(encode_text(&json), Err(RenderError::Oversized));
    }
}
