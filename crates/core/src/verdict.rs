//! What follows an attempt (CONTRACT.md section 5).

use jiff::Timestamp;

use crate::attempt::Outcome;
use crate::dead_letter::Reason;
use crate::delivery::Progress;
use crate::webhook::DeliveryPlan;

/// What follows an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Done.
    Delivered,
    /// Again, not before `at`.
    Retry {
        /// When the next attempt is due.
        at: Timestamp,
    },
    /// Over, without success.
    Dead(Reason),
}

/// Says what follows the attempt that `progress` describes. `draw` in `0.0..1.0` spreads waits.
#[must_use]
pub fn judge(
    plan: &DeliveryPlan,
    progress: Progress,
    outcome: &Outcome,
    now: Timestamp,
    draw: f64,
) -> Verdict {
    if outcome.is_success() {
        return Verdict::Delivered;
    }
    if matches!(outcome, Outcome::Answered { status: 410, .. }) {
        return Verdict::Dead(Reason::Gone);
    }
    if let Outcome::Unrenderable { reason, .. } = outcome {
        return Verdict::Dead(*reason);
    }
    let retry = progress.retries() + 1;
    if retry > plan.max_retries {
        return Verdict::Dead(Reason::Exhausted);
    }
    let wait = plan
        .retry_schedule
        .wait_at_least(retry, outcome.retry_after(), draw);
    let Ok(at) = now.checked_add(wait) else {
        return Verdict::Dead(Reason::Expired);
    };
    match is_expired(plan, progress, at) {
        true => Verdict::Dead(Reason::Expired),
        false => Verdict::Retry { at },
    }
}

/// Whether a delivery is too old for an attempt at `at`.
#[must_use]
pub fn is_expired(plan: &DeliveryPlan, progress: Progress, at: Timestamp) -> bool {
    progress
        .round_started_at
        .checked_add(plan.max_age)
        .is_ok_and(|end| at > end)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn answered(status: u16) -> Outcome {
        Outcome::Answered {
            status,
            retry_after: None,
        }
    }

    fn at(attempt: u32) -> Progress {
        Progress {
            attempt,
            ..Progress::first(Timestamp::UNIX_EPOCH)
        }
    }

    fn judge_default(attempt: u32, outcome: &Outcome) -> Verdict {
        judge(
            &DeliveryPlan::default(),
            at(attempt),
            outcome,
            Timestamp::UNIX_EPOCH,
            0.5,
        )
    }

    #[test]
    fn only_2xx_is_success() {
        for status in [200, 204, 226, 299] {
            assert_eq!(judge_default(1, &answered(status)), Verdict::Delivered);
        }
        for status in [101, 199, 300, 301, 304, 400, 404, 429, 500, 503, 600, 999] {
            assert!(matches!(
                judge_default(1, &answered(status)),
                Verdict::Retry { .. }
            ));
        }
        let timeout = Outcome::Failed { code: "timeout" };
        assert!(matches!(judge_default(1, &timeout), Verdict::Retry { .. }));
    }

    #[test]
    fn the_tenth_failure_exhausts_a_delivery() {
        assert!(matches!(
            judge_default(9, &answered(500)),
            Verdict::Retry { .. }
        ));
        assert_eq!(
            judge_default(10, &answered(500)),
            Verdict::Dead(Reason::Exhausted)
        );
    }

    #[test]
    fn gone_ends_it_at_once() {
        assert_eq!(
            judge_default(1, &answered(410)),
            Verdict::Dead(Reason::Gone)
        );
    }

    #[test]
    fn what_cannot_be_rendered_is_not_tried_again() {
        for reason in [Reason::InvalidTransformation, Reason::Oversized] {
            let detail = String::new();
            let outcome = Outcome::Unrenderable { reason, detail };
            assert_eq!(judge_default(1, &outcome), Verdict::Dead(reason));
        }
    }

    #[test]
    fn a_wait_beyond_the_maximum_age_ends_it_now() {
        let asked = Outcome::Answered {
            status: 503,
            retry_after: Some(Duration::from_secs(3600)),
        };
        let plan = DeliveryPlan {
            max_age: Duration::from_secs(60),
            ..DeliveryPlan::default()
        };
        let verdict = judge(&plan, at(1), &asked, Timestamp::UNIX_EPOCH, 0.5);
        assert_eq!(verdict, Verdict::Dead(Reason::Expired));
    }

    #[test]
    fn a_redelivery_gets_the_whole_schedule_again() {
        let plan = DeliveryPlan::default();
        let progress = Progress::redelivery(11, Timestamp::UNIX_EPOCH);
        let verdict = judge(&plan, progress, &answered(500), Timestamp::UNIX_EPOCH, 0.5);
        let first_wait = Timestamp::UNIX_EPOCH + Duration::from_secs(5);
        assert_eq!(verdict, Verdict::Retry { at: first_wait });
    }

    proptest! {
        #[test]
        fn a_delivery_ends_after_at_most_its_retries(
            statuses in prop::collection::vec(200_u16..600, 40),
            max_retries in 0_u32..20,
            draw in 0.0_f64..1.0,
        ) {
            let plan = DeliveryPlan { max_retries, ..DeliveryPlan::default() };
            let mut progress = Progress::first(Timestamp::UNIX_EPOCH);
            let mut now = Timestamp::UNIX_EPOCH;
            let mut attempts = 0;
            for status in statuses {
                attempts += 1;
                match judge(&plan, progress, &answered(status), now, draw) {
                    Verdict::Retry { at } => {
                        prop_assert!(at >= now);
                        now = at;
                        progress = progress.next();
                    }
                    Verdict::Delivered | Verdict::Dead(_) => break,
                }
            }
            prop_assert!(attempts <= max_retries + 1);
        }
    }
}
