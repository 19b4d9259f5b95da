//! A sender that is asked to stop.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;
use tidings_testkit::{Answer, Receiver};
use tokio::time::Instant;

use crate::stand::{SOON, Stand};

#[tokio::test]
async fn what_is_under_way_is_finished_and_the_rest_goes_to_others_without_a_repetition() {
    let stand = Stand::start().await;
    let first = stand.sender(&["--concurrency", "8"]).await;
    let slow = Receiver::answering(Answer::status(204).after(Duration::from_millis(700))).await;
    let webhook = stand.webhook(&slow.url("/"), json!({})).await;
    for _ in 0..60 {
        stand.deliver(&webhook).await;
    }
    slow.wait_for(8, SOON).await;

    let begun = Instant::now();
    assert_eq!(first.stop().await, ExitCode::SUCCESS);
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    assert!(slow.requests().len() < 60);

    let _second = stand.sender(&[]).await;
    let counts = slow.wait_for_deliveries(60, Duration::from_secs(10)).await;
    stand.assert_settled().await;
    assert_eq!(counts.repeats(), 0);
}

#[tokio::test]
async fn an_idle_sender_stops_at_once() {
    let (_stand, sender) = Stand::with_sender().await;
    let begun = Instant::now();
    assert_eq!(sender.stop().await, ExitCode::SUCCESS);
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn a_sender_that_leaves_at_once_leaves_its_work_to_others() {
    let stand = Stand::start().await;
    let first = stand.sender(&[]).await;
    let receiver = Receiver::answering([Answer::hang(), Answer::status(204)]).await;
    let webhook = stand.webhook(&receiver.url("/"), json!({})).await;
    stand.deliver(&webhook).await;
    receiver.wait_for(1, SOON).await;
    first.abort().await;
    let _second = stand.sender(&[]).await;
    // Handed back: nobody waits for the broker's ack wait of fifteen seconds.
    receiver.wait_for(2, Duration::from_secs(6)).await;
    stand.assert_settled().await;
}
