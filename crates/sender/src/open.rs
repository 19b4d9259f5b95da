//! A message becomes a delivery with its event, or says why it is none.

use bytes::Bytes;
use jiff::Timestamp;
use prost::{DecodeError, Message as _};
use tidings_core::delivery::Delivery;
use tidings_core::topic::{Topic, TopicError};
use tidings_nats::trace_context::TraceContext;
use tidings_proto::{WireError, delivery_from_wire, timestamp_from_wire, v1};

use crate::hand::Taken;

/// A delivery, and of its event what a request is made of.
#[derive(Debug)]
pub struct Opened {
    /// The delivery.
    pub delivery: Delivery,
    /// What happened.
    pub topic: Topic,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// JSON text, a slice of the message.
    pub payload: Bytes,
    /// The trace it belongs to.
    pub trace: Option<TraceContext>,
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
    /// Its event's topic is none.
    #[error("its event's topic is unusable: {0}")]
    Topic(#[from] TopicError),
}

impl OpenError {
    /// Whether a newer version of this service could read it.
    #[must_use]
    pub fn is_newer(&self) -> bool {
        matches!(self, Self::Wire(WireError::Newer { .. }))
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
    let occurred_at = event.occurred_at.as_ref().and_then(timestamp_from_wire);
    Ok(Opened {
        topic: Topic::try_from(event.topic)?,
        occurred_at: occurred_at.unwrap_or(delivery.created_at),
        payload: event.payload,
        trace: TraceContext::from_headers(taken.headers.as_ref()),
        delivery,
    })
}
