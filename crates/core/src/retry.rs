//! When a failed delivery is tried again (CONTRACT.md section 5.2).

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How far jitter moves a wait, as a share of it.
pub const JITTER: f64 = 0.2;
/// How long a `Retry-After` is honoured at the most.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// The most waits a schedule may list.
pub const SCHEDULE_LENGTH_MAX: usize = 100;
/// The longest single wait of a schedule.
pub const WAIT_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);

const DEFAULT_SECONDS: [u64; 9] = [5, 30, 300, 1_800, 7_200, 21_600, 43_200, 86_400, 97_200];

/// The waits between attempts. The last one repeats when there are more retries than waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RetrySchedule(#[serde(with = "crate::duration::texts")] Vec<Duration>);

/// Why a list of waits is no schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// The list is empty.
    #[error("it lists no wait; give at least one, such as `5s`")]
    Empty,
    /// The list is longer than its bound.
    #[error("it lists more than {SCHEDULE_LENGTH_MAX} waits")]
    TooMany,
    /// A wait is longer than a week.
    #[error("a wait is longer than 168h")]
    TooLong,
}

impl Default for RetrySchedule {
    fn default() -> Self {
        Self(DEFAULT_SECONDS.map(Duration::from_secs).to_vec())
    }
}

impl RetrySchedule {
    /// Makes a schedule of these waits.
    ///
    /// # Errors
    /// The list is empty, too long, or has a wait of more than a week.
    pub fn new(waits: Vec<Duration>) -> Result<Self, ScheduleError> {
        let schedule = Self(waits);
        schedule.check()?;
        Ok(schedule)
    }

    /// Checks a schedule that was read from outside.
    ///
    /// # Errors
    /// As [`RetrySchedule::new`].
    pub fn check(&self) -> Result<(), ScheduleError> {
        if self.0.is_empty() {
            return Err(ScheduleError::Empty);
        }
        if self.0.len() > SCHEDULE_LENGTH_MAX {
            return Err(ScheduleError::TooMany);
        }
        if self.0.iter().any(|wait| *wait > WAIT_MAX) {
            return Err(ScheduleError::TooLong);
        }
        Ok(())
    }

    /// The wait before retry number `retry` (1 is the first), spread by `draw` in `0.0..1.0`.
    #[must_use]
    pub fn wait(&self, retry: u32, draw: f64) -> Duration {
        let index = (retry.max(1) as usize - 1).min(self.0.len().saturating_sub(1));
        let base = self.0.get(index).copied().unwrap_or_default();
        base.mul_f64(1.0 - JITTER + 2.0 * JITTER * draw.clamp(0.0, 1.0))
    }

    /// The wait before retry number `retry`, with what the endpoint asked for taken into account.
    #[must_use]
    pub fn wait_at_least(&self, retry: u32, retry_after: Option<Duration>, draw: f64) -> Duration {
        let asked = retry_after.unwrap_or_default().min(RETRY_AFTER_MAX);
        self.wait(retry, draw).max(asked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_stay_within_a_fifth_of_the_schedule() {
        let schedule = RetrySchedule::default();
        assert_eq!(schedule.wait(1, 0.5), Duration::from_secs(5));
        assert_eq!(schedule.wait(1, 0.0), Duration::from_secs(4));
        assert_eq!(schedule.wait(1, 1.0), Duration::from_secs(6));
        assert_eq!(schedule.wait(9, 0.5), Duration::from_secs(97_200));
    }

    #[test]
    fn the_last_wait_repeats() {
        let schedule = RetrySchedule::new(vec![Duration::from_secs(1), Duration::from_secs(2)]);
        assert_eq!(schedule.unwrap().wait(50, 0.5), Duration::from_secs(2));
    }

    #[test]
    fn a_longer_retry_after_wins_up_to_a_day() {
        let schedule = RetrySchedule::default();
        let hours = |h: u64| Some(Duration::from_secs(h * 3_600));
        assert_eq!(
            schedule.wait_at_least(1, hours(1), 0.5),
            Duration::from_secs(3_600)
        );
        assert_eq!(schedule.wait_at_least(1, hours(100), 0.5), RETRY_AFTER_MAX);
        assert_eq!(
            schedule.wait_at_least(9, hours(1), 0.5),
            Duration::from_secs(97_200)
        );
    }

    #[test]
    fn a_schedule_is_bounded() {
        assert_eq!(RetrySchedule::new(vec![]), Err(ScheduleError::Empty));
        assert_eq!(
            RetrySchedule::new(vec![Duration::ZERO; 101]),
            Err(ScheduleError::TooMany)
        );
        assert_eq!(
            RetrySchedule::new(vec![WAIT_MAX * 2]),
            Err(ScheduleError::TooLong)
        );
    }
}
