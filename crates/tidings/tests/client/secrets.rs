//! `tidings secrets` and `tidings webhook secret`.

use serde_json::json;
use tidings_core::webhook::Webhook;
use tidings_nats::topology::WEBHOOKS_BUCKET;
use tidings_vault::KeyRing;

use crate::broker::{Broker, KEY, text};

const PLAIN: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Everything that the bucket of webhooks holds, earlier versions included.
async fn whole_bucket(broker: &Broker) -> String {
    let stream = broker.jetstream.get_stream("KV_tidings_webhooks").await;
    let stream = stream.unwrap();
    let mut all = String::new();
    for sequence in 1..=stream.cached_info().state.last_sequence {
        if let Ok(message) = stream.get_raw_message(sequence).await {
            all.push_str(&String::from_utf8_lossy(&message.payload));
        }
    }
    all
}

async fn read(broker: &Broker, id: &str) -> Webhook {
    let bucket = broker.bucket(WEBHOOKS_BUCKET).await;
    let value = bucket.get(format!("acme.{id}")).await.unwrap().unwrap();
    Webhook::from_stored(&value).unwrap()
}

/// Stores a webhook as versions before encryption did.
async fn make_plain(broker: &Broker, id: &str) {
    let mut webhook = read(broker, id).await;
    KeyRing::parse(KEY).unwrap().open(&mut webhook).unwrap();
    let bucket = broker.bucket(WEBHOOKS_BUCKET).await;
    let stored = webhook.to_stored().into();
    bucket.put(format!("acme.{id}"), stored).await.unwrap();
}

async fn webhook(broker: &Broker) -> String {
    let create = [
        "webhook",
        "create",
        "--space",
        "acme",
        "--topic",
        "*.*",
        "--no-probe",
        "--egress-allow",
        "127.0.0.0/8",
        "--url",
        "http://127.0.0.1:9999/",
        "--signing-secret",
        PLAIN,
        "--secret-header",
        "X-Key: s3cret-of-a-header",
    ];
    text(&broker.json(&create).await["id"]).to_owned()
}

#[tokio::test]
async fn a_plain_record_is_encrypted_by_the_next_change_and_its_history_forgotten() {
    let broker = Broker::provisioned().await;
    let id = webhook(&broker).await;
    assert!(!whole_bucket(&broker).await.contains("s3cret"));
    make_plain(&broker, &id).await;
    assert!(whole_bucket(&broker).await.contains("s3cret"));
    let update = ["webhook", "update", &id, "--space", "acme", "--name", "new"];
    let updated = broker.json(&update).await;
    assert_eq!(updated["signing"]["secrets"][0]["hint"], "…LaSw");
    let all = whole_bucket(&broker).await;
    assert!(
        !all.contains("s3cret") && !all.contains(&PLAIN[6..]),
        "{all}"
    );
}

#[tokio::test]
async fn rotation_encrypts_everything_with_the_key_in_use() {
    let broker = Broker::provisioned().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    std::fs::write(&path, KEY).unwrap();
    let file = ["--secret-key-file", path.to_str().unwrap()];
    let secrets = |action| [&["secrets", action][..], &file].concat();
    let (first, second) = (webhook(&broker).await, webhook(&broker).await);
    make_plain(&broker, &second).await;
    let old = KeyRing::parse(KEY).unwrap();
    let old = old.newest().unwrap().id();
    let listed = broker.json(&["secrets", "list"]).await;
    let expected = json!([
        { "id": null, "secrets": 2, "inUse": false },
        { "id": old, "secrets": 2, "inUse": true },
    ]);
    assert_eq!(listed, expected);
    let generated = broker.json(&secrets("generate")).await;
    let new = text(&generated["id"]);
    broker.run(&secrets("use")).await.succeeded();
    let rotated = broker.json(&secrets("rotate")).await;
    assert_eq!(rotated, json!({ "webhooks": 2, "id": new }));
    let listed = broker.json(&["secrets", "list"]).await;
    assert_eq!(listed, json!([{ "id": new, "secrets": 4, "inUse": true }]));
    let all = whole_bucket(&broker).await;
    assert!(!all.contains("s3cret") && !all.contains(old), "{all}");
    let keys = tidings_vault::read(&path).unwrap();
    for id in [first, second] {
        let mut webhook = read(&broker, &id).await;
        keys.open(&mut webhook).unwrap();
        assert_eq!(webhook.definition.signing.secrets[0].key.expose(), PLAIN);
    }
}

#[tokio::test]
async fn rotation_without_the_old_key_changes_nothing_and_says_so() {
    let broker = Broker::provisioned().await;
    let id = webhook(&broker).await;
    let before = read(&broker, &id).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    let file = ["--secret-key-file", path.to_str().unwrap()];
    for action in ["generate", "use"] {
        let command = [&["secrets", action][..], &file].concat();
        broker.run(&command).await.succeeded();
    }
    let rotate = broker
        .run(&[&["secrets", "rotate"][..], &file].concat())
        .await;
    rotate.failed(1, &[&id, "sealed for the key", "1 of 1"]);
    assert_eq!(read(&broker, &id).await, before);
}

#[tokio::test]
async fn without_a_key_nothing_is_stored_unless_plain_is_asked_for() {
    let broker = Broker::bare().await;
    let provision = ["provision", "--storage", "256MiB", "--partitions", "2"];
    broker.run(&provision).await.succeeded();
    let create = [
        "webhook",
        "create",
        "--space",
        "acme",
        "--topic",
        "*.*",
        "--no-probe",
        "--egress-allow",
        "127.0.0.0/8",
        "--url",
        "http://127.0.0.1:9999/",
    ];
    let refused = broker.run(&create).await;
    refused.failed(1, &["tidings secrets generate"]);
    assert_eq!(broker.json(&["webhook", "list"]).await, json!([]));
    let plain = [&create[..], &["--plain-secrets"]].concat();
    let id = text(&broker.json(&plain).await["id"]).to_owned();
    // What is there already may be changed.
    let disable = ["webhook", "disable", &id, "--space", "acme"];
    broker.run(&disable).await.succeeded();
}

#[tokio::test]
async fn an_encrypted_secret_cannot_be_typed_in_or_made_public() {
    let broker = Broker::provisioned().await;
    let id = webhook(&broker).await;
    let stored = read(&broker, &id).await;
    let value = serde_json::to_value(&stored.definition.headers[0].value).unwrap();
    let update = ["webhook", "update", &id, "--space", "acme", "--file", "-"];
    let typed = json!({ "headers": [{ "key": "X-Other", "value": value, "secret": true }] });
    let refused = broker.run_with(&update, &typed.to_string()).await;
    refused.failed(1, &["headers/x-other", "given as text"]);
    let public = json!({ "headers": [{ "key": "X-Key", "secret": false }] });
    let updated = broker.run_with(&update, &public.to_string()).await;
    assert!(!updated.succeeded().stdout.contains("s3cret"));
    assert!(read(&broker, &id).await.definition.headers[0].secret);
}

#[tokio::test]
async fn a_signing_secret_is_exchanged_with_a_time_of_grace() {
    let broker = Broker::provisioned().await;
    let id = webhook(&broker).await;
    let add = [
        "webhook", "secret", "add", &id, "--space", "acme", "--grace", "1h",
    ];
    let added = broker.json(&add).await;
    let secrets = added["signing"]["secrets"].as_array().unwrap();
    assert_eq!(secrets.len(), 2);
    assert!(text(&secrets[0]["key"]).starts_with("whsec_"));
    assert!(secrets[0]["expiresAt"].is_null() && secrets[1]["expiresAt"].is_string());
    assert!(secrets[1].get("key").is_none());
    let remove = |secret: &str| {
        let id = id.clone();
        let secret = secret.to_owned();
        let broker = &broker;
        async move {
            let command = [
                "webhook", "secret", "remove", &id, &secret, "--space", "acme",
            ];
            broker.run(&command).await
        }
    };
    remove(text(&secrets[0]["id"]))
        .await
        .failed(1, &["nothing would sign"]);
    remove(text(&secrets[1]["id"])).await.succeeded();
    remove("sec_none").await.failed(1, &["sec_none"]);
    let left = read(&broker, &id).await.definition.signing.secrets;
    assert_eq!(left.len(), 1);
}
