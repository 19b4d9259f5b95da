//! Bad endpoints cost their neighbours nothing.

use std::time::Duration;

use serde_json::json;
use tidings_core::partition::partition_of;
use tidings_core::webhook::Webhook;
use tidings_testkit::{Answer, Receiver};
use tokio::time::Instant;

use crate::stand::{SOON, Stand};

/// A webhook in the same partition as `other`.
async fn neighbour(stand: &Stand, other: &Webhook, url: &str) -> Webhook {
    loop {
        let webhook = stand.new_webhook(url, json!({}));
        if partition_of(&webhook.id, 4) == partition_of(&other.id, 4) {
            stand.put(&webhook).await;
            return webhook;
        }
    }
}

#[tokio::test]
async fn an_endpoint_that_hangs_stops_no_other_one() {
    let (stand, _sender) = Stand::with_sender().await;
    let hanging = Receiver::answering(Answer::hang()).await;
    let healthy = Receiver::start().await;
    let slow = json!({ "delivery": { "timeout": "60s", "maxInFlight": 4 } });
    let bad = stand.webhook(&hanging.url("/"), slow).await;
    let good = neighbour(&stand, &bad, &healthy.url("/")).await;
    for _ in 0..300 {
        stand.deliver(&bad).await;
    }
    let begun = Instant::now();
    for _ in 0..20 {
        stand.deliver(&good).await;
    }
    healthy.wait_for_deliveries(20, SOON).await;
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(8), "{took:?}");
    assert_eq!(hanging.requests().len(), 4);
}

#[tokio::test]
async fn no_more_requests_than_allowed_are_under_way_and_none_counts_as_an_attempt() {
    let (stand, _sender) = Stand::with_sender().await;
    let slow = Receiver::answering(Answer::status(204).after(Duration::from_millis(400))).await;
    let one = json!({ "delivery": { "maxInFlight": 2 } });
    let webhook = stand.webhook(&slow.url("/"), one).await;
    for _ in 0..12 {
        stand.deliver(&webhook).await;
    }
    let requests = slow.wait_for(12, Duration::from_secs(30)).await;
    for (index, request) in requests.iter().enumerate().skip(2) {
        // It began after the one two before it had been answered.
        let since = request.at - requests[index - 2].at;
        assert!(since >= Duration::from_millis(390), "{index}: {since:?}");
    }
    let attempts = stand.attempts(12).await;
    assert!(attempts.iter().all(|attempt| attempt.number == 1));
    stand.assert_settled().await;
}

#[tokio::test]
async fn one_attempt_at_a_time_is_enough_for_everybody() {
    let stand = Stand::start().await;
    let _sender = stand.sender(&["--concurrency", "1"]).await;
    let receiver = Receiver::answering([500, 500, 204]).await;
    let one = stand.webhook(&receiver.url("/"), json!({})).await;
    let other = stand.webhook(&receiver.url("/"), json!({})).await;
    for _ in 0..20 {
        stand.deliver(&one).await;
        stand.deliver(&other).await;
    }
    receiver.wait_for(42, SOON).await;
    stand.assert_settled().await;
}

#[tokio::test]
async fn many_endpoints_that_hang_leave_room_for_their_neighbours_on_the_same_host() {
    let stand = Stand::start().await;
    let _sender = stand
        .sender(&["--concurrency", "64", "--host-slots", "8"])
        .await;
    let host = Receiver::builder()
        .on("/bad/*", Answer::hang())
        .answers(204)
        .start()
        .await;
    let slow = json!({ "delivery": { "timeout": "60s" } });
    for number in 0..20 {
        let url = host.url(&format!("/bad/{number}"));
        let bad = stand.webhook(&url, slow.clone()).await;
        for _ in 0..20 {
            stand.deliver(&bad).await;
        }
    }
    let hung = |requests: &[tidings_testkit::Request]| {
        let bad = requests.iter().filter(|r| r.path().starts_with("/bad/"));
        bad.count() >= 20
    };
    host.wait_until(hung, SOON).await;
    let mut good = Vec::new();
    for number in 0..10 {
        let url = host.url(&format!("/good/{number}"));
        good.push(stand.webhook(&url, json!({})).await);
    }
    for webhook in good.iter().cycle().take(100) {
        stand.deliver(webhook).await;
    }
    let served = |requests: &[tidings_testkit::Request]| {
        let good = requests.iter().filter(|r| r.path().starts_with("/good/"));
        good.count() >= 100
    };
    host.wait_until(served, SOON).await;
}
