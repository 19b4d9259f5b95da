//! One event, many webhooks.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::json;
use tidings_core::webhook::Webhook;
use tidings_nats::topology::{DELIVERIES, EVENTS, RETRIES};
use tidings_testkit::{Answer, Answers, Receiver};

use crate::event::event;
use crate::platform::{Platform, SOON};

const WEBHOOKS: usize = 500;

#[tokio::test]
async fn one_event_reaches_five_hundred_webhooks_once_each() {
    let platform = Platform::builder().routers(2).senders(2).start().await;
    let receiver = Receiver::start().await;
    let record = |number| {
        platform
            .webhook(receiver.url(&format!("/{number}")))
            .record()
    };
    let webhooks: Vec<Webhook> = (0..WEBHOOKS).map(record).collect();
    platform.store_all(&webhooks).await;

    platform.publish(event("Entry.publish").id("e1")).await;

    let requests = receiver.wait_for(WEBHOOKS, SOON * 2).await;
    platform.assert_settled().await;
    receiver.assert_quiet(Duration::ZERO).await;
    let paths: HashSet<&str> = requests.iter().map(|request| request.path()).collect();
    let ids: HashSet<&str> = requests
        .iter()
        .map(|request| request.delivery_id())
        .collect();
    assert_eq!(
        (requests.len(), paths.len(), ids.len()),
        (WEBHOOKS, WEBHOOKS, WEBHOOKS)
    );
}

#[tokio::test]
async fn replicas_share_the_work_without_doing_it_twice() {
    let platform = Platform::builder().routers(2).senders(3).start().await;
    let receiver = Receiver::start().await;
    for number in 0..12 {
        platform
            .webhook(receiver.url(&format!("/{number}")))
            .unlimited()
            .create()
            .await;
    }

    for number in 0..50 {
        platform
            .publish(event("Entry.publish").id(&format!("e{number}")))
            .await;
    }

    let counts = receiver.wait_for_deliveries(600, SOON * 2).await;
    platform.assert_settled().await;
    receiver.assert_quiet(Duration::ZERO).await;
    assert_eq!((counts.requests, counts.repeats()), (600, 0));
    let attempts = platform.attempts(600).await;
    let senders: HashSet<&str> = attempts
        .iter()
        .map(|attempt| attempt.sender.as_str())
        .collect();
    // Rendezvous hashing of twelve webhooks may leave one of three senders without any.
    assert!(senders.len() >= 2, "{senders:?}");
}

/// A large event lies in its stream once, whatever number of webhooks it goes to.
#[tokio::test]
async fn a_large_payload_is_stored_once_and_reaches_a_thousand_webhooks_whole() {
    const WEBHOOKS: usize = 1_000;
    let platform = Platform::builder().under_load().start().await;
    let payload = format!("{{ \"text\": \"{}\" }}", "x".repeat(400 << 10));
    let expected = format!("\"data\":{payload}}}");
    let is_whole = Answers::rule(move |request| {
        Answer::status(if request.body.ends_with(expected.as_bytes()) {
            204
        } else {
            400
        })
    });
    let receiver = Receiver::builder()
        .answers(is_whole)
        .without_bodies()
        .start()
        .await;
    let record = |number: usize| {
        let webhook = platform.webhook(receiver.url(&format!("/{number}")));
        // Hashing 400 MB takes a debug build half a minute, and says nothing here.
        let webhook = webhook.set("/signing", json!({ "schemes": [], "secrets": [] }));
        webhook.unlimited().record()
    };
    let webhooks: Vec<Webhook> = (0..WEBHOOKS).map(record).collect();
    platform.store_all(&webhooks).await;

    let delivering = async {
        let large = event("Entry.publish").id("e1").payload(payload);
        platform.publish(large).await;
        let counts = receiver.wait_for_deliveries(WEBHOOKS, SOON * 6).await;
        platform.assert_settled_within(SOON * 2).await;
        counts
    };
    let queues = [EVENTS, DELIVERIES, RETRIES];
    let ([events, deliveries, retries], counts) =
        platform.most_bytes_while(queues, delivering).await;

    assert_eq!((counts.deliveries(), counts.repeats()), (WEBHOOKS, 0));
    assert!(
        (400 << 10..450 << 10).contains(&events),
        "EVENTS: {events} bytes"
    );
    // A thousand copies would be 400 MiB; a thousand references are about half a MiB.
    assert!(deliveries < 2 << 20, "DELIVERIES: {deliveries} bytes");
    assert!(retries < 2 << 20, "RETRIES: {retries} bytes");
}
