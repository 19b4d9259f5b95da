//! Logs as JSON, of the real programs: every line is an object, and one that is written while an
//! event is worked on names the span that the collector has.

use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::Value;
use tidings_testkit::Receiver;

use super::Collector;
use super::collector::Protocol;
use crate::event::event;
use crate::platform::{Platform, Service};

const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

#[tokio::test]
async fn every_json_line_parses_and_names_the_span_it_was_written_in() {
    let collector = Collector::start(Protocol::Http).await;
    let mut env = collector.env();
    env.push(("TIDINGS_LOG_FORMAT".into(), "json".into()));
    let platform = Platform::builder().env(env).start().await;
    let receiver = Receiver::answering([500, 204]).await;
    platform.webhook(receiver.url("/")).create().await;
    let traceparent = format!("00-{TRACE_ID}-b7ad6b7169203331-01");
    let headers = [("traceparent", traceparent.as_str())];
    let body = event("Entry.publish").json();
    let posted = platform.post("application/json", &headers, body).await;
    posted.expect(202);
    platform.assert_settled().await;
    for service in platform.services() {
        service.terminate().await;
    }

    for service in platform.services() {
        for line in objects(service) {
            for key in ["timestamp", "level", "message"] {
                assert!(line[key].is_string(), "{}: {line}", service.process);
            }
        }
    }
    let attempts = objects(&platform.senders[0]);
    let failed = attempts.iter().find(|line| line["trace_id"] == TRACE_ID);
    let failed = failed.expect("a failed attempt has a line in its trace");
    assert!(failed.to_string().contains("http_5xx"), "{failed}");
    let spans = collector.spans();
    let ids = |span: &Span| (hex(&span.trace_id), hex(&span.span_id));
    let written_in = (
        TRACE_ID.to_owned(),
        failed["span_id"].as_str().unwrap().to_owned(),
    );
    let seen = spans.iter().find(|seen| ids(&seen.span) == written_in);
    let seen = seen.expect("the collector has the span that the line names");
    assert_eq!(seen.service, "tidings-sender");
}

/// The lines of a program's log.
#[track_caller]
fn objects(service: &Service) -> Vec<Value> {
    let log = service.process.log();
    let read = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let lines: Vec<Value> = log.lines().map(read).collect();
    assert!(!lines.is_empty(), "{} logs", service.process);
    lines
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
