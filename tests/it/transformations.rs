//! Requests as a webhook's transformation makes them, and what becomes of those that it cannot.

use std::time::Duration;

use serde_json::json;
use tidings_testkit::Receiver;

use crate::event::event;
use crate::platform::{Platform, SOON, assert_signed};

const PAYLOAD: &str =
    r#"{"sys":{"id":"5Ks/D b","version":9007199254740993},"fields":{"title":{"en-US":"Hé\nllo"}}}"#;

#[tokio::test]
async fn url_headers_and_body_are_rendered_signed_and_recorded() {
    let platform = Platform::start().await;
    let receiver = Receiver::start().await;
    platform
        .webhook(receiver.url("/indexes/i/{ /payload/sys/id }?v={ /payload/sys/version }"))
        .set(
            "/headers",
            json!([
                { "key": "X-Title", "value": "{ /payload/fields/title/en-US }" },
                { "key": "X-Key", "value": "key-{ /payload/sys/id }", "secret": true },
            ]),
        )
        .set(
            "/transformation",
            json!({
                "method": "PUT",
                "contentType": "application/json; charset=utf-8",
                "includeContentLength": true,
                "body": {
                    "version": "{ /payload/sys/version }",
                    "fields": "{ /payload/fields }",
                    "text": "{ /topic } of { /event/entity/id }",
                    "missing": "{ /payload/nothing }",
                },
            }),
        )
        .create()
        .await;

    platform
        .publish(event("Entry.publish").payload(PAYLOAD))
        .await;

    let request = receiver.wait_for(1, SOON).await.remove(0);
    assert_eq!(request.method, "PUT");
    let path = "/indexes/i/5Ks%2FD%20b?v=9007199254740993";
    assert_eq!(request.uri, path);
    let body = concat!(
        r#"{"version":9007199254740993,"fields":{"title":{"en-US":"Hé\nllo"}},"#,
        r#""text":"Entry.publish of home","missing":null}"#
    );
    assert_eq!(request.body, body);
    let header = |name| request.header(name).unwrap_or_default();
    assert_eq!(header("content-type"), "application/json; charset=utf-8");
    assert_eq!(header("content-length"), body.len().to_string());
    assert_eq!(header("x-title"), "H%C3%A9%0Allo");
    assert_eq!(header("x-key"), "key-5Ks/D b");
    assert_signed(&request);
    platform.assert_settled().await;
    let recorded = platform.attempts(1).await.remove(0);
    let recorded = recorded.request.expect("what was sent is recorded");
    assert_eq!(recorded.method, "PUT");
    assert!(recorded.url.ends_with(path), "{}", recorded.url);
    let value = |name| {
        let mut headers = recorded.headers.iter();
        headers
            .find(|header| header.name == name)
            .map(|header| header.value.as_str())
    };
    assert_eq!(value("x-title"), Some("H%C3%A9%0Allo"));
    assert_eq!(value("x-key"), Some("***"));
}

#[tokio::test]
async fn forms_bare_methods_and_unannounced_lengths_are_sent_as_asked() {
    let platform = Platform::start().await;
    let receiver = Receiver::start().await;
    for (path, transformation) in [
        (
            "/form",
            json!({
                "contentType": "application/x-www-form-urlencoded",
                "body": { "Action": "SendMessage", "sys": "{ /payload/sys }" },
            }),
        ),
        (
            "/get",
            json!({ "method": "GET", "body": { "not": "sent" } }),
        ),
        (
            "/delete/{ /payload/sys/version }",
            json!({ "method": "DELETE" }),
        ),
    ] {
        platform
            .webhook(receiver.url(path))
            .set("/transformation", transformation)
            .create()
            .await;
    }

    platform
        .publish(event("Entry.publish").payload(PAYLOAD))
        .await;

    let requests = receiver.wait_for(3, SOON).await;
    let at = |path: &str| {
        let mut requests = requests.iter();
        requests
            .find(|request| request.path().starts_with(path))
            .expect("it arrived")
    };
    let form = at("/form");
    let body = "Action=SendMessage&sys%5Bid%5D=5Ks%2FD+b&sys%5Bversion%5D=9007199254740993";
    assert_eq!(form.body, body);
    let media = form.header("content-type");
    assert_eq!(media, Some("application/x-www-form-urlencoded"));
    assert_eq!(form.header("transfer-encoding"), Some("chunked"));
    for (path, method) in [("/get", "GET"), ("/delete/9007199254740993", "DELETE")] {
        let request = at(path);
        assert_eq!(request.method, method);
        assert!(request.body.is_empty());
        assert_eq!(request.header("content-type"), None);
        assert_signed(request);
    }
    platform.assert_settled().await;
}

#[tokio::test]
async fn what_cannot_be_rendered_is_a_dead_letter_at_once() {
    let platform = Platform::start().await;
    let receiver = Receiver::start().await;
    for (path, transformation) in [
        (
            "/form",
            json!({
                "contentType": "application/x-www-form-urlencoded",
                "body": "{ /payload/sys/id }",
            }),
        ),
        (
            "/delete/{ /payload/nothing }",
            json!({ "method": "DELETE" }),
        ),
        ("/large", json!({ "body": vec!["{ /payload }"; 30] })),
    ] {
        platform
            .webhook(receiver.url(path))
            .set("/transformation", transformation)
            .create()
            .await;
    }
    let payload = json!({ "sys": { "id": "x" }, "text": "y".repeat(40_000) }).to_string();

    platform
        .publish(event("Entry.publish").payload(payload))
        .await;

    let mut letters = platform.dead_letters(3).await;
    letters.sort_by(|one, other| one.detail.cmp(&other.detail));
    let found: Vec<(&str, &str)> = letters
        .iter()
        .map(|letter| (letter.reason.as_str(), letter.last_outcome.as_str()))
        .collect();
    let invalid = ("invalid_transformation", "invalid_transformation");
    assert_eq!(
        found.iter().filter(|found| **found == invalid).count(),
        2,
        "{found:?}"
    );
    assert!(found.contains(&("oversized", "oversized")), "{found:?}");
    let details: Vec<&str> = letters
        .iter()
        .map(|letter| letter.detail.as_str())
        .collect();
    for part in [
        "a form is made of an object",
        "segment",
        "more than 1048576 bytes",
    ] {
        assert!(
            details.iter().any(|detail| detail.contains(part)),
            "{part}: {details:?}"
        );
    }
    platform.assert_settled().await;
    // Each was tried once, and nothing was sent.
    let attempts = platform.attempts(3).await;
    assert!(
        attempts
            .iter()
            .all(|attempt| attempt.number == 1 && attempt.request.is_none())
    );
    assert!(attempts.iter().all(|attempt| !attempt.error.is_empty()));
    receiver.assert_quiet(Duration::ZERO).await;
}
