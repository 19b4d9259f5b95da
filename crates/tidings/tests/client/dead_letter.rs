//! `tidings dead-letter`.

use async_nats::HeaderMap;
use prost::Message as _;
use serde_json::Value;
use tidings_core::partition::partition_of;
use tidings_nats::topology::{DEAD_LETTERS, DELIVERIES};
use tidings_proto::v1;

use crate::broker::{Broker, letter};
use crate::terminal;

const REDELIVER: [&str; 4] = ["dead-letter", "redeliver", "--space", "acme"];

async fn bury(broker: &Broker, webhook: &str, id: &str, reason: &str) {
    broker
        .put(
            &format!("tidings.dead.acme.{webhook}"),
            &letter(webhook, id, reason),
        )
        .await;
}

async fn listed(broker: &Broker, filter: &[&str]) -> Vec<Value> {
    let answer = broker
        .json(&[&["dead-letter", "list"], filter].concat())
        .await;
    answer.as_array().unwrap().clone()
}

#[tokio::test]
async fn dead_letters_are_listed_newest_first_and_filtered() {
    let broker = Broker::provisioned().await;
    bury(&broker, "wh_1", "dlv_1", "exhausted").await;
    bury(&broker, "wh_2", "dlv_2", "expired").await;
    let raw = v1::DeadLetter {
        reason: "invalid_event".into(),
        detail: "it does not decode".into(),
        raw: "junk".into(),
        ..v1::DeadLetter::default()
    };
    broker.put("tidings.dead._._", &raw).await;
    let all = listed(&broker, &[]).await;
    assert_eq!(all.len(), 3);
    assert_eq!(
        (&all[0]["reason"], &all[2]["deliveryId"]),
        (&"invalid_event".into(), &"dlv_1".into())
    );
    for (filter, count) in [
        (["--webhook", "wh_2"], 1),
        (["--reason", "exhausted"], 1),
        (["--space", "acme"], 2),
        (["--space", "other"], 0),
        (["--limit", "1"], 1),
    ] {
        assert_eq!(listed(&broker, &filter).await.len(), count, "{filter:?}");
    }
}

#[tokio::test]
async fn a_redelivered_delivery_keeps_its_id_and_begins_a_new_round() {
    let broker = Broker::provisioned().await;
    let webhook = broker.webhook().await;
    bury(&broker, &webhook, "dlv_1", "exhausted").await;
    bury(&broker, &webhook, "dlv_2", "exhausted").await;
    let answer = broker.json(&[&REDELIVER[..], &["dlv_1"]].concat()).await;
    assert_eq!(answer[0]["nextAttempt"], 3);
    assert_eq!(listed(&broker, &[]).await[0]["deliveryId"], "dlv_2");
    let stream = broker.jetstream.get_stream(DELIVERIES).await.unwrap();
    let message = stream.get_raw_message(1).await.unwrap();
    let partition = partition_of(&webhook.parse().unwrap(), 2);
    assert_eq!(
        message.subject.as_str(),
        format!("tidings.delivery.default.{partition}")
    );
    let delivery = v1::Delivery::decode(message.payload).unwrap();
    assert_eq!(
        (delivery.id.as_str(), delivery.attempt, delivery.round_start),
        ("dlv_1", 3, 3)
    );
    let original = letter(&webhook, "dlv_1", "").delivery.unwrap();
    assert_eq!(
        (delivery.event, delivery.created_at),
        (original.event, original.created_at)
    );
    assert_ne!(delivery.round_started_at, original.round_started_at);
}

#[tokio::test]
async fn a_redelivered_delivery_stays_in_its_trace() {
    let broker = Broker::provisioned().await;
    let webhook = broker.webhook().await;
    let mut headers = HeaderMap::new();
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    headers.insert("traceparent", traceparent);
    headers.insert("tracestate", "a=b");
    let subject = format!("tidings.dead.acme.{webhook}");
    let payload = letter(&webhook, "dlv_1", "exhausted").encode_to_vec();
    let stored = broker
        .jetstream
        .publish_with_headers(subject, headers, payload.into())
        .await
        .unwrap();
    stored.await.unwrap();
    broker.json(&[&REDELIVER[..], &["dlv_1"]].concat()).await;
    let stream = broker.jetstream.get_stream(DELIVERIES).await.unwrap();
    let kept = stream.get_raw_message(1).await.unwrap().headers;
    let kept = ["traceparent", "tracestate"].map(|name| kept.get(name).unwrap().as_str());
    assert_eq!(kept, [traceparent, "a=b"]);
}

#[tokio::test]
async fn a_delivery_that_died_again_at_once_is_not_lost_as_a_duplicate() {
    let broker = Broker::provisioned().await;
    let webhook = broker.webhook().await;
    for count in 1..=3 {
        bury(&broker, &webhook, "dlv_1", "webhook_disabled").await;
        broker
            .run(&[&REDELIVER[..], &["dlv_1"]].concat())
            .await
            .succeeded();
        assert_eq!(broker.messages(DELIVERIES).await, count);
    }
    assert_eq!(broker.messages(DEAD_LETTERS).await, 0);
}

#[tokio::test]
async fn everything_is_redelivered_only_on_a_yes() {
    let broker = Broker::provisioned().await;
    let webhook = broker.webhook().await;
    for number in 0..40 {
        bury(&broker, &webhook, &format!("dlv_{number}"), "exhausted").await;
    }
    bury(&broker, &webhook, "dlv_x", "expired").await;
    let all = [&REDELIVER[..], &["--all", "--reason", "exhausted"]].concat();
    broker
        .run(&all)
        .await
        .failed(1, &["40 deliveries", "--yes"]);
    assert_eq!(broker.messages(DELIVERIES).await, 0);
    broker
        .run(&[&all[..], &["--yes"]].concat())
        .await
        .succeeded();
    assert_eq!(
        (
            broker.messages(DELIVERIES).await,
            broker.messages(DEAD_LETTERS).await
        ),
        (40, 1)
    );
}

#[tokio::test]
async fn what_cannot_be_sent_stays_a_dead_letter() {
    let broker = Broker::provisioned().await;
    let webhook = broker.webhook().await;
    broker
        .run(&["webhook", "disable", &webhook, "--space", "acme"])
        .await
        .succeeded();
    bury(&broker, &webhook, "dlv_disabled", "webhook_disabled").await;
    bury(&broker, "wh_deleted", "dlv_deleted", "webhook_deleted").await;
    let mut oversized = letter(&webhook, "dlv_large", "oversized");
    oversized.delivery.as_mut().unwrap().event = bytes::Bytes::new();
    broker
        .put(&format!("tidings.dead.acme.{webhook}"), &oversized)
        .await;
    let raw = v1::DeadLetter {
        reason: "invalid_event".into(),
        ..v1::DeadLetter::default()
    };
    broker.put("tidings.dead.acme._", &raw).await;
    let ended = broker
        .run(&[&REDELIVER[..], &["--all", "--yes"]].concat())
        .await;
    let ended = ended.failed(1, &["3 of 3", "1 dead letters are of no delivery"]);
    for why in ["webhook enable", "is deleted", "too large to be kept"] {
        assert!(
            ended.stdout.contains(why),
            "{why:?} is missing in {}",
            ended.stdout
        );
    }
    assert_eq!(
        (
            broker.messages(DELIVERIES).await,
            broker.messages(DEAD_LETTERS).await
        ),
        (0, 4)
    );
    let unknown = broker.run(&[&REDELIVER[..], &["dlv_nope"]].concat()).await;
    unknown.failed(1, &["dlv_nope"]);
}

#[tokio::test]
async fn on_a_terminal_a_bar_tells_how_far_a_bulk_redelivery_has_come() {
    let broker = Broker::provisioned().await;
    let webhook = broker.webhook().await;
    for id in ["dlv_a", "dlv_b", "dlv_c"] {
        let dead = letter(&webhook, id, "exhausted");
        broker
            .put(&format!("tidings.dead.acme.{webhook}"), &dead)
            .await;
    }
    let all = ["dead-letter", "redeliver", "--all", "--yes"];

    let seen = terminal::seen(&broker, &all).await;

    assert!(
        seen.contains("\r\x1b[Kredelivering [##########...."),
        "{seen:?}"
    );
    assert!(seen.contains("] 1/3"), "{seen:?}");
    assert!(
        seen.ends_with("\r\x1b[K"),
        "it is gone at the end: {seen:?}"
    );
    assert_eq!(broker.messages("DELIVERIES").await, 3);
}
