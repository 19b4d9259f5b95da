//! What follows a failed attempt (CONTRACT.md section 5).

use std::time::Duration;

use jiff::Timestamp;
use tidings_nats::topology::{DELIVERIES, RETRIES};
use tidings_testkit::{Answer, Receiver, eventually};

use crate::event::event;
use crate::platform::{Platform, SOON, assert_signed};

#[tokio::test]
async fn two_failures_then_success_keep_the_delivery_id() {
    let platform = Platform::start().await;
    let receiver = Receiver::answering([500, 503, 204]).await;
    platform
        .webhook(receiver.url("/"))
        .retry(["10ms", "10ms"])
        .create()
        .await;

    platform.publish(event("Entry.publish").id("home")).await;

    let requests = receiver.wait_for(3, SOON).await;
    let id = requests[0].delivery_id();
    assert!(requests.iter().all(|request| request.delivery_id() == id));
    requests.iter().for_each(assert_signed);
    let attempts = platform.attempts(3).await;
    let told = attempts
        .iter()
        .map(|a| (a.number, a.outcome.as_str(), a.verdict.as_str()));
    let told: Vec<_> = told.collect();
    let expected = [
        (1, "http_5xx", "retry"),
        (2, "http_5xx", "retry"),
        (3, "delivered", "delivered"),
    ];
    assert_eq!(told, expected);
    platform.assert_settled().await;
    assert_eq!(receiver.requests().len(), 3);
}

#[tokio::test]
async fn retries_keep_to_their_schedule() {
    let platform = Platform::start().await;
    let receiver = Receiver::answering([500, 500, 204]).await;
    platform
        .webhook(receiver.url("/"))
        .retry(["500ms", "1500ms"])
        .create()
        .await;

    platform.publish(event("Entry.publish")).await;

    let requests = receiver.wait_for(3, SOON).await;
    for (pair, wait_ms) in requests.windows(2).zip([500, 1500]) {
        let waited = pair[1].at - pair[0].at;
        // A fifth of jitter either way, and late by what a busy machine needs.
        let earliest = Duration::from_millis(wait_ms) * 4 / 5;
        let latest = Duration::from_millis(wait_ms) * 6 / 5 + Duration::from_secs(2);
        assert!(
            (earliest..latest).contains(&waited),
            "{waited:?} for {wait_ms} ms"
        );
    }
    platform.assert_settled().await;
}

#[tokio::test]
async fn retry_after_in_seconds_is_honoured() {
    let platform = Platform::start().await;
    let busy = Answer::status(503).header("retry-after", "2");
    let receiver = Receiver::answering([busy, Answer::status(204)]).await;
    platform
        .webhook(receiver.url("/"))
        .retry(["10ms"])
        .create()
        .await;

    platform.publish(event("Entry.publish")).await;

    let requests = receiver.wait_for(2, SOON).await;
    let waited = requests[1].at - requests[0].at;
    assert!(waited >= Duration::from_secs(2), "{waited:?}");
    platform.assert_settled().await;
}

#[tokio::test]
async fn retry_after_as_a_date_is_honoured() {
    let platform = Platform::start().await;
    let receiver = Receiver::start().await;
    let then = now() + Duration::from_secs(3);
    let date = then.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    receiver.set_answers([
        Answer::status(429).header("retry-after", date),
        Answer::status(204),
    ]);
    platform
        .webhook(receiver.url("/"))
        .retry(["10ms"])
        .create()
        .await;

    platform.publish(event("Entry.publish")).await;

    let requests = receiver.wait_for(2, SOON).await;
    // The date has whole seconds.
    assert!(
        requests[1].arrived.as_second() >= then.as_second(),
        "{}",
        requests[1].arrived
    );
    platform.assert_settled().await;
}

#[tokio::test]
async fn retries_survive_a_restart_of_sender_and_broker() {
    let platform = Platform::start().await;
    let receiver = Receiver::answering([500, 204]).await;
    platform
        .webhook(receiver.url("/"))
        .retry(["3s"])
        .create()
        .await;
    platform.publish(event("Entry.publish")).await;
    receiver.wait_for(1, SOON).await;
    eventually(
        SOON,
        "the retry is stored and the first attempt settled",
        async || {
            let (retries, deliveries) = (
                platform.held(RETRIES).await?,
                platform.held(DELIVERIES).await?,
            );
            Ok::<bool, async_nats::Error>((retries, deliveries) == (1, 0))
        },
    )
    .await;

    platform.senders[0].process.kill().await;
    platform.nats.stop().await;
    platform.nats.restart().await;
    platform.senders[0].process.restart().await;

    let requests = receiver.wait_for(2, SOON).await;
    let waited = requests[1].at - requests[0].at;
    assert!(waited >= Duration::from_millis(2_400), "{waited:?}");
    platform.until_ready().await;
    platform.assert_settled().await;
    // The broker may have forgotten that the first attempt was settled a moment before its end.
    let ids = receiver.requests();
    assert!(
        ids.iter()
            .all(|request| request.delivery_id() == requests[0].delivery_id())
    );
}

#[tokio::test]
async fn gone_ends_the_delivery_and_disables_the_webhook() {
    let platform = Platform::start().await;
    let gone = Receiver::answering(410).await;
    let other = Receiver::start().await;
    let webhook = platform
        .webhook(gone.url("/"))
        .retry(["10ms"])
        .create()
        .await;
    platform.webhook(other.url("/")).create().await;

    platform.publish(event("Entry.publish").id("e1")).await;
    let letters = platform.dead_letters(1).await;
    assert_eq!(letters[0].reason, "gone");
    other.wait_for(1, SOON).await;

    // From then on the router finds nobody who wants the event.
    platform.until_endpoint_state_known(&webhook).await;
    for number in 2..12 {
        platform
            .publish(event("Entry.publish").id(&format!("e{number}")))
            .await;
    }
    other.wait_for(11, SOON).await;
    platform.assert_settled().await;
    assert_eq!(gone.requests().len(), 1);
}

#[tokio::test]
async fn a_redirect_is_a_failed_attempt() {
    let platform = Platform::start().await;
    let target = Receiver::start().await;
    let redirect = Answer::status(307).header("location", target.url("/elsewhere"));
    let receiver = Receiver::answering(redirect).await;
    platform
        .webhook(receiver.url("/"))
        .max_retries(1)
        .retry(["10ms"])
        .create()
        .await;

    platform.publish(event("Entry.publish")).await;

    let letters = platform.dead_letters(1).await;
    assert_eq!(letters[0].reason, "exhausted");
    assert_eq!(letters[0].last_outcome, "redirect_not_followed");
    assert_eq!(receiver.requests().len(), 2);
    assert!(target.requests().is_empty());
    platform.assert_settled().await;
}

#[tokio::test]
async fn whatever_breaks_a_connection_is_a_failed_attempt() {
    let platform = Platform::start().await;
    let mut refusing = Receiver::start().await;
    let refused = refusing.url("/refused");
    refusing.stop().await;
    let broken = Receiver::builder()
        .on("/close", Answer::close())
        .on("/reset", Answer::reset())
        .on("/hang", Answer::hang())
        .start()
        .await;
    let urls = [
        refused,
        broken.url("/close"),
        broken.url("/reset"),
        broken.url("/hang"),
    ];
    for url in urls {
        let webhook = platform.webhook(url).timeout("500ms").max_retries(0);
        webhook.create().await;
    }

    platform.publish(event("Entry.publish")).await;

    let letters = platform.dead_letters(4).await;
    let mut outcomes: Vec<&str> = letters.iter().map(|l| l.last_outcome.as_str()).collect();
    outcomes.sort_unstable();
    assert_eq!(
        outcomes,
        [
            "connect_refused",
            "connection_closed",
            "connection_reset",
            "timeout"
        ]
    );
    platform.assert_settled().await;
}

#[tokio::test]
async fn an_address_that_is_not_allowed_is_never_dialled() {
    let platform = Platform::start().await;
    let receiver = Receiver::start().await;
    // The operator allowed 127.0.0.0/8; `::1` is loopback all the same.
    let url = receiver.url("/").replace("127.0.0.1", "[::1]");
    platform.webhook(url).max_retries(0).create().await;

    platform.publish(event("Entry.publish")).await;

    let letters = platform.dead_letters(1).await;
    assert_eq!(letters[0].last_outcome, "blocked");
    assert_eq!(receiver.connections(), 0);
    platform.assert_settled().await;
}

#[expect(
    clippy::disallowed_methods,
    reason = "a date that a receiver really answers"
)]
fn now() -> Timestamp {
    Timestamp::now()
}
