//! Publishing an event again publishes it once.

use std::time::Duration;

use async_nats::HeaderMap;
use serde_json::json;
use tidings_nats::topology::EVENTS;
use tidings_testkit::Receiver;

use crate::event::event;
use crate::platform::{Platform, SOON};

#[tokio::test]
async fn the_same_id_publishes_once_by_every_way_in() {
    let platform = Platform::start().await;
    let receiver = Receiver::start().await;
    platform.webhook(receiver.url("/")).create().await;
    let twice = event("Entry.publish").id("e1");

    let first = platform.publish(twice.clone()).await;
    let second = platform.publish(twice.clone()).await;
    let third = platform.publish_nats(&twice).await;
    let fourth = platform.publish_jetstream(&twice).await;

    assert_eq!(
        first,
        json!({ "id": "e1", "sequence": 1, "duplicate": false })
    );
    assert_eq!(
        second,
        json!({ "id": "e1", "sequence": 1, "duplicate": true })
    );
    assert_eq!((third.sequence, third.duplicate), (1, true));
    assert_eq!(fourth, 1);
    receiver.wait_for(1, SOON).await;
    platform.assert_settled().await;
    receiver.assert_quiet(Duration::ZERO).await;
    assert_eq!(platform.held(EVENTS).await.unwrap(), 1);
}

#[tokio::test]
async fn the_same_id_with_other_content_is_a_conflict() {
    let platform = Platform::start().await;
    platform.publish(event("Entry.publish").id("e1")).await;

    let other = event("Entry.publish").id("e1").payload(r#"{"other":true}"#);
    let answer = platform.try_publish(&other).await.expect(409);

    assert_eq!(answer.code(), "id_conflict");
    let reply = platform.request_nats(&other, HeaderMap::new()).await;
    let headers = reply.headers.unwrap();
    assert_eq!(
        headers.get("Nats-Service-Error-Code").unwrap().as_str(),
        "409"
    );
    assert_eq!(platform.held(EVENTS).await.unwrap(), 1);
    platform.assert_settled().await;
}

#[tokio::test]
async fn the_same_id_in_another_space_is_another_event() {
    let platform = Platform::start().await;

    let first = platform.publish(event("Entry.publish").id("e1")).await;
    let second = platform
        .publish(event("Entry.publish").id("e1").space("other"))
        .await;

    assert_eq!(first["duplicate"], false);
    assert_eq!(second["duplicate"], false);
    platform.assert_settled().await;
}
