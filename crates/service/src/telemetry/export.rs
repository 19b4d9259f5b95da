//! Sending traces and metrics to an OpenTelemetry collector.

use std::time::Duration;

use anyhow::Context as _;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{MetricExporter, SpanExporter, WithHttpConfig as _, WithTonicConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::{
    BatchSpanProcessor, IdGenerator as _, RandomIdGenerator, SdkTracerProvider,
};
use tokio::runtime::Runtime;
use tokio::time::Instant;
use tracing::{debug, info};

use super::guarded::Guarded;
use super::otlp::{Otlp, Protocol};
use super::tls;
use crate::{metrics, trace};

/// How long the end of a process waits for its collector at the most.
const END_WITHIN_MAX: Duration = Duration::from_secs(5);

type Reader = PeriodicReader<Guarded<MetricExporter>>;

/// What is sending.
#[derive(Debug)]
pub(super) struct Export {
    traces: Option<SdkTracerProvider>,
    metrics: SdkMeterProvider,
    runtime: Runtime,
}

impl Export {
    /// Starts counting, and sending what `otlp` asks for; `None` if that is nothing.
    ///
    /// # Errors
    /// A variable `OTEL_*` cannot be used.
    pub(super) fn start(service: &'static str, otlp: Otlp) -> anyhow::Result<Option<Self>> {
        let resource = resource(service);
        if otlp == Otlp::default() {
            metrics::start(resource, None::<Reader>)?;
            return Ok(None);
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("telemetry")
            .enable_all()
            .build()?;
        let started = {
            let _entered = runtime.enter();
            let traces = otlp.traces.map(|by| start_traces(by, &resource, &runtime));
            let reader = otlp.metrics.map(|by| reader(by, &runtime));
            let metrics = metrics::start(resource.clone(), reader.transpose()?)?;
            (traces.transpose()?, metrics)
        };
        info!(
            traces = otlp.traces.is_some(),
            metrics = otlp.metrics.is_some(),
            "sending telemetry to a collector"
        );
        let (traces, metrics) = started;
        Ok(Some(Self {
            traces,
            metrics,
            runtime,
        }))
    }

    /// Sends the rest, for at most `within`.
    pub(super) fn end(self, within: Duration) {
        let until = Instant::now() + within.min(END_WITHIN_MAX);
        let left = || until.duration_since(Instant::now());
        if let Some(traces) = &self.traces
            && let Err(error) = traces.shutdown_with_timeout(left())
        {
            debug!(%error, "the last spans may be lost");
        }
        if let Err(error) = self.metrics.shutdown_with_timeout(left()) {
            debug!(%error, "the last metrics may be lost");
        }
        self.runtime.shutdown_background();
    }
}

/// Who tells: `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` win over what we know ourselves.
fn resource(service: &'static str) -> Resource {
    let own = Resource::builder_empty()
        .with_attributes([
            opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            opentelemetry::KeyValue::new(
                "service.instance.id",
                RandomIdGenerator::default().new_trace_id().to_string(),
            ),
        ])
        .build();
    let own = own
        .iter()
        .map(|(key, value)| opentelemetry::KeyValue::new(key.clone(), value.clone()));
    let told = Resource::builder().build();
    let name = match told.get(&"service.name".into()) {
        Some(name) if !name.as_str().starts_with("unknown_service") => name,
        _ => service.into(),
    };
    let told = told
        .iter()
        .map(|(key, value)| opentelemetry::KeyValue::new(key.clone(), value.clone()));
    Resource::builder_empty()
        .with_attributes(own)
        .with_attributes(told)
        .with_service_name(name)
        .build()
}

fn start_traces(
    protocol: Protocol,
    resource: &Resource,
    runtime: &Runtime,
) -> anyhow::Result<SdkTracerProvider> {
    let exporter = match protocol {
        Protocol::Grpc => SpanExporter::builder()
            .with_tonic()
            .with_tls_config(tls::grpc("TRACES")?)
            .build(),
        Protocol::HttpProtobuf => SpanExporter::builder()
            .with_http()
            .with_http_client(tls::http_client("TRACES")?)
            .build(),
    };
    let exporter = exporter.context("traces cannot be sent with these variables OTEL_*")?;
    let exporter = Guarded::new("traces", exporter, runtime.handle().clone());
    let provider = SdkTracerProvider::builder()
        .with_span_processor(BatchSpanProcessor::builder(exporter).build())
        .with_resource(resource.clone())
        .build();
    trace::collect_with(provider.tracer("tidings"));
    Ok(provider)
}

fn reader(protocol: Protocol, runtime: &Runtime) -> anyhow::Result<Reader> {
    let exporter = match protocol {
        Protocol::Grpc => MetricExporter::builder()
            .with_tonic()
            .with_tls_config(tls::grpc("METRICS")?)
            .build(),
        Protocol::HttpProtobuf => MetricExporter::builder()
            .with_http()
            .with_http_client(tls::http_client("METRICS")?)
            .build(),
    };
    let exporter = exporter.context("metrics cannot be sent with these variables OTEL_*")?;
    let exporter = Guarded::new("metrics", exporter, runtime.handle().clone());
    Ok(PeriodicReader::builder(exporter).build())
}
