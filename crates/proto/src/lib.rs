//! The wire types of `proto/tidings/v1`, and the only conversions between them and the domain's.

mod convert;
mod time;
mod unknown;

/// The generated types.
#[expect(missing_docs, reason = "generated from the commented .proto files")]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/tidings.v1.rs"));
}

/// Which fields the messages have, generated from the .proto files.
mod known {
    include!(concat!(env!("OUT_DIR"), "/known.rs"));
}

pub use convert::{
    DELIVERY_SCHEMA_VERSION, NEWER_SCHEMA, SCHEMA_VERSION, WireError, delivery_from_wire,
    delivery_to_wire, event_from_wire, event_to_wire,
};
pub use time::{timestamp_from_wire, timestamp_to_wire};
pub use unknown::{
    append_to_letters_delivery, delivery_of_letter, repeated_of_event, unknown_of_delivery,
};
