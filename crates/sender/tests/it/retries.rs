//! What follows a failed attempt.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_nats::HeaderMap;
use prost::Message as _;
use serde_json::json;
use tidings_core::partition::partition_of;
use tidings_nats::topology::{ATTEMPTS, DEAD_LETTERS, DELIVERIES, RETRIES};
use tidings_proto::delivery_to_wire;
use tidings_testkit::{Answer, Answers, Receiver, eventually};

use crate::stand::{SOON, Stand};

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[tokio::test]
async fn a_failure_then_a_success_keep_the_delivery_id() {
    let (stand, _sender) = Stand::with_sender().await;
    let receiver = Receiver::answering([500, 204]).await;
    let webhook = stand.webhook(&receiver.url("/"), json!({})).await;

    let delivery = stand.deliver(&webhook).await;

    let requests = receiver.wait_for(2, SOON).await;
    assert!(
        requests
            .iter()
            .all(|request| request.delivery_id() == delivery.as_str())
    );
    let attempts = stand.attempts(2).await;
    let told: Vec<_> = attempts
        .iter()
        .map(|attempt| {
            (
                attempt.number,
                attempt.outcome.as_str(),
                attempt.verdict.as_str(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [(1, "http_5xx", "retry"), (2, "delivered", "delivered")]
    );
    assert!(attempts[0].next_attempt_at.is_some());
    stand.assert_settled().await;
}

#[tokio::test]
async fn a_redirect_is_a_failed_attempt_and_never_followed() {
    let (stand, _sender) = Stand::with_sender().await;
    let elsewhere = Receiver::start().await;
    let redirect = Answer::status(302).header("location", elsewhere.url("/"));
    let receiver = Receiver::answering([redirect, Answer::status(204)]).await;
    let webhook = stand.webhook(&receiver.url("/"), json!({})).await;

    stand.deliver(&webhook).await;

    receiver.wait_for(2, SOON).await;
    let attempts = stand.attempts(2).await;
    assert_eq!(attempts[0].outcome, "redirect_not_followed");
    assert!(elsewhere.requests().is_empty());
    stand.assert_settled().await;
}

#[tokio::test]
async fn retry_after_is_honoured() {
    let (stand, _sender) = Stand::with_sender().await;
    let busy = Answer::status(503).header("retry-after", "2");
    let receiver = Receiver::answering([busy, Answer::status(204)]).await;
    let webhook = stand.webhook(&receiver.url("/"), json!({})).await;

    stand.deliver(&webhook).await;

    let requests = receiver.wait_for(2, SOON).await;
    let waited = requests[1].at - requests[0].at;
    // It asked for less than the shortest pause.
    assert!(waited >= Duration::from_secs(10), "{waited:?}");
    assert!(waited < Duration::from_secs(14), "{waited:?}");
    stand.assert_settled().await;
}

#[tokio::test]
async fn an_endpoint_that_does_not_answer_in_time_has_failed() {
    let (stand, _sender) = Stand::with_sender().await;
    let receiver = Receiver::answering([Answer::hang(), Answer::status(204)]).await;
    let quick = json!({ "delivery": { "timeout": "300ms" } });
    let webhook = stand.webhook(&receiver.url("/"), quick).await;

    stand.deliver(&webhook).await;

    receiver.wait_for(2, SOON).await;
    assert_eq!(stand.attempts(2).await[0].outcome, "timeout");
    stand.assert_settled().await;
}

#[tokio::test]
async fn a_broken_connection_and_a_refused_one_are_failed_attempts() {
    let (stand, _sender) = Stand::with_sender().await;
    let mut receiver = Receiver::answering([Answer::reset()]).await;
    let webhook = stand.webhook(&receiver.url("/"), json!({})).await;
    stand.deliver(&webhook).await;
    receiver.wait_for(1, SOON).await;
    receiver.stop().await;
    let first_two = stand.attempts(2).await;
    receiver.set_answers(204);
    receiver.restart().await;
    receiver.wait_for(2, SOON).await;
    assert_eq!(first_two[0].outcome, "connection_reset");
    assert_eq!(first_two[1].outcome, "connect_refused");
    stand.assert_settled().await;
}

#[tokio::test]
async fn an_answer_that_takes_longer_than_the_ack_wait_makes_no_second_request() {
    let (stand, _sender) = Stand::with_sender().await;
    let slow = Answers::from(Answer::status(204).after(Duration::from_secs(17)));
    let receiver = Receiver::answering(slow).await;
    let patient = json!({ "delivery": { "timeout": "25s" } });
    let webhook = stand.webhook(&receiver.url("/"), patient).await;

    stand.deliver(&webhook).await;

    eventually(
        Duration::from_secs(25),
        "the attempt is recorded",
        async || stand.messages(ATTEMPTS).await == 1,
    )
    .await;
    stand.assert_settled().await;
    assert_eq!(receiver.requests().len(), 1);
}

#[tokio::test]
async fn a_burst_of_failures_is_retried_whole() {
    let (stand, _sender) = Stand::with_sender().await;
    let receiver = Receiver::answering(Answers::per_delivery([500, 204])).await;
    for _ in 0..50 {
        let webhook = stand.webhook(&receiver.url("/"), json!({})).await;
        // One more failure would pause the endpoint.
        for _ in 0..4 {
            stand.deliver(&webhook).await;
        }
    }
    stand.assert_settled().await;
    let counts = receiver.counts();
    assert_eq!(counts.deliveries(), 200);
    assert_eq!(counts.requests, 400);
}

#[tokio::test]
async fn a_retry_survives_that_its_message_comes_again_and_is_put_off() {
    let (stand, _sender) = Stand::with_sender().await;
    let seen = AtomicU32::new(0);
    let answers = Answers::rule(move |request| {
        if request.json()["data"]["slow"] == true {
            return Answer::status(204).after(Duration::from_millis(2_500));
        }
        match seen.fetch_add(1, Ordering::Relaxed) {
            0 | 1 => Answer::status(500),
            _ => Answer::status(204),
        }
    });
    let receiver = Receiver::answering(answers).await;
    let one = json!({ "delivery": { "maxInFlight": 1, "retrySchedule": ["8s"] } });
    let webhook = stand.webhook(&receiver.url("/"), one).await;
    let delivery = stand.delivery(&webhook, b"{}");
    stand.deliver_this(&delivery, HeaderMap::new()).await;
    eventually(SOON, "the retry is stored", async || {
        stand.messages(RETRIES).await == 1
    })
    .await;
    let slow = stand.delivery(&webhook, br#"{"slow":true}"#);
    stand.deliver_this(&slow, HeaderMap::new()).await;
    receiver.wait_for(2, SOON).await;

    // As if its sender had died after it stored the retry.
    let partition = partition_of(&webhook.id, 4);
    let payload = delivery_to_wire(&delivery).encode_to_vec();
    stand
        .deliver_raw(partition, "again", payload, HeaderMap::new())
        .await;
    eventually(SOON, "it is put off", async || {
        stand.messages(RETRIES).await == 2
    })
    .await;

    receiver.wait_for(4, Duration::from_secs(25)).await;
    let attempts = stand.attempts(4).await;
    let mine = attempts
        .iter()
        .filter(|attempt| attempt.delivery_id == delivery.id.as_str());
    let told: Vec<_> = mine
        .map(|attempt| (attempt.number, attempt.verdict.as_str()))
        .collect();
    assert_eq!(told, [(1, "retry"), (1, "retry"), (2, "delivered")]);
    stand.assert_settled().await;
}

#[tokio::test]
async fn a_delivery_of_a_newer_version_is_left_to_newer_senders_as_it_is() {
    let (stand, _sender) = Stand::with_sender().await;
    let webhook = stand.webhook("http://127.0.0.1:9/", json!({})).await;
    let mut wire = delivery_to_wire(&stand.delivery(&webhook, b"{}"));
    wire.schema_version = 999;
    let payload = wire.encode_to_vec();
    let mut headers = HeaderMap::new();
    headers.insert("traceparent", TRACEPARENT);
    stand
        .deliver_raw(0, "newer", payload.clone(), headers)
        .await;

    eventually(SOON, "it is put off", async || {
        stand.messages(RETRIES).await == 1 && stand.messages(DELIVERIES).await == 0
    })
    .await;
    let retries = stand.context.get_stream(RETRIES).await.unwrap();
    let kept = retries.get_raw_message(1).await.unwrap();
    assert_eq!(kept.payload, payload);
    assert_eq!(
        kept.headers.get("traceparent").unwrap().as_str(),
        TRACEPARENT
    );
    assert_eq!(kept.subject.as_str(), "tidings.later.default.0.message.d1");
    // It goes round without being counted, and stays what it is.
    eventually(
        Duration::from_secs(25),
        "it came and was put off again",
        async || {
            let last = stand.context.get_stream(RETRIES).await.unwrap();
            last.cached_info().state.last_sequence >= 3
        },
    )
    .await;
    assert_eq!(stand.messages(DEAD_LETTERS).await, 0);
}
