//! An event as it lies in the stream: decoded, completed from its subject, checked. One reading for
//! everybody, so that the router, the sender and whoever explains see the same event.

use async_nats::HeaderMap;
use async_nats::jetstream::Message;
use async_nats::jetstream::message::StreamMessage;
use bytes::{Bytes, BytesMut};
use jiff::Timestamp;
use prost::Message as _;
use serde::de::IgnoredAny;
use tidings_core::event::{Event, EventError};
use tidings_core::id::EventId;
use tidings_core::json;
use tidings_proto::{event_from_wire, repeated_of_event, timestamp_to_wire, v1};

use crate::publish::MESSAGE_ID;
use crate::subject::{EventSubject, read_event};

/// An event that can be routed.
#[derive(Debug)]
pub struct Opened {
    /// The event, checked.
    pub event: Event,
    /// The event for the deliveries: the producer's own bytes, with what was missing behind them.
    pub bytes: Bytes,
    /// Its place in the stream.
    pub sequence: u64,
    /// When it was stored there.
    pub stored_at: Timestamp,
}

/// Where a message lies, and since when.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Its sequence in the stream.
    pub sequence: u64,
    /// When the broker stored it.
    pub published_at: Timestamp,
}

impl Place {
    /// Reads it off the message; a message without it stands at the beginning of time.
    #[must_use]
    pub fn of(message: &Message) -> Self {
        let info = message.info().ok();
        let nanoseconds = info
            .as_ref()
            .map_or(0, |info| info.published.unix_timestamp_nanos());
        Self {
            sequence: info.map_or(0, |info| info.stream_sequence),
            published_at: time(nanoseconds),
        }
    }
}

fn time(nanoseconds: i128) -> Timestamp {
    Timestamp::from_nanosecond(nanoseconds).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Opens a message that the stream handed out.
///
/// # Errors
/// It does not decode, breaks a rule, or contradicts its subject.
pub fn open(message: &Message, place: Place) -> Result<Opened, EventError> {
    let headers = message.headers.as_ref();
    open_parts(&message.subject, headers, &message.payload, place)
}

/// Opens a message that was looked up in the stream.
///
/// # Errors
/// As [`open`].
pub fn open_stored(message: &StreamMessage) -> Result<Opened, EventError> {
    let place = Place {
        sequence: message.sequence,
        published_at: time(message.time.unix_timestamp_nanos()),
    };
    let headers = Some(&message.headers);
    open_parts(&message.subject, headers, &message.payload, place)
}

fn open_parts(
    subject: &str,
    headers: Option<&HeaderMap>,
    payload: &Bytes,
    place: Place,
) -> Result<Opened, EventError> {
    let subject = read_event(subject)
        .ok_or_else(|| EventError::new("bad_subject", "", "the subject is not of five parts"))?;
    let wire = v1::Event::decode(payload.clone())
        .map_err(|error| EventError::new("bad_protobuf", "", error.to_string()))?;
    check_repetition(payload)?;
    let missing = missing(&wire, subject, headers, place);
    let bytes = completed(payload, &missing);
    let wire = filled(wire, missing);
    let event = event_from_wire(
        wire,
        || EventId::of_sequence(place.sequence),
        place.published_at,
    )?;
    check_subject(&event, subject)?;
    check_payload(&event.payload)?;
    Ok(Opened {
        event,
        bytes,
        sequence: place.sequence,
        stored_at: place.published_at,
    })
}

/// What the event does not say itself.
fn missing(
    wire: &v1::Event,
    subject: EventSubject<'_>,
    headers: Option<&HeaderMap>,
    place: Place,
) -> v1::Event {
    let if_empty = |field: &str, value: &str| match field.is_empty() {
        true => value.to_owned(),
        false => String::new(),
    };
    let id = wire
        .id
        .is_empty()
        .then(|| id_of(headers, subject, place.sequence).to_string());
    v1::Event {
        id: id.unwrap_or_default(),
        space: if_empty(&wire.space, subject.space),
        environment: if_empty(&wire.environment, subject.environment),
        topic: if_empty(&wire.topic, subject.topic),
        occurred_at: wire
            .occurred_at
            .is_none()
            .then(|| timestamp_to_wire(place.published_at)),
        ..v1::Event::default()
    }
}

/// `Nats-Msg-Id`, without the prefix `<space>.<environment>.`, where that is an id; otherwise the
/// event's place. Never a part of it: two different messages must not become one event.
fn id_of(headers: Option<&HeaderMap>, subject: EventSubject<'_>, sequence: u64) -> EventId {
    let id = headers.and_then(|headers| headers.get(MESSAGE_ID));
    let prefix = format!("{}.{}.", subject.space, subject.environment);
    id.and_then(|id| {
        id.as_str()
            .strip_prefix(&prefix)
            .unwrap_or(id.as_str())
            .parse()
            .ok()
    })
    .unwrap_or_else(|| EventId::of_sequence(sequence))
}

/// Protobuf messages are merged by writing one behind the other, so the producer's bytes stay as
/// they are, fields that this version does not know included.
fn completed(payload: &Bytes, missing: &v1::Event) -> Bytes {
    if missing.encoded_len() == 0 {
        return payload.clone();
    }
    let mut bytes = BytesMut::with_capacity(payload.len() + missing.encoded_len());
    bytes.extend_from_slice(payload);
    missing.encode(&mut bytes).expect("a BytesMut grows");
    bytes.freeze()
}

fn filled(wire: v1::Event, missing: v1::Event) -> v1::Event {
    let either = |own: String, other: String| if own.is_empty() { other } else { own };
    v1::Event {
        id: either(wire.id, missing.id),
        space: either(wire.space, missing.space),
        environment: either(wire.environment, missing.environment),
        topic: either(wire.topic, missing.topic),
        occurred_at: wire.occurred_at.or(missing.occurred_at),
        ..wire
    }
}

fn check_subject(event: &Event, subject: EventSubject<'_>) -> Result<(), EventError> {
    let contradicts = |pointer: &str, own: &str, said: &str| {
        let detail = format!("the event says {own:?}, its subject says {said:?}");
        Err(EventError::new("subject_mismatch", pointer, detail))
    };
    if event.space.as_str() != subject.space {
        return contradicts("/space", event.space.as_str(), subject.space);
    }
    if event.environment.as_str() != subject.environment {
        return contradicts(
            "/environment",
            event.environment.as_str(),
            subject.environment,
        );
    }
    if !event.topic.as_str().eq_ignore_ascii_case(subject.topic) {
        return contradicts("/topic", event.topic.as_str(), subject.topic);
    }
    Ok(())
}

/// As ingest does: prost takes the last of two, others may take the first.
fn check_repetition(event: &Bytes) -> Result<(), EventError> {
    match repeated_of_event(event) {
        Ok(None) => Ok(()),
        Ok(Some(number)) => Err(EventError::new(
            "duplicate_field",
            "",
            format!("the field {number} is there twice"),
        )),
        Err(error) => Err(EventError::new("bad_protobuf", "", error.to_string())),
    }
}

/// Ingest checked this already; what was published straight to the stream was not.
fn check_payload(payload: &[u8]) -> Result<(), EventError> {
    let bad = |detail: String| EventError::new("bad_json", "/payload", detail);
    // The parser does not look into strings that it skips.
    std::str::from_utf8(payload).map_err(|error| bad(error.to_string()))?;
    json::check_text(payload).map_err(|error| bad(error.to_string()))?;
    serde_json::from_slice::<IgnoredAny>(payload).map_err(|error| bad(error.to_string()))?;
    Ok(())
}
