//! How long the broker takes to answer.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::Histogram;

/// In seconds.
const BOUNDARIES: [f64; 14] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
];

/// Round trips to the broker.
#[derive(Debug, Clone)]
pub struct RoundTrips(Histogram<f64>);

impl RoundTrips {
    /// The instrument, of the process's meter.
    #[must_use]
    pub fn new() -> Self {
        let meter = opentelemetry::global::meter("tidings");
        let histogram = meter
            .f64_histogram("tidings_nats_round_trip_duration")
            .with_unit("s")
            .with_description("From a request to the broker's answer, by operation")
            .with_boundaries(BOUNDARIES.to_vec());
        Self(histogram.build())
    }

    /// A message was sent and its stream acknowledged it.
    pub fn stored(&self, took: Duration) {
        self.record("store", took);
    }

    /// The broker was asked for the state of its streams and told it.
    pub fn told(&self, took: Duration) {
        self.record("state", took);
    }

    fn record(&self, operation: &'static str, took: Duration) {
        let operation = KeyValue::new("operation", operation);
        self.0.record(took.as_secs_f64(), &[operation]);
    }
}

impl Default for RoundTrips {
    fn default() -> Self {
        Self::new()
    }
}
