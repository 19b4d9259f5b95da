//! An event reaches the webhooks that want it, and nobody else.

use std::time::Duration;

use serde_json::json;
use tidings_proto::v1::DeadLetter;
use tidings_testkit::{Answer, Receiver, TestCa, TestCert};

use crate::event::event;
use crate::platform::{Platform, SOON, assert_signed};

/// How long nothing must arrive where nothing may.
const QUIET: Duration = Duration::from_millis(500);

#[tokio::test]
async fn an_event_posted_over_http_arrives_signed() {
    let platform = Platform::start().await;
    let receiver = Receiver::start().await;
    platform.webhook(receiver.url("/hook")).create().await;

    let reply = platform.publish(event("Entry.publish").id("e1")).await;

    let requests = receiver.wait_for(1, SOON).await;
    assert_eq!(
        reply,
        json!({ "id": "e1", "sequence": 1, "duplicate": false })
    );
    assert_signed(&requests[0]);
    assert_eq!(requests[0].path(), "/hook");
    assert_eq!(requests[0].body, event("Entry.publish").standard_body());
    let attempts = platform.attempts(1).await;
    assert_eq!(attempts[0].outcome, "delivered");
    assert_eq!(attempts[0].verdict, "delivered");
    assert_eq!(attempts[0].delivery_id, requests[0].delivery_id());
    assert_eq!(attempts[0].event_id, "e1");
    platform.assert_settled().await;
}

#[tokio::test]
async fn an_event_requested_over_nats_arrives_signed() {
    let platform = Platform::start().await;
    let receiver = Receiver::start().await;
    platform.webhook(receiver.url("/")).create().await;

    let reply = platform
        .publish_nats(&event("Entry.publish").id("e1"))
        .await;

    let requests = receiver.wait_for(1, SOON).await;
    assert_eq!(
        (reply.id.as_str(), reply.sequence, reply.duplicate),
        ("e1", 1, false)
    );
    assert_signed(&requests[0]);
    assert_eq!(requests[0].body, event("Entry.publish").standard_body());
    platform.assert_settled().await;
}

#[tokio::test]
async fn an_event_published_straight_to_the_stream_arrives_signed() {
    let platform = Platform::start().await;
    let receiver = Receiver::start().await;
    platform.webhook(receiver.url("/")).create().await;

    platform
        .publish_jetstream(&event("Entry.publish").id("e1"))
        .await;

    let requests = receiver.wait_for(1, SOON).await;
    assert_signed(&requests[0]);
    assert_eq!(requests[0].body, event("Entry.publish").standard_body());
    platform.assert_settled().await;
}

#[tokio::test]
async fn an_https_endpoint_is_reached_over_http2_and_an_untrusted_one_is_not() {
    let ca = TestCa::new();
    let trusted = ca.pem_path();
    let sender_args = ["--egress-ca", trusted.to_str().expect("a readable path")];
    let platform = Platform::builder().sender_args(sender_args).start().await;
    let start = |cert: TestCert| Receiver::builder().tls(cert.server_config()).start();
    let (receiver, untrusted) = (start(ca.valid()).await, start(ca.self_signed()).await);
    platform.webhook(receiver.url("/")).create().await;
    let webhook = platform.webhook(untrusted.url("/")).max_retries(0);
    webhook.create().await;

    platform.publish(event("Entry.publish")).await;

    let requests = receiver.wait_for(1, SOON).await;
    assert_eq!(requests[0].version, http::Version::HTTP_2);
    assert_signed(&requests[0]);
    let letters = platform.dead_letters(1).await;
    assert_eq!(letters[0].last_outcome, "tls_error");
    assert!(untrusted.requests().is_empty());
    platform.assert_settled().await;
}

#[tokio::test]
async fn topics_match_by_part_without_regard_to_case() {
    let platform = Platform::start().await;
    let receiver = Receiver::start().await;
    let url = |path| receiver.url(path);
    platform
        .webhook(url("/entry-any"))
        .topics(["Entry.*"])
        .create()
        .await;
    platform
        .webhook(url("/any-publish"))
        .topics(["*.publish"])
        .create()
        .await;
    platform
        .webhook(url("/exact"))
        .topics(["entry.PUBLISH"])
        .create()
        .await;
    platform
        .webhook(url("/two"))
        .topics(["Entry.delete", "Asset.delete"])
        .create()
        .await;
    platform
        .webhook(url("/umbraco"))
        .topics(["Umbraco.ContentPublish"])
        .create()
        .await;

    for topic in [
        "Entry.publish",
        "Entry.delete",
        "Asset.publish",
        "Umbraco.ContentPublish",
    ] {
        platform.publish(event(topic)).await;
    }

    let expected = [
        ("/any-publish", "Asset.publish"),
        ("/any-publish", "Entry.publish"),
        ("/entry-any", "Entry.delete"),
        ("/entry-any", "Entry.publish"),
        ("/exact", "Entry.publish"),
        ("/two", "Entry.delete"),
        ("/umbraco", "Umbraco.ContentPublish"),
    ];
    let requests = receiver.wait_for(expected.len(), SOON).await;
    platform.assert_settled().await;
    receiver.assert_quiet(Duration::ZERO).await;
    let mut arrived: Vec<(String, String)> = requests
        .iter()
        .map(|request| {
            (
                request.path().to_owned(),
                request.json()["type"].as_str().unwrap().to_owned(),
            )
        })
        .collect();
    arrived.sort();
    let arrived: Vec<(&str, &str)> = arrived
        .iter()
        .map(|(path, topic)| (path.as_str(), topic.as_str()))
        .collect();
    assert_eq!(arrived, expected);
}

#[tokio::test]
async fn content_types_narrow_what_a_webhook_gets() {
    let platform = Platform::start().await;
    let receiver = Receiver::start().await;
    let articles = platform
        .webhook(receiver.url("/articles"))
        .content_types(["article"]);
    articles.create().await;
    platform.webhook(receiver.url("/all")).create().await;

    for content_type in ["article", "page", ""] {
        platform
            .publish(event("Entry.publish").content_type(content_type))
            .await;
    }

    let requests = receiver.wait_for(4, SOON).await;
    platform.assert_settled().await;
    receiver.assert_quiet(Duration::ZERO).await;
    let articles = requests
        .iter()
        .filter(|request| request.path() == "/articles")
        .count();
    assert_eq!(articles, 1);
}

#[tokio::test]
async fn another_spaces_webhooks_get_nothing() {
    let platform = Platform::start().await;
    let receiver = Receiver::start().await;
    platform
        .webhook(receiver.url("/other"))
        .space("other")
        .create()
        .await;
    platform.webhook(receiver.url("/acme")).create().await;

    platform.publish(event("Entry.publish")).await;

    let requests = receiver.wait_for(1, SOON).await;
    platform.assert_settled().await;
    receiver.assert_quiet(QUIET).await;
    assert_eq!(requests[0].path(), "/acme");
}

#[tokio::test]
async fn a_disabled_webhook_gets_nothing() {
    let platform = Platform::start().await;
    let receiver = Receiver::start().await;
    let mut webhook = platform
        .webhook(receiver.url("/"))
        .disabled()
        .create()
        .await;

    platform.publish(event("Entry.publish").id("before")).await;
    platform.assert_settled().await;
    receiver.assert_quiet(QUIET).await;
    platform
        .change(&mut webhook, |webhook| webhook.definition.enabled = true)
        .await;
    platform.publish(event("Entry.publish").id("after")).await;

    let attempts = platform.attempts(1).await;
    assert_eq!(attempts[0].event_id, "after");
    assert_eq!(receiver.requests().len(), 1);
    platform.assert_settled().await;
}

#[tokio::test]
async fn a_receiver_that_hangs_does_not_stop_others() {
    let platform = Platform::start().await;
    let hanging = Receiver::answering(Answer::hang()).await;
    let healthy = Receiver::start().await;
    let slow = platform
        .webhook(hanging.url("/"))
        .timeout("2s")
        .max_retries(0)
        .topics(["Asset.publish"]);
    slow.create().await;
    platform.webhook(healthy.url("/")).create().await;

    // One failure fewer than would pause the endpoint.
    for number in 0..40 {
        let topic = match number {
            0..4 => "Asset.publish",
            _ => "Entry.publish",
        };
        let id = format!("e{number}");
        platform.publish(event(topic).id(&id)).await;
    }

    // All at the healthy one before the first timeout can have freed anything.
    let requests = healthy.wait_for(40, SOON).await;
    let first_timeout = hanging.requests()[0].at + Duration::from_secs(2);
    assert!(requests.iter().all(|request| request.at < first_timeout));
    let letters = platform.dead_letters(4).await;
    let is_timeout = |letter: &DeadLetter| {
        (letter.reason.as_str(), letter.last_outcome.as_str()) == ("exhausted", "timeout")
    };
    assert!(letters.iter().all(is_timeout), "{letters:?}");
    platform.assert_settled().await;
}

#[tokio::test]
async fn a_changed_webhook_is_delivered_to_as_it_is_now() {
    let platform = Platform::start().await;
    let before = Receiver::answering(500).await;
    let after = Receiver::start().await;
    let mut webhook = platform
        .webhook(before.url("/"))
        .retry(["1s"])
        .create()
        .await;

    platform.publish(event("Entry.publish")).await;
    let first = before.wait_for(1, SOON).await;
    platform
        .change(&mut webhook, |webhook| {
            webhook.definition.url = after.url("/moved");
        })
        .await;

    let second = after.wait_for(1, SOON).await;
    assert_eq!(second[0].delivery_id(), first[0].delivery_id());
    assert_eq!(second[0].path(), "/moved");
    platform.assert_settled().await;
    assert_eq!(before.requests().len(), 1);
}

#[tokio::test]
async fn what_is_under_way_to_a_deleted_webhook_becomes_a_dead_letter() {
    let platform = Platform::start().await;
    let receiver = Receiver::answering(500).await;
    let webhook = platform
        .webhook(receiver.url("/"))
        .retry(["1s"])
        .create()
        .await;

    platform.publish(event("Entry.publish")).await;
    let requests = receiver.wait_for(1, SOON).await;
    platform.delete(&webhook).await;

    let letters = platform.dead_letters(1).await;
    assert_eq!(letters[0].reason, "webhook_deleted");
    assert_eq!(
        letters[0].delivery.as_ref().unwrap().id,
        requests[0].delivery_id()
    );
    platform.assert_settled().await;
    assert_eq!(receiver.requests().len(), 1);
}

#[tokio::test]
async fn what_is_under_way_to_a_disabled_webhook_becomes_a_dead_letter() {
    let platform = Platform::start().await;
    let receiver = Receiver::answering(500).await;
    let mut webhook = platform
        .webhook(receiver.url("/"))
        .retry(["1s"])
        .create()
        .await;

    platform.publish(event("Entry.publish")).await;
    receiver.wait_for(1, SOON).await;
    platform
        .change(&mut webhook, |webhook| webhook.definition.enabled = false)
        .await;

    let letters = platform.dead_letters(1).await;
    assert_eq!(letters[0].reason, "webhook_disabled");
    platform.assert_settled().await;
    assert_eq!(receiver.requests().len(), 1);
}
