//! Attempts are recorded for people, in a stream of their own. Best effort: a record that cannot
//! be stored is counted and given up; the attempt stands, and is not repeated for it.

mod headers;
mod mask;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use jiff::Timestamp;
use prost::Message as _;
use tidings_core::waiting::Hindrance;
use tidings_egress::{Exchange, Response, Timings};
use tidings_nats::publish::{Outgoing, Publisher};
use tidings_nats::subject;
use tidings_proto::{SCHEMA_VERSION, timestamp_to_wire, v1};
use tokio::time::timeout;
use tracing::{info, warn};

use crate::attempt::{Attempt, Request};
use crate::hand::Place;
use crate::metrics::Metrics;
use crate::open::Opened;
use crate::settle::{Step, tag};
use mask::Mask;

/// Longer than the three tries of a publisher.
const RECORD_TIMEOUT: Duration = Duration::from_secs(6);
/// Waited for while records cannot be stored: settling must not be slow for their sake.
const RECORD_TIMEOUT_FAILING: Duration = Duration::from_millis(250);

/// Records attempts.
#[derive(Debug)]
pub struct Recorder {
    attempts: Publisher,
    sender: String,
    metrics: Arc<Metrics>,
    is_failing: AtomicBool,
}

impl Recorder {
    /// A recorder for the sender of this name.
    #[must_use]
    pub fn new(attempts: Publisher, sender: String, metrics: Arc<Metrics>) -> Self {
        Self {
            attempts,
            sender,
            metrics,
            is_failing: AtomicBool::new(false),
        }
    }

    /// Stores the record of an attempt, or gives up after a few tries.
    pub async fn record(&self, opened: &Opened, attempt: &Attempt, step: &Step) {
        let record = v1::Attempt {
            sender: self.sender.clone(),
            ..record(opened, attempt, step)
        };
        let delivery = &opened.delivery;
        let started_us = attempt.started_at.as_microsecond();
        // An attempt that is made again after a crash is one more.
        let id = format!("{}.{}.{started_us}", delivery.id, delivery.progress.attempt);
        self.store(opened, id, &record).await;
    }

    /// Stores that a delivery, which lies at `place`, waits for its first attempt because of
    /// `hindrance`, as was found `at`; or gives up after a few tries.
    pub async fn waiting(
        &self,
        opened: &Opened,
        place: Place,
        (hindrance, until): (Hindrance, Option<Timestamp>),
        at: Timestamp,
    ) {
        let delivery = &opened.delivery;
        let waiting = v1::Waiting {
            delivery_id: delivery.id.to_string(),
            webhook_id: delivery.webhook_id.to_string(),
            space: delivery.space.to_string(),
            environment: delivery.environment.to_string(),
            event_id: delivery.event_id.to_string(),
            event_sequence: delivery.event_sequence,
            topic: opened.event.topic.to_string(),
            created_at: Some(timestamp_to_wire(delivery.created_at)),
            at: Some(timestamp_to_wire(at)),
            reason: hindrance.to_string(),
            until: until.map(timestamp_to_wire),
            sender: self.sender.clone(),
        };
        let record = v1::Attempt {
            waiting: Some(waiting),
            ..v1::Attempt::default()
        };
        let id = format!("{}.waits.{}", delivery.id, tag(place));
        self.store(opened, id, &record).await;
    }

    async fn store(&self, opened: &Opened, id: String, record: &v1::Attempt) {
        let delivery = &opened.delivery;
        let outgoing = Outgoing {
            subject: subject::attempt(&delivery.space, &delivery.webhook_id),
            id,
            headers: HeaderMap::new(),
            payload: Bytes::from(record.encode_to_vec()),
        };
        let wait = match self.is_failing.load(Ordering::Relaxed) {
            true => RECORD_TIMEOUT_FAILING,
            false => RECORD_TIMEOUT,
        };
        let stored = timeout(wait, self.attempts.publish(outgoing)).await;
        let fault = match stored {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(String::from("it took too long")),
        };
        self.note(fault.as_deref());
    }

    /// Counts a fault, and says when faults begin and end.
    fn note(&self, fault: Option<&str>) {
        if fault.is_some() {
            self.metrics.record_failure();
        }
        let was_failing = match fault.is_some() == self.is_failing.load(Ordering::Relaxed) {
            true => return,
            false => self.is_failing.swap(fault.is_some(), Ordering::Relaxed),
        };
        match fault {
            Some(fault) if !was_failing => warn!("attempts are not recorded: {fault}"),
            None if was_failing => info!("attempts are recorded again"),
            _ => {}
        }
    }
}

fn record(opened: &Opened, attempt: &Attempt, step: &Step) -> v1::Attempt {
    let delivery = &opened.delivery;
    let exchange = attempt.exchange.as_ref();
    let remote = exchange.and_then(|exchange| exchange.remote_addr);
    let version = exchange.and_then(|exchange| exchange.http_version);
    let request = attempt.request.as_ref();
    let mask = request.map_or_else(Mask::default, |request| Mask::of(&request.outgoing.headers));
    v1::Attempt {
        delivery_id: delivery.id.to_string(),
        webhook_id: delivery.webhook_id.to_string(),
        space: delivery.space.to_string(),
        environment: delivery.environment.to_string(),
        event_id: delivery.event_id.to_string(),
        event_sequence: delivery.event_sequence,
        topic: opened.event.topic.to_string(),
        number: delivery.progress.attempt,
        started_at: Some(timestamp_to_wire(attempt.started_at)),
        outcome: attempt.outcome.code().to_owned(),
        error: attempt.error.clone(),
        request: request.map(|request| sent(request, &mask)),
        response: exchange.and_then(|exchange| answered(exchange, &mask)),
        timings: exchange.map(|exchange| timings(&exchange.timings)),
        remote_address: remote
            .map(|address| address.to_string())
            .unwrap_or_default(),
        verdict: verdict(step).to_owned(),
        next_attempt_at: match step {
            Step::Retry { at } | Step::PutOff { at, .. } => Some(timestamp_to_wire(*at)),
            Step::Done | Step::Bury { .. } => None,
        },
        sender: String::new(),
        connection_reused: exchange.is_some_and(|exchange| exchange.connection_reused),
        http_version: version
            .map(|version| format!("{version:?}"))
            .unwrap_or_default(),
        waiting: None,
        schema_version: SCHEMA_VERSION,
    }
}

fn verdict(step: &Step) -> &'static str {
    match step {
        Step::Done => "delivered",
        Step::Retry { .. } | Step::PutOff { .. } => "retry",
        Step::Bury { reason, .. } => reason.as_str(),
    }
}

fn sent(request: &Request, mask: &Mask) -> v1::Request {
    let outgoing = &request.outgoing;
    v1::Request {
        method: outgoing.method.to_string(),
        url: mask.text(&request.url),
        headers: headers::sent(&outgoing.headers),
        body_bytes: outgoing.body.len() as u64,
    }
}

/// The client keeps no more of head and body than a record may hold.
fn answered(exchange: &Exchange, mask: &Mask) -> Option<v1::Response> {
    let Response {
        status,
        headers,
        body,
        body_truncated,
        ..
    } = exchange.result.as_ref().ok()?;
    Some(v1::Response {
        status: u32::from(status.as_u16()),
        headers: headers::answered(headers, mask),
        body: mask.body(body, *body_truncated),
        body_truncated: *body_truncated,
    })
}

fn timings(timings: &Timings) -> v1::Timings {
    let us = |duration: Option<Duration>| {
        duration.map_or(0, |duration| {
            u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
        })
    };
    v1::Timings {
        dns_us: us(timings.dns),
        connect_us: us(timings.connect),
        tls_us: us(timings.tls),
        first_byte_us: us(timings.first_byte),
        total_us: us(Some(timings.total)),
    }
}
