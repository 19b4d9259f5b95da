//! What people do to an installation: webhooks, secrets, tokens, spaces, redelivery, replays.
//!
//! The operations behind the command line, the management API and the dashboard, so that all three
//! check, store and record in the same way. [`Manage`] reaches the broker; every call names the
//! space it is about, and every change names its [`Actor`] and leaves a record ([`audit`]).
//! Nothing here is part of the data plane.

pub mod audit;
mod egress;
mod error;
mod events;
mod latest;
mod manage;
pub mod redeliver;
pub mod replay;
mod sealing;
pub mod space;
pub mod status;
pub mod token;
pub mod webhook;

pub use audit::{Actor, Via};
pub use error::{Error, Result};
pub use events::StoredEvent;
pub use manage::{Manage, Options};
pub use sealing::{forget_history, has_plain, sealer};

use jiff::Timestamp;
use ulid::Ulid;

/// A new id, sorted by `now`.
#[must_use]
pub fn new_ulid(now: Timestamp) -> Ulid {
    let milliseconds = u64::try_from(now.as_millisecond()).unwrap_or(0);
    Ulid::from_parts(milliseconds, rand::random())
}
