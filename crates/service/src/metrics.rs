//! Counting: OpenTelemetry instruments, read as Prometheus text.
//!
//! Names are `tidings_<thing>_<unit>_total`; labels come from closed sets only.

use std::sync::OnceLock;

use opentelemetry::metrics::Meter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use prometheus::{Registry, TextEncoder};

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
pub(crate) fn start() -> anyhow::Result<()> {
    let registry = REGISTRY.get_or_init(Registry::new);
    let exporter = opentelemetry_prometheus::exporter()
        .with_registry(registry.clone())
        .scope_info_enabled(false)
        .without_target_info()
        .build()?;
    let resource = Resource::builder().with_service_name("tidings").build();
    let provider = SdkMeterProvider::builder()
        .with_reader(exporter)
        .with_resource(resource)
        .build();
    opentelemetry::global::set_meter_provider(provider);
    let version = opentelemetry::KeyValue::new("version", env!("CARGO_PKG_VERSION"));
    meter()
        .u64_gauge("tidings_build_info")
        .with_description("The version that runs")
        .build()
        .record(1, &[version]);
    Ok(())
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
