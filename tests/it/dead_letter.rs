//! Nothing is ever dropped silently.

use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use tidings_nats::topology::DEAD_LETTERS;
use tidings_testkit::{Process, Receiver, target_bin};

use crate::event::event;
use crate::platform::{Platform, SOON, assert_signed};

#[tokio::test]
async fn an_exhausted_delivery_is_redelivered_under_the_same_id() {
    let platform = Platform::start().await;
    let receiver = Receiver::answering(500).await;
    let webhook = platform
        .webhook(receiver.url("/"))
        .max_retries(2)
        .retry(["10ms"]);
    webhook.create().await;
    platform.publish(event("Entry.publish").id("e1")).await;
    let letters = platform.dead_letters(1).await;
    assert_eq!(letters[0].reason, "exhausted");
    assert_eq!(letters[0].last_outcome, "http_5xx");
    assert_eq!(receiver.requests().len(), 3);

    receiver.set_answers(204);
    let delivery = letters[0].delivery.clone().unwrap();
    redeliver(&platform, &delivery.id).await;

    let requests = receiver.wait_for(4, SOON).await;
    assert!(
        requests
            .iter()
            .all(|request| request.delivery_id() == delivery.id)
    );
    assert!(
        requests
            .iter()
            .all(|request| request.body == requests[0].body)
    );
    assert_signed(&requests[3]);
    let attempts = platform.attempts(4).await;
    assert_eq!(attempts[3].number, 4);
    assert_eq!(attempts[3].outcome, "delivered");
    platform.assert_settled().await;
    assert_eq!(platform.held(DEAD_LETTERS).await.unwrap(), 0);
    receiver.assert_quiet(Duration::ZERO).await;
}

#[tokio::test]
async fn a_delivery_past_its_maximum_age_is_a_dead_letter() {
    let platform = Platform::start().await;
    let receiver = Receiver::answering(500).await;
    let webhook = platform.webhook(receiver.url("/")).retry(["1s"]);
    webhook
        .set("/delivery/maxAge", serde_json::json!("1500ms"))
        .create()
        .await;

    platform.publish(event("Entry.publish")).await;

    let letters = platform.dead_letters(1).await;
    assert_eq!(letters[0].reason, "expired");
    assert!((1..=2).contains(&receiver.requests().len()));
    platform.assert_settled().await;
}

#[tokio::test]
async fn what_is_no_event_is_buried_with_its_bytes_and_blocks_nothing() {
    let platform = Platform::start().await;
    let receiver = Receiver::start().await;
    platform.webhook(receiver.url("/")).create().await;
    let contradicting = event("Entry.publish").space("other").bytes();
    let truncated = event("Entry.publish").id("e4").bytes().slice(..20);
    let no_json = event("Entry.publish").payload(r#"{"a":"#).bytes();
    let mut twice = event("Entry.publish").id("e5").bytes().to_vec();
    twice.extend_from_slice(b"\x4a\x012");
    let poison: [Bytes; 5] = [
        Bytes::from_static(b"\xff\xff\xff garbage"),
        contradicting,
        truncated,
        no_json,
        twice.into(),
    ];

    for payload in &poison {
        let subject = event("Entry.publish").subject();
        platform
            .publish_raw(subject, HeaderMap::new(), payload.clone())
            .await;
    }
    platform
        .publish_jetstream(&event("Entry.publish").id("good"))
        .await;

    receiver.wait_for(1, SOON).await;
    let mut letters = platform.dead_letters(poison.len()).await;
    letters.sort_by_key(|letter| letter.sequence);
    for (letter, payload) in letters.iter().zip(&poison) {
        assert_eq!(letter.reason, "invalid_event", "{letter:?}");
        assert_eq!(letter.raw, payload, "{letter:?}");
        assert_eq!(letter.subject, event("Entry.publish").subject());
        assert_eq!(letter.space, "acme");
    }
    let codes: Vec<&str> = letters
        .iter()
        .map(|l| l.detail.split(':').next().unwrap_or_default())
        .collect();
    let expected = [
        "bad_protobuf",
        "subject_mismatch",
        "bad_protobuf",
        "bad_json",
        "duplicate_field",
    ];
    assert_eq!(codes, expected);
    platform.assert_settled().await;
    assert_eq!(receiver.requests().len(), 1);
}

/// Runs the operator's command.
async fn redeliver(platform: &Platform, delivery_id: &str) {
    let command = Process::launch(target_bin("tidings"))
        .args([
            "dead-letter",
            "redeliver",
            delivery_id,
            "--nats-url",
            &platform.nats.url(),
        ])
        .start();
    let status = command.wait(SOON).await;
    assert!(status.success(), "{status}: {}", command.log());
}
