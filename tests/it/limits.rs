//! Every limit refuses clearly, and lets go again.

use std::time::Duration;

use tidings_testkit::{Receiver, eventually};

use crate::event::event;
use crate::platform::{Platform, SOON};

const KIB: usize = 1024;

/// The events stream gets 40% of it.
const STORAGE_BYTES: u64 = 16 << 20;

#[tokio::test]
async fn an_event_of_512_kib_is_accepted_and_a_larger_one_refused() {
    let platform = Platform::start().await;
    let receiver = Receiver::start().await;
    platform.webhook(receiver.url("/")).create().await;
    let sized = |bytes: usize| {
        let around = event("Entry.publish").id("e1").payload("\"\"").json().len();
        event("Entry.publish")
            .id("e1")
            .payload(format!("\"{}\"", "x".repeat(bytes - around)))
    };
    let largest = sized(512 * KIB);
    assert_eq!(largest.json().len(), 512 * KIB);

    platform.publish(largest.clone()).await;
    let refused = platform
        .try_publish(&sized(513 * KIB).id("e2"))
        .await
        .expect(413);

    assert_eq!(refused.code(), "too_large");
    let requests = receiver.wait_for(1, SOON).await;
    assert_eq!(requests[0].body, largest.standard_body());
    platform.assert_settled().await;
    receiver.assert_quiet(Duration::ZERO).await;
}

#[tokio::test]
async fn a_full_stream_is_told_to_the_producer_and_recovers() {
    let platform = Platform::builder().storage(STORAGE_BYTES).start().await;
    let receiver = Receiver::start().await;
    platform
        .webhook(receiver.url("/"))
        .unlimited()
        .create()
        .await;
    platform.routers[0].process.kill().await;
    let payload = format!("\"{}\"", "x".repeat(24 * KIB));
    let large = |number: u32| {
        event("Entry.publish")
            .id(&format!("e{number}"))
            .payload(payload.clone())
    };

    let mut accepted = 0;
    let refused = loop {
        let answer = platform.try_publish(&large(accepted)).await;
        match answer.status.as_u16() {
            202 => accepted += 1,
            _ => break answer.expect(503),
        }
        assert!(accepted < 1_000, "the stream never fills");
    };
    assert_eq!(refused.code(), "backlog_full");
    assert!(refused.header("retry-after").is_some(), "{refused:?}");

    platform.routers[0].process.restart().await;
    eventually(SOON, "the stream takes events again", async || {
        let answer = platform.try_publish(&large(accepted)).await;
        answer.status.as_u16() == 202
    })
    .await;
    let counts = receiver
        .wait_for_deliveries(accepted as usize + 1, SOON)
        .await;
    assert_eq!(counts.repeats(), 0);
    platform.assert_settled().await;
}

#[tokio::test]
async fn a_full_backlog_of_deliveries_reaches_the_producer_and_drains() {
    let platform = Platform::builder().storage(STORAGE_BYTES).start().await;
    let receiver = Receiver::start().await;
    for number in 0..4 {
        platform
            .webhook(receiver.url(&format!("/{number}")))
            .unlimited()
            .create()
            .await;
    }
    platform.senders[0].process.suspend().await;
    let payload = format!("\"{}\"", "x".repeat(24 * KIB));
    let large = |number: u32| {
        event("Entry.publish")
            .id(&format!("e{number}"))
            .payload(payload.clone())
    };

    let mut accepted = 0;
    loop {
        let answer = platform.try_publish(&large(accepted)).await;
        match answer.status.as_u16() {
            202 => accepted += 1,
            503 => break,
            _ => panic!("{answer:?}"),
        }
        assert!(accepted < 1_000, "the streams never fill");
    }
    platform.senders[0].process.resume();

    let deliveries = accepted as usize * 4;
    receiver.wait_for_deliveries(deliveries, SOON * 2).await;
    platform.assert_settled_within(SOON * 2).await;
    eventually(SOON, "the stream takes events again", async || {
        platform.try_publish(&large(accepted)).await.status.as_u16() == 202
    })
    .await;
    receiver.wait_for_deliveries(deliveries + 4, SOON).await;
    platform.assert_settled().await;
}
