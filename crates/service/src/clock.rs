//! The one place that asks what time it is.

use jiff::Timestamp;

/// The time now, by the machine's clock.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the clock that everybody else asks"
)]
#[must_use]
pub fn now() -> Timestamp {
    Timestamp::now()
}
