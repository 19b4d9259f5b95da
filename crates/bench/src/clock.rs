//! The one clock of all processes of a measurement.

use std::time::{SystemTime, UNIX_EPOCH};

/// Nanoseconds since 1970 by the machine's clock (`CLOCK_REALTIME`), which all processes share.
#[expect(
    clippy::disallowed_methods,
    reason = "times of several processes are compared; a monotonic clock may not be"
)]
pub(crate) fn now_ns() -> u64 {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("the clock of a machine that measures is not before 1970");
    u64::try_from(since_epoch.as_nanos()).expect("nanoseconds since 1970 fit until the year 2554")
}
