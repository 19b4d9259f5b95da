//! A collector that is spoken to over TLS, and trusted by an authority of its own.

use tidings_testkit::{Answer, Receiver, TestCa, eventually};

use super::collector::{Protocol, env};
use crate::event::event;
use crate::platform::{Platform, SOON};

#[tokio::test]
async fn telemetry_goes_over_tls_to_a_collector_that_is_trusted() {
    let ca = TestCa::new();
    let certificate = ca.pem_path().to_string_lossy().into_owned();
    for (protocol, path) in [
        (Protocol::Http, "/v1/traces"),
        (
            Protocol::Grpc,
            "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        ),
    ] {
        let collector = Receiver::builder()
            .tls(ca.valid().server_config())
            .answers(Answer::status(200))
            .start()
            .await;
        let trust = ("OTEL_EXPORTER_OTLP_CERTIFICATE", certificate.as_str());
        let _platform = send_to(&collector, protocol, &[trust]).await;
        eventually(SOON, "spans arrive", async || {
            let requests = collector.requests();
            requests.iter().any(|request| request.path() == path)
        })
        .await;
    }
}

#[tokio::test]
async fn telemetry_does_not_go_to_a_collector_that_nobody_vouches_for() {
    let ca = TestCa::new();
    for protocol in [Protocol::Http, Protocol::Grpc] {
        let collector = Receiver::builder()
            .tls(ca.valid().server_config())
            .start()
            .await;
        let platform = send_to(&collector, protocol, &[]).await;
        let complaint = "the collector does not take traces";
        platform.ingest.process.wait_for_log(complaint, SOON).await;
        assert_eq!(collector.requests().len(), 0);
    }
}

/// A platform that sends to `collector`, and has something to tell.
async fn send_to(collector: &Receiver, protocol: Protocol, more: &[(&str, &str)]) -> Platform {
    let mut env = env(collector.address(), protocol);
    for (_, value) in &mut env {
        *value = value.replace("http://", "https://");
    }
    let more = more.iter();
    env.extend(more.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let platform = Platform::builder().env(env).start().await;
    platform.publish(event("Entry.publish")).await;
    platform
}
