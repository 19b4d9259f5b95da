//! What a receiver gets.

use async_nats::HeaderMap;
use serde_json::json;
use tidings_core::secret::Secret;
use tidings_core::signature::SigningKey;
use tidings_testkit::Receiver;

use crate::stand::{SECRET, SOON, Stand};

#[tokio::test]
async fn a_delivery_arrives_signed_and_is_settled() {
    let (stand, _sender) = Stand::with_sender().await;
    let receiver = Receiver::start().await;
    let webhook = stand.webhook(&receiver.url("/hook?a=b"), json!({})).await;
    let payload = br#"{ "n":12345678901234567890, "z":"\u00e9" }"#;
    let delivery = stand.delivery(&webhook, payload);

    stand.deliver_this(&delivery, HeaderMap::new()).await;

    let requests = receiver.wait_for(1, SOON).await;
    let request = &requests[0];
    assert_eq!(request.method, "POST");
    assert_eq!(request.uri.to_string(), "/hook?a=b");
    assert_eq!(request.delivery_id(), delivery.id.as_str());
    let payload = std::str::from_utf8(payload).unwrap();
    let expected = format!(
        r#"{{"type":"Entry.publish","timestamp":"2026-11-22T10:00:00Z","data":{payload}}}"#
    );
    assert_eq!(request.body, expected.as_bytes());
    let key = SigningKey::parse(&Secret::new(SECRET)).unwrap();
    let timestamp = request
        .header("webhook-timestamp")
        .unwrap()
        .parse()
        .unwrap();
    let signatures = request.header("webhook-signature").unwrap();
    assert!(key.verify(signatures, request.delivery_id(), timestamp, &request.body));
    stand.assert_settled().await;
}

#[tokio::test]
async fn the_trace_goes_on_to_the_receiver_over_a_retry_too() {
    let (stand, _sender) = Stand::with_sender().await;
    let receiver = Receiver::answering([500, 204]).await;
    let webhook = stand.webhook(&receiver.url("/"), json!({})).await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let mut headers = HeaderMap::new();
    headers.insert("traceparent", trace);
    headers.insert("tracestate", "a=b");

    stand
        .deliver_this(&stand.delivery(&webhook, b"{}"), headers)
        .await;

    for request in receiver.wait_for(2, SOON).await {
        assert_eq!(request.header("traceparent"), Some(trace));
        assert_eq!(request.header("tracestate"), Some("a=b"));
    }
    stand.assert_settled().await;
}

#[tokio::test]
async fn a_webhook_that_was_created_a_moment_ago_is_not_taken_for_deleted() {
    let (stand, _sender) = Stand::with_sender().await;
    let receiver = Receiver::start().await;
    for count in 1..=20 {
        let webhook = stand.webhook(&receiver.url("/"), json!({})).await;
        stand.deliver(&webhook).await;
        receiver.wait_for(count, SOON).await;
    }
    stand.assert_settled().await;
}

#[tokio::test]
async fn a_changed_webhook_is_called_as_it_is_now() {
    let (stand, _sender) = Stand::with_sender().await;
    let (old, new) = (Receiver::answering(500).await, Receiver::start().await);
    let mut webhook = stand.webhook(&old.url("/"), json!({})).await;
    stand.deliver(&webhook).await;
    old.wait_for(1, SOON).await;

    webhook.definition.url = new.url("/");
    webhook.version = 2;
    stand.put(&webhook).await;

    new.wait_for(1, SOON).await;
    stand.assert_settled().await;
}

#[tokio::test]
async fn a_sender_that_may_not_call_loopback_does_not() {
    let stand = Stand::start().await;
    let _sender = stand.sender(&["--egress-deny", "127.0.0.1"]).await;
    let receiver = Receiver::start().await;
    let once = json!({ "delivery": { "maxRetries": 0 } });
    let webhook = stand.webhook(&receiver.url("/"), once).await;

    stand.deliver(&webhook).await;

    let letters = stand.dead_letters(1).await;
    assert_eq!(letters[0].last_outcome, "blocked");
    assert!(receiver.requests().is_empty());
    stand.assert_settled().await;
}

#[tokio::test]
async fn every_header_that_may_be_set_arrives_intact() {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/corpora/header-corpus.tsv");
    let corpus = std::fs::read_to_string(corpus).unwrap();
    let text = |column: &str| serde_json::from_str::<String>(&format!("\"{column}\"")).unwrap();
    let accepted: Vec<(String, String)> = corpus
        .lines()
        .map(|line| line.split('\t').collect::<Vec<_>>())
        .filter(|row| row[2] == "accept")
        .map(|row| (text(row[0]), text(row[1])))
        .collect();
    assert_eq!(accepted.len(), 19);
    let (stand, _sender) = Stand::with_sender().await;
    let receiver = Receiver::start().await;
    for (key, value) in &accepted {
        let header = json!({ "headers": [{ "key": key, "value": value }] });
        let webhook = stand.webhook(&receiver.url("/"), header).await;
        stand.deliver(&webhook).await;
    }
    let requests = receiver.wait_for(accepted.len(), SOON).await;
    for (key, value) in &accepted {
        let is_there = |request: &tidings_testkit::Request| {
            let mut values = request.headers.get_all(key.as_str()).iter();
            values.any(|found| found.as_bytes() == value.as_bytes())
        };
        assert!(requests.iter().any(is_there), "{key}: {value}");
    }
}
