//! The independent checker: everything that arrived, held against everything that was accepted.
//!
//! It knows the product only by what a receiver knows: paths, ids, bodies. The body of an event and
//! the id of a delivery are made here again rather than remembered.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidings_core::id::DeliveryId;
use tidings_core::name::{Environment, Space};
use tidings_core::webhook::Webhook;
use tidings_testkit::Request;
use tokio::time::Instant;

use super::scenario::Victim;
use crate::load::event_of;

/// How many faults are told in full.
const FAULTS_TOLD_MAX: usize = 10;

/// How long after a kill and the restart something may be sent that will come again. What a killed
/// sender had written, the receiver may read a moment later. What a killed broker had handed out,
/// senders have in hand and send when its turn comes, and the broker may have forgotten that.
const IN_TRANSIT: Duration = Duration::from_millis(500);
const IN_HAND: Duration = Duration::from_secs(5);

/// A program that was killed and started again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kill {
    pub(crate) victim: Victim,
    pub(crate) at: Instant,
    /// When it ran again.
    pub(crate) back_at: Instant,
}

impl Kill {
    /// Whether it may be why what arrived at `first` was sent again.
    fn explains(&self, first: Instant, second: Instant) -> bool {
        let after = match self.victim {
            Victim::Broker => IN_HAND,
            _ => IN_TRANSIT,
        };
        first < self.back_at + after && self.at < second
    }
}

/// All that arrived.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    webhooks: Vec<Expected>,
    /// Arrivals by event and webhook.
    arrivals: HashMap<(u32, usize), Vec<Instant>>,
    faults: Vec<String>,
}

#[derive(Debug)]
struct Expected {
    id: tidings_core::id::WebhookId,
    /// How often its endpoint fails before it takes a delivery, of those that it fails at all.
    failures: usize,
}

/// Endpoints fail at one event in so many: one that failed five times in a row would be paused, and
/// then ever more of what waits would be what fails first.
const FAILING_EVENT: u32 = 40;

impl Expected {
    fn failures_at(&self, event: u32) -> usize {
        match event.is_multiple_of(FAILING_EVENT) {
            true => self.failures,
            false => 0,
        }
    }
}

/// What the checker found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// Deliveries that should arrive.
    pub(crate) deliveries: u64,
    /// Deliveries that no endpoint ever took.
    pub(crate) lost: u64,
    /// Requests for events that were never accepted.
    pub(crate) phantom: u64,
    /// Requests beyond those that were needed.
    pub(crate) duplicates: u64,
    /// The longest time from a request that was repeated without need to the kill after it.
    pub(crate) longest_before_kill: Duration,
    /// Requests repeated without need that no kill followed.
    pub(crate) unexplained: u64,
    /// Requests whose body, path or id is not what it should be.
    pub(crate) faults: Vec<String>,
}

impl Ledger {
    /// Names the webhooks, whose paths are their numbers, and how often each endpoint fails.
    pub(crate) fn expect_webhooks<const N: usize>(&self, all: &[Webhook], failures: [usize; N]) {
        let expected = all.iter().zip(failures);
        self.entries().webhooks = expected
            .map(|(webhook, failures)| Expected {
                id: webhook.id.clone(),
                failures,
            })
            .collect();
    }

    /// Enters a request, and says with which status it is answered.
    pub(crate) fn enter(&self, request: &Request) -> u16 {
        let mut entries = self.entries();
        match entries.check(request) {
            Ok((event, webhook)) => {
                let failures = entries.webhooks[webhook].failures_at(event);
                let arrivals = entries.arrivals.entry((event, webhook)).or_default();
                arrivals.push(request.at);
                if arrivals.len() > failures { 204 } else { 503 }
            }
            Err(fault) => {
                entries.faults.push(fault);
                400
            }
        }
    }

    /// Holds everything against the events 0 to `accepted`.
    pub(crate) fn findings(&self, accepted: u32, kills: &[Kill]) -> Findings {
        let entries = self.entries();
        let mut findings = Findings {
            faults: entries.faults.clone(),
            ..Findings::default()
        };
        findings.faults.truncate(FAULTS_TOLD_MAX);
        for event in 0..accepted {
            for (webhook, expected) in entries.webhooks.iter().enumerate() {
                let arrivals = entries.arrivals.get(&(event, webhook));
                findings.count(
                    arrivals.map_or(&[], Vec::as_slice),
                    expected.failures_at(event),
                    kills,
                );
            }
        }
        let phantom = entries
            .arrivals
            .keys()
            .filter(|(event, _)| *event >= accepted);
        findings.phantom = phantom.count() as u64;
        findings
    }

    /// Requests so far for deliveries that their endpoints had taken before.
    pub(crate) fn duplicates(&self) -> u64 {
        let entries = self.entries();
        let repeated = entries.arrivals.iter().map(|((event, webhook), arrivals)| {
            let needed = entries.webhooks[*webhook].failures_at(*event) + 1;
            arrivals.len().saturating_sub(needed) as u64
        });
        repeated.sum()
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    /// The number of the event and of the webhook, if every byte is as it should be.
    fn check(&self, request: &Request) -> Result<(u32, usize), String> {
        let fault = |what: &str| format!("{what}: {request:?}");
        let path = request.path().trim_start_matches('/');
        let webhook: usize = path.parse().map_err(|_| fault("no webhook's path"))?;
        let expected = self
            .webhooks
            .get(webhook)
            .ok_or_else(|| fault("no webhook's path"))?;
        let number = number_of(&request.body).ok_or_else(|| fault("no event's number"))?;
        let event = event_of(number);
        if request.body != event.standard_body() {
            return Err(fault("another body"));
        }
        let id = DeliveryId::derive(
            &Space::try_from("acme".to_owned()).expect("a name"),
            &Environment::default(),
            &format!("e{number}").parse().expect("an id"),
            &expected.id,
        );
        match request.delivery_id() == id.as_str() {
            true => Ok((number, webhook)),
            false => Err(fault("another delivery's id")),
        }
    }
}

/// What follows `"number":`.
fn number_of(body: &[u8]) -> Option<u32> {
    let body = str::from_utf8(body).ok()?;
    let (_, rest) = body.split_once(r#""number":"#)?;
    rest.split(',').next()?.parse().ok()
}

impl Findings {
    fn count(&mut self, arrivals: &[Instant], failures: usize, kills: &[Kill]) {
        self.deliveries += 1;
        let needed = failures + 1;
        if arrivals.len() < needed {
            self.lost += 1;
        }
        for repeated in needed..arrivals.len() {
            self.duplicates += 1;
            self.explain(&arrivals[..repeated], arrivals[repeated], kills);
        }
    }

    /// Looks for the kill by which one of the arrivals `before` came again. That may be any of them:
    /// an attempt that failed and had its retry stored, but was not acknowledged, comes again, too.
    fn explain(&mut self, before: &[Instant], again: Instant, kills: &[Kill]) {
        let reasons = before.iter().rev().flat_map(|first| {
            let explaining = kills.iter().filter(|kill| kill.explains(*first, again));
            explaining.map(|kill| kill.at.saturating_duration_since(*first))
        });
        match reasons.min() {
            Some(before_kill) => {
                self.longest_before_kill = self.longest_before_kill.max(before_kill);
            }
            None => self.unexplained += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(arrivals_ms: &[u64], failures: usize) -> Findings {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let kill = Kill {
            victim: Victim::Sender,
            at: at(10_000),
            back_at: at(11_000),
        };
        let arrivals: Vec<Instant> = arrivals_ms.iter().copied().map(at).collect();
        let mut findings = Findings::default();
        findings.count(&arrivals, failures, &[kill]);
        findings
    }

    #[tokio::test]
    async fn the_checker_sees_what_is_missing() {
        assert_eq!(found(&[], 0).lost, 1);
        assert_eq!(found(&[1, 2], 2).lost, 1);
        assert_eq!(found(&[1, 2, 3], 2).lost, 0);
    }

    #[tokio::test]
    async fn the_checker_tells_repetitions_from_retries_and_knows_their_kill() {
        let seen = |findings: Findings| (findings.duplicates, findings.unexplained);
        assert_eq!(seen(found(&[1, 2], 1)), (0, 0));
        assert_eq!(seen(found(&[9_900, 25_000], 0)), (1, 0));
        assert_eq!(
            found(&[9_900, 25_000], 0).longest_before_kill.as_millis(),
            100
        );
        assert_eq!(seen(found(&[11_200, 25_000], 0)), (1, 0));
        assert_eq!(seen(found(&[1, 2], 0)), (1, 1));
        assert_eq!(seen(found(&[20_000, 30_000], 0)), (1, 1));
        assert_eq!(seen(found(&[9_900, 12_000, 25_000], 1)), (1, 0));
    }
}
