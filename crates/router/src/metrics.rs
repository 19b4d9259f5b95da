//! What the router counts.

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram};
use tidings_service::metrics::{meter, seconds_buckets};

/// The router's instruments.
#[derive(Debug)]
pub(crate) struct Metrics {
    pub(crate) events: Counter<u64>,
    pub(crate) deliveries: Counter<u64>,
    pub(crate) dead_letters: Counter<u64>,
    pub(crate) seconds: Histogram<f64>,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let meter = meter();
        Self {
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
        }
    }

    pub(crate) fn stored(&self, duplicate: bool) {
        self.deliveries
            .add(1, &[KeyValue::new("duplicate", duplicate)]);
    }
}
