//! Deliveries that end without success.

use std::num::NonZeroU32;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::stream::Config;
use jiff::SignedDuration;
use prost::Message as _;
use serde_json::json;
use tidings_core::delivery::{Delivery, Progress};
use tidings_core::webhook::{EndpointState, Status};
use tidings_nats::topology::{DEAD_LETTERS, DELIVERIES, ENDPOINT_STATE_BUCKET, delivery_consumer};
use tidings_proto::delivery_to_wire;
use tidings_testkit::{NatsServer, Receiver, eventually};

use crate::stand::{SOON, Stand, key, space};

#[tokio::test]
async fn a_delivery_that_uses_up_its_retries_is_exhausted() {
    let (stand, _sender) = Stand::with_sender().await;
    let receiver = Receiver::answering(503).await;
    let twice = json!({ "delivery": { "maxRetries": 1 } });
    let webhook = stand.webhook(&receiver.url("/"), twice).await;

    let delivery = stand.deliver(&webhook).await;

    let letters = stand.dead_letters(1).await;
    let letter = &letters[0];
    assert_eq!(
        (letter.reason.as_str(), letter.last_outcome.as_str()),
        ("exhausted", "http_5xx")
    );
    assert!(
        letter
            .detail
            .contains("attempt 2 ended with http_5xx (503)"),
        "{}",
        letter.detail
    );
    let kept = letter.delivery.as_ref().unwrap();
    assert_eq!((kept.id.as_str(), kept.attempt), (delivery.as_str(), 3));
    assert!(!kept.event.is_empty());
    assert_eq!(receiver.requests().len(), 2);
    assert_eq!(stand.attempts(2).await[1].verdict, "exhausted");
    stand.assert_settled().await;
}

#[tokio::test]
async fn gone_ends_the_delivery_and_disables_the_webhook() {
    let (stand, _sender) = Stand::with_sender().await;
    let receiver = Receiver::answering([410, 204]).await;
    let mut webhook = stand.webhook(&receiver.url("/"), json!({})).await;

    stand.deliver(&webhook).await;

    assert_eq!(stand.dead_letters(1).await[0].reason, "gone");
    let states = stand
        .context
        .get_key_value(ENDPOINT_STATE_BUCKET)
        .await
        .unwrap();
    let state = states.get(key(&webhook)).await.unwrap().unwrap();
    let state: EndpointState = serde_json::from_slice(&state).unwrap();
    assert_eq!((state.status, state.webhook_version), (Status::Disabled, 1));
    stand.deliver(&webhook).await;
    assert_eq!(stand.dead_letters(2).await[1].reason, "webhook_disabled");

    // A newer definition makes the state void.
    webhook.version = 2;
    stand.put(&webhook).await;
    eventually(SOON, "the webhook is called again", async || {
        stand.deliver(&webhook).await;
        receiver.requests().len() > 1
    })
    .await;
    stand.assert_settled().await;
}

#[tokio::test]
async fn deliveries_of_a_deleted_or_disabled_webhook_are_kept_as_dead_letters() {
    let (stand, _sender) = Stand::with_sender().await;
    let receiver = Receiver::start().await;
    let deleted = stand.webhook(&receiver.url("/"), json!({})).await;
    let disabled = stand
        .webhook(&receiver.url("/"), json!({ "enabled": false }))
        .await;
    stand.delete(&deleted).await;

    stand.deliver(&deleted).await;
    assert_eq!(stand.dead_letters(1).await[0].reason, "webhook_deleted");
    stand.deliver(&disabled).await;
    let letters = stand.dead_letters(2).await;
    assert_eq!(letters[1].reason, "webhook_disabled");
    assert_eq!(letters[1].delivery.as_ref().unwrap().attempt, 1);
    assert!(receiver.requests().is_empty());
    stand.assert_settled().await;
}

#[tokio::test]
async fn a_retry_meets_the_webhook_as_it_is_then() {
    let (stand, _sender) = Stand::with_sender().await;
    let receiver = Receiver::answering(500).await;
    let slow = json!({ "delivery": { "retrySchedule": ["1s"] } });
    let webhook = stand.webhook(&receiver.url("/"), slow).await;
    stand.deliver(&webhook).await;
    receiver.wait_for(1, SOON).await;
    stand.delete(&webhook).await;
    assert_eq!(stand.dead_letters(1).await[0].reason, "webhook_deleted");
    assert_eq!(receiver.requests().len(), 1);
    stand.assert_settled().await;
}

#[tokio::test]
async fn what_is_no_delivery_is_kept_with_its_bytes_and_blocks_nobody() {
    let (stand, _sender) = Stand::with_sender().await;
    let receiver = Receiver::start().await;
    let webhook = stand.webhook(&receiver.url("/"), json!({})).await;
    for partition in 0..4 {
        let id = format!("junk{partition}");
        stand
            .deliver_raw(partition, &id, b"\xffnonsense".to_vec(), HeaderMap::new())
            .await;
    }
    let mut broken_event = stand.delivery(&webhook, b"{}");
    broken_event.event = bytes::Bytes::from_static(b"\xff");
    stand.deliver_this(&broken_event, HeaderMap::new()).await;

    stand.deliver(&webhook).await;

    receiver.wait_for(1, SOON).await;
    let letters = stand.dead_letters(5).await;
    assert!(
        letters
            .iter()
            .all(|letter| letter.reason == "invalid_delivery")
    );
    assert_eq!(
        letters
            .iter()
            .filter(|letter| letter.raw == b"\xffnonsense"[..])
            .count(),
        4
    );
    assert!(
        letters
            .iter()
            .all(|letter| letter.subject.starts_with("tidings.delivery.default."))
    );
    stand.assert_settled().await;
}

#[tokio::test]
async fn a_delivery_of_another_space_than_its_webhook_is_never_sent() {
    let (stand, _sender) = Stand::with_sender().await;
    let receiver = Receiver::start().await;
    let webhook = stand.webhook(&receiver.url("/"), json!({})).await;
    // Until the sender knows the webhook, it cannot know that it is another space's.
    stand.deliver(&webhook).await;
    receiver.wait_for(1, SOON).await;
    let mut delivery = stand.delivery(&webhook, b"{}");
    delivery.space = space("mallory");

    stand.deliver_this(&delivery, HeaderMap::new()).await;

    let letters = stand.dead_letters(1).await;
    assert_eq!(
        (letters[0].reason.as_str(), letters[0].space.as_str()),
        ("space_mismatch", "mallory")
    );
    assert_eq!(receiver.requests().len(), 1);
    stand.assert_settled().await;
}

#[tokio::test]
async fn a_delivery_that_is_too_old_gets_no_attempt() {
    let (stand, _sender) = Stand::with_sender().await;
    let receiver = Receiver::start().await;
    let webhook = stand
        .webhook(
            &receiver.url("/"),
            json!({ "delivery": { "maxAge": "1h" } }),
        )
        .await;
    let mut delivery = stand.delivery(&webhook, b"{}");
    delivery.progress = Progress::first(delivery.created_at - SignedDuration::from_hours(2));

    stand.deliver_this(&delivery, HeaderMap::new()).await;

    assert_eq!(stand.dead_letters(1).await[0].reason, "expired");
    assert!(receiver.requests().is_empty());
    stand.assert_settled().await;
}

#[tokio::test]
async fn a_retry_that_does_not_fit_ends_as_oversized_without_the_event() {
    let server = NatsServer::builder().max_payload(64 * 1024).start().await;
    let stand = Stand::on(server, false).await;
    let _sender = stand.sender(&[]).await;
    let receiver = Receiver::answering(500).await;
    let webhook = stand.webhook(&receiver.url("/"), json!({})).await;
    // It fits into DELIVERIES by a hair, and with the headers of a schedule it does not.
    let overhead = wire_bytes(&stand.delivery(&webhook, &[b'1'; 60_000])) - 60_000;
    let payload = vec![b'1'; 64 * 1024 - overhead - 150];
    let delivery = stand.delivery(&webhook, &payload);

    stand.deliver_this(&delivery, HeaderMap::new()).await;

    let letters = stand.dead_letters(1).await;
    let letter = &letters[0];
    assert_eq!(letter.reason, "oversized");
    let kept = letter.delivery.as_ref().unwrap();
    assert_eq!(
        (kept.id.as_str(), kept.event_sequence),
        (delivery.id.as_str(), 7)
    );
    assert!(kept.event.is_empty());
    stand.assert_settled().await;
}

#[tokio::test]
async fn a_message_that_was_taken_many_times_and_never_settled_is_quarantined() {
    let stand = Stand::start().await;
    let receiver = Receiver::start().await;
    let webhook = stand.webhook(&receiver.url("/"), json!({})).await;
    stand.deliver(&webhook).await;
    let partition = tidings_core::partition::partition_of(&webhook.id, 4);
    take_and_drop(&stand, partition, NonZeroU32::new(5).unwrap()).await;

    let _sender = stand.sender(&[]).await;

    assert_eq!(stand.dead_letters(1).await[0].reason, "quarantined");
    assert!(receiver.requests().is_empty());
    stand.assert_settled().await;
}

fn wire_bytes(delivery: &Delivery) -> usize {
    delivery_to_wire(delivery).encoded_len()
}

/// Takes the message of a partition and hands it back, `times` times.
async fn take_and_drop(stand: &Stand, partition: u16, times: NonZeroU32) {
    use async_nats::jetstream::AckKind;
    use async_nats::jetstream::consumer::PullConsumer;
    use futures_util::StreamExt as _;

    let name = delivery_consumer(&tidings_core::name::Pool::default(), partition);
    let consumer: PullConsumer = stand
        .context
        .get_consumer_from_stream(name, DELIVERIES)
        .await
        .unwrap();
    for _ in 0..times.get() {
        let mut batch = consumer
            .batch()
            .max_messages(1)
            .expires(SOON)
            .messages()
            .await
            .unwrap();
        let message = batch.next().await.unwrap().unwrap();
        message.ack_with(AckKind::Nak(None)).await.unwrap();
    }
}

#[tokio::test]
async fn a_delivery_that_is_ahead_of_its_webhook_waits_for_it() {
    let (stand, _sender) = Stand::with_sender().await;
    let receiver = Receiver::start().await;
    let webhook = stand.new_webhook(&receiver.url("/"), json!({}));
    // As if a replica that lags behind had been asked.
    stand.deliver(&webhook).await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    stand.put(&webhook).await;
    receiver.wait_for(1, SOON).await;
    stand.assert_settled().await;
    assert_eq!(stand.messages(DEAD_LETTERS).await, 0);
}

#[tokio::test]
async fn a_dead_letter_keeps_the_trace() {
    let (stand, _sender) = Stand::with_sender().await;
    let disabled = json!({ "enabled": false });
    let webhook = stand.webhook("http://127.0.0.1:9/", disabled).await;
    let mut headers = HeaderMap::new();
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    headers.insert("traceparent", traceparent);
    headers.insert("tracestate", "a=b");
    stand
        .deliver_this(&stand.delivery(&webhook, b"{}"), headers)
        .await;
    stand.dead_letters(1).await;
    let letters = stand.context.get_stream(DEAD_LETTERS).await.unwrap();
    let kept = letters.get_raw_message(1).await.unwrap().headers;
    let kept = ["traceparent", "tracestate"].map(|name| kept.get(name).unwrap().as_str());
    assert_eq!(kept, [traceparent, "a=b"]);
}

#[tokio::test]
async fn full_dead_letters_stop_nobody_else_and_lose_nothing() {
    let stand = Stand::start().await;
    let _sender = stand.sender(&["--concurrency", "1"]).await;
    let failing = Receiver::answering(503).await;
    let healthy = Receiver::start().await;
    let once = json!({ "delivery": { "maxRetries": 0 } });
    let bad = stand.webhook(&failing.url("/"), once).await;
    let off = json!({ "enabled": false });
    let disabled = stand.webhook(&failing.url("/"), off).await;
    let good = stand.webhook(&healthy.url("/"), json!({})).await;
    stand.deliver(&disabled).await;
    stand.dead_letters(1).await;
    limit(&stand, |config| config.max_messages = 1).await;

    // One failure fewer than would pause the endpoint.
    for _ in 0..4 {
        stand.deliver(&bad).await;
        stand.deliver(&disabled).await;
        stand.deliver(&disabled).await;
    }
    failing.wait_for(4, SOON).await;
    for _ in 0..8 {
        stand.deliver(&good).await;
    }
    healthy.wait_for_deliveries(8, SOON).await;
    assert_eq!(stand.messages(DEAD_LETTERS).await, 1);

    limit(&stand, |config| config.max_messages = -1).await;
    eventually(Duration::from_secs(45), "all are kept", async || {
        stand.messages(DEAD_LETTERS).await == 13
    })
    .await;
    stand.assert_settled().await;
    assert_eq!(failing.requests().len(), 4);
}

#[tokio::test]
async fn a_letter_that_finds_too_little_room_is_kept_without_its_event() {
    let (stand, _sender) = Stand::with_sender().await;
    limit(&stand, |config| config.max_bytes = 8 * 1024).await;
    let failing = Receiver::answering(503).await;
    let once = json!({ "delivery": { "maxRetries": 0 } });
    let webhook = stand.webhook(&failing.url("/"), once).await;
    let delivery = stand.delivery(&webhook, &[b'1'; 50_000]);
    stand.deliver_this(&delivery, HeaderMap::new()).await;
    let letters = stand.dead_letters(1).await;
    assert_eq!(letters[0].reason, "exhausted");
    assert!(letters[0].detail.contains("the stream was full"));
    let kept = letters[0].delivery.as_ref().unwrap();
    assert_eq!((kept.event.len(), kept.event_sequence), (0, 7));
    stand.assert_settled().await;
}

/// Changes the limits of the stream of dead letters.
async fn limit(stand: &Stand, change: impl FnOnce(&mut Config)) {
    let stream = stand.context.get_stream(DEAD_LETTERS).await.unwrap();
    let mut config = stream.cached_info().config.clone();
    change(&mut config);
    stand.context.update_stream(config).await.unwrap();
}
