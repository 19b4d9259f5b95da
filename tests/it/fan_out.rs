//! One event, many webhooks.

use std::collections::HashSet;
use std::time::Duration;

use tidings_core::webhook::Webhook;
use tidings_testkit::Receiver;

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
