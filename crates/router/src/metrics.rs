//! What the router counts.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram};
use tidings_core::dead_letter::Reason;
use tidings_service::metrics::{meter, seconds_buckets};

/// The router's instruments.
#[derive(Debug)]
pub(crate) struct Metrics {
    pub(crate) events: Counter<u64>,
    pub(crate) deliveries: Counter<u64>,
    pub(crate) dead_letters: Counter<u64>,
    pub(crate) seconds: Histogram<f64>,
    match_seconds: Histogram<f64>,
    fan_out: Histogram<u64>,
}

/// Finding webhooks takes microseconds.
const MATCH_SECONDS: [f64; 12] = [
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.005, 0.01, 0.05, 0.25, 1.0,
];
const FAN_OUTS: [f64; 12] = [
    0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 500.0, 1_000.0, 10_000.0, 100_000.0,
];

impl Metrics {
    pub(crate) fn new() -> Self {
        let meter = meter();
        let metrics = Self {
            events: meter
                .u64_counter("tidings_routed_events")
                .with_description("Events that were routed, by outcome")
                .build(),
            deliveries: meter
                .u64_counter("tidings_stored_deliveries")
                .with_description("Deliveries that were stored, by whether they were there before")
                .build(),
            dead_letters: meter
                .u64_counter("tidings_dead_letters")
                .with_description("Dead letters, by reason")
                .build(),
            seconds: meter
                .f64_histogram("tidings_route_duration")
                .with_unit("s")
                .with_description("From taking an event to acknowledging it")
                .with_boundaries(seconds_buckets())
                .build(),
            match_seconds: meter
                .f64_histogram("tidings_match_duration")
                .with_unit("s")
                .with_description("Finding the webhooks of an event")
                .with_boundaries(MATCH_SECONDS.to_vec())
                .build(),
            fan_out: meter
                .u64_histogram("tidings_fan_out_deliveries")
                .with_description("Deliveries that an event becomes")
                .with_boundaries(FAN_OUTS.to_vec())
                .build(),
        };
        metrics.begin_at_zero();
        metrics
    }

    /// Shows what has not happened yet, so that its first time is an increase.
    fn begin_at_zero(&self) {
        for outcome in ["invalid", "later", "matched", "unmatched"] {
            self.events.add(0, &[KeyValue::new("outcome", outcome)]);
        }
        for duplicate in [false, true] {
            self.deliveries
                .add(0, &[KeyValue::new("duplicate", duplicate)]);
        }
        for reason in [Reason::InvalidEvent, Reason::NewerSchema, Reason::Oversized] {
            self.dead_letters
                .add(0, &[KeyValue::new("reason", reason.as_str())]);
        }
    }

    /// `webhooks` were found for an event.
    pub(crate) fn matched(&self, webhooks: usize, took: Duration) {
        self.match_seconds.record(took.as_secs_f64(), &[]);
        self.fan_out.record(webhooks as u64, &[]);
    }

    pub(crate) fn stored(&self, duplicate: bool) {
        self.deliveries
            .add(1, &[KeyValue::new("duplicate", duplicate)]);
    }
}
