//! What the sender counts.

use jiff::Timestamp;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Histogram, UpDownCounter};
use tidings_core::dead_letter::Reason;
use tidings_service::metrics::{meter, seconds_buckets};

use crate::attempt::Attempt;

/// The sender's instruments.
#[derive(Debug)]
pub struct Metrics {
    attempts: Counter<u64>,
    attempt_duration: Histogram<f64>,
    in_flight: UpDownCounter<i64>,
    lag: Histogram<f64>,
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
        Self {
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
        }
    }

    pub(crate) fn attempt(&self, attempt: &Attempt) {
        let outcome = KeyValue::new("outcome", attempt.outcome.code());
        self.attempts.add(1, &[outcome]);
        if attempt.exchange.is_some() {
            self.attempt_duration
                .record(attempt.duration().as_secs_f64(), &[]);
        }
    }

    /// Counts an attempt as under way until what this returns is dropped.
    pub(crate) fn in_flight(&self) -> InFlight<'_> {
        self.in_flight.add(1, &[]);
        InFlight(&self.in_flight)
    }

    pub(crate) fn first_attempt(&self, created_at: Timestamp, now: Timestamp) {
        let lag = now.duration_since(created_at).as_secs_f64();
        self.lag.record(lag.max(0.0), &[]);
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
