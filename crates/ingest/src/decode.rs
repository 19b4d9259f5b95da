//! Bytes of a request to an event as its producer gave it. Pure functions: no clock, no broker.
//!
//! Each form is read strictly, because the services behind read it again and must see the same: a
//! field that comes twice, is unknown or of another type is refused here rather than interpreted.
//! What a field may hold is not decided here but in [`check`](crate::check).

pub mod batch;
pub mod cloudevents;
pub mod json;
pub mod protobuf;

mod object;
mod original;
mod payload;
mod schema;
mod text;
mod value;
mod wire;

use tidings_core::event::EventError;
use tidings_nats::trace_context::TraceContext;
use tidings_proto::v1;

pub use original::Original;

/// An event as its producer gave it: read, but not yet held against the rules.
#[derive(Debug)]
pub struct Candidate {
    /// Its fields; what is empty was not given.
    pub event: v1::Event,
    /// The producer's own protobuf message, which also keeps the fields that this version does not
    /// know.
    pub original: Option<Original>,
    /// The trace that the event itself names. Only CloudEvents can.
    pub trace: Option<TraceContext>,
    /// How its producer calls its fields.
    pub names: Names,
}

/// How the fields of an event are called where it came from, so that a problem names what the
/// producer wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// As in `event.proto`.
    Tidings,
    /// As in CloudEvents.
    CloudEvents,
}

impl Names {
    /// The same fault with the pointer that the producer understands.
    #[must_use]
    pub fn translate(self, fault: EventError) -> EventError {
        match self {
            Self::Tidings => fault,
            Self::CloudEvents => EventError {
                pointer: cloudevents::pointer(&fault.pointer),
                others: fault
                    .others
                    .into_iter()
                    .map(|other| self.translate(other))
                    .collect(),
                ..fault
            },
        }
    }
}
