//! Formats, signature schemes and transformations of `tidings webhook`.

use serde_json::{Value, json};

use crate::broker::{Broker, text};

const URL: &str = "http://127.0.0.1:9999/{ /payload/sys/id }";

fn create<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let create = [
        "webhook",
        "create",
        "--space",
        "acme",
        "--topic",
        "Entry.*",
        "--egress-allow",
        "127.0.0.0/8",
        "--url",
        URL,
    ];
    [&create[..], more].concat()
}

fn secret(webhook: &Value, index: usize) -> &Value {
    &webhook["signing"]["secrets"][index]
}

#[tokio::test]
async fn a_webhook_gets_the_secrets_that_its_schemes_need() {
    let broker = Broker::provisioned().await;
    let contentful = broker.json(&create(&["--format", "contentful"])).await;
    let schemes = &contentful["signing"]["schemes"];
    assert_eq!(*schemes, json!(["contentful-v1", "standard-v1"]));
    assert_eq!(text(&secret(&contentful, 0)["key"]).len(), 64);
    assert_eq!(secret(&contentful, 1), &Value::Null);

    let both = ["--scheme", "standard-v1", "--scheme", "standard-v1a"];
    let created = broker.json(&create(&both)).await;
    assert!(text(&secret(&created, 0)["key"]).starts_with("whsec_"));
    assert!(text(&secret(&created, 1)["key"]).starts_with("whsk_"));
    let public_key = text(&secret(&created, 1)["publicKey"]);
    assert!(public_key.starts_with("whpk_"), "{created}");

    // The public key is no secret and stays to be seen, the private one is gone for good.
    let id = text(&created["id"]);
    let update = ["webhook", "update", id, "--space", "acme", "--name", "new"];
    let updated = broker.json(&update).await;
    assert_eq!(text(&secret(&updated, 1)["publicKey"]), public_key);
    assert_eq!(secret(&updated, 1)["key"], Value::Null);
    let add = ["webhook", "secret", "add", id, "--space", "acme"];
    let added = broker.json(&add).await;
    let secrets = added["signing"]["secrets"].as_array().unwrap();
    let is_old = |secret: &&Value| secret["expiresAt"].is_string();
    assert_eq!(
        (secrets.len(), secrets.iter().filter(is_old).count()),
        (4, 2)
    );
    assert!(secrets[..2].iter().all(|secret| secret["key"].is_string()));
}

#[tokio::test]
async fn a_scheme_that_is_added_gets_a_secret() {
    let broker = Broker::provisioned().await;
    let created = broker.json(&create(&[])).await;
    let id = text(&created["id"]);
    let update = |scheme| {
        [
            "webhook", "update", id, "--space", "acme", "--scheme", scheme,
        ]
    };
    let updated = broker.json(&update("standard-v1a")).await;
    assert_eq!(updated["signing"]["schemes"], json!(["standard-v1a"]));
    assert!(text(&secret(&updated, 0)["key"]).starts_with("whsk_"));
    assert_eq!(secret(&updated, 1), &Value::Null);
}

#[tokio::test]
async fn a_key_that_fits_no_scheme_is_refused_with_its_place() {
    let broker = Broker::provisioned().await;
    let symmetric = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    for (more, places) in [
        (
            &["--scheme", "standard-v1a", "--signing-secret", symmetric][..],
            &["/signing/secrets/0/key", "/signing/schemes/0"][..],
        ),
        (
            &[
                "--format",
                "contentful",
                "--scheme",
                "contentful-v1",
                "--signing-secret",
                symmetric,
            ],
            &["/signing/secrets/0/key", "/signing/schemes/0"],
        ),
        (
            &["--signing-secret", "whpk_AAAA"],
            &["/signing/secrets/0/key"],
        ),
    ] {
        let ended = broker.run(&create(more)).await;
        assert_ne!(ended.code, 0);
        for place in places {
            assert!(ended.stderr.contains(place), "{}", ended.stderr);
        }
        assert!(!ended.stderr.contains(&symmetric[6..]), "{}", ended.stderr);
    }
    let ended = broker.run(&create(&["--format", "xml"])).await;
    assert!(
        ended.stderr.contains("cloudevents-structured"),
        "{}",
        ended.stderr
    );
}

#[tokio::test]
async fn a_transformation_comes_from_a_file_and_goes_again() {
    let broker = Broker::provisioned().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("transformation.json");
    let transformation = json!({
        "method": "PUT", "contentType": "application/json", "includeContentLength": true,
        "body": { "id": "{ /payload/sys/id }", "nothing": null },
    });
    std::fs::write(&path, transformation.to_string()).unwrap();
    let file = ["--transformation", path.to_str().unwrap()];
    let created = broker.json(&create(&file)).await;
    assert_eq!(created["transformation"], transformation);
    assert_eq!(created["url"], URL);
    let id = text(&created["id"]);
    let update = |option| ["webhook", "update", id, "--space", "acme", option];
    let updated = broker.json(&update("--no-transformation")).await;
    assert_eq!(updated.get("transformation"), None);

    for (broken, place) in [
        (
            r#"{"body": {"a": ["{ /paylod/x }"]}}"#,
            "/transformation/body/a/0",
        ),
        (
            r#"{"contentType": "text/xml"}"#,
            "/transformation/contentType",
        ),
        (r#"{"method": "TRACE"}"#, "/transformation/method"),
        (r#"{"url": "x"}"#, "/transformation/url"),
        ("{", "--transformation"),
    ] {
        std::fs::write(&path, broken).unwrap();
        let ended = broker.run(&create(&file)).await;
        assert_ne!(ended.code, 0);
        assert!(ended.stderr.contains(place), "{broken}: {}", ended.stderr);
    }
}
