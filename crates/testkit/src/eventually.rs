//! Waiting for something outside to become true.
//!
//! For conditions that cannot announce themselves (a stream is empty, a file is there). What can
//! announce itself, such as a request at a [`Receiver`](crate::Receiver), has a wait of its own
//! that does not poll.

use std::fmt::Display;
use std::panic::Location;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

const WAIT_FIRST: Duration = Duration::from_millis(2);
const WAIT_MAX: Duration = Duration::from_millis(100);

/// What one look at a condition may return: `bool`, `Option<T>`, or `Result<T, E>` whose error
/// says what is still in the way.
pub trait Condition {
    /// What the wait returns once the condition holds.
    type Value;

    /// The value, or what was seen instead.
    fn check(self) -> Result<Self::Value, String>;
}

impl Condition for bool {
    type Value = ();

    fn check(self) -> Result<(), String> {
        if self {
            Ok(())
        } else {
            Err("false".to_owned())
        }
    }
}

impl<T> Condition for Option<T> {
    type Value = T;

    fn check(self) -> Result<T, String> {
        self.ok_or_else(|| "nothing yet".to_owned())
    }
}

impl<T, E: Display> Condition for Result<T, E> {
    type Value = T;

    fn check(self) -> Result<T, String> {
        self.map_err(|error| format!("{error:#}"))
    }
}

/// Looks at `condition` with growing pauses (2 ms to 100 ms) until it holds, and returns its value.
///
/// `condition` is an `async` closure that borrows what it looks at. (Not taken as `AsyncFnMut`:
/// the compiler cannot yet see that such a wait is `Send`, and tests spawn it.)
///
/// # Panics
/// After `within`, naming the caller's line, `what`, and what the last look saw.
#[track_caller]
pub fn eventually<F, Fut, C>(
    within: Duration,
    what: &str,
    mut condition: F,
) -> impl Future<Output = C::Value>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = C>,
    C: Condition,
{
    let caller = Location::caller();
    async move {
        let deadline = Instant::now() + within;
        let mut wait = WAIT_FIRST;
        let mut looks = 0_u32;
        let mut last = "the condition gave no answer".to_owned();
        while let Ok(seen) = timeout_at(deadline, condition()).await {
            looks += 1;
            match seen.check() {
                Ok(value) => return value,
                Err(instead) => last = instead,
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            sleep(wait.min(left)).await;
            wait = (wait * 2).min(WAIT_MAX);
        }
        panic!("{caller}: {what}: not within {within:?} ({looks} looks, last: {last})");
    }
}
