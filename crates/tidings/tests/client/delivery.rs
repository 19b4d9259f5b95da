//! `tidings delivery`, over what senders record.

use async_nats::HeaderMap;
use prost::Message as _;
use serde_json::Value;
use tidings_core::partition::partition_of;
use tidings_nats::subject::WAITS_HEADER;
use tidings_proto::v1;

use crate::broker::{Broker, attempt, delivery, letter, text};

const ATTEMPTS: &str = "tidings.attempt.acme.wh_1";
const LIST: [&str; 4] = ["delivery", "list", "--space", "acme"];

/// One delivered, one dead, one that waits for a retry, one that waits for its first attempt.
async fn recorded() -> Broker {
    let broker = Broker::provisioned().await;
    for (id, number, verdict) in [
        ("dlv_good", 1, "retry"),
        ("dlv_good", 2, "delivered"),
        ("dlv_bad", 1, "retry"),
        ("dlv_bad", 2, "exhausted"),
        ("dlv_later", 1, "retry"),
    ] {
        let record = attempt("wh_1", id, number, verdict);
        broker.put(ATTEMPTS, &record).await;
    }
    let dead = letter("wh_1", "dlv_bad", "exhausted");
    broker.put("tidings.dead.acme.wh_1", &dead).await;
    let partition = partition_of(&"wh_1".parse().unwrap(), 2);
    for (lane, id, next) in [("retry", "dlv_later", 2), ("delivery", "dlv_new", 1)] {
        let subject = format!("tidings.{lane}.default.{partition}");
        broker.put(&subject, &delivery("wh_1", id, next)).await;
    }
    let other = v1::Attempt {
        space: "other".into(),
        ..attempt("wh_9", "dlv_other", 1, "delivered")
    };
    broker.put("tidings.attempt.other.wh_9", &other).await;
    broker
}

fn ids(listed: &Value) -> Vec<&str> {
    let mut ids: Vec<&str> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|item| text(&item["id"]))
        .collect();
    ids.sort_unstable();
    ids
}

#[tokio::test]
async fn each_delivery_is_listed_once_with_where_it_stands() {
    let broker = recorded().await;
    let listed = broker.json(&LIST).await;
    assert_eq!(
        ids(&listed),
        ["dlv_bad", "dlv_good", "dlv_later", "dlv_new"]
    );
    assert_eq!(listed[0]["id"], "dlv_bad", "the newest comes first");
    for (id, status, attempts) in [
        ("dlv_good", "delivered", 2),
        ("dlv_bad", "dead", 2),
        ("dlv_later", "retrying", 1),
        ("dlv_new", "pending", 0),
    ] {
        let item = listed
            .as_array()
            .unwrap()
            .iter()
            .find(|item| item["id"] == id)
            .unwrap();
        assert_eq!(
            (text(&item["status"]), item["attempts"].as_u64()),
            (status, Some(attempts)),
            "{id}"
        );
        assert_eq!(item["topic"], "Entry.publish");
    }
    let table = broker.run(&LIST).await.succeeded().stdout;
    assert!(
        table.contains("dead (exhausted)") && table.lines().count() == 5,
        "{table}"
    );
}

#[tokio::test]
async fn deliveries_are_filtered() {
    let broker = recorded().await;
    for (filter, expected) in [
        (["--status", "delivered"], &["dlv_good"][..]),
        (["--status", "dead"], &["dlv_bad"]),
        (["--status", "retrying"], &["dlv_later"]),
        (["--status", "pending"], &["dlv_new"]),
        (["--event-id", "event-of-dlv_good"], &["dlv_good"]),
        (["--topic", "asset.*"], &[]),
        (["--webhook", "wh_2"], &[]),
        (["--limit", "1"], &["dlv_bad"]),
    ] {
        let listed = broker.json(&[&LIST[..], &filter].concat()).await;
        assert_eq!(ids(&listed), expected, "{filter:?}");
    }
    let topic = broker
        .json(&[&LIST[..], &["--topic", "entry.*", "--webhook", "wh_1"]].concat())
        .await;
    assert_eq!(ids(&topic).len(), 4);
}

#[tokio::test]
async fn what_keeps_a_delivery_from_its_first_attempt_is_told() {
    let broker = recorded().await;
    let partition = partition_of(&"wh_1".parse().unwrap(), 2);
    let mut headers = HeaderMap::new();
    headers.insert(WAITS_HEADER, "rate paused");
    let waiting = delivery("wh_1", "dlv_paused", 1).encode_to_vec();
    let subject = format!("tidings.retry.default.{partition}");
    let put = broker
        .jetstream
        .publish_with_headers(subject, headers, waiting.into());
    put.await.unwrap().await.unwrap();
    // Its record is of no attempt.
    let record = v1::Attempt {
        waiting: Some(v1::Waiting {
            delivery_id: "dlv_paused".into(),
            space: "acme".into(),
            ..v1::Waiting::default()
        }),
        ..v1::Attempt::default()
    };
    broker.put(ATTEMPTS, &record).await;

    let pending = [&LIST[..], &["--status", "pending"]].concat();
    let table = broker.run(&pending).await.succeeded().stdout;
    let shown = broker.run(&["delivery", "show", "dlv_paused", "--space", "acme"]);
    let shown = shown.await.succeeded().stdout;
    let listed = broker.json(&pending).await;

    assert!(table.contains("pending (webhook paused)"), "{table}");
    assert!(shown.contains("pending (webhook paused)"), "{shown}");
    assert!(!shown.contains("attempt 1"), "{shown}");
    assert_eq!(ids(&listed), ["dlv_new", "dlv_paused"]);
    let paused = listed.as_array().unwrap().iter();
    let reasons: Vec<_> = paused.map(|item| item["reason"].as_str()).collect();
    assert!(reasons.contains(&Some("paused")) && reasons.contains(&None));
}

#[tokio::test]
async fn a_delivery_is_found_behind_thousands_of_others() {
    let broker = Broker::provisioned().await;
    broker
        .put(ATTEMPTS, &attempt("wh_1", "dlv_old", 1, "delivered"))
        .await;
    let publishing = (0..6_000).map(|number| {
        let other = attempt("wh_2", &format!("dlv_{number}"), 1, "retry");
        let broker = &broker;
        async move { broker.put("tidings.attempt.acme.wh_2", &other).await }
    });
    futures_util::future::join_all(publishing).await;
    let listed = broker
        .json(&[&LIST[..], &["--status", "delivered"]].concat())
        .await;
    assert_eq!(ids(&listed), ["dlv_old"]);
    let shown = broker
        .json(&["delivery", "show", "dlv_old", "--space", "acme"])
        .await;
    assert_eq!(shown["status"], "delivered");
    let newest = broker.json(&[&LIST[..], &["--limit", "3"]].concat()).await;
    assert_eq!(ids(&newest).len(), 3);
}

#[tokio::test]
async fn a_delivery_with_several_schedules_is_shown_once_with_its_furthest_attempt() {
    let broker = Broker::provisioned().await;
    broker
        .put(ATTEMPTS, &attempt("wh_1", "dlv_1", 1, "retry"))
        .await;
    let partition = partition_of(&"wh_1".parse().unwrap(), 2);
    for (id, next, at) in [
        ("dlv_1.2", 2, "2096-11-22T12:00:00Z"),
        ("dlv_1.1.d7", 1, "2096-11-22T11:00:00Z"),
        ("dlv_1.1.d8", 1, "2096-11-22T13:00:00Z"),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Schedule", format!("@at {at}"));
        let target = format!("tidings.retry.default.{partition}");
        headers.insert("Nats-Schedule-Target", target);
        let payload = delivery("wh_1", "dlv_1", next).encode_to_vec();
        let subject = format!("tidings.later.default.{partition}.{id}");
        let stored = broker
            .jetstream
            .publish_with_headers(subject, headers, payload.into())
            .await
            .unwrap();
        stored.await.unwrap();
    }
    let shown = broker
        .run(&["delivery", "show", "dlv_1", "--space", "acme"])
        .await
        .succeeded()
        .stdout;
    assert!(
        shown.contains("next         2096-11-22T12:00:00Z"),
        "{shown}"
    );
    assert_eq!(ids(&broker.json(&LIST).await), ["dlv_1"]);
}

#[tokio::test]
async fn a_delivery_is_shown_with_every_attempt() {
    let broker = Broker::provisioned().await;
    let header = |name: &str, value: &str| v1::Header {
        name: name.into(),
        value: value.into(),
    };
    let first = v1::Attempt {
        error: "the connection was refused".into(),
        ..attempt("wh_1", "dlv_1", 1, "retry")
    };
    let second = v1::Attempt {
        request: Some(v1::Request {
            method: "POST".into(),
            url: "https://a.example.com/x".into(),
            headers: vec![header("authorization", "***")],
            body_bytes: 79,
        }),
        response: Some(v1::Response {
            status: 200,
            headers: vec![header("server", "\u{1b}[31mred")],
            body: "thanks\nall".into(),
            body_truncated: true,
        }),
        timings: Some(v1::Timings {
            total_us: 12_345,
            ..v1::Timings::default()
        }),
        ..attempt("wh_1", "dlv_1", 2, "delivered")
    };
    for record in [&first, &second] {
        broker.put(ATTEMPTS, record).await;
    }
    let shown = broker
        .run(&["delivery", "show", "dlv_1", "--space", "acme"])
        .await
        .succeeded()
        .stdout;
    for part in [
        "status       delivered",
        "attempt 1",
        "the connection was refused",
        "attempt 2",
        "POST https://a.example.com/x (79 bytes)",
        "authorization: ***",
        "thanks\\nall …",
        "total 12.345 ms",
    ] {
        assert!(shown.contains(part), "{part:?} is missing in\n{shown}");
    }
    assert!(
        !shown.contains('\u{1b}'),
        "an endpoint's text cannot steer the terminal"
    );
    let json = broker
        .json(&["delivery", "show", "dlv_1", "--space", "acme"])
        .await;
    assert_eq!(json["attemptRecords"][1]["response"]["status"], 200);
    let other = broker
        .run(&["delivery", "show", "dlv_1", "--space", "other"])
        .await;
    other.failed(1, &["dlv_1", "delivery list"]);
}
