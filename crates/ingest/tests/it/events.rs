//! Single events over HTTP.

use std::num::NonZeroU32;

use bytes::Bytes;
use prost::Message as _;
use tidings_nats::topology::SPACES_BUCKET;
use tidings_proto::v1;
use tidings_service::telemetry::{self, LogFormat, TelemetryArgs};
use tidings_testkit::eventually;

use crate::support::{ACME, ADMIN, EVENTS_PATH, Ingest, JSON, PROTOBUF, SOON};

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[tokio::test]
async fn an_accepted_event_lies_in_the_stream_under_its_subject_and_id() {
    let ingest = Ingest::start().await;
    let body = r#"{"id":"e1","topic":"Entry.publish","environment":"staging",
        "entity":{"id":"5Ks","type":"Entry","contentType":"article"},"payload":{"b":1,"a":1e999}}"#;
    let headers = [JSON, ("traceparent", TRACE), ("tracestate", "a=b")];
    let answer = ingest.post(EVENTS_PATH, &headers, body).await;
    assert_eq!(answer.json["id"], "e1");
    assert_eq!(answer.json["duplicate"], false);
    let (subject, headers, _) = ingest.stored(answer.sequence()).await;
    assert_eq!(subject, "tidings.event.acme.staging.Entry.publish");
    assert_eq!(
        headers.get("Nats-Msg-Id").unwrap().as_str(),
        "acme.staging.e1"
    );
    assert_eq!(headers.get("traceparent").unwrap().as_str(), TRACE);
    assert_eq!(headers.get("tracestate").unwrap().as_str(), "a=b");
    let event = ingest.stored_event(answer.sequence()).await;
    assert_eq!(event.payload, r#"{"b":1,"a":1e999}"#);
    assert_eq!((event.id.as_str(), event.space.as_str()), ("e1", "acme"));
    assert!(event.occurred_at.is_some());
}

#[tokio::test]
async fn unknown_fields_of_a_protobuf_event_are_stored() {
    let ingest = Ingest::start().await;
    let event = v1::Event {
        topic: "Entry.publish".into(),
        payload: Bytes::from_static(b"[1]"),
        ..v1::Event::default()
    };
    let message = [event.encode_to_vec(), b"\xa0\x06\x07".to_vec()].concat();
    let answer = ingest.post(EVENTS_PATH, &[PROTOBUF], message.clone()).await;
    let (_, _, stored) = ingest.stored(answer.sequence()).await;
    assert!(stored.starts_with(&message));
    let stored = v1::Event::decode(stored).unwrap();
    assert_eq!(stored.space, "acme");
    assert_eq!(answer.json["id"], stored.id);
}

#[tokio::test]
async fn cloudevents_come_in_both_modes() {
    let ingest = Ingest::start().await;
    let structured = [(
        "content-type",
        "application/cloudevents+json; charset=utf-8",
    )];
    let body = format!(
        r#"{{"specversion":"1.0","id":"c1","source":"/cms","type":"com.example.Entry.publish",
        "subject":"5Ks","traceparent":"{TRACE}","data":{{"n":12345678901234567890}}}}"#
    );
    let answer = ingest.post(EVENTS_PATH, &structured, body).await;
    let (subject, headers, _) = ingest.stored(answer.sequence()).await;
    assert_eq!(subject, "tidings.event.acme.master.Entry.publish");
    assert_eq!(headers.get("traceparent").unwrap().as_str(), TRACE);
    let event = ingest.stored_event(answer.sequence()).await;
    assert_eq!(event.payload, r#"{"n":12345678901234567890}"#);

    let binary = [
        JSON,
        ("ce-specversion", "1.0"),
        ("ce-id", "c2"),
        ("ce-source", "/cms"),
        ("ce-type", "Asset.delete"),
    ];
    let answer = ingest.post(EVENTS_PATH, &binary, " {\"a\": 01e0}").await;
    answer.expect_problem(400, "bad_json");
    let answer = ingest.post(EVENTS_PATH, &binary, " {\"a\": 1e0}").await;
    let event = ingest.stored_event(answer.sequence()).await;
    assert_eq!(
        (event.topic.as_str(), &event.payload[..]),
        ("Asset.delete", &b" {\"a\": 1e0}"[..])
    );
}

#[tokio::test]
async fn the_same_event_again_is_a_duplicate_and_another_one_a_conflict() {
    let ingest = Ingest::start().await;
    let first = r#"{"id":"e1","topic":"Entry.publish","payload":{"a":1}}"#;
    let sequence = ingest.publish(first).await.sequence();
    let again = ingest.publish(first).await;
    assert_eq!(again.sequence(), sequence);
    assert_eq!(again.json["duplicate"], true);
    for other in [
        r#"{"id":"e1","topic":"Entry.publish","payload":{"a":2}}"#,
        r#"{"id":"e1","topic":"Entry.delete","payload":{"a":1}}"#,
        r#"{"id":"e1","topic":"Entry.publish","payload":{"a":1},"actor":"u"}"#,
        r#"{"id":"e1","topic":"Entry.publish","payload":{"a":1},"occurredAt":"2020-01-01T00:00:00Z"}"#,
    ] {
        let answer = ingest.publish(other).await;
        answer.expect_problem(409, "id_conflict");
        assert_eq!(answer.pointer(), "/id");
    }
    let elsewhere = r#"{"id":"e1","environment":"staging","topic":"Entry.publish","payload":2}"#;
    assert_eq!(ingest.publish(elsewhere).await.json["duplicate"], false);
    assert_eq!(ingest.stored_count().await, 2);
}

#[tokio::test]
async fn only_a_token_with_the_scope_for_the_space_publishes() {
    let ingest = Ingest::start().await;
    let publish = async |token: &str, space: &str| {
        let body = format!(r#"{{"space":{space},"topic":"a.b","payload":1}}"#);
        let headers = [JSON, ("authorization", token)];
        ingest.post(EVENTS_PATH, &headers, body).await
    };
    let acme = format!("Bearer {ACME}");
    let admin = format!("Bearer {ADMIN}");
    assert_eq!(publish(&acme, "null").await.status, 202);
    assert_eq!(publish(&acme, "\"acme\"").await.status, 202);
    assert_eq!(publish(&admin, "\"other\"").await.status, 202);
    for (token, space, status, code) in [
        ("", "null", 401, "missing_token"),
        ("Bearer nobody-knows-this", "null", 401, "unknown_token"),
        ("Bearer token-of-yesterday", "null", 401, "expired_token"),
        ("Bearer token-of-reader-01", "null", 403, "missing_scope"),
        (&acme, "\"other\"", 403, "other_space"),
        (&admin, "null", 400, "missing_field"),
        (&admin, "\"a.b\"", 400, "bad_space"),
    ] {
        let answer = publish(token, space).await;
        answer.expect_problem(status, code);
        assert_eq!(
            answer.headers.contains_key("www-authenticate"),
            status == 401
        );
    }
    assert_eq!(ingest.stored_count().await, 3);
}

#[tokio::test]
async fn other_routes_and_methods_are_problems_too() {
    let ingest = Ingest::start().await;
    ingest
        .post("/v1/nothing", &[JSON], "{}")
        .await
        .expect_problem(404, "not_found");
    let answer = ingest.send(ingest.get(EVENTS_PATH)).await;
    answer.expect_problem(405, "method_not_allowed");
    assert_eq!(answer.headers["allow"], "POST");
}

#[tokio::test]
async fn a_space_over_its_rate_is_told_when_to_come_back() {
    let ingest = Ingest::start_with(|args| {
        args.space_rate = 1;
        args.space_burst = NonZeroU32::new(2);
    })
    .await;
    let event = r#"{"topic":"a.b","payload":1}"#;
    let mut refused = None;
    for _ in 0..4 {
        let answer = ingest.publish(event).await;
        if answer.status != 202 {
            refused = Some(answer);
        }
    }
    let refused = refused.expect("the fourth of a burst of two is too many");
    refused.expect_problem(429, "rate_limited");
    assert!(
        refused.headers["retry-after"]
            .to_str()
            .unwrap()
            .parse::<u64>()
            .unwrap()
            >= 1
    );
    let headers = [JSON, ("authorization", &format!("Bearer {ADMIN}"))];
    let other = r#"{"space":"other","topic":"a.b","payload":1}"#;
    assert_eq!(ingest.post(EVENTS_PATH, &headers, other).await.status, 202);
}

#[tokio::test]
async fn the_rate_in_a_spaces_settings_holds_as_soon_as_it_is_set() {
    let ingest = Ingest::start().await;
    let event = r#"{"topic":"a.b","payload":1}"#;
    assert_eq!(ingest.publish(event).await.status, 202);
    let context = ingest.context().await;
    let spaces = context.get_key_value(SPACES_BUCKET).await.unwrap();
    let settings = r#"{"name":"Acme","ingestRate":{"eventsPerSecond":1}}"#;
    spaces.put("acme", settings.into()).await.unwrap();
    eventually(SOON, "the space is over its rate", async || {
        ingest.publish(event).await.status == 429
    })
    .await;
    let headers = [JSON, ("authorization", &format!("Bearer {ADMIN}"))];
    let other = r#"{"space":"other","topic":"a.b","payload":1}"#;
    for _ in 0..4 {
        assert_eq!(ingest.post(EVENTS_PATH, &headers, other).await.status, 202);
    }
    spaces.delete("acme").await.unwrap();
    eventually(SOON, "the rate is taken back", async || {
        let mut statuses = Vec::new();
        for _ in 0..4 {
            statuses.push(ingest.publish(event).await.status);
        }
        statuses == [202; 4]
    })
    .await;
}

#[tokio::test]
async fn what_happened_is_counted() {
    let log = String::from("off");
    let args = TelemetryArgs {
        log,
        log_format: LogFormat::Human,
    };
    let _telemetry = telemetry::start("tidings-ingest", &args).unwrap();
    let ingest = Ingest::start().await;
    let event = r#"{"id":"e1","topic":"a.b","payload":1}"#;
    for body in [event, event, "{}"] {
        ingest.publish(body).await;
    }
    let text = tidings_service::metrics::text();
    for (name, labels, value) in [
        (
            "accepted_events_total",
            &["transport=\"http\"", "duplicate=\"false\""][..],
            "1",
        ),
        (
            "accepted_events_total",
            &["transport=\"http\"", "duplicate=\"true\""],
            "1",
        ),
        (
            "refused_events_total",
            &["transport=\"http\"", "code=\"missing_field\""],
            "1",
        ),
        ("publish_duration_seconds_count", &[], "2"),
        ("publishes_in_flight", &[], "0"),
        ("ingest_connections", &[], "1"),
    ] {
        let is_counted = text.lines().any(|line| {
            line.starts_with(&format!("tidings_{name}"))
                && labels.iter().all(|label| line.contains(label))
                && line.ends_with(&format!(" {value}"))
        });
        assert!(is_counted, "{name} {labels:?} is not {value} in\n{text}");
    }
}
