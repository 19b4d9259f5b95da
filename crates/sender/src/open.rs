//! A message becomes a delivery with its event, or says why it is none.

use bytes::Bytes;
use prost::{DecodeError, Message as _};
use tidings_core::delivery::Delivery;
use tidings_core::event::{Event, EventError};
use tidings_nats::trace_context::{self, TraceContext};
use tidings_proto::{
    NEWER_SCHEMA, WireError, delivery_from_wire, event_from_wire, unknown_of_delivery, v1,
};

use crate::hand::Taken;

/// A delivery with its event, of which its request is made.
#[derive(Debug)]
pub struct Opened {
    /// The delivery.
    pub delivery: Delivery,
    /// What happened. Its payload is a slice of the message; empty while it is left in the stream of
    /// events.
    pub event: Event,
    /// The event, whole, of a delivery by reference whose payload was fetched.
    pub whole: Option<Bytes>,
    /// The trace it belongs to.
    pub trace: Option<TraceContext>,
    /// What a newer version wrote into the delivery: it goes with it.
    pub unknown: Bytes,
}

/// Why a message is no delivery that can be sent.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It is not of the wire form.
    #[error("it is no delivery: {0}")]
    Form(#[from] DecodeError),
    /// A field is unusable, or a newer version wrote it.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// Its event is not of the wire form.
    #[error("its event cannot be read: {0}")]
    Event(DecodeError),
    /// Its event breaks a rule.
    #[error("its event's `{pointer}` is unusable: {0}", pointer = .0.pointer)]
    Field(EventError),
}

impl OpenError {
    /// Whether a newer version of this service could read it.
    #[must_use]
    pub fn is_newer(&self) -> bool {
        match self {
            Self::Wire(WireError::Newer { .. }) => true,
            Self::Field(error) => error.code == NEWER_SCHEMA,
            Self::Form(_) | Self::Wire(_) | Self::Event(_) => false,
        }
    }
}

/// Opens a message. The payload is not copied.
///
/// # Errors
/// It is no delivery.
pub fn open(taken: &Taken) -> Result<Opened, OpenError> {
    let wire = v1::Delivery::decode(taken.payload.clone())?;
    let delivery = delivery_from_wire(wire)?;
    let event = v1::Event::decode(delivery.event.clone()).map_err(OpenError::Event)?;
    let id = || delivery.event_id.clone();
    let event = event_from_wire(event, id, delivery.created_at).map_err(OpenError::Field)?;
    Ok(Opened {
        event,
        whole: None,
        trace: trace_context::read(taken.headers.as_ref()),
        unknown: unknown_of_delivery(&taken.payload)?,
        delivery,
    })
}
