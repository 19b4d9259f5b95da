//! The trace of one event: which spans there are, whose children they are, and what they say.

use std::collections::BTreeSet;

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use tidings_testkit::{Answer, Receiver, Request, eventually};

use super::Collector;
use super::collector::{Protocol, Seen};
use crate::event::event;
use crate::platform::{Platform, SECRET, SOON};

const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT_ID: &str = "b7ad6b7169203331";
const TRACESTATE: &str = "cms=editor,other=1";

#[tokio::test]
async fn one_trace_leads_from_the_cms_to_each_receiver_over_grpc() {
    one_trace(Protocol::Grpc).await;
}

#[tokio::test]
async fn one_trace_leads_from_the_cms_to_each_receiver_over_http() {
    one_trace(Protocol::Http).await;
}

async fn one_trace(protocol: Protocol) {
    let collector = Collector::start(protocol).await;
    let platform = Platform::builder().env(collector.env()).start().await;
    // One event fans out to two webhooks; one of them succeeds at its second attempt.
    let steady = Receiver::start().await;
    let shaky = Receiver::answering([500, 204]).await;
    let url = shaky.url("/hooks/t0ken-in-the-path?key=s3cret");
    platform.webhook(steady.url("/")).create().await;
    platform.webhook(url).create().await;

    publish(&platform, "01").await;
    let received = [
        steady.wait_for(1, SOON).await,
        shaky.wait_for(2, SOON).await,
    ]
    .concat();
    platform.assert_settled().await;

    let trace = collector
        .until("all spans of the event", |spans| {
            let trace = Trace(of_event(spans));
            match trace.0.len() {
                12.. => Ok(trace),
                count => Err(format!("{count} spans of the trace")),
            }
        })
        .await;
    assert_way_in(&trace);
    assert_fan_out(&trace);
    assert_attempts(&trace, &received);
    assert_retry(&trace);
    assert_names(&trace);
    assert_discreet(&trace);
    let told = platform.senders[0].process.log();
    let line = told.lines().find(|line| line.contains("http_5xx"));
    let line = line.expect("a failed attempt has a line");
    assert!(line.contains(&format!("trace_id={TRACE_ID}")), "{line}");
    assert!(line.contains("span_id="), "{line}");
    until_metrics_arrive(&collector).await;
}

#[tokio::test]
async fn a_trace_that_its_producer_does_not_sample_is_carried_and_not_told() {
    let collector = Collector::start(Protocol::Http).await;
    let platform = Platform::builder().env(collector.env()).start().await;
    let receiver = Receiver::start().await;
    platform.webhook(receiver.url("/")).create().await;

    publish(&platform, "00").await;
    let requests = receiver.wait_for(1, SOON).await;
    platform.assert_settled().await;

    let traceparent = requests[0].header("traceparent").unwrap_or_default();
    assert!(
        traceparent.starts_with(&format!("00-{TRACE_ID}-")) && traceparent.ends_with("-00"),
        "{traceparent}"
    );
    for service in platform.services() {
        service.terminate().await;
    }
    // The end of a program sends what it has, so that nothing more can come.
    assert!(of_event(&collector.spans()).is_empty());
}

#[tokio::test]
async fn the_end_of_a_program_sends_its_last_spans() {
    let collector = Collector::start(Protocol::Grpc).await;
    let mut env = collector.env();
    env.retain(|(name, _)| name != "OTEL_BSP_SCHEDULE_DELAY");
    env.push(("OTEL_BSP_SCHEDULE_DELAY".into(), "600000".into()));
    let platform = Platform::builder().env(env).start().await;
    let receiver = Receiver::answering(Answer::status(204)).await;
    platform.webhook(receiver.url("/")).create().await;
    publish(&platform, "01").await;
    receiver.wait_for(1, SOON).await;
    platform.assert_settled().await;
    assert!(of_event(&collector.spans()).is_empty());

    for service in platform.services() {
        service.terminate().await;
    }

    let trace = Trace(of_event(&collector.spans()));
    trace.one("tidings-ingest", "POST /v1/events");
    trace.one("tidings-router", "process tidings.event");
    trace.one("tidings-sender", "POST");
}

async fn publish(platform: &Platform, flags: &str) {
    let traceparent = format!("00-{TRACE_ID}-{PARENT_ID}-{flags}");
    let headers = [
        ("traceparent", traceparent.as_str()),
        ("tracestate", TRACESTATE),
    ];
    let body = event("Entry.publish").json();
    platform
        .post("application/json", &headers, body)
        .await
        .expect(202);
}

/// All spans of the event's trace.
#[derive(Debug)]
struct Trace(Vec<Seen>);

impl Trace {
    fn all(&self, service: &str, name: &str) -> Vec<&Seen> {
        let spans = self.0.iter();
        spans
            .filter(|seen| seen.service == service && seen.span.name == name)
            .collect()
    }

    #[track_caller]
    fn one(&self, service: &str, name: &str) -> &Seen {
        let all = self.all(service, name);
        assert_eq!(all.len(), 1, "{service}: {name} among {:#?}", self.0);
        all[0]
    }
}

fn of_event(spans: &[Seen]) -> Vec<Seen> {
    let of_event = |seen: &&Seen| hex(&seen.span.trace_id) == TRACE_ID;
    spans.iter().filter(of_event).cloned().collect()
}

fn assert_way_in(trace: &Trace) {
    let server = trace.one("tidings-ingest", "POST /v1/events");
    assert_eq!(server.kind(), SpanKind::Server);
    assert_eq!(hex(&server.span.parent_span_id), PARENT_ID);
    assert_eq!(server.span.trace_state, TRACESTATE);
    assert_eq!(server.text("http.request.method").as_deref(), Some("POST"));
    assert_eq!(server.text("http.route").as_deref(), Some("/v1/events"));
    assert_eq!(server.number("http.response.status_code"), Some(202));

    let publish = trace.one("tidings-ingest", "publish tidings.event");
    assert_eq!(publish.kind(), SpanKind::Producer);
    assert_child(publish, server);
    assert_message(publish, "send", "tidings.event", "tidings.event.acme.");

    let process = trace.one("tidings-router", "process tidings.event");
    assert_eq!(process.kind(), SpanKind::Consumer);
    assert_child(process, publish);
    assert_message(process, "process", "tidings.event", "tidings.event.acme.");
}

fn assert_fan_out(trace: &Trace) {
    let event = trace.one("tidings-ingest", "publish tidings.event");
    let routed = trace.one("tidings-router", "process tidings.event");
    let published = trace.all("tidings-router", "publish tidings.delivery");
    assert_eq!(published.len(), 2, "one for each webhook");
    for publish in &published {
        assert_eq!(publish.kind(), SpanKind::Producer);
        assert_child(publish, routed);
        assert_eq!(publish.links(), std::slice::from_ref(&event.span.span_id));
        let subject = "tidings.delivery.default.";
        assert_message(publish, "send", "tidings.delivery", subject);
    }
    let processed = trace.all("tidings-sender", "process tidings.delivery");
    assert_eq!(processed.len(), 2);
    for process in processed {
        assert_eq!(process.kind(), SpanKind::Consumer);
        let cause = published
            .iter()
            .find(|publish| publish.span.span_id == process.span.parent_span_id);
        let cause = cause.expect("it is caused by its fan-out");
        let id = "messaging.message.id";
        assert_eq!(cause.text(id), process.text(id));
    }
}

/// Each request carries the context of its attempt.
fn assert_attempts(trace: &Trace, received: &[Request]) {
    let attempts = trace.all("tidings-sender", "POST");
    assert_eq!(attempts.len(), received.len());
    for request in received {
        let traceparent = request.header("traceparent").unwrap_or_default();
        assert_eq!(request.header("tracestate"), Some(TRACESTATE));
        let attempt = attempts.iter().find(|attempt| {
            let id = hex(&attempt.span.span_id);
            traceparent == format!("00-{TRACE_ID}-{id}-01")
        });
        let attempt = attempt.unwrap_or_else(|| panic!("whose is {traceparent}?"));
        assert_eq!(attempt.kind(), SpanKind::Client);
        assert_eq!(attempt.text("http.request.method").as_deref(), Some("POST"));
        assert_eq!(attempt.text("server.address").as_deref(), Some("127.0.0.1"));
        assert!(attempt.number("server.port").is_some());
        let id = attempt.text("tidings.delivery.id");
        assert_eq!(id.as_deref(), Some(request.delivery_id()));
        assert_eq!(attempt.failed(), attempt.text("error.type").is_some());
    }
    let statuses = |status: i64| {
        let attempts = attempts.iter();
        let number = |attempt: &&Seen| attempt.number("http.response.status_code") == Some(status);
        attempts.map(|attempt| &**attempt).filter(number).count()
    };
    assert_eq!((statuses(204), statuses(500)), (2, 1));
    let failed = attempts.iter().find(|attempt| attempt.failed());
    let failed = failed.expect("one failed");
    assert_eq!(failed.text("error.type").as_deref(), Some("500"));
}

/// A retry is a child of its delivery, as the first attempt was, and linked to what scheduled it.
fn assert_retry(trace: &Trace) {
    let scheduled = trace.one("tidings-sender", "publish tidings.later");
    assert_eq!(scheduled.kind(), SpanKind::Producer);
    let retry = trace.one("tidings-sender", "process tidings.retry");
    assert_eq!(retry.kind(), SpanKind::Consumer);
    assert_eq!(retry.links(), std::slice::from_ref(&scheduled.span.span_id));
    assert_eq!(retry.number("tidings.attempt.number"), Some(2));
    let first = trace.all("tidings-sender", "process tidings.delivery");
    let first = first
        .iter()
        .find(|first| first.span.span_id == scheduled.span.parent_span_id);
    let first = first.expect("it was scheduled by the first attempt's processing");
    assert_eq!(first.span.parent_span_id, retry.span.parent_span_id);
    let attempts = trace.all("tidings-sender", "POST");
    let is_retry = |attempt: &&&Seen| attempt.span.parent_span_id == retry.span.span_id;
    let attempt = attempts.iter().find(is_retry).expect("it was sent");
    assert_eq!(attempt.number("http.request.resend_count"), Some(1));
}

/// Names come from a closed set: nothing of them is an id.
fn assert_names(trace: &Trace) {
    let names: BTreeSet<&str> = trace.0.iter().map(|seen| seen.span.name.as_str()).collect();
    let known = BTreeSet::from([
        "POST /v1/events",
        "publish tidings.event",
        "process tidings.event",
        "publish tidings.delivery",
        "process tidings.delivery",
        "POST",
        "publish tidings.later",
        "process tidings.retry",
    ]);
    assert_eq!(names, known);
}

fn assert_discreet(trace: &Trace) {
    let all = format!("{:?}", trace.0);
    let key = SECRET.trim_start_matches("whsec_");
    for secret in [key, "t0ken-in-the-path", "s3cret", crate::platform::TOKEN] {
        assert!(!all.contains(secret), "a trace tells {secret}");
    }
}

async fn until_metrics_arrive(collector: &Collector) {
    eventually(SOON, "metrics of every service", async || {
        let metrics = collector.metrics();
        for (service, name) in [
            ("tidings-ingest", "tidings_accepted_events"),
            ("tidings-router", "tidings_routed_events"),
            ("tidings-sender", "tidings_attempts"),
        ] {
            if !metrics.contains(&(service.to_owned(), name.to_owned())) {
                return Err(format!("{service} has not sent {name}: {metrics:?}"));
            }
        }
        Ok(())
    })
    .await;
}

#[track_caller]
fn assert_child(child: &Seen, parent: &Seen) {
    assert_eq!(
        child.span.parent_span_id, parent.span.span_id,
        "{} is a child of {}",
        child.span.name, parent.span.name
    );
}

#[track_caller]
fn assert_message(seen: &Seen, operation: &str, destination: &str, subject: &str) {
    let text = |key: &str| seen.text(key).unwrap_or_default();
    assert_eq!(text("messaging.system"), "nats");
    assert_eq!(text("messaging.operation.type"), operation);
    assert_eq!(text("messaging.destination.template"), destination);
    let name = text("messaging.destination.name");
    assert!(name.starts_with(subject), "{name}");
    assert!(seen.number("messaging.message.body.size").is_some());
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
