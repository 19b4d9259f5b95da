//! What other versions stored. `tests/samples` holds messages and entries as this version's first
//! release wrote them, and as a later one might. Never change a file there: add another one.

use std::path::{Path, PathBuf};

use async_nats::HeaderMap;
use bytes::Bytes;
use prost::Message as _;
use serde_json::json;
use tidings_core::token::TokenRecord;
use tidings_core::webhook::{EndpointState, StoredError, Webhook};
use tidings_nats::topology::{DEAD_LETTERS, EVENTS, RETRIES, WEBHOOKS_BUCKET};
use tidings_proto::{delivery_from_wire, unknown_of_delivery, v1};
use tidings_testkit::{Process, Receiver, eventually, target_bin};

use crate::event::event;
use crate::platform::{Platform, SOON};

/// A field that no version has yet: number 100, a string.
const UNKNOWN: &[u8] = b"\xa2\x06\x05newer";

fn sample(name: &str) -> Bytes {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("samples")
        .join(name);
    let read = std::fs::read(&path);
    read.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        .into()
}

#[test]
fn what_the_first_version_stored_is_read() {
    let event = v1::Event::decode(sample("event.1.pb")).unwrap();
    assert_eq!(
        (event.id.as_str(), event.topic.as_str()),
        ("e1", "Entry.publish")
    );
    assert_eq!(
        event.payload,
        r#"{"sys":{"id":"home"},"big":12345678901234567890}"#
    );
    let delivery = v1::Delivery::decode(sample("delivery.1.pb")).unwrap();
    assert_eq!(delivery.event, sample("event.1.pb"));
    let delivery = delivery_from_wire(delivery).unwrap();
    assert_eq!(delivery.id.as_str(), "dlv_01JSAMPLE");
    assert_eq!(delivery.progress.attempt, 3);
    let attempt = v1::Attempt::decode(sample("attempt.1.pb")).unwrap();
    assert_eq!((attempt.number, attempt.outcome.as_str()), (2, "http_5xx"));
    let record = v1::Attempt::decode(sample("attempt-waiting.1.pb")).unwrap();
    let waiting = record.waiting.clone().unwrap();
    assert_eq!(
        (waiting.space.as_str(), waiting.reason.as_str()),
        ("acme", "paused")
    );
    // What a version that does not know of waiting sees is of no space and no delivery, which it
    // leaves out.
    let known_before = v1::Attempt {
        waiting: None,
        ..record
    };
    assert_eq!(known_before, v1::Attempt::default());
    let letter = v1::DeadLetter::decode(sample("dead-letter.1.pb")).unwrap();
    assert_eq!(letter.reason, "exhausted");
    assert_eq!(letter.delivery.unwrap().id, "dlv_01JSAMPLE");
    let reply = v1::PublishReply::decode(sample("publish-reply.1.pb")).unwrap();
    assert_eq!((reply.id.as_str(), reply.sequence), ("e1", 7));

    let webhook = Webhook::from_stored(&sample("webhook.1.json")).unwrap();
    assert_eq!(webhook.id.as_str(), "wh_1");
    let token: TokenRecord = serde_json::from_slice(&sample("token.1.json")).unwrap();
    assert_eq!(token.id, "tok_1");
    let state: EndpointState = serde_json::from_slice(&sample("endpoint-state.1.json")).unwrap();
    assert_eq!(state.webhook_version, 2);
}

#[test]
fn what_a_later_version_stored_is_told_from_nonsense() {
    let delivery = v1::Delivery::decode(sample("delivery.999.pb")).unwrap();
    let error = delivery_from_wire(delivery).unwrap_err().to_string();
    assert!(
        error.contains("999") && error.contains("upgrade"),
        "{error}"
    );
    let error = Webhook::from_stored(&sample("webhook.999.json")).unwrap_err();
    assert!(
        matches!(error, StoredError::Newer { found: 999 }),
        "{error}"
    );
}

#[test]
fn fields_of_a_later_version_are_found() {
    assert_eq!(unknown_of_delivery(&sample("delivery.1.pb")).unwrap(), "");
    let newer = unknown_of_delivery(&sample("delivery.999.pb")).unwrap();
    assert_eq!(newer, UNKNOWN);
}

/// A message with a field that this version does not know, but of a schema that it does.
fn with_unknown(message: &impl prost::Message) -> Bytes {
    let mut bytes = message.encode_to_vec();
    bytes.extend_from_slice(UNKNOWN);
    bytes.into()
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[tokio::test]
async fn fields_of_a_later_version_go_with_the_event_the_delivery_its_retry_and_its_letter() {
    let platform = Platform::start().await;
    let receiver = Receiver::answering(500).await;
    let webhook = platform.webhook(receiver.url("/"));
    let webhook = webhook.max_retries(1).retry(["2s"]).create().await;
    let newer = event("Entry.publish").id("e1");
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Msg-Id", newer.message_id().as_str());
    let bytes = with_unknown(&newer.wire());
    platform.publish_raw(newer.subject(), headers, bytes).await;
    receiver.wait_for(1, SOON).await;
    let retry = waiting(&platform).await;
    assert!(
        contains(&retry, UNKNOWN),
        "the event's own bytes are in the retry"
    );
    platform.dead_letters(1).await;

    // The delivery has one itself.
    let mut delivery = v1::Delivery::decode(retry).unwrap();
    let digits = "7".repeat(26);
    delivery.id = format!("dlv_{digits}");
    delivery.attempt = 1;
    delivery.event = newer.bytes();
    let partition = tidings_core::partition::partition_of(&webhook.id, 16);
    let subject = format!("tidings.delivery.default.{partition}");
    let message = with_unknown(&delivery);
    platform
        .publish_raw(subject, HeaderMap::new(), message)
        .await;
    let retry = waiting(&platform).await;
    assert_eq!(unknown_of_delivery(&retry).unwrap(), UNKNOWN);
    platform.dead_letters(2).await;
    let letters = platform.context.get_stream(DEAD_LETTERS).await.unwrap();
    let letter = letters.get_raw_message(2).await.unwrap().payload;
    let of_letter = tidings_proto::delivery_of_letter(&letter).unwrap();
    assert_eq!(unknown_of_delivery(&of_letter).unwrap(), UNKNOWN);
    platform.assert_settled().await;
}

/// What waits for its retry.
async fn waiting(platform: &Platform) -> Bytes {
    eventually(SOON, "a retry waits", async || {
        let retries = platform.context.get_stream(RETRIES).await.unwrap();
        let last = retries.cached_info().state.last_sequence;
        let message = retries.get_raw_message(last).await;
        let message = message.map_err(|error| error.to_string())?;
        // One that was due and is settled may stay for a moment (ADR 14).
        match message.subject.starts_with("tidings.later.") {
            true => Ok(message.payload),
            false => Err(format!("the last is {}", message.subject)),
        }
    })
    .await
}

#[tokio::test]
async fn what_a_later_version_wrote_waits_for_it_and_is_not_dropped() {
    let platform = Platform::start().await;
    let receiver = Receiver::start().await;
    let webhook = platform.webhook(receiver.url("/")).create().await;
    let mut later = event("Entry.publish").id("later").wire();
    later.schema_version = 999;
    let subject = event("Entry.publish").subject();
    let message = later.encode_to_vec().into();
    platform
        .publish_raw(subject, HeaderMap::new(), message)
        .await;
    let router = &platform.routers[0].process;
    router.wait_for_log("waits for a newer router", SOON).await;

    let mut delivery = v1::Delivery::decode(sample("delivery.999.pb")).unwrap();
    delivery.webhook_id = webhook.id.to_string();
    let partition = tidings_core::partition::partition_of(&webhook.id, 16);
    let subject = format!("tidings.delivery.default.{partition}");
    let message = with_unknown(&delivery);
    platform
        .publish_raw(subject, HeaderMap::new(), message.clone())
        .await;
    let waits = waiting(&platform).await;
    assert_eq!(waits, message, "byte for byte as it was");

    // The rest goes on.
    platform.publish(event("Entry.publish").id("e1")).await;
    receiver.wait_for_deliveries(1, SOON).await;
    assert_eq!(platform.held(EVENTS).await.unwrap(), 2);
    assert_eq!(platform.held(DEAD_LETTERS).await.unwrap(), 0);
}

#[tokio::test]
async fn events_of_a_space_wait_for_a_router_that_can_read_its_webhook() {
    let platform = Platform::start().await;
    let receiver = Receiver::start().await;
    let webhook = platform.webhook(receiver.url("/")).create().await;
    let mut stored = serde_json::from_slice::<serde_json::Value>(&webhook.to_stored()).unwrap();
    stored["schema"] = json!(999);
    let bucket = platform
        .context
        .get_key_value(WEBHOOKS_BUCKET)
        .await
        .unwrap();
    let key = format!("acme.{}", webhook.id);
    let revision = bucket.put(&key, stored.to_string().into()).await.unwrap();
    for service in platform.consumers() {
        let applied = format!("key=\"{key}\" revision={revision}");
        service.process.wait_for_log(&applied, SOON).await;
    }
    platform.publish(event("Entry.publish").id("e1")).await;
    platform
        .publish(event("Entry.publish").id("other").space("other"))
        .await;

    // It is not lost: with the webhook as this version reads it, the event arrives.
    bucket.put(&key, webhook.to_stored().into()).await.unwrap();
    receiver.wait_for_deliveries(1, SOON).await;
    platform.assert_settled().await;
}

/// Whoever may publish straight to the stream can write events of any version.
#[tokio::test]
async fn a_flood_of_events_of_tomorrow_does_not_hold_up_those_of_today() {
    const FLOOD: usize = 2_500;
    let platform = Platform::builder().under_load().start().await;
    let receiver = Receiver::start().await;
    platform.webhook(receiver.url("/")).create().await;
    let subject = event("Entry.publish").space("tomorrow").subject();
    let mut later = event("Entry.publish").space("tomorrow").wire();
    later.schema_version = 999;
    for number in 0..FLOOD {
        later.id = format!("later{number}");
        let message = later.encode_to_vec().into();
        let published = platform.context.publish(subject.clone(), message).await;
        drop(published.expect("it is sent"));
    }
    eventually(SOON, "the flood is stored", async || {
        platform.held(EVENTS).await.unwrap() >= FLOOD as u64
    })
    .await;

    platform.publish(event("Entry.publish").id("today")).await;

    receiver.wait_for_deliveries(1, SOON * 2).await;
    // What found no room to wait is kept with its bytes, and is an event again on demand.
    let letters = platform.dead_letters(1).await;
    assert_eq!(letters[0].reason, "newer_schema");
    assert_eq!(letters[0].subject, subject);
    let kept = v1::Event::decode(letters[0].raw.clone()).unwrap();
    assert_eq!(kept.schema_version, 999);
    eventually(SOON * 2, "what does not wait is buried", async || {
        let buried = platform.held(DEAD_LETTERS).await.unwrap();
        (buried >= 900).then_some(()).ok_or(buried)
    })
    .await;
    for router in &platform.routers {
        router.terminate().await;
    }
    let buried = platform.held(DEAD_LETTERS).await.unwrap();
    assert!(buried < 1_500, "most wait: {buried} do not");
    let events = platform.held(EVENTS).await.unwrap();
    let again = Process::launch(target_bin("tidings"))
        .args([
            "dead-letter",
            "redeliver",
            "--all",
            "--yes",
            "--reason",
            "newer_schema",
        ])
        .args(["--nats-url", &platform.nats.url()])
        .start();
    let status = again.wait(SOON * 2).await;
    assert!(status.success(), "{}", again.log());
    assert_eq!(platform.held(DEAD_LETTERS).await.unwrap(), 0);
    assert_eq!(platform.held(EVENTS).await.unwrap(), events + buried);
}
