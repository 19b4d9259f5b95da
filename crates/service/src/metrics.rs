//! Counting: OpenTelemetry instruments, read as Prometheus text.
//!
//! Names are `tidings_<thing>_<unit>_total`; labels come from closed sets only.

use std::sync::OnceLock;

use opentelemetry::metrics::Meter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::metrics::reader::MetricReader;
use prometheus::{Registry, TextEncoder};

use crate::health::Health;

static REGISTRY: OnceLock<Registry> = OnceLock::new();

/// The meter that every instrument of ours is made of.
#[must_use]
pub fn meter() -> Meter {
    opentelemetry::global::meter("tidings")
}

/// Buckets for durations in seconds, from 1 ms to a minute.
#[must_use]
pub fn seconds_buckets() -> Vec<f64> {
    vec![
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0,
        60.0,
    ]
}

/// Sets the process's meter up. Instruments made before this count nothing.
///
/// # Errors
/// The exporter cannot be registered.
pub(crate) fn start<R: MetricReader>(
    resource: Resource,
    reader: Option<R>,
) -> anyhow::Result<SdkMeterProvider> {
    let registry = REGISTRY.get_or_init(Registry::new);
    let exporter = opentelemetry_prometheus::exporter()
        .with_registry(registry.clone())
        .scope_info_enabled(false)
        .without_target_info()
        .build()?;
    let builder = SdkMeterProvider::builder()
        .with_reader(exporter)
        .with_resource(resource);
    let provider = match reader {
        Some(reader) => builder.with_reader(reader).build(),
        None => builder.build(),
    };
    opentelemetry::global::set_meter_provider(provider.clone());
    let version = opentelemetry::KeyValue::new("version", env!("CARGO_PKG_VERSION"));
    meter()
        .u64_gauge("tidings_build_info")
        .with_description("The version that runs")
        .build()
        .record(1, &[version]);
    Ok(provider)
}

/// Tells whether the process is ready, as `/readyz` says.
pub(crate) fn tell_ready(health: Health) {
    // The callback stays when the instrument is dropped.
    let _ = meter()
        .u64_observable_gauge("tidings_ready")
        .with_description("1 if the process can do its work, as `/readyz` says")
        .with_callback(move |gauge| gauge.observe(health.is_ready().into(), &[]))
        .build();
}

/// Everything counted so far, as Prometheus text.
#[must_use]
pub fn text() -> String {
    let families = REGISTRY.get().map(Registry::gather).unwrap_or_default();
    TextEncoder::new()
        .encode_to_string(&families)
        .unwrap_or_else(|error| {
            tracing::warn!(%error, "could not write the metrics");
            String::new()
        })
}
