//! SIGTERM: finish what is in hand, hand back the rest, repeat nothing (CONTRACT.md section 2).

use std::time::Duration;

use tidings_nats::topology::ACK_WAIT;
use tidings_testkit::{Answer, Receiver};
use tokio::time::Instant;

use crate::event::event;
use crate::load::Load;
use crate::platform::{Platform, SOON};

#[tokio::test]
async fn an_attempt_under_way_is_finished_before_the_end() {
    let platform = Platform::start().await;
    let slow = Answer::status(204).after(Duration::from_secs(2));
    let receiver = Receiver::answering(slow).await;
    platform.webhook(receiver.url("/")).create().await;
    platform.publish(event("Entry.publish")).await;
    receiver.wait_for(1, SOON).await;

    platform.senders[0].terminate().await;

    platform.assert_settled().await;
    let attempts = platform.attempts(1).await;
    assert_eq!(attempts[0].outcome, "delivered");
    assert_eq!(receiver.requests().len(), 1);
}

#[tokio::test]
async fn programs_with_nothing_in_hand_end_at_once() {
    let platform = Platform::start().await;
    let begun = Instant::now();

    for service in platform.services() {
        service.terminate().await;
    }

    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn work_that_takes_longer_than_the_drain_is_handed_back() {
    let platform = Platform::builder()
        .sender_args(["--drain-timeout", "1s"])
        .start()
        .await;
    let receiver = Receiver::answering([Answer::hang(), Answer::status(204)]).await;
    platform
        .webhook(receiver.url("/"))
        .timeout("30s")
        .create()
        .await;
    platform.publish(event("Entry.publish")).await;
    receiver.wait_for(1, SOON).await;

    platform.senders[0].terminate().await;
    platform.senders[0].process.restart().await;

    let requests = receiver.wait_for(2, SOON).await;
    assert_eq!(requests[1].delivery_id(), requests[0].delivery_id());
    let waited = requests[1].at - requests[0].at;
    assert!(
        waited < ACK_WAIT,
        "{waited:?}: not handed back but forgotten"
    );
    platform.assert_settled().await;
}

#[tokio::test]
async fn a_rolling_restart_under_load_loses_and_repeats_nothing() {
    let platform = Platform::builder()
        .routers(2)
        .senders(2)
        .under_load()
        .start()
        .await;
    let answer = Answer::status(204).after(Duration::from_millis(20));
    let receiver = Receiver::builder().answers(answer).counting().start().await;
    for number in 0..4 {
        platform
            .webhook(receiver.url(&format!("/{number}")))
            .unlimited()
            .create()
            .await;
    }
    let load = Load::start(&platform, 100).await;

    for service in platform.routers.iter().chain(&platform.senders) {
        service.terminate().await;
        service.process.restart().await;
        service.until_ready(&platform.http).await;
    }
    platform.ingest.terminate().await;
    platform.ingest.process.restart().await;
    load.ingest_is_at(&platform.ingest.url("/v1/events").await);

    let accepted = load.finish().await.events as usize;
    let counts = receiver.wait_for_deliveries(accepted * 4, SOON * 2).await;
    platform.assert_settled().await;
    receiver.assert_quiet(Duration::ZERO).await;
    assert!(accepted > 100, "{accepted} events are no load");
    assert_eq!((counts.deliveries(), counts.repeats()), (accepted * 4, 0));
}
