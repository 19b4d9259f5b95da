//! What the sender counts.

use std::sync::Arc;

use jiff::Timestamp;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Histogram, UpDownCounter};
use tidings_core::dead_letter::{REASONS, Reason};
use tidings_core::name::Pool;
use tidings_core::waiting::{HINDRANCES, Hindrance};
use tidings_service::metrics::{meter, seconds_buckets};

use crate::attempt::Attempt;
use crate::send::Sender;
use crate::webhooks::Webhooks;

/// The sender's instruments.
#[derive(Debug)]
pub struct Metrics {
    attempts: Counter<u64>,
    attempt_duration: Histogram<f64>,
    in_flight: UpDownCounter<i64>,
    lag: Histogram<f64>,
    latency: Histogram<f64>,
    put_off: Counter<u64>,
    connections: Counter<u64>,
    scheduled: Counter<u64>,
    dead_letters: Counter<u64>,
    record_failures: Counter<u64>,
    known_again: Counter<u64>,
    unsettled: Counter<u64>,
    panics: Counter<u64>,
    members: Gauge<u64>,
    owned: UpDownCounter<i64>,
}

impl Metrics {
    /// The instruments, of the process's meter.
    #[must_use]
    pub fn new() -> Self {
        let meter = meter();
        let counter = |name, text| meter.u64_counter(name).with_description(text).build();
        let seconds = |name, text| {
            let histogram = meter.f64_histogram(name).with_unit("s");
            histogram
                .with_description(text)
                .with_boundaries(seconds_buckets())
                .build()
        };
        let metrics = Self {
            attempts: counter("tidings_attempts", "Attempts that were made, by outcome"),
            attempt_duration: seconds("tidings_attempt_duration", "How long attempts took"),
            in_flight: meter
                .i64_up_down_counter("tidings_attempts_in_flight")
                .with_description("Attempts under way")
                .build(),
            lag: seconds(
                "tidings_delivery_lag",
                "From the fan-out of a delivery to the beginning of its first attempt",
            ),
            latency: seconds(
                "tidings_first_attempt_latency",
                "From the storing of an event to the beginning of a delivery's first attempt",
            ),
            put_off: counter(
                "tidings_deliveries_put_off",
                "Deliveries that got no attempt when they came, by what kept them from it",
            ),
            connections: counter(
                "tidings_connection_uses",
                "Attempts that had a connection, by whether it was kept from an earlier one",
            ),
            scheduled: counter(
                "tidings_retries_scheduled",
                "Attempts that were scheduled for later: retries, and attempts that were put off",
            ),
            dead_letters: counter("tidings_dead_letters", "Dead letters, by reason"),
            record_failures: counter(
                "tidings_attempt_record_failures",
                "Attempts whose record could not be stored",
            ),
            known_again: counter(
                "tidings_redeliveries_ignored",
                "Messages that came again while they were in hand or after they were settled",
            ),
            unsettled: counter(
                "tidings_deliveries_unsettled",
                "Deliveries whose next step could not be stored; they come again",
            ),
            panics: counter("tidings_panics", "Deliveries whose work ended in a panic"),
            members: meter
                .u64_gauge("tidings_members")
                .with_description("Senders of the pool that live, as this one knows them")
                .build(),
            owned: meter
                .i64_up_down_counter("tidings_partitions_owned")
                .with_description("Partitions that this sender works")
                .build(),
        };
        metrics.begin_at_zero();
        metrics
    }

    /// Shows what has not happened yet, so that its first time is an increase.
    fn begin_at_zero(&self) {
        for counter in [&self.record_failures, &self.unsettled, &self.panics] {
            counter.add(0, &[]);
        }
        let labelled: [(&Counter<u64>, &'static str, &[&'static str]); 3] = [
            (&self.known_again, "because", &["in_hand", "settled"]),
            (&self.scheduled, "kind", &["retry", "put_off"]),
            (&self.put_off, "because", &HINDRANCES.map(Hindrance::as_str)),
        ];
        for (counter, label, values) in labelled {
            for value in values {
                counter.add(0, &[KeyValue::new(label, *value)]);
            }
        }
        for reason in REASONS {
            self.dead_letters
                .add(0, &[KeyValue::new("reason", reason.as_str())]);
        }
        for kept in [false, true] {
            self.connections.add(0, &[KeyValue::new("kept", kept)]);
        }
    }

    pub(crate) fn attempt(&self, attempt: &Attempt) {
        let outcome = KeyValue::new("outcome", attempt.outcome.code());
        self.attempts.add(1, &[outcome]);
        if let Some(exchange) = &attempt.exchange {
            self.attempt_duration
                .record(attempt.duration().as_secs_f64(), &[]);
            if exchange.local_addr.is_some() {
                let kept = KeyValue::new("kept", exchange.connection_reused);
                self.connections.add(1, &[kept]);
            }
        }
    }

    /// Counts an attempt as under way until what this returns is dropped.
    pub(crate) fn in_flight(&self) -> InFlight<'_> {
        self.in_flight.add(1, &[]);
        InFlight(&self.in_flight)
    }

    /// The first attempt at a delivery begins `now`; its event was stored at `stored_at`.
    pub(crate) fn first_attempt(
        &self,
        created_at: Timestamp,
        stored_at: Option<Timestamp>,
        now: Timestamp,
    ) {
        let since = |at: Timestamp| now.duration_since(at).as_secs_f64().max(0.0);
        self.lag.record(since(created_at), &[]);
        if let Some(stored_at) = stored_at {
            self.latency.record(since(stored_at), &[]);
        }
    }

    /// A delivery got no attempt when it came.
    pub(crate) fn put_off(&self, because: Hindrance) {
        let because = KeyValue::new("because", because.as_str());
        self.put_off.add(1, &[because]);
    }

    pub(crate) fn scheduled(&self, kind: &'static str) {
        self.scheduled.add(1, &[KeyValue::new("kind", kind)]);
    }

    pub(crate) fn dead_letter(&self, reason: Reason) {
        self.dead_letters
            .add(1, &[KeyValue::new("reason", reason.as_str())]);
    }

    pub(crate) fn record_failure(&self) {
        self.record_failures.add(1, &[]);
    }

    pub(crate) fn known_again(&self, because: &'static str) {
        self.known_again
            .add(1, &[KeyValue::new("because", because)]);
    }

    pub(crate) fn unsettled(&self) {
        self.unsettled.add(1, &[]);
    }

    pub(crate) fn members(&self, count: usize) {
        self.members.record(count as u64, &[]);
    }

    /// The number of partitions that are worked changed from `before` to `now`.
    pub(crate) fn owned(&self, before: usize, now: usize) {
        let signed = |count| i64::try_from(count).unwrap_or(i64::MAX);
        self.owned.add(signed(now) - signed(before), &[]);
    }

    pub(crate) fn panic(&self) {
        self.panics.add(1, &[]);
    }
}

/// Tells how many endpoints of `pool` are paused. Every sender of the pool tells the same.
pub(crate) fn tell_paused(webhooks: &Arc<Webhooks>, pool: &Pool) {
    let (webhooks, pool) = (Arc::downgrade(webhooks), pool.clone());
    let label = KeyValue::new("pool", pool.to_string());
    // The callback stays when the instrument is dropped.
    let _ = meter()
        .u64_observable_gauge("tidings_paused_endpoints")
        .with_description("Endpoints of the pool that are paused; every sender tells the same")
        .with_callback(move |gauge| {
            if let Some(webhooks) = webhooks.upgrade() {
                let paused = webhooks.paused(&pool) as u64;
                gauge.observe(paused, std::slice::from_ref(&label));
            }
        })
        .build();
}

/// Tells how many connections to endpoints `sender` has open.
pub(crate) fn tell_connections(sender: &Arc<Sender>) {
    let sender = Arc::downgrade(sender);
    // The callback stays when the instrument is dropped.
    let _ = meter()
        .u64_observable_gauge("tidings_endpoint_connections")
        .with_description("Open connections to endpoints, those in use included")
        .with_callback(move |gauge| {
            if let Some(sender) = sender.upgrade() {
                gauge.observe(sender.client.connections() as u64, &[]);
            }
        })
        .build();
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// An attempt under way.
#[derive(Debug)]
pub(crate) struct InFlight<'a>(&'a UpDownCounter<i64>);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.add(-1, &[]);
    }
}
