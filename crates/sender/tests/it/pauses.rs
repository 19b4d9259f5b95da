//! Endpoints that fail, ask for time, or are paused by a person; and what others hear about it.

use std::time::Duration;

use async_nats::HeaderMap;
use jiff::Timestamp;
use serde_json::{Value, json};
use tidings_core::event::Event;
use tidings_core::pause::PAUSE_MIN;
use tidings_core::webhook::{EndpointState, Status, Webhook};
use tidings_proto::v1;
use tidings_service::clock;
use tidings_testkit::{Answer, Receiver};

use crate::stand::{SOON, Stand};

/// One attempt at a time, so that it is known how many there are before the pause.
async fn one_by_one(stand: &Stand, receiver: &Receiver) -> Webhook {
    let one =
        json!({ "name": "frail", "delivery": { "maxInFlight": 1, "retrySchedule": ["10s"] } });
    stand.webhook(&receiver.url("/hook?key=secret"), one).await
}

fn payload(event: &v1::Event) -> Value {
    serde_json::from_slice(&event.payload).unwrap()
}

#[tokio::test]
async fn five_failures_pause_then_a_probe_lets_everything_through() {
    let (stand, _sender) = Stand::with_sender().await;
    let receiver = Receiver::answering(500).await;
    let webhook = one_by_one(&stand, &receiver).await;
    for _ in 0..30 {
        stand.deliver(&webhook).await;
    }
    let state = stand.is_recorded(&webhook, Status::Paused).await;
    assert_eq!(state.reason, "failing");
    assert_eq!(receiver.requests().len(), 5);
    receiver.assert_quiet(Duration::from_secs(3)).await;

    receiver.set_answers(204);
    receiver
        .wait_for_deliveries(30, Duration::from_secs(30))
        .await;
    let probe = receiver.requests()[5].at;
    assert!(probe - receiver.requests()[4].at >= PAUSE_MIN);
    stand.is_recorded(&webhook, Status::Active).await;
    stand.assert_settled().await;
    assert_eq!(receiver.counts().repeats(), 5);
    // Only what was sent counts as an attempt.
    let attempts = stand.attempts(35).await;
    let first = attempts.iter().filter(|attempt| attempt.number == 1);
    assert_eq!((attempts.len(), first.count()), (35, 30));

    let events = stand.events(2).await;
    let topics: Vec<&str> = events.iter().map(|event| event.topic.as_str()).collect();
    assert_eq!(topics, ["Webhook.paused", "Webhook.resumed"]);
    let paused = payload(&events[0]);
    assert_eq!(paused["cause"], "failing");
    assert_eq!(paused["webhook"]["name"], "frail");
    assert_eq!(
        paused["webhook"]["origin"],
        receiver.url("").trim_end_matches('/')
    );
    assert_eq!(events[0].space, "acme");
    let entity = events[0].entity.clone().unwrap();
    assert_eq!(
        (entity.id, entity.r#type),
        (webhook.id.to_string(), "Webhook".into())
    );
}

#[tokio::test]
async fn a_pause_survives_the_sender() {
    let (stand, sender) = Stand::with_sender().await;
    let receiver = Receiver::answering(500).await;
    let webhook = one_by_one(&stand, &receiver).await;
    for _ in 0..12 {
        stand.deliver(&webhook).await;
    }
    let until = stand.is_recorded(&webhook, Status::Paused).await.until;
    sender.stop().await;
    receiver.set_answers(204);
    let _next = stand.sender(&[]).await;
    stand.deliver(&webhook).await;
    receiver.wait_for(6, SOON).await;
    assert!(clock::now() >= until.unwrap());
    receiver
        .wait_for_deliveries(13, Duration::from_secs(30))
        .await;
    stand.is_recorded(&webhook, Status::Active).await;
}

#[tokio::test]
async fn an_endpoint_that_asks_for_time_gets_it() {
    let (stand, _sender) = Stand::with_sender().await;
    let busy = Answer::status(503).header("retry-after", "3600");
    let receiver = Receiver::answering(busy).await;
    let webhook = one_by_one(&stand, &receiver).await;
    for _ in 0..5 {
        stand.deliver(&webhook).await;
    }
    let state = stand.is_recorded(&webhook, Status::Paused).await;
    assert_eq!(state.reason, "asked");
    let wait = state.until.unwrap().duration_since(clock::now());
    assert!((3_500..=3_600).contains(&wait.as_secs()), "{wait}");
    receiver.assert_quiet(Duration::from_secs(2)).await;
    assert_eq!(receiver.requests().len(), 1);
}

#[tokio::test]
async fn a_person_pauses_and_resumes() {
    let (stand, _sender) = Stand::with_sender().await;
    let receiver = Receiver::start().await;
    let webhook = stand.webhook(&receiver.url("/"), json!({})).await;
    stand.deliver(&webhook).await;
    receiver.wait_for(1, SOON).await;
    let paused = EndpointState::paused_by_hand(None, webhook.version);
    stand.put_state(&webhook, &paused).await;
    tidings_testkit::eventually(SOON, "the pause is obeyed", async || {
        stand.deliver(&webhook).await;
        stand
            .state(&webhook)
            .await
            .is_some_and(|state| !state.is_by_hand())
    })
    .await;
    assert_eq!(stand.state(&webhook).await.unwrap().status, Status::Paused);
    receiver.assert_quiet(Duration::from_secs(2)).await;

    let resumed = EndpointState::resumed_by_hand(webhook.version);
    stand.put_state(&webhook, &resumed).await;
    stand.assert_settled().await;
    let topics: Vec<String> = stand
        .events(2)
        .await
        .into_iter()
        .map(|event| event.topic)
        .collect();
    assert_eq!(topics, ["Webhook.paused", "Webhook.resumed"]);
}

#[tokio::test]
async fn what_ends_a_delivery_or_a_webhook_is_an_event_of_its_space() {
    let (stand, _sender) = Stand::with_sender().await;
    let receiver = Receiver::answering([500, 410]).await;
    let last = json!({ "delivery": { "maxRetries": 0 } });
    let webhook = stand.webhook(&receiver.url("/"), last).await;
    let exhausted = stand.deliver(&webhook).await;
    let event = stand.events(1).await.remove(0);
    assert_eq!(event.topic, "Delivery.exhausted");
    let facts = payload(&event);
    assert_eq!(facts["delivery"]["id"], exhausted.as_str());
    assert_eq!(facts["delivery"]["attempts"], 1);
    assert_eq!(facts["webhook"]["id"], webhook.id.as_str());

    stand.deliver(&webhook).await;
    let events = stand.events(2).await;
    assert_eq!(events[1].topic, "Webhook.disabled");
    assert_eq!(payload(&events[1])["cause"], "gone");
    stand.is_recorded(&webhook, Status::Disabled).await;
}

#[tokio::test]
async fn deliveries_of_operational_events_raise_none() {
    let (stand, _sender) = Stand::with_sender().await;
    let receiver = Receiver::answering(500).await;
    let last = json!({ "delivery": { "maxRetries": 0, "maxInFlight": 1 } });
    let webhook = stand.webhook(&receiver.url("/"), last).await;
    for number in 0..5 {
        let event = Event {
            id: format!("op_{number}").parse().unwrap(),
            space: webhook.space.clone(),
            environment: Default::default(),
            topic: "Webhook.paused".parse().unwrap(),
            entity: Default::default(),
            occurred_at: Timestamp::UNIX_EPOCH,
            actor: String::new(),
            context: Default::default(),
            payload: "{}".into(),
        };
        let delivery = stand.delivery_of(&webhook, &event);
        stand.deliver_this(&delivery, HeaderMap::new()).await;
    }
    stand.is_recorded(&webhook, Status::Paused).await;
    stand.dead_letters(5).await;
    assert_eq!(stand.messages("EVENTS").await, 0);
}
