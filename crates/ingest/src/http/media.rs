//! What a request's headers say about its body.

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use tidings_core::event::EventError;
use tidings_service::problem::Problem;

use crate::check::problem;
use crate::decode::cloudevents::is_json;
use crate::decode::{Candidate, batch, cloudevents, json, protobuf};

/// How a single event is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Single {
    Json,
    Protobuf,
    CloudEvent,
    CloudEventBinary,
}

impl Single {
    /// How the event of a request with these headers is written.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let is_binary = cloudevents::is_binary(headers);
        let media = match media_type(headers)? {
            Some(media) => media,
            None if is_binary => return Ok(Self::CloudEventBinary),
            None => return Err(missing()),
        };
        match media.as_str() {
            "application/cloudevents+json" => Ok(Self::CloudEvent),
            other if is_binary => match is_json(other) {
                true => Ok(Self::CloudEventBinary),
                false => Err(unsupported("the data of a CloudEvent must be JSON")),
            },
            "application/json" => Ok(Self::Json),
            "application/x-protobuf" | "application/protobuf" => Ok(Self::Protobuf),
            _ => Err(unsupported(
                "an event is application/json, application/x-protobuf, \
                 application/cloudevents+json, or JSON with ce-* headers",
            )),
        }
    }

    /// Reads the event.
    pub(super) fn decode(self, headers: &HeaderMap, body: &Bytes) -> Result<Candidate, Problem> {
        let candidate = match self {
            Self::Json => json::event(body),
            Self::Protobuf => protobuf::event(body),
            Self::CloudEvent => cloudevents::structured(body),
            Self::CloudEventBinary => cloudevents::binary(headers, body),
        };
        candidate.map_err(|fault| problem(&fault))
    }
}

/// How a batch of events is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Many {
    Json,
    Protobuf,
    CloudEvents,
}

impl Many {
    /// How the batch of a request with these headers is written.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        match media_type(headers)?.ok_or_else(missing)?.as_str() {
            "application/json" => Ok(Self::Json),
            "application/x-protobuf" | "application/protobuf" => Ok(Self::Protobuf),
            "application/cloudevents-batch+json" => Ok(Self::CloudEvents),
            _ => Err(unsupported(
                "a batch is application/json, application/x-protobuf or \
                 application/cloudevents-batch+json",
            )),
        }
    }

    /// Takes the batch apart.
    pub(super) fn split(self, body: &Bytes) -> Result<Vec<Bytes>, Problem> {
        let items = match self {
            Self::Json | Self::CloudEvents => batch::json(body),
            Self::Protobuf => batch::protobuf(body),
        };
        items.map_err(|fault| problem(&fault))
    }

    /// Reads one event of it.
    pub(super) fn decode(self, item: &Bytes) -> Result<Candidate, EventError> {
        match self {
            Self::Json => json::event(item),
            Self::Protobuf => protobuf::event(item),
            Self::CloudEvents => cloudevents::structured(item),
        }
    }
}

/// Refuses encoded bodies: what is compressed has no size until it is too late.
pub(super) fn check_encoding(headers: &HeaderMap) -> Result<(), Problem> {
    let is_identity =
        |value: &http::HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    if headers.get_all(CONTENT_ENCODING).iter().all(is_identity) {
        return Ok(());
    }
    let detail = "encoded bodies are not taken; send it without Content-Encoding";
    Err(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported_encoding",
        detail,
    ))
}

/// Type and subtype in small letters; `None` if there is no `Content-Type`.
fn media_type(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let value = value.to_str().unwrap_or_default().to_ascii_lowercase();
    let mut parts = value.split(';').map(str::trim);
    let media = parts.next().unwrap_or_default().to_owned();
    let is_other_charset = |part: &str| match part.split_once('=') {
        Some(("charset", charset)) => !matches!(charset.trim_matches('"'), "utf-8" | "utf8"),
        _ => false,
    };
    if values.next().is_some() {
        return Err(unsupported("there is more than one Content-Type"));
    }
    if parts.any(is_other_charset) {
        return Err(unsupported("only UTF-8 is taken"));
    }
    Ok(Some(media))
}

fn missing() -> Problem {
    unsupported("a Content-Type is required, such as application/json")
}

fn unsupported(detail: &str) -> Problem {
    Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported_media_type",
        detail,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    fn single(pairs: &[(&'static str, &'static str)]) -> Result<Single, &'static str> {
        Single::of(&headers(pairs)).map_err(|problem| problem.code)
    }

    #[test]
    fn the_headers_say_how_an_event_is_written() {
        const BINARY: (&str, &str) = ("ce-specversion", "1.0");
        for (pairs, expected) in [
            (&[("content-type", "application/json")][..], Single::Json),
            (
                &[("content-type", "Application/JSON; charset=\"UTF-8\"")],
                Single::Json,
            ),
            (
                &[("content-type", "application/x-protobuf")],
                Single::Protobuf,
            ),
            (
                &[("content-type", "application/cloudevents+json")],
                Single::CloudEvent,
            ),
            (
                &[("content-type", "application/cloudevents+json"), BINARY],
                Single::CloudEvent,
            ),
            (
                &[("content-type", "application/json"), BINARY],
                Single::CloudEventBinary,
            ),
            (
                &[("content-type", "application/vnd.x+json"), BINARY],
                Single::CloudEventBinary,
            ),
            (&[BINARY], Single::CloudEventBinary),
            // Its version is missed when it is read.
            (&[("ce-id", "e1")], Single::CloudEventBinary),
        ] {
            assert_eq!(single(pairs), Ok(expected), "{pairs:?}");
        }
        for pairs in [
            &[][..],
            &[("content-type", "text/plain")],
            &[("content-type", "text/xml"), BINARY],
            &[("content-type", "application/x-protobuf"), BINARY],
            &[("content-type", "application/json; charset=latin1")],
            &[
                ("content-type", "application/json"),
                ("content-type", "application/json"),
            ],
            &[("content-type", "application/cloudevents-batch+json")],
        ] {
            assert_eq!(single(pairs), Err("unsupported_media_type"), "{pairs:?}");
        }
    }

    #[test]
    fn only_plain_bodies_are_taken() {
        assert!(check_encoding(&headers(&[])).is_ok());
        assert!(check_encoding(&headers(&[("content-encoding", "Identity")])).is_ok());
        assert!(check_encoding(&headers(&[("content-encoding", "gzip")])).is_err());
    }
}
