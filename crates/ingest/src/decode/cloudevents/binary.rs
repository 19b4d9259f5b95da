//! Binary mode (CloudEvents HTTP binding 1.0.2, section 3.1): attributes in `ce-*` headers, the
//! data as the body.

use bytes::Bytes;
use http::HeaderMap;
use tidings_core::event::{EventError, Faults};

use super::NO_DATA;
use super::attributes::{Attributes, bad_attribute};
use crate::decode::{Candidate, payload};

/// The headers that every request in binary mode has.
const REQUIRED: [&str; 4] = ["ce-specversion", "ce-id", "ce-source", "ce-type"];

const PREFIX: &str = "ce-";

/// Whether a request with these headers is meant to be in binary mode.
#[must_use]
pub fn is_binary(headers: &HeaderMap) -> bool {
    REQUIRED.iter().any(|name| headers.contains_key(*name))
}

/// Reads one event in binary mode. The caller has seen to it that the body is said to be JSON.
///
/// # Errors
/// A required attribute is missing, one has a value that an event cannot have, or the body is no
/// JSON value.
pub fn binary(headers: &HeaderMap, body: &Bytes) -> Result<Candidate, EventError> {
    let payload = match body.is_empty() {
        true => NO_DATA,
        false => {
            payload::check(body, "/data")?;
            body.clone()
        }
    };
    let mut faults = Faults::default();
    let mut attributes = Attributes::default();
    for (name, value) in headers {
        let Some(name) = name.as_str().strip_prefix(PREFIX) else {
            continue;
        };
        let text = std::str::from_utf8(value.as_bytes())
            .ok()
            .and_then(percent_decode)
            .ok_or_else(|| bad_attribute(name, "it is no percent-encoded UTF-8"));
        if let Some(text) = faults.note(text) {
            faults.note(attributes.insert(name, text));
        }
    }
    faults.finish()?;
    attributes.into_candidate(payload)
}

/// Undoes the percent-encoding of a header value; `None` if what comes out is not UTF-8.
fn percent_decode(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|_| *first == b'%');
        match digits.and_then(hexadecimal) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

fn hexadecimal(digits: &[u8]) -> Option<u8> {
    let is_hexadecimal = digits.iter().all(u8::is_ascii_hexdigit);
    let text = std::str::from_utf8(digits)
        .ok()
        .filter(|_| is_hexadecimal)?;
    u8::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(more: &[(&'static str, &'static str)]) -> HeaderMap {
        let required = [
            ("ce-specversion", "1.0"),
            ("ce-id", "e1"),
            ("ce-source", "/cms"),
            ("ce-type", "com.example.Entry.publish"),
        ];
        let mut headers = HeaderMap::new();
        for (name, value) in required.iter().chain(more) {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn attributes_are_headers_and_the_body_is_the_data() {
        let headers = headers(&[("ce-subject", "caf%C3%A9%20%"), ("x-other", "1")]);
        let candidate = binary(&headers, &Bytes::from_static(b" [1e999] ")).unwrap();
        assert_eq!(candidate.event.payload, " [1e999] ");
        assert_eq!(candidate.event.topic, "Entry.publish");
        assert_eq!(candidate.event.entity.unwrap().id, "café %");
        assert_eq!(
            binary(&headers, &Bytes::new()).unwrap().event.payload,
            "null"
        );
    }

    #[test]
    fn bad_headers_and_bodies_are_refused() {
        for (more, body, code) in [
            (&[("ce-id", "e2")][..], "1", "duplicate_field"),
            (&[("ce-subject", "%ff")], "1", "bad_attribute"),
            (&[("ce-my_ext", "1")], "1", "unknown_field"),
            (&[], "{", "bad_json"),
        ] {
            let body = Bytes::from_static(body.as_bytes());
            assert_eq!(binary(&headers(more), &body).unwrap_err().code, code);
        }
        let none = HeaderMap::new();
        assert_eq!(
            binary(&none, &Bytes::new()).unwrap_err().code,
            "missing_field"
        );
    }
}
