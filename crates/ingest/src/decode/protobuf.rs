//! Events as protobuf: `tidings.v1.Event`, with the payload as bytes that hold a JSON value.

use bytes::Bytes;
use prost::Message as _;
use tidings_core::event::{EventError, Faults};
use tidings_proto::v1;

use super::json::missing;
use super::text::whole;
use super::{Candidate, Names, Original, payload, schema};

/// Reads one event. An empty field is an absent one, as protobuf has it.
///
/// # Errors
/// The message is broken, or a field is repeated, missing or of another type.
pub fn event(message: &Bytes) -> Result<Candidate, EventError> {
    let original = Original::read(message)?;
    let event = v1::Event::decode(message.clone())
        .map_err(|error| whole("bad_protobuf", error.to_string()))?;
    let mut faults = Faults::default();
    if event.topic.is_empty() {
        faults.add(missing(
            "/topic",
            "`Entity.action`, such as `Entry.publish`",
        ));
    }
    match event.payload.is_empty() {
        true => faults.add(missing("/payload", "a JSON value")),
        false => drop(faults.note(payload::check(&event.payload, "/payload"))),
    }
    if original.count(schema::CONTEXT) != event.context.len() {
        let detail = "a key is there twice";
        faults.add(EventError::new("duplicate_field", "/context", detail));
    }
    faults.finish()?;
    Ok(Candidate {
        event,
        original: Some(original),
        trace: None,
        names: Names::Tidings,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(given: &v1::Event) -> Result<Candidate, EventError> {
        event(&given.encode_to_vec().into())
    }

    fn good() -> v1::Event {
        v1::Event {
            topic: "Entry.publish".into(),
            payload: Bytes::from_static(b"{\"n\":1e999}"),
            context: [("releaseId".into(), "r".into())].into(),
            ..v1::Event::default()
        }
    }

    #[test]
    fn a_message_is_read_as_it_is() {
        assert_eq!(read(&good()).unwrap().event, good());
    }

    #[test]
    fn topic_and_payload_are_required_and_the_payload_is_json() {
        let no_topic = v1::Event {
            topic: String::new(),
            ..good()
        };
        let no_payload = v1::Event {
            payload: Bytes::new(),
            ..good()
        };
        let no_json = v1::Event {
            payload: Bytes::from_static(b"{"),
            ..good()
        };
        for (event, code, pointer) in [
            (no_topic, "missing_field", "/topic"),
            (no_payload, "missing_field", "/payload"),
            (no_json, "bad_json", "/payload"),
        ] {
            let fault = read(&event).unwrap_err();
            assert_eq!((fault.code, fault.pointer.as_str()), (code, pointer));
        }
        assert_eq!(event(&Bytes::new()).unwrap_err().code, "missing_field");
    }

    #[test]
    fn a_key_of_the_context_is_there_once() {
        let twice = [
            good().encode_to_vec(),
            b"\x42\x0b\x0a\x09releaseId".to_vec(),
        ]
        .concat();
        assert_eq!(event(&twice.into()).unwrap_err().code, "duplicate_field");
    }
}
