//! Exporters that run beside everything else, and complain now and then.
//!
//! The SDK exports from threads of its own, which know no Tokio. What an exporter does on the
//! network runs on a small runtime of telemetry's own, so that a collector that is slow costs the
//! service's own runtime nothing.

use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use tokio::runtime::Handle;
use tokio::time::Instant;
use tracing::{info, warn};

/// How often a collector that does not take anything is complained about.
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);

/// An exporter, and where it runs.
#[derive(Debug)]
pub(super) struct Guarded<E> {
    exporter: E,
    runtime: Handle,
    complaints: Complaints,
}

impl<E> Guarded<E> {
    pub(super) fn new(signal: &'static str, exporter: E, runtime: Handle) -> Self {
        let complaints = Complaints {
            signal,
            state: Mutex::default(),
        };
        Self {
            exporter,
            runtime,
            complaints,
        }
    }

    async fn run(&self, exporting: impl Future<Output = OTelSdkResult> + Send) -> OTelSdkResult {
        let on_runtime = OnRuntime {
            runtime: &self.runtime,
            future: Box::pin(exporting),
        };
        let exported = on_runtime.await;
        self.complaints.hear(exported.as_ref().err());
        exported
    }
}

impl<E: SpanExporter> SpanExporter for Guarded<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.run(self.exporter.export(batch)).await
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

impl<E: PushMetricExporter> PushMetricExporter for Guarded<E> {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        self.run(self.exporter.export(metrics)).await
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.exporter.temporality()
    }
}

/// A future that finds `runtime` whenever it is polled, by whatever thread.
struct OnRuntime<'a, F> {
    runtime: &'a Handle,
    future: Pin<Box<F>>,
}

impl<F: Future> Future for OnRuntime<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        let _entered = self.runtime.enter();
        self.future.as_mut().poll(task)
    }
}

#[derive(Debug)]
struct Complaints {
    signal: &'static str,
    state: Mutex<Failing>,
}

/// Since when nothing arrives.
#[derive(Debug, Default)]
struct Failing {
    complained: Option<Instant>,
    lost: u64,
}

impl Complaints {
    fn hear(&self, error: Option<&OTelSdkError>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let signal = self.signal;
        let Some(error) = error else {
            if state.complained.take().is_some() {
                info!("the collector takes {signal} again");
            }
            state.lost = 0;
            return;
        };
        state.lost += 1;
        let is_time = |at: &Instant| at.elapsed() >= COMPLAIN_EVERY;
        if state.complained.as_ref().is_none_or(is_time) {
            state.complained = Some(Instant::now());
            let lost = state.lost;
            warn!(%error, "the collector does not take {signal}: {lost} batches are lost; \
                           look at OTEL_EXPORTER_OTLP_ENDPOINT; nothing else is affected");
        }
    }
}
