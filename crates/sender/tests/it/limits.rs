//! What an endpoint can take, as its receiver sees it, however many senders there are.

use std::time::Duration;

use serde_json::json;
use tidings_core::webhook::Webhook;
use tidings_testkit::{Answer, Receiver, Request};

use crate::stand::{SOON, Stand};

const RATE: f64 = 20.0;
const BURST: f64 = 5.0;
/// How much later than sent a request may be seen on a busy machine.
const JITTER: f64 = 0.5;

async fn limited(stand: &Stand, url: &str) -> Webhook {
    let limit = json!({ "requests": 20, "per": "1s", "burst": 5 });
    let delivery = json!({ "rateLimit": limit, "maxInFlight": 100 });
    stand.webhook(url, json!({ "delivery": delivery })).await
}

/// No window of time saw more requests than its burst and pace allow.
fn assert_within_limit(requests: &[Request]) {
    for (first, from) in requests.iter().enumerate() {
        for (last, to) in requests.iter().enumerate().skip(first) {
            let seconds = (to.at - from.at).as_secs_f64();
            let count = (last - first + 1) as f64;
            let allowed = BURST + RATE * (seconds + JITTER) + 1.0;
            assert!(count <= allowed, "{count} requests in {seconds} s");
        }
    }
}

#[tokio::test]
async fn a_backlog_goes_at_the_limits_pace_and_uses_up_no_attempt() {
    let (stand, _sender) = Stand::with_sender().await;
    let receiver = Receiver::start().await;
    let webhook = limited(&stand, &receiver.url("/")).await;
    for _ in 0..120 {
        stand.deliver(&webhook).await;
    }
    let requests = receiver.wait_for(120, Duration::from_secs(30)).await;
    assert_within_limit(&requests);
    // Not much slower than allowed either.
    let took = requests[119].at - requests[0].at;
    assert!(took < Duration::from_secs(10), "{took:?}");
    let attempts = stand.attempts(120).await;
    assert!(attempts.iter().all(|attempt| attempt.number == 1));
    stand.assert_settled().await;
}

#[tokio::test]
async fn the_limit_holds_over_two_senders_and_while_a_third_one_comes() {
    let stand = Stand::start().await;
    let _fleet = (
        stand.sender(&["--name", "red"]).await,
        stand.sender(&["--name", "blue"]).await,
    );
    let receiver = Receiver::start().await;
    let mut webhooks = Vec::new();
    for number in 0..8 {
        webhooks.push(limited(&stand, &receiver.url(&format!("/{number}"))).await);
    }
    for _ in 0..60 {
        for webhook in &webhooks {
            stand.deliver(webhook).await;
        }
    }
    let _third = stand.sender(&["--name", "green"]).await;
    let requests = receiver.wait_for(480, Duration::from_secs(30)).await;
    for number in 0..8 {
        let path = format!("/{number}");
        let own = requests.iter().filter(|request| request.path() == path);
        let own: Vec<Request> = own.cloned().collect();
        assert_eq!(own.len(), 60);
        assert_within_limit(&own);
    }
}

#[tokio::test]
async fn no_more_requests_than_allowed_are_under_way_over_two_senders() {
    let stand = Stand::start().await;
    let _fleet = (
        stand.sender(&["--name", "red"]).await,
        stand.sender(&["--name", "blue"]).await,
    );
    let held = Duration::from_millis(200);
    let receiver = Receiver::answering(Answer::status(204).after(held)).await;
    let mut webhooks = Vec::new();
    for number in 0..6 {
        let two = json!({ "delivery": { "maxInFlight": 2 } });
        let url = receiver.url(&format!("/{number}"));
        webhooks.push(stand.webhook(&url, two).await);
    }
    for _ in 0..10 {
        for webhook in &webhooks {
            stand.deliver(webhook).await;
        }
    }
    let requests = receiver.wait_for(60, Duration::from_secs(30)).await;
    for number in 0..6 {
        let path = format!("/{number}");
        let own = requests.iter().filter(|request| request.path() == path);
        let own: Vec<&Request> = own.collect();
        for pair in own.windows(3) {
            // It began after the one two before it had been answered.
            let since = pair[2].at - pair[0].at;
            assert!(since >= held - Duration::from_millis(10), "{since:?}");
        }
    }
    stand.assert_settled().await;
}

#[tokio::test]
async fn a_backlog_of_one_webhook_lets_its_neighbours_through() {
    let (stand, _sender) = Stand::with_sender().await;
    let (busy, quick) = (Receiver::counting().await, Receiver::start().await);
    let bad = limited(&stand, &busy.url("/")).await;
    let mut neighbours = Vec::new();
    for _ in 0..8 {
        neighbours.push(stand.webhook(&quick.url("/"), json!({})).await);
    }
    for _ in 0..2_000 {
        stand.deliver(&bad).await;
    }
    for webhook in &neighbours {
        stand.deliver(webhook).await;
    }
    quick.wait_for_deliveries(8, SOON).await;
    // At its pace the backlog takes minutes.
    assert!(busy.counts().deliveries() < 1_000);
}

#[tokio::test]
async fn a_backlog_is_put_off_until_its_turn_and_not_shuffled_round() {
    let (stand, _sender) = Stand::with_sender().await;
    let receiver = Receiver::start().await;
    let limit = json!({ "requests": 100, "per": "1s", "burst": 1 });
    let delivery = json!({ "rateLimit": limit, "maxInFlight": 100 });
    let webhook = stand
        .webhook(&receiver.url("/"), json!({ "delivery": delivery }))
        .await;
    for _ in 0..600 {
        stand.deliver(&webhook).await;
    }
    receiver
        .wait_for_deliveries(600, Duration::from_secs(40))
        .await;
    stand.assert_settled().await;
    // Each schedule is one message, and one more when it is due. Once for each is what is meant; on
    // a busy machine many come too late for their turn, and get another one. Without turns each
    // would come back every second.
    let retries = stand.context.get_stream("RETRIES").await.unwrap();
    let stored = retries.cached_info().state.last_sequence;
    assert!(stored <= 2 * 600 * 2, "{stored} messages");
}
