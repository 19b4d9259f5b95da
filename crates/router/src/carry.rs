//! What deliveries carry of their event: all of it, or, where a payload is large, the rest and a
//! reference to the stream of events, which has the payload once for all (docs/adr/0009).

use bytes::Bytes;
use prost::Message as _;
use tidings_core::event::Event;
use tidings_core::name::Pool;
use tidings_nats::stored_event::Opened;
use tidings_nats::subject;
use tidings_proto::event_to_wire;

/// Events with more bytes than this are not copied into their deliveries. Below it, a copy costs
/// less than the look-up.
pub(crate) const COPIED_BYTES_MAX: usize = 32 * 1_024;

/// What every delivery of an event carries of it.
#[derive(Debug)]
pub(crate) struct Carried {
    /// The event, perhaps without its payload.
    pub(crate) bytes: Bytes,
    /// The place of the event, if the payload is left there.
    pub(crate) reference: Option<u64>,
}

impl Carried {
    /// What is carried of `opened`; everything if nobody `can_refer`.
    pub(crate) fn of(opened: &Opened, can_refer: bool) -> Self {
        if !can_refer || opened.bytes.len() <= COPIED_BYTES_MAX || opened.sequence == 0 {
            return Self {
                bytes: opened.bytes.clone(),
                reference: None,
            };
        }
        let head = Event {
            payload: Bytes::new(),
            ..opened.event.clone()
        };
        Self {
            bytes: event_to_wire(&head).encode_to_vec().into(),
            reference: Some(opened.sequence),
        }
    }

    /// Where a delivery waits for its first attempt.
    pub(crate) fn subject(&self, pool: &Pool, partition: u16) -> String {
        match self.reference {
            None => subject::delivery(pool, partition),
            Some(event) => subject::delivery_by_reference(pool, partition, event),
        }
    }
}
