//! What is recorded about attempts.

use std::time::Duration;

use serde_json::json;
use tidings_core::webhook::EndpointState;
use tidings_nats::topology::{ATTEMPTS, DELIVERIES, RETRIES};
use tidings_testkit::{Answer, Receiver, eventually};
use tokio::time::Instant;

use crate::stand::{SOON, Stand};

#[tokio::test]
async fn a_record_tells_everything_but_secrets() {
    let stand = Stand::start().await;
    let _sender = stand.sender(&["--name", "sender-1"]).await;
    let answer = Answer::status(200)
        .header("x-seen", "yes")
        .body("thank you");
    let receiver = Receiver::answering(answer).await;
    let secrets = json!({
        "headers": [
            { "key": "X-Source", "value": "cms" },
            { "key": "X-Api-Key", "value": "hidden-key", "secret": true },
        ],
        "basicAuth": { "username": "user", "password": "hidden-password" },
    });
    let webhook = stand.webhook(&receiver.url("/"), secrets).await;

    let delivery = stand.deliver(&webhook).await;

    let attempts = stand.attempts(1).await;
    let attempt = &attempts[0];
    assert_eq!(attempt.delivery_id, delivery.as_str());
    assert_eq!(attempt.sender, "sender-1");
    assert_eq!(attempt.topic, "Entry.publish");
    assert_eq!(attempt.remote_address, receiver.address().to_string());
    assert_eq!(attempt.http_version, "HTTP/1.1");
    assert!(attempt.timings.as_ref().unwrap().total_us > 0);
    let request = attempt.request.as_ref().unwrap();
    assert_eq!(
        (request.method.as_str(), request.url.as_str()),
        ("POST", receiver.url("/").as_str())
    );
    let sent = |name: &str| {
        request
            .headers
            .iter()
            .find(|header| header.name == name)
            .unwrap()
    };
    assert_eq!(sent("x-source").value, "cms");
    assert_eq!(sent("x-api-key").value, "***");
    assert_eq!(sent("authorization").value, "***");
    let response = attempt.response.as_ref().unwrap();
    assert_eq!(
        (response.status, &response.body[..]),
        (200, &b"thank you"[..])
    );
    assert!(
        response
            .headers
            .iter()
            .any(|header| header.name == "x-seen")
    );
    let arrived = &receiver.requests()[0];
    assert_eq!(arrived.header("x-api-key"), Some("hidden-key"));
    let shown = format!("{attempts:?}");
    for secret in [
        "hidden-key",
        "hidden-password",
        "dXNlcjpoaWRkZW4tcGFzc3dvcmQ",
        "whsec_",
    ] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[tokio::test]
async fn an_answer_is_kept_up_to_its_limit() {
    let (stand, _sender) = Stand::with_sender().await;
    let receiver = Receiver::answering(Answer::status(200).body("x".repeat(200_000))).await;
    let webhook = stand.webhook(&receiver.url("/"), json!({})).await;
    stand.deliver(&webhook).await;
    let attempts = stand.attempts(1).await;
    let response = attempts[0].response.as_ref().unwrap();
    assert_eq!(
        (response.body.len(), response.body_truncated),
        (64 * 1024, true)
    );
    assert_eq!(attempts[0].verdict, "delivered");
}

#[tokio::test]
async fn a_webhook_that_cannot_be_read_fails_its_deliveries_and_nobody_elses() {
    let (stand, _sender) = Stand::with_sender().await;
    let receiver = Receiver::start().await;
    let good = stand.webhook(&receiver.url("/"), json!({})).await;
    let mut newer = stand.new_webhook(&receiver.url("/"), json!({}));
    newer.schema = 999;
    stand.put(&newer).await;
    stand.deliver(&newer).await;
    stand.deliver(&good).await;
    let attempts = stand.attempts(2).await;
    let of = |id: &str| {
        attempts
            .iter()
            .find(|attempt| attempt.webhook_id == id)
            .unwrap()
    };
    let failed = of(newer.id.as_str());
    assert_eq!(
        (failed.outcome.as_str(), failed.verdict.as_str()),
        ("config_error", "retry")
    );
    assert!(failed.error.contains("999"), "{}", failed.error);
    assert_eq!(of(good.id.as_str()).outcome, "delivered");
}

#[tokio::test]
async fn records_that_cannot_be_stored_delay_no_retry_and_slow_nobody_down_for_long() {
    let stand = Stand::start().await;
    let _sender = stand.sender(&["--concurrency", "1"]).await;
    let receiver = Receiver::answering([Answer::status(500), Answer::status(204)]).await;
    let late = json!({ "delivery": { "retrySchedule": ["1m"] } });
    let webhook = stand.webhook(&receiver.url("/"), late).await;
    stand.context.delete_stream(ATTEMPTS).await.unwrap();
    // Somebody listens, so that nobody says at once that the stream is away.
    let client = stand.server.client().await;
    let _listening = client.subscribe("tidings.attempt.>").await.unwrap();
    client.flush().await.unwrap();

    let begun = Instant::now();
    stand.deliver(&webhook).await;
    eventually(SOON, "the retry is stored", async || {
        stand.messages(RETRIES).await == 1
    })
    .await;
    assert!(
        begun.elapsed() < Duration::from_secs(3),
        "{:?}",
        begun.elapsed()
    );
    for _ in 0..10 {
        stand.deliver(&webhook).await;
    }
    receiver.wait_for(11, SOON).await;
    eventually(SOON, "all is settled", async || {
        stand.messages(DELIVERIES).await == 0
    })
    .await;
}

#[tokio::test]
async fn what_keeps_a_delivery_from_its_first_attempt_is_recorded_once() {
    let (stand, _sender) = Stand::with_sender().await;
    let receiver = Receiver::start().await;
    let webhook = stand.webhook(&receiver.url("/"), json!({})).await;
    // What is attempted at once has no record but that of its attempt.
    stand.deliver(&webhook).await;
    stand.attempts(1).await;
    assert_eq!(stand.messages(ATTEMPTS).await, 1);

    let paused = EndpointState::paused_by_hand(None, webhook.version);
    stand.put_state(&webhook, &paused).await;
    let delivery = eventually(SOON, "the sender knows of the pause", async || {
        let before = receiver.requests().len();
        let delivery = stand.deliver(&webhook).await;
        stand.is_taken().await?;
        match receiver.requests().len() == before {
            true => Ok(delivery),
            false => Err(String::from("it was attempted")),
        }
    })
    .await;

    let waiting = stand.waiting(1).await.remove(0);
    assert_eq!(waiting.delivery_id, delivery.as_str());
    assert_eq!(waiting.reason, "paused");
    assert_eq!(waiting.until, None, "nobody knows");
    assert_eq!(waiting.topic, "Entry.publish");
    // It comes back every few seconds to look.
    let schedules = stand.last_sequence(RETRIES).await;
    eventually(SOON, "it was put off again", async || {
        match stand.last_sequence(RETRIES).await >= schedules + 2 {
            true => Ok(()),
            false => Err(schedules),
        }
    })
    .await;
    assert_eq!(stand.waiting(1).await.len(), 1);
}

#[tokio::test]
async fn a_delivery_that_waits_for_its_turn_says_until_when() {
    let (stand, _sender) = Stand::with_sender().await;
    let receiver = Receiver::start().await;
    let slow = json!({ "requests": 1, "per": "4s", "burst": 1 });
    let slow = json!({ "delivery": { "rateLimit": slow } });
    let webhook = stand.webhook(&receiver.url("/"), slow).await;
    for _ in 0..3 {
        stand.deliver(&webhook).await;
    }

    let waiting = stand.waiting(2).await;

    for waiting in &waiting {
        assert_eq!(waiting.reason, "rate");
        let (at, until) = (waiting.at.unwrap(), waiting.until.unwrap());
        assert!((1..=9).contains(&(until.seconds - at.seconds)));
    }
    receiver.wait_for(3, SOON).await;
    assert_eq!(stand.waiting(2).await.len(), 2);
}
