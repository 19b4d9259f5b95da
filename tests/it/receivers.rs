//! What arrives is judged by the receivers' own libraries, format by format.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tidings_testkit::{Receiver, Request};

use crate::event::{OCCURRED_AT, event};
use crate::foreign::Language::{Node, Python};
use crate::foreign::{Question, ask, question, verdicts};
use crate::platform::{Platform, SECRET, SOON};

const OLD_SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const PRIVATE_KEY: &str = "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";
const PUBLIC_KEY: &str = "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
/// Base64 without a prefix, so that it signs by Standard Webhooks as well.
const CONTENTFUL_SECRET: &str = "0123456789abcdefABCDEF+/0123456789abcdefABCDEF+/0123456789abcdef";

const PAYLOAD: &str = r#"{ "big": 12345678901234567890, "text": "é😀\u0000", "exact": 1.10 }"#;

/// The same request with another body.
fn changed(request: &Request) -> Request {
    Request {
        body: Bytes::from([&request.body[..], b" "].concat()),
        ..request.clone()
    }
}

/// Asserts that each question is answered with `verified`, or with a refusal, as it says beside it.
async fn assert_verdicts(expected: Vec<(bool, Question)>) {
    let (expected, questions): (Vec<bool>, Vec<Question>) = expected.into_iter().unzip();
    let verdicts = verdicts(&questions).await;
    for ((verdict, is_verified), question) in verdicts.iter().zip(expected).zip(&questions) {
        assert_eq!(
            verdict == "verified",
            is_verified,
            "{verdict}: {question:?}"
        );
    }
}

#[tokio::test]
async fn standard_webhooks_are_verified_while_secrets_are_exchanged() {
    let platform = Platform::start().await;
    let receiver = Receiver::answering([500, 204]).await;
    let signing = json!({
        "schemes": ["standard-v1", "standard-v1a"],
        "secrets": [
            { "id": "new", "key": SECRET },
            { "id": "old", "key": OLD_SECRET, "expiresAt": "2100-01-01T00:00:00Z" },
            { "id": "ed25519", "key": PRIVATE_KEY },
        ],
    });
    let webhook = platform.webhook(receiver.url("/")).set("/signing", signing);
    webhook.create().await;
    platform
        .publish(event("Entry.publish").payload(PAYLOAD))
        .await;

    let mut expected = Vec::new();
    for request in &receiver.wait_for(2, SOON).await {
        let changed = changed(request);
        for (language, check) in [
            (Python, "standardwebhooks"),
            (Node, "standardwebhooks"),
            (Node, "svix"),
        ] {
            for secret in [SECRET, OLD_SECRET] {
                expected.push((true, question(language, check, secret, request)));
                expected.push((false, question(language, check, secret, &changed)));
            }
            let other = "whsec_AQECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
            expected.push((false, question(language, check, other, request)));
        }
        expected.push((true, question(Node, "ed25519", PUBLIC_KEY, request)));
        expected.push((false, question(Node, "ed25519", PUBLIC_KEY, &changed)));
    }
    assert_verdicts(expected).await;
    platform.assert_settled().await;
}

/// A fixture of `fixtures/`, with its topic and the bytes of its payload.
fn fixture(name: &str) -> (String, String, String) {
    let path = format!("{}/../fixtures/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let fields: BTreeMap<&str, &RawValue> = serde_json::from_str(&text).expect("an event");
    let topic = serde_json::from_str(fields["topic"].get()).expect("a text");
    let payload = fields["payload"].get().to_owned();
    (text, topic, payload)
}

/// Publishes fixtures one after the other to a webhook of `format` at `path`, and returns what
/// arrived with each one's topic and payload.
async fn deliver(
    platform: &Platform,
    receiver: &Receiver,
    fixtures: &[&str],
) -> Vec<(Request, String, String)> {
    let mut delivered = Vec::new();
    for name in fixtures {
        let (text, topic, payload) = fixture(name);
        let before = receiver.requests().len();
        platform
            .post("application/json", &[], text)
            .await
            .expect(202);
        let request = receiver.wait_for(before + 1, SOON).await.remove(before);
        assert_eq!(request.body, payload, "{name}");
        delivered.push((request, topic, payload));
    }
    delivered
}

#[tokio::test]
async fn contentfuls_own_library_verifies_its_fixtures() {
    let platform = Platform::start().await;
    let receiver = Receiver::start().await;
    platform
        .webhook(receiver.url("/hooks/a%20b;c?q=1&w=%2F2"))
        .space("demo")
        .topics(["*.*"])
        .set("/name", json!("Rebuild site"))
        .set("/format", json!("contentful"))
        .set(
            "/signing",
            json!({ "secrets": [{ "key": CONTENTFUL_SECRET }] }),
        )
        .create()
        .await;

    let delivered = deliver(
        &platform,
        &receiver,
        &[
            "contentful-entry-publish",
            "contentful-entry-auto-save",
            "contentful-entry-unpublish",
            "contentful-entry-delete",
            "contentful-asset-publish",
        ],
    )
    .await;

    let mut expected = Vec::new();
    for (request, topic, _) in &delivered {
        let header = |name| request.header(name).unwrap_or_default();
        assert_eq!(
            header("x-contentful-topic"),
            format!("ContentManagement.{topic}")
        );
        assert_eq!(header("x-contentful-webhook-name"), "Rebuild site");
        assert_eq!(header("x-contentful-idempotency-key").len(), 64);
        let media = "application/vnd.contentful.management.v1+json";
        assert_eq!(header("content-type"), media);
        assert_eq!(header("transfer-encoding"), "chunked");
        let moved = Request {
            uri: "/hooks/a%20b;c?q=1".parse().expect("a path"),
            ..request.clone()
        };
        let other = CONTENTFUL_SECRET.replace('+', "-");
        for (is_verified, secret, request) in [
            (true, CONTENTFUL_SECRET, request),
            (false, CONTENTFUL_SECRET, &changed(request)),
            (false, CONTENTFUL_SECRET, &moved),
            (false, &other, request),
        ] {
            expected.push((is_verified, question(Node, "contentful", secret, request)));
        }
        // The same secret verifies the Standard Webhooks headers beside it.
        let secret = CONTENTFUL_SECRET;
        expected.push((true, question(Node, "standardwebhooks", secret, request)));
        expected.push((true, question(Python, "standardwebhooks", secret, request)));
    }
    assert_verdicts(expected).await;
    let published = &delivered[0].0;
    let header = |name| published.header(name);
    assert_eq!(header("x-contentful-release-id"), Some("winter-campaign"));
    let bulk_action = header("x-contentful-bulk-action-id");
    assert_eq!(bulk_action, Some("3Mf0uHGsNgZ5B1hXlUQdIa"));
    platform.assert_settled().await;
}

#[tokio::test]
async fn umbracos_and_heartcores_fixtures_arrive_as_their_cms_sends_them() {
    let platform = Platform::start().await;
    let [umbraco, heartcore] = [Receiver::start().await, Receiver::start().await];
    for (format, topics, receiver) in [
        ("umbraco", ["Umbraco.*"], &umbraco),
        ("heartcore", ["content.*"], &heartcore),
    ] {
        platform
            .webhook(receiver.url("/"))
            .space("demo")
            .topics(topics)
            .set("/format", json!(format))
            .create()
            .await;
    }

    let fixtures = [
        "umbraco-content-publish-legacy",
        "umbraco-content-publish-minimal",
        "umbraco-content-publish-extended",
        "umbraco-content-unpublish",
        "umbraco-media-save",
    ];
    for (request, topic, _) in deliver(&platform, &umbraco, &fixtures).await {
        let header = |name| request.header(name).unwrap_or_default();
        assert_eq!(header("umb-webhook-event"), topic);
        assert_eq!(header("umb-webhook-retrycount"), "0");
        assert!(header("user-agent").starts_with("Umbraco-Cms/"));
        assert_eq!(header("content-type"), "application/json; charset=utf-8");
    }
    let fixtures = ["heartcore-content-delete"];
    for (request, topic, _) in deliver(&platform, &heartcore, &fixtures).await {
        assert_eq!(request.header("umb-headless-event"), Some(topic.as_str()));
        assert_eq!(request.header("content-type"), Some("application/json"));
    }

    umbraco.set_answers([500, 500, 204]);
    let (text, ..) = fixture("umbraco-content-unpublish");
    platform
        .post(
            "application/json",
            &[],
            text.replace("Unpublish", "Publish"),
        )
        .await
        .expect(202);
    let requests = umbraco.wait_for(8, SOON).await;
    let counts = requests[5..]
        .iter()
        .map(|request| request.header("umb-webhook-retrycount"));
    assert_eq!(counts.collect::<Vec<_>>(), ["0", "1", "2"].map(Some));
    platform.assert_settled().await;
}

#[tokio::test]
async fn cloudevents_sdks_read_what_arrives() {
    let platform = Platform::start().await;
    let mut questions = Vec::new();
    for format in ["cloudevents-binary", "cloudevents-structured"] {
        let receiver = Receiver::start().await;
        platform
            .webhook(receiver.url("/"))
            .topics([if format.ends_with("binary") {
                "Entry.*"
            } else {
                "Asset.*"
            }])
            .set("/format", json!(format))
            .create()
            .await;
        let topic = if format.ends_with("binary") {
            "Entry.publish"
        } else {
            "Asset.publish"
        };
        platform
            .publish(
                event(topic)
                    .id(format)
                    .content_type("article")
                    .payload(PAYLOAD),
            )
            .await;
        let request = receiver.wait_for(1, SOON).await.remove(0);
        let body = str::from_utf8(&request.body).expect("UTF-8");
        assert!(body.contains(PAYLOAD), "{body}");
        for (language, check, secret) in [
            (Python, "cloudevents", ""),
            (Node, "cloudevents", ""),
            (Python, "standardwebhooks", SECRET),
        ] {
            questions.push(question(language, check, secret, &request));
        }
    }
    let answers = ask(&questions).await;
    for (answer, question) in answers.iter().zip(&questions) {
        assert_eq!(answer["verdict"], "verified", "{answer} {question:?}");
    }
    for (answers, (id, topic)) in answers.chunks(3).zip([
        ("cloudevents-binary", "Entry.publish"),
        ("cloudevents-structured", "Asset.publish"),
    ]) {
        for answer in &answers[..2] {
            assert_event(&answer["event"], id, topic);
        }
    }
    platform.assert_settled().await;
}

#[track_caller]
fn assert_event(event: &Value, id: &str, topic: &str) {
    for (name, expected) in [
        ("id", id),
        ("type", topic),
        ("source", "/spaces/acme/environments/master"),
        ("subject", "home"),
        ("specversion", "1.0"),
        ("datacontenttype", "application/json"),
        ("contenttype", "article"),
        ("space", "acme"),
    ] {
        assert_eq!(event[name], expected, "{name} of {event}");
    }
    let time = event["time"].as_str().expect("a time").replace(' ', "T");
    assert_eq!(time[..19], OCCURRED_AT[..19], "{event}");
    assert_eq!(event["data"]["exact"], 1.1, "{event}");
    assert_eq!(event["data"]["text"], "é😀\u{0}");
}
