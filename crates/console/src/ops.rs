//! What the API and the pages ask for that needs more than one source: the log, the streams and
//! the webhooks together. Every call is of one space.

mod body;
mod deliveries;
mod dry_run;
mod events;
mod health;
mod replay;

use tidings_manage::Error;

use crate::log::LogError;

pub(crate) use deliveries::Waits;
pub use replay::{NewReplay, lead as lead_replays};

/// The log is a part of the console, so its faults are the console's.
impl From<LogError> for Error {
    fn from(error: LogError) -> Self {
        Self::Unavailable(error.to_string())
    }
}
