//! W3C trace context goes with an event from its producer to the endpoint.

use async_nats::HeaderMap;
use tidings_testkit::{Receiver, Request};

use crate::event::event;
use crate::platform::{Platform, SOON};

const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";
const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const TRACESTATE: &str = "cms=editor,other=1";

#[tokio::test]
async fn a_trace_goes_with_the_event_from_http_to_the_endpoint() {
    let platform = Platform::start().await;
    let receiver = Receiver::answering([500, 204]).await;
    platform.webhook(receiver.url("/")).create().await;

    let headers = [("traceparent", TRACEPARENT), ("tracestate", TRACESTATE)];
    let body = event("Entry.publish").json();
    platform
        .post("application/json", &headers, body)
        .await
        .expect(202);

    // With the retry as well as with the first attempt.
    receiver
        .wait_for(2, SOON)
        .await
        .iter()
        .for_each(assert_traced);
    platform.assert_settled().await;
}

#[tokio::test]
async fn a_trace_goes_with_the_event_from_nats_to_the_endpoint() {
    let platform = Platform::start().await;
    let receiver = Receiver::start().await;
    platform.webhook(receiver.url("/")).create().await;
    let mut headers = HeaderMap::new();
    headers.insert("traceparent", TRACEPARENT);
    headers.insert("tracestate", TRACESTATE);

    platform
        .request_nats(&event("Entry.publish").id("e1"), headers.clone())
        .await;
    let direct = event("Entry.publish").id("e2");
    platform
        .publish_raw(direct.subject(), headers, direct.bytes())
        .await;

    receiver
        .wait_for(2, SOON)
        .await
        .iter()
        .for_each(assert_traced);
    platform.assert_settled().await;
}

#[tokio::test]
async fn a_malformed_trace_is_no_trace_and_no_fault() {
    let platform = Platform::start().await;
    let receiver = Receiver::start().await;
    platform.webhook(receiver.url("/")).create().await;

    let headers = [("traceparent", "00-nonsense-01"), ("tracestate", "a=b")];
    let body = event("Entry.publish").json();
    platform
        .post("application/json", &headers, body)
        .await
        .expect(202);

    let requests = receiver.wait_for(1, SOON).await;
    let traceparent = requests[0].header("traceparent").unwrap_or_default();
    assert!(!traceparent.contains("nonsense"), "{traceparent}");
    platform.assert_settled().await;
}

#[track_caller]
fn assert_traced(request: &Request) {
    let traceparent = request.header("traceparent").unwrap_or_default();
    let parts: Vec<&str> = traceparent.split('-').collect();
    assert_eq!(
        (parts.len(), parts[0], parts[1]),
        (4, "00", TRACE_ID),
        "{traceparent}"
    );
    assert_eq!(request.header("tracestate"), Some(TRACESTATE));
}
