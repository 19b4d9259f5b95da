//! What is asked of every event that was read, in whichever form it came.

use jiff::Timestamp;
use prost::Message as _;
use tidings_core::event::EventError;
use tidings_ingest::check::{check, problem};
use tidings_ingest::decode::Candidate;
use tidings_proto::{event_from_wire, v1};
use ulid::Ulid;

/// An event is refused with a place that a producer can find, or is stored so that it reads back as
/// the same one.
pub fn judge(read: Result<Candidate, EventError>) {
    let checked = read.and_then(|candidate| {
        // The door has read it by then, whichever space the token is for.
        let space = match candidate.event.space.as_str() {
            "" => "acme",
            own => own,
        };
        let space = space.parse().map_err(|_| EventError::new("bad_space", "/space", "it is none"))?;
        check(candidate, space, Timestamp::UNIX_EPOCH, Ulid::from_parts(1, 2))
    });
    let checked = match checked {
        Ok(checked) => checked,
        Err(fault) => {
            let at_a_place = fault.pointer.is_empty() || fault.pointer.starts_with('/');
            assert!(at_a_place && !fault.code.is_empty() && !fault.detail.is_empty());
            assert!(problem(&fault).status.is_client_error());
            return;
        }
    };
    let wire = v1::Event::decode(checked.message).expect("what is stored can be read");
    let again = event_from_wire(wire, || unreachable!("it has an id"), Timestamp::MAX);
    let again = again.expect("what is stored keeps the rules");
    let event = checked.event;
    assert_eq!(again.id, event.id);
    assert_eq!(again.topic, event.topic);
    assert_eq!(again.occurred_at, event.occurred_at);
    assert_eq!(again.entity, event.entity);
    assert_eq!(again.payload, event.payload);
    let value = serde_json::from_slice::<&serde_json::value::RawValue>(&event.payload);
    value.expect("a payload is JSON");
}
