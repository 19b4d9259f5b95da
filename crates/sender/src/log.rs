//! One line per attempt, with everything about it. Never the payload.

use tracing::{debug, info};

use crate::attempt::Attempt;
use crate::open::Opened;
use crate::settle::Step;

/// Writes the line of an attempt: a success at level debug, because there may be ten thousand a
/// second, anything else at level info.
pub(crate) fn attempt(opened: &Opened, attempt: &Attempt, step: &Step) {
    let delivery = &opened.delivery;
    let number = delivery.progress.attempt;
    let remote = attempt
        .exchange
        .as_ref()
        .and_then(|exchange| exchange.remote_addr);
    let next = match step {
        Step::Done => return success(opened, attempt),
        Step::Retry { at } | Step::PutOff { at, .. } => format!("again at {at:.3}"),
        Step::Bury { reason, .. } => format!("dead: {reason}"),
    };
    info!(
        delivery.id = %delivery.id,
        webhook.id = %delivery.webhook_id,
        space = %delivery.space,
        event.id = %delivery.event_id,
        topic = %opened.event.topic,
        attempt.number = number,
        outcome = %attempt.outcome,
        error = %attempt.error,
        duration_ms = millis(attempt),
        remote.address = remote.map(tracing::field::display),
        next,
        "attempt {number} of {}: {}, {next}",
        delivery.id,
        attempt.outcome,
    );
}

fn success(opened: &Opened, attempt: &Attempt) {
    let delivery = &opened.delivery;
    let number = delivery.progress.attempt;
    debug!(
        delivery.id = %delivery.id,
        webhook.id = %delivery.webhook_id,
        space = %delivery.space,
        event.id = %delivery.event_id,
        topic = %opened.event.topic,
        attempt.number = number,
        outcome = %attempt.outcome,
        duration_ms = millis(attempt),
        "attempt {number} of {}: {}",
        delivery.id,
        attempt.outcome,
    );
}

fn millis(attempt: &Attempt) -> u64 {
    u64::try_from(attempt.duration().as_millis()).unwrap_or(u64::MAX)
}
