//! What comes in is what goes out: bytes, headers, signatures.

use std::time::Duration;

use prost::Message as _;
use serde_json::json;
use tidings_testkit::Receiver;

use crate::event::{OCCURRED_AT, event};
use crate::platform::{Platform, SECRET, SOON, assert_signed};

/// JSON that does not survive being read into values and written again.
const PAYLOADS: [&str; 8] = [
    r#"{"big":12345678901234567890123456789,"small":-0.0,"huge":1e999,"exact":1.10}"#,
    r#"{ "z" : 1,  "a":2 , "z":3 }"#,
    r#"{"text":"\u00e9\/\ud83d\ude00 é😀\u0000"}"#,
    "[1,\n\t2 ]",
    "\"a text\"",
    "12.50",
    "null",
    r#"{"html":"<script>&amp;</script>"}"#,
];

#[tokio::test]
async fn payloads_go_through_byte_for_byte() {
    let platform = Platform::start().await;
    let receiver = Receiver::answering([500, 204]).await;
    platform.webhook(receiver.url("/")).create().await;

    let mut expected = Vec::new();
    for (number, payload) in PAYLOADS.iter().enumerate() {
        let of_way = |way| {
            event("Entry.publish")
                .id(&format!("{way}{number}"))
                .payload(*payload)
        };
        platform.publish(of_way("http")).await;
        platform.publish_nats(&of_way("nats")).await;
        platform.publish_jetstream(&of_way("stream")).await;
        platform
            .post("application/x-protobuf", &[], of_way("wire").bytes())
            .await
            .expect(202);
        expected.extend(vec![of_way("").standard_body(); 4]);
    }

    receiver.wait_for_deliveries(expected.len(), SOON).await;
    platform.assert_settled().await;
    let mut arrived: Vec<String> = receiver
        .requests()
        .iter()
        .filter(|request| request.repeat == 0)
        .map(|request| String::from_utf8(request.body.to_vec()).expect("UTF-8"))
        .collect();
    arrived.sort();
    expected.sort();
    assert_eq!(arrived, expected);
    receiver.requests().iter().for_each(assert_signed);
}

#[tokio::test]
async fn cloudevents_arrive_as_events() {
    let platform = Platform::start().await;
    let receiver = Receiver::start().await;
    platform.webhook(receiver.url("/")).create().await;
    let payload = r#"{ "n": 12345678901234567890 }"#;
    let structured = format!(
        r#"{{"specversion":"1.0","id":"c1","source":"/cms","type":"com.example.Entry.publish",
            "time":"{OCCURRED_AT}","space":"acme","data":{payload}}}"#
    );
    let binary = [
        ("ce-specversion", "1.0"),
        ("ce-id", "c2"),
        ("ce-source", "/cms"),
        ("ce-type", "Entry.publish"),
        ("ce-time", OCCURRED_AT),
        ("ce-space", "acme"),
    ];

    platform
        .post("application/cloudevents+json", &[], structured)
        .await
        .expect(202);
    platform
        .post("application/json", &binary, payload)
        .await
        .expect(202);

    let requests = receiver.wait_for(2, SOON).await;
    let expected = event("Entry.publish").payload(payload).standard_body();
    assert!(
        requests.iter().all(|request| request.body == expected),
        "{requests:?}"
    );
    platform.assert_settled().await;
}

#[tokio::test]
async fn a_batch_is_answered_item_by_item() {
    let platform = Platform::start().await;
    let receiver = Receiver::start().await;
    platform.webhook(receiver.url("/")).create().await;
    let good = |id| event("Entry.publish").id(id);
    let items = [
        good("b1").json(),
        r#"{"topic":"no topic"}"#.to_owned(),
        good("b3").json(),
    ];
    let json = format!("[{}]", items.join(","));
    let wire = [good("b4"), good("b1")].map(|event| event.wire().encode_length_delimited_to_vec());

    let answer = platform.post_batch("application/json", json).await;
    let answer = answer.expect(200).json();
    let of_json = &answer["results"];
    let answer = platform
        .post_batch("application/x-protobuf", wire.concat())
        .await;
    let answer = answer.expect(200).json();
    let of_wire = &answer["results"];

    assert_eq!(
        (&of_json[0]["id"], &of_json[0]["duplicate"]),
        (&json!("b1"), &json!(false))
    );
    assert_eq!(of_json[1]["status"], 400, "{of_json}");
    assert_eq!(
        (&of_json[2]["id"], &of_json[2]["duplicate"]),
        (&json!("b3"), &json!(false))
    );
    assert_eq!(
        (&of_wire[0]["id"], &of_wire[0]["duplicate"]),
        (&json!("b4"), &json!(false))
    );
    assert_eq!(
        (&of_wire[1]["id"], &of_wire[1]["duplicate"]),
        (&json!("b1"), &json!(true))
    );
    receiver.wait_for_deliveries(3, SOON).await;
    platform.assert_settled().await;
    receiver.assert_quiet(Duration::ZERO).await;
}

#[tokio::test]
async fn requests_carry_our_headers_and_the_webhooks_own() {
    let platform = Platform::start().await;
    let receiver = Receiver::start().await;
    let headers = json!([
        { "key": "X-Source", "value": "cms" },
        { "key": "X-Key", "value": "s3cret-value", "secret": true },
    ]);
    platform
        .webhook(receiver.url("/path?query=1"))
        .set("/headers", headers)
        .set(
            "/basicAuth",
            json!({ "username": "u", "password": "p4ssword" }),
        )
        .create()
        .await;

    platform.publish(event("Entry.publish").id("e1")).await;

    let request = receiver.wait_for(1, SOON).await.remove(0);
    assert_eq!(request.method, "POST");
    assert_eq!(request.uri, "/path?query=1");
    let header = |name| request.header(name).unwrap_or_default();
    assert_eq!(header("content-type"), "application/json");
    assert!(header("user-agent").starts_with("Tidings/"));
    assert_eq!(header("x-source"), "cms");
    assert_eq!(header("x-key"), "s3cret-value");
    assert_eq!(header("authorization"), "Basic dTpwNHNzd29yZA==");
    assert_eq!(header("content-length"), request.body.len().to_string());
    platform.assert_settled().await;
    // Secrets are in no record and no log.
    let recorded = format!("{:?}", platform.attempts(1).await);
    let logs = platform.services().map(|service| service.process.log());
    for text in logs.chain([recorded]) {
        for secret in ["s3cret-value", "p4ssword", "dTpwNHNzd29yZA==", SECRET] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}
