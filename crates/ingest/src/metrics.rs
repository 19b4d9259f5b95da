//! What ingest counts.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, UpDownCounter};
use tidings_service::metrics::{meter, seconds_buckets};
use tidings_service::problem::Problem;

/// How an event came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    /// By HTTP.
    Http,
    /// By NATS request.
    Nats,
}

impl Transport {
    fn label(self) -> KeyValue {
        let name = match self {
            Self::Http => "http",
            Self::Nats => "nats",
        };
        KeyValue::new("transport", name)
    }
}

/// The codes of refusals that are no producer's mistake.
const WHEN_STORING_FAILS: [&str; 4] = [
    "backlog_full",
    "overloaded",
    "store_refused",
    "store_unavailable",
];

/// Ingest's instruments.
#[derive(Debug)]
pub(crate) struct Metrics {
    accepted: Counter<u64>,
    refused: Counter<u64>,
    publish_seconds: Histogram<f64>,
    publishes: UpDownCounter<i64>,
    connections: UpDownCounter<i64>,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let meter = meter();
        let metrics = Self {
            accepted: meter
                .u64_counter("tidings_accepted_events")
                .with_description("Events that were answered with 202, by transport and duplicate")
                .build(),
            refused: meter
                .u64_counter("tidings_refused_events")
                .with_description("Events and requests that were refused, by transport and code")
                .build(),
            publish_seconds: meter
                .f64_histogram("tidings_publish_duration")
                .with_unit("s")
                .with_description("From sending an event to the stream's acknowledgement")
                .with_boundaries(seconds_buckets())
                .build(),
            publishes: meter
                .i64_up_down_counter("tidings_publishes_in_flight")
                .with_description("Events that wait for the stream's acknowledgement")
                .build(),
            connections: meter
                .i64_up_down_counter("tidings_ingest_connections")
                .with_description("Open HTTP connections")
                .build(),
        };
        metrics.begin_at_zero();
        metrics
    }

    /// Shows what has not happened yet, so that its first time is an increase.
    fn begin_at_zero(&self) {
        for transport in [Transport::Http, Transport::Nats] {
            for duplicate in [false, true] {
                let duplicate = KeyValue::new("duplicate", duplicate);
                self.accepted.add(0, &[transport.label(), duplicate]);
            }
            for code in WHEN_STORING_FAILS {
                let code = KeyValue::new("code", code);
                self.refused.add(0, &[transport.label(), code]);
            }
        }
    }

    pub(crate) fn accepted(&self, transport: Transport, duplicate: bool) {
        let duplicate = KeyValue::new("duplicate", duplicate);
        self.accepted.add(1, &[transport.label(), duplicate]);
    }

    /// Codes are a closed set: none is made of what a producer sent.
    pub(crate) fn refused(&self, transport: Transport, problem: &Problem) {
        let code = KeyValue::new("code", problem.code);
        self.refused.add(1, &[transport.label(), code]);
    }

    /// Counts a publish from now until the guard is dropped, which an abandoned request does too.
    pub(crate) fn publish_begins(&self) -> Running<'_> {
        Running::begin(&self.publishes)
    }

    pub(crate) fn published(&self, took: Duration) {
        self.publish_seconds.record(took.as_secs_f64(), &[]);
    }

    pub(crate) fn connection_begins(&self) -> Running<'_> {
        Running::begin(&self.connections)
    }
}

/// Something that is counted for as long as it runs.
#[derive(Debug)]
pub(crate) struct Running<'a>(&'a UpDownCounter<i64>);

impl<'a> Running<'a> {
    fn begin(counter: &'a UpDownCounter<i64>) -> Self {
        counter.add(1, &[]);
        Self(counter)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.add(-1, &[]);
    }
}
