//! Deliveries that leave their payload in the stream of events.

use std::time::Duration;

use prost::Message as _;
use serde_json::json;
use tidings_core::delivery::Delivery;
use tidings_core::id::DeliveryId;
use tidings_nats::topology::{EVENTS, RETRIES};
use tidings_proto::v1;
use tidings_testkit::{Answer, Answers, Receiver, eventually};
use tokio::time::Instant;

use crate::stand::{SOON, Stand};

fn payload() -> Vec<u8> {
    format!("{{\"text\": \"{}\"}}", "x".repeat(400 << 10)).into_bytes()
}

fn data(payload: &[u8]) -> String {
    String::from_utf8(payload.to_vec()).unwrap()
}

async fn scheduled(stand: &Stand) -> (String, v1::Delivery) {
    eventually(SOON, "a retry is scheduled", async || {
        match stand.messages(RETRIES).await {
            0 => Err("there is none"),
            _ => Ok(()),
        }
    })
    .await;
    let stream = stand.context.get_stream(RETRIES).await.unwrap();
    let first = stream.cached_info().state.first_sequence;
    let message = stream.get_raw_message(first).await.unwrap();
    let delivery = v1::Delivery::decode(message.payload).unwrap();
    (message.subject.to_string(), delivery)
}

#[tokio::test]
async fn the_payload_arrives_whole_at_every_attempt() {
    let (stand, sender) = Stand::with_sender().await;
    let answers = [Answer::status(500), Answer::status(204)];
    let receiver = Receiver::answering(Answers::per_delivery(answers)).await;
    let webhook = stand.webhook(&receiver.url("/"), json!({})).await;
    let payload = payload();
    stand.deliver_reference(&webhook, &payload).await;
    for request in receiver.wait_for(2, SOON).await {
        let body = String::from_utf8(request.body.to_vec()).unwrap();
        assert!(body.contains(&data(&payload)), "{} bytes", body.len());
    }
    stand.assert_settled().await;
    assert!(stand.dead_letters(0).await.is_empty());
    sender.stop().await;
}

#[tokio::test]
async fn a_retry_refers_for_a_while_and_then_takes_the_payload_along() {
    for (wait, is_reference) in [("1m", true), ("1h", false)] {
        let (stand, sender) = Stand::with_sender().await;
        let receiver = Receiver::answering(Answer::status(500)).await;
        let changes = json!({"delivery": {"retrySchedule": [wait]}});
        let webhook = stand.webhook(&receiver.url("/"), changes).await;
        let payload = payload();
        let Delivery { event_sequence, .. } = stand.deliver_reference(&webhook, &payload).await;
        let (subject, delivery) = scheduled(&stand).await;
        assert_eq!(delivery.by_reference, is_reference, "{wait}");
        let names_event = subject.contains(&format!(".ref.{event_sequence}."));
        assert_eq!(names_event, is_reference, "{subject}");
        let event = v1::Event::decode(delivery.event).unwrap();
        assert_eq!(event.topic, "Entry.publish");
        assert_eq!(event.payload.is_empty(), is_reference);
        sender.stop().await;
    }
}

#[tokio::test]
async fn a_dead_letter_has_the_payload_with_it() {
    let (stand, sender) = Stand::with_sender().await;
    let receiver = Receiver::start().await;
    let webhook = stand
        .webhook(&receiver.url("/"), json!({"enabled": false}))
        .await;
    let payload = payload();
    stand.deliver_reference(&webhook, &payload).await;
    let letter = stand.dead_letters(1).await.remove(0);
    assert_eq!(letter.reason, "webhook_disabled");
    let delivery = letter.delivery.unwrap();
    assert!(!delivery.by_reference);
    let event = v1::Event::decode(delivery.event).unwrap();
    assert_eq!(event.payload, payload);
    stand.assert_settled().await;
    sender.stop().await;
}

#[tokio::test]
async fn a_payload_that_is_gone_is_a_dead_letter_and_no_empty_request() {
    let (stand, sender) = Stand::with_sender().await;
    let receiver = Receiver::start().await;
    let webhook = stand.webhook(&receiver.url("/"), json!({})).await;
    let delivery = stand.deliver_reference(&webhook, &payload()).await;
    receiver.wait_for(1, SOON).await;
    stand.assert_settled().await;
    let other_id = |webhook: &str| {
        let (space, event) = (&delivery.space, &delivery.event_id);
        DeliveryId::derive(
            space,
            &delivery.environment,
            event,
            &webhook.parse().unwrap(),
        )
    };
    let gone = Delivery {
        id: other_id("wh_a"),
        event_sequence: 4_711,
        ..delivery.clone()
    };
    let of_another_event = Delivery {
        id: other_id("wh_b"),
        event_id: "evt_other".parse().unwrap(),
        ..delivery.clone()
    };
    for (index, delivery) in [gone, of_another_event].into_iter().enumerate() {
        stand.deliver_head(&delivery).await;
        let letters = stand.dead_letters(index + 1).await;
        assert_eq!(letters[index].reason, "payload_missing");
    }
    stand.assert_settled().await;
    assert_eq!(receiver.requests().len(), 1);
    assert_eq!(stand.messages(EVENTS).await, 1);
    sender.stop().await;
}

/// As when a sender was frozen, or a broker was: nothing comes back for more than a second, and then
/// everything does.
#[tokio::test]
async fn after_a_stall_a_backlog_of_large_payloads_flows_at_once() {
    const EVENTS: usize = 100;
    let (stand, sender) = Stand::with_sender().await;
    let begun = Instant::now();
    let receiver = Receiver::answering(Answers::rule(move |_| {
        let stalled = Duration::from_secs(2).saturating_sub(begun.elapsed());
        Answer::status(204).after(stalled)
    }))
    .await;
    let mut webhooks = Vec::new();
    for path in ["/a", "/b"] {
        let changes = json!({"delivery": {"maxInFlight": 8, "timeout": "10s"}});
        webhooks.push(stand.webhook(&receiver.url(path), changes).await);
    }
    for _ in 0..EVENTS / 2 {
        for webhook in &webhooks {
            stand.deliver_reference(webhook, &payload()).await;
        }
    }
    receiver.wait_for(EVENTS, SOON).await;
    stand.assert_settled().await;
    assert!(stand.dead_letters(0).await.is_empty());
    sender.stop().await;
}

#[tokio::test]
async fn payloads_that_cannot_be_fetched_for_a_while_are_waited_for_and_cost_no_attempt() {
    let (stand, sender) = Stand::with_sender().await;
    let receiver = Receiver::start().await;
    let webhook = stand.webhook(&receiver.url("/"), json!({})).await;
    let direct = async |is_allowed| {
        let stream = stand.context.get_stream(EVENTS).await.unwrap();
        let mut config = stream.cached_info().config.clone();
        config.allow_direct = is_allowed;
        stand.context.update_stream(&config).await.unwrap();
    };
    direct(false).await;
    for _ in 0..40 {
        stand.deliver_reference(&webhook, &payload()).await;
    }
    eventually(SOON, "some are put off", async || {
        stand.messages(RETRIES).await > 0
    })
    .await;
    assert!(receiver.requests().is_empty());
    direct(true).await;
    receiver.wait_for(40, SOON).await;
    stand.assert_settled().await;
    let attempts = stand.attempts(40).await;
    assert!(attempts.iter().all(|attempt| attempt.number == 1));
    let state = stand.state(&webhook).await;
    assert!(state.is_none(), "the endpoint was never paused: {state:?}");
    sender.stop().await;
}
