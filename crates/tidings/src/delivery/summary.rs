//! Where a delivery stands, put together from what lies in four streams about it.

use clap::ValueEnum;
use jiff::Timestamp;
use prost::Message as _;
use serde::Serialize;
use tidings_proto::{timestamp_from_wire, v1};

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    /// It waits for the first attempt, of its life or after a redelivery.
    Pending,
    /// An attempt failed, another follows.
    Retrying,
    /// The endpoint took it.
    Delivered,
    /// It ended without success.
    Dead,
}

impl Status {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Retrying => "retrying",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
        }
    }
}

/// What is known about a delivery.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Summary {
    pub(crate) id: String,
    pub(crate) webhook_id: String,
    pub(crate) space: String,
    pub(crate) environment: String,
    pub(crate) event_id: String,
    pub(crate) topic: String,
    pub(crate) status: Status,
    /// Why it is dead, or what keeps a pending one.
    pub(crate) reason: Option<String>,
    /// How many attempts were made.
    pub(crate) attempts: u32,
    pub(crate) last_outcome: Option<String>,
    /// When something last happened.
    pub(crate) last_at: Option<Timestamp>,
    pub(crate) next_attempt_at: Option<Timestamp>,
}

/// What one message says about a delivery, and how much it counts beside others.
#[derive(Debug, Clone)]
pub(super) struct Sighting {
    /// The attempt that would come next, then: a message that waits says more than a dead letter,
    /// which a redelivery leaves behind, and that says more than an attempt.
    rank: (u32, u8),
    pub(super) summary: Summary,
}

impl Sighting {
    /// What the record of an attempt says; nothing if it tells that there was none yet: then the
    /// delivery itself waits somewhere, and says more.
    pub(super) fn of_record(attempt: &v1::Attempt) -> Option<Self> {
        attempt.waiting.is_none().then(|| Self::of_attempt(attempt))
    }

    fn of_attempt(attempt: &v1::Attempt) -> Self {
        let (status, reason) = match attempt.verdict.as_str() {
            "delivered" => (Status::Delivered, None),
            "retry" => (Status::Retrying, None),
            reason => (Status::Dead, Some(reason.to_owned())),
        };
        let time =
            |wire: &Option<prost_types::Timestamp>| wire.as_ref().and_then(timestamp_from_wire);
        let summary = Summary {
            id: attempt.delivery_id.clone(),
            webhook_id: attempt.webhook_id.clone(),
            space: attempt.space.clone(),
            environment: attempt.environment.clone(),
            event_id: attempt.event_id.clone(),
            topic: attempt.topic.clone(),
            status,
            reason,
            attempts: attempt.number,
            last_outcome: Some(attempt.outcome.clone()),
            last_at: time(&attempt.started_at),
            next_attempt_at: time(&attempt.next_attempt_at),
        };
        Self {
            rank: (attempt.number.saturating_add(1), 0),
            summary,
        }
    }

    /// What a dead letter says; nothing if it is of no delivery.
    pub(super) fn of_letter(letter: &v1::DeadLetter) -> Option<Self> {
        let delivery = letter.delivery.as_ref()?;
        let outcome = Some(letter.last_outcome.clone()).filter(|outcome| !outcome.is_empty());
        let summary = Summary {
            status: Status::Dead,
            reason: Some(letter.reason.clone()),
            last_outcome: outcome,
            last_at: letter.at.as_ref().and_then(timestamp_from_wire),
            ..summary_of(delivery)
        };
        Some(Self {
            rank: (delivery.attempt, 1),
            summary,
        })
    }

    /// What a delivery that waits says; `due_at` is when it is let go, `told` what keeps it from its
    /// first attempt.
    pub(super) fn of_waiting(
        delivery: &v1::Delivery,
        due_at: Option<Timestamp>,
        told: Option<String>,
    ) -> Self {
        let is_first = delivery.attempt <= delivery.round_start;
        let summary = Summary {
            status: if is_first {
                Status::Pending
            } else {
                Status::Retrying
            },
            reason: told.filter(|_| is_first),
            next_attempt_at: due_at,
            ..summary_of(delivery)
        };
        Self {
            rank: (delivery.attempt, 2),
            summary,
        }
    }

    /// Adds what another message says about the same delivery.
    pub(super) fn merge(&mut self, other: Self) {
        let (mut newer, older) = match other.rank > self.rank {
            true => (other, self.clone()),
            false => (self.clone(), other),
        };
        let (known, before) = (&mut newer.summary, older.summary);
        if known.last_outcome.is_none() {
            known.last_outcome = before.last_outcome;
            known.last_at = before.last_at.or(known.last_at);
        }
        *self = newer;
    }
}

fn summary_of(delivery: &v1::Delivery) -> Summary {
    // What cannot be read has no topic, and is shown all the same.
    let event = v1::Event::decode(delivery.event.clone()).unwrap_or_default();
    Summary {
        id: delivery.id.clone(),
        webhook_id: delivery.webhook_id.clone(),
        space: delivery.space.clone(),
        environment: delivery.environment.clone(),
        event_id: delivery.event_id.clone(),
        topic: event.topic,
        status: Status::Pending,
        reason: None,
        attempts: delivery.attempt.saturating_sub(1),
        last_outcome: None,
        last_at: delivery.created_at.as_ref().and_then(timestamp_from_wire),
        next_attempt_at: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(number: u32, verdict: &str) -> Sighting {
        Sighting::of_attempt(&v1::Attempt {
            number,
            verdict: verdict.into(),
            outcome: "http_5xx".into(),
            ..v1::Attempt::default()
        })
    }

    fn delivery(attempt: u32, round_start: u32) -> v1::Delivery {
        v1::Delivery {
            attempt,
            round_start,
            ..v1::Delivery::default()
        }
    }

    fn letter(attempt: u32) -> Sighting {
        let delivery = Some(delivery(attempt, 1));
        let reason = String::from("exhausted");
        Sighting::of_letter(&v1::DeadLetter {
            delivery,
            reason,
            ..v1::DeadLetter::default()
        })
        .unwrap()
    }

    fn status(sightings: Vec<Sighting>) -> (Status, u32) {
        let merge = |sightings: Vec<Sighting>| {
            let mut all = sightings.into_iter();
            let mut merged = all.next().unwrap();
            all.for_each(|sighting| merged.merge(sighting));
            (merged.summary.status, merged.summary.attempts)
        };
        let backwards = sightings.iter().rev().cloned().collect();
        let found = merge(sightings);
        assert_eq!(merge(backwards), found, "the order does not matter");
        found
    }

    #[test]
    fn what_is_furthest_along_says_where_a_delivery_stands() {
        let waiting = |attempt, round| Sighting::of_waiting(&delivery(attempt, round), None, None);
        for (sightings, expected) in [
            (vec![waiting(1, 1)], (Status::Pending, 0)),
            (
                vec![attempt(1, "retry"), waiting(2, 1)],
                (Status::Retrying, 1),
            ),
            (
                vec![attempt(1, "retry"), attempt(2, "delivered")],
                (Status::Delivered, 2),
            ),
            (
                vec![waiting(2, 1), attempt(2, "delivered")],
                (Status::Delivered, 2),
            ),
            (vec![attempt(2, "exhausted"), letter(3)], (Status::Dead, 2)),
            (
                vec![attempt(2, "exhausted"), letter(3), waiting(3, 3)],
                (Status::Pending, 2),
            ),
            (
                vec![letter(3), attempt(3, "delivered")],
                (Status::Delivered, 3),
            ),
        ] {
            assert_eq!(status(sightings), expected);
        }
    }

    #[test]
    fn the_last_outcome_is_remembered_while_waiting() {
        let mut waiting = Sighting::of_waiting(&delivery(2, 1), None, None);
        waiting.merge(attempt(1, "retry"));
        assert_eq!(waiting.summary.last_outcome.as_deref(), Some("http_5xx"));
        assert_eq!(waiting.summary.status, Status::Retrying);
    }
}
