//! A real OTLP receiver, over gRPC or HTTP, that keeps what it was sent.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use tidings_testkit::{Answer, Receiver, eventually};
use tokio::task::JoinHandle;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use crate::platform::SOON;

/// How the collector is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Grpc,
    Http,
}

/// A collector on loopback. Closed when dropped.
#[derive(Debug)]
pub(crate) struct Collector {
    pub(crate) address: SocketAddr,
    protocol: Protocol,
    door: Door,
}

#[derive(Debug)]
enum Door {
    Http(Receiver),
    Grpc(Kept, JoinHandle<()>),
}

#[derive(Debug, Clone, Default)]
struct Kept {
    traces: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
    metrics: Arc<Mutex<Vec<ExportMetricsServiceRequest>>>,
}

/// A span as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) service: String,
    pub(crate) span: Span,
}

impl Collector {
    pub(crate) async fn start(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Http => {
                let receiver = Receiver::answering(Answer::status(200)).await;
                Self {
                    address: receiver.address(),
                    protocol,
                    door: Door::Http(receiver),
                }
            }
            Protocol::Grpc => {
                let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
                let incoming = TcpIncoming::bind(any).expect("a port is free");
                let address = incoming.local_addr().expect("a listener has an address");
                let kept = Kept::default();
                let serving = Server::builder()
                    .add_service(TraceServiceServer::new(kept.clone()))
                    .add_service(MetricsServiceServer::new(kept.clone()))
                    .serve_with_incoming(incoming);
                let task = tokio::spawn(async move { serving.await.expect("it serves") });
                Self {
                    address,
                    protocol,
                    door: Door::Grpc(kept, task),
                }
            }
        }
    }

    /// What a program is to be told, so that it sends here, and soon.
    pub(crate) fn env(&self) -> Vec<(String, String)> {
        env(self.address, self.protocol)
    }

    /// Everything that arrived, in the order in which it did.
    pub(crate) fn spans(&self) -> Vec<Seen> {
        let exports: Vec<ExportTraceServiceRequest> = match &self.door {
            Door::Http(receiver) => bodies(receiver, "/v1/traces"),
            Door::Grpc(kept, _) => locked(&kept.traces),
        };
        let resources = exports.into_iter().flat_map(|export| export.resource_spans);
        resources
            .flat_map(|resource| {
                let attributes = resource.resource.map(|resource| resource.attributes);
                let service = text(&attributes.unwrap_or_default(), "service.name");
                let scopes = resource.scope_spans.into_iter();
                scopes.flat_map(|scope| scope.spans).map(move |span| Seen {
                    service: service.clone().unwrap_or_default(),
                    span,
                })
            })
            .collect()
    }

    /// The names of all metrics that arrived, by the service that sent them.
    pub(crate) fn metrics(&self) -> BTreeSet<(String, String)> {
        let exports: Vec<ExportMetricsServiceRequest> = match &self.door {
            Door::Http(receiver) => bodies(receiver, "/v1/metrics"),
            Door::Grpc(kept, _) => locked(&kept.metrics),
        };
        let mut names = BTreeSet::new();
        for resource in exports
            .into_iter()
            .flat_map(|export| export.resource_metrics)
        {
            let attributes = resource.resource.map(|resource| resource.attributes);
            let service = text(&attributes.unwrap_or_default(), "service.name");
            for metric in resource
                .scope_metrics
                .into_iter()
                .flat_map(|scope| scope.metrics)
            {
                names.insert((service.clone().unwrap_or_default(), metric.name));
            }
        }
        names
    }

    /// Waits until what arrived is as it should be.
    pub(crate) async fn until<T>(
        &self,
        what: &str,
        look: impl Fn(&[Seen]) -> Result<T, String>,
    ) -> T {
        eventually(SOON, what, async || {
            let spans = self.spans();
            look(&spans).map_err(|missing| format!("{missing}, among {:#?}", names(&spans)))
        })
        .await
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        if let Door::Grpc(_, task) = &self.door {
            task.abort();
        }
    }
}

/// What a program is to be told, so that it sends there, and soon.
pub(crate) fn env(address: SocketAddr, protocol: Protocol) -> Vec<(String, String)> {
    let protocol = match protocol {
        Protocol::Grpc => "grpc",
        Protocol::Http => "http/protobuf",
    };
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{address}")),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol.to_owned()),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "2000".to_owned()),
        ("OTEL_BSP_SCHEDULE_DELAY", "100".to_owned()),
        ("OTEL_METRIC_EXPORT_INTERVAL", "500".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

impl Seen {
    pub(crate) fn text(&self, key: &str) -> Option<String> {
        text(&self.span.attributes, key)
    }

    pub(crate) fn number(&self, key: &str) -> Option<i64> {
        match value(&self.span.attributes, key)? {
            Value::IntValue(number) => Some(*number),
            _ => None,
        }
    }

    pub(crate) fn kind(&self) -> SpanKind {
        self.span.kind()
    }

    pub(crate) fn failed(&self) -> bool {
        let status = self.span.status.as_ref();
        status.is_some_and(|status| status.code() == StatusCode::Error)
    }

    /// The ids of the spans it is linked to.
    pub(crate) fn links(&self) -> Vec<Vec<u8>> {
        let links = self.span.links.iter();
        links.map(|link| link.span_id.clone()).collect()
    }
}

fn text(attributes: &[KeyValue], key: &str) -> Option<String> {
    match value(attributes, key)? {
        Value::StringValue(text) => Some(text.clone()),
        _ => None,
    }
}

fn value<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a Value> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    let AnyValue { value } = found.value.as_ref()?;
    value.as_ref()
}

fn names(spans: &[Seen]) -> Vec<String> {
    let names = spans.iter();
    names
        .map(|seen| format!("{}: {}", seen.service, seen.span.name))
        .collect()
}

fn bodies<M: prost::Message + Default>(receiver: &Receiver, path: &str) -> Vec<M> {
    let requests = receiver.requests().into_iter();
    requests
        .filter(|request| request.path() == path)
        .map(|request| M::decode(request.body.clone()).expect("it is OTLP"))
        .collect()
}

fn locked<M: Clone>(kept: &Mutex<Vec<M>>) -> Vec<M> {
    kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

#[tonic::async_trait]
impl TraceService for Kept {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut kept = self.traces.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Kept {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let mut kept = self.metrics.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push(request.into_inner());
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}
