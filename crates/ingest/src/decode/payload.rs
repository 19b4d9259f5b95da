//! The payload where it comes by itself: as protobuf bytes, a CloudEvent's data or a body.

use serde_json::value::RawValue;
use tidings_core::event::EventError;

use super::text;

/// Checks that `payload` is one JSON value, nested no deeper than it may be inside an event.
pub(super) fn check(payload: &[u8], pointer: &str) -> Result<(), EventError> {
    let fault = |code, detail: String| EventError::new(code, pointer, detail);
    let Ok(json) = std::str::from_utf8(payload) else {
        return Err(fault("bad_utf8", String::from("it is not UTF-8")));
    };
    // The envelope counts as a level, however it is written.
    text::check_depth(format!("[{json}").as_bytes(), pointer)?;
    match text::parse::<&RawValue>(json) {
        Ok(_) => Ok(()),
        Err(error) => Err(fault("bad_json", error.detail)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(depth: usize) -> Vec<u8> {
        ["[".repeat(depth), "]".repeat(depth)].concat().into_bytes()
    }

    #[test]
    fn a_payload_is_one_json_value() {
        for good in ["null", " 1e999 ", "{\"a\":[1,2]}", "\"\\u0000\""] {
            assert_eq!(check(good.as_bytes(), "/payload"), Ok(()), "{good}");
        }
        for (bad, code) in [
            (&b"{"[..], "bad_json"),
            (b"", "bad_json"),
            (b"1 2", "bad_json"),
            (b"\"\\ud800\"", "bad_json"),
            (b"\"\xff\"", "bad_utf8"),
        ] {
            assert_eq!(check(bad, "/payload").unwrap_err().code, code, "{bad:?}");
        }
    }

    #[test]
    fn a_payload_may_be_as_deep_as_inside_an_event() {
        assert_eq!(check(&nested(127), "/payload"), Ok(()));
        assert_eq!(
            check(&nested(128), "/payload").unwrap_err().code,
            "too_deep"
        );
    }
}
