//! The first looks at a JSON text, before any parser sees it: UTF-8, first character, nesting.

use serde_json::value::RawValue;
use tidings_core::event::EventError;
use tidings_core::json::{JsonError, check_text};

/// What a JSON text must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Object,
    Array,
}

impl Wanted {
    fn bracket(self) -> char {
        match self {
            Self::Object => '{',
            Self::Array => '[',
        }
    }

    fn missing(self) -> EventError {
        match self {
            Self::Object => whole("not_an_object", "an event is a JSON object"),
            Self::Array => whole("not_an_array", "a batch is a JSON array of events"),
        }
    }
}

/// A fault of the whole request rather than of one field.
pub(super) fn whole(code: &'static str, detail: impl Into<String>) -> EventError {
    EventError::new(code, "", detail)
}

/// Checks that `body` is UTF-8 and begins like `wanted`.
pub(super) fn begin(body: &[u8], wanted: Wanted) -> Result<&str, EventError> {
    let text = std::str::from_utf8(body).map_err(|error| {
        let at = error.valid_up_to();
        whole("bad_utf8", format!("it is not UTF-8 from byte {at} on"))
    })?;
    let Some(first) = text.chars().find(|c| !is_json_space(*c)) else {
        return Err(whole("empty_body", "the request has no body"));
    };
    if first != wanted.bracket() {
        return Err(parse::<&RawValue>(text).map_or_else(|error| error, |_| wanted.missing()));
    }
    Ok(text)
}

/// Checks the nesting and the surrogates of a JSON text.
pub(super) fn check_depth(text: &[u8], pointer: &str) -> Result<(), EventError> {
    check_text(text).map_err(|error| {
        let code = match error {
            JsonError::TooDeep => "too_deep",
            JsonError::LoneSurrogate { .. } => "bad_json",
        };
        EventError::new(code, pointer, error.to_string())
    })
}

/// Parses the whole of `text`. The type must take any value, so that only the grammar can fail.
pub(super) fn parse<'a, T: serde::Deserialize<'a>>(text: &'a str) -> Result<T, EventError> {
    let mut parser = serde_json::Deserializer::from_str(text);
    let value =
        T::deserialize(&mut parser).map_err(|error| whole("bad_json", error.to_string()))?;
    parser
        .end()
        .map_err(|error| whole("trailing_data", error.to_string()))?;
    Ok(value)
}

fn is_json_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}
