//! Which webhooks the demo waits for, and which have arrived as they should.

use std::collections::HashMap;
use std::fmt::Write as _;

use jiff::Timestamp;
use tidings_core::event::Event;
use tidings_core::id::DeliveryId;
use tidings_core::webhook::Webhook;
use ulid::Ulid;

use super::Outcome;
use super::publish::{WAYS, Way};
use crate::fixtures::FIXTURES;
use crate::listen::receiver::Received;
use crate::listen::text::{one_line, thousands};
use crate::listen::verify::Check;

/// The events of one run of the demo, and their deliveries.
#[derive(Debug)]
pub(super) struct Account {
    events: Vec<(Way, Event)>,
    awaited: HashMap<String, Awaited>,
    verified: usize,
}

#[derive(Debug)]
struct Awaited {
    /// Its place in `events`.
    index: usize,
    label: String,
    is_verified: bool,
}

impl Account {
    /// Every fixture once for each way in, under ids of this `run`, as having occurred `now`, to be
    /// delivered to `webhook`.
    ///
    /// # Errors
    /// A fixture is no event.
    pub(super) fn new(webhook: &Webhook, run: Ulid, now: Timestamp) -> anyhow::Result<Self> {
        let mut events = Vec::new();
        let mut awaited = HashMap::new();
        for way in WAYS {
            for fixture in FIXTURES {
                let id = format!("demo-{run}-{}-{}", way.as_str(), fixture.name).parse()?;
                let event = Event {
                    occurred_at: now,
                    ..fixture.event(id)?
                };
                let delivery =
                    DeliveryId::derive(&event.space, &event.environment, &event.id, &webhook.id);
                let label = format!("{:<9} {}", way.as_str(), fixture.name);
                let index = events.len();
                awaited.insert(
                    delivery.to_string(),
                    Awaited {
                        index,
                        label,
                        is_verified: false,
                    },
                );
                events.push((way, event));
            }
        }
        Ok(Self {
            events,
            awaited,
            verified: 0,
        })
    }

    /// The events that are to be published, each with its way in.
    pub(super) fn events(&self) -> Vec<(Way, Event)> {
        self.events.clone()
    }

    /// How many webhooks are awaited.
    pub(super) fn expected(&self) -> usize {
        self.events.len()
    }

    /// Whether all have arrived as they should.
    pub(super) fn is_complete(&self) -> bool {
        self.verified == self.expected()
    }

    /// Counts a webhook that arrived, and returns the line that tells of it.
    pub(super) fn take(&mut self, received: &Received) -> String {
        let Some(awaited) = received.id().and_then(|id| self.awaited.get_mut(id)) else {
            return line(received, "of an earlier run, or not of the demo");
        };
        let (_, event) = &self.events[awaited.index];
        if !is_unchanged(&received.body, &event.payload) {
            return line(received, "PAYLOAD CHANGED ON ITS WAY");
        }
        if received.check == Check::Verified && !awaited.is_verified {
            awaited.is_verified = true;
            self.verified += 1;
        }
        line(received, &awaited.label)
    }

    /// The line at the end.
    pub(super) fn summary(&self, seconds: f64) -> String {
        let (verified, expected) = (self.verified, self.expected());
        let mut text = format!(
            "demo: {verified} of {expected} webhooks delivered and verified in {seconds:.1} s\n"
        );
        let mut missing: Vec<&str> = self
            .awaited
            .values()
            .filter(|awaited| !awaited.is_verified)
            .map(|awaited| awaited.label.as_str())
            .collect();
        missing.sort_unstable();
        for label in missing {
            let _ = writeln!(text, "demo: missing: {label}");
        }
        text
    }

    /// What came of it.
    pub(super) fn outcome(&self) -> Outcome {
        match self.is_complete() {
            true => Outcome::Complete,
            false => Outcome::Incomplete,
        }
    }
}

/// Whether the body is the `standard` format's envelope around exactly these bytes.
fn is_unchanged(body: &[u8], payload: &[u8]) -> bool {
    body.strip_suffix(b"}")
        .and_then(|body| body.strip_suffix(payload))
        .is_some_and(|head| head.ends_with(b"\"data\":"))
}

/// One line about a webhook that arrived.
pub(super) fn line(received: &Received, label: &str) -> String {
    let signature = match &received.check {
        Check::Verified => String::from("signature ok"),
        other => other.to_string(),
    };
    let topic = crate::listen::topic(received).unwrap_or_default();
    let again = match received.times_seen {
        0 | 1 => String::new(),
        times => format!("  (seen {times} times)"),
    };
    let shown = format!(
        "{}  {:<24} {:<30}  {signature}  {:>6} bytes  {label}{again}",
        received.at.strftime("%H:%M:%S%.3fZ"),
        one_line(&topic),
        one_line(received.id().unwrap_or("no webhook-id")),
        thousands(received.body.len()),
    );
    format!("{}\n", shown.trim_end())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, Method, StatusCode};
    use serde_json::json;
    use tidings_core::webhook::SCHEMA_VERSION;

    use super::*;

    fn account() -> Account {
        let webhook = Webhook {
            schema: SCHEMA_VERSION,
            id: "wh_demo".parse().unwrap(),
            space: "demo".parse().unwrap(),
            definition: serde_json::from_value(
                json!({ "url": "http://127.0.0.1:9000/", "topics": ["*.*"] }),
            )
            .unwrap(),
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
            version: 1,
        };
        Account::new(&webhook, Ulid::nil(), Timestamp::UNIX_EPOCH).unwrap()
    }

    fn received(id: &str, payload: &[u8], check: Check) -> Received {
        let mut headers = HeaderMap::new();
        headers.insert("webhook-id", id.parse().unwrap());
        let mut body = br#"{"type":"a.b","timestamp":"2026-11-22T10:00:00Z","data":"#.to_vec();
        body.extend_from_slice(payload);
        body.push(b'}');
        Received {
            at: Timestamp::UNIX_EPOCH,
            method: Method::POST,
            path: "/demo".into(),
            headers,
            body: Bytes::from(body),
            times_seen: 1,
            check,
            status: StatusCode::OK,
        }
    }

    #[test]
    fn every_fixture_is_awaited_once_for_each_way() {
        let mut account = account();
        assert_eq!(account.expected(), FIXTURES.len() * WAYS.len());
        assert_eq!(account.awaited.len(), account.expected());
        let deliveries: Vec<(String, Bytes)> = account
            .awaited
            .iter()
            .map(|(id, awaited)| (id.clone(), account.events[awaited.index].1.payload.clone()))
            .collect();
        for (id, payload) in &deliveries {
            assert!(!account.is_complete());
            account.take(&received(id, payload, Check::Verified));
            // A repetition counts once.
            account.take(&received(id, payload, Check::Verified));
        }
        assert_eq!(account.outcome(), Outcome::Complete);
        assert_eq!(
            account.summary(0.42),
            "demo: 33 of 33 webhooks delivered and verified in 0.4 s\n"
        );
    }

    #[test]
    fn what_is_not_signed_or_not_the_same_does_not_count() {
        let mut account = account();
        let (id, awaited) = account.awaited.iter().next().unwrap();
        let (id, payload) = (id.clone(), account.events[awaited.index].1.payload.clone());
        assert!(
            account
                .take(&received(&id, &payload, Check::Mismatch))
                .contains("NOT verified")
        );
        assert!(
            account
                .take(&received(&id, b"{}", Check::Verified))
                .contains("CHANGED")
        );
        let other = account.take(&received("dlv_other", &payload, Check::Verified));
        assert!(other.contains("not of the demo"));
        assert_eq!(account.verified, 0);
        assert_eq!(account.summary(30.0).lines().count(), 34);
    }
}
