//! `tidings webhook`.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tidings_core::secret::Secret;
use tidings_core::webhook::{EndpointState, Status, Webhook};
use tidings_nats::topology::{ENDPOINT_STATE_BUCKET, MEMBERS_BUCKET, WEBHOOKS_BUCKET};
use tidings_testkit::{Answer, Receiver};
use tidings_vault::KeyRing;

use crate::broker::{Broker, KEY, text};

const LOOPBACK: [&str; 2] = ["--egress-allow", "127.0.0.0/8"];
const CREATE: [&str; 6] = [
    "webhook",
    "create",
    "--space",
    "acme",
    "--topic",
    "Entry.publish",
];
const NO_PROBE: [&str; 3] = ["--no-probe", "--egress-allow", "127.0.0.0/8"];

async fn stored(broker: &Broker, id: &str) -> Webhook {
    let bucket = broker.bucket(WEBHOOKS_BUCKET).await;
    let value = bucket.get(format!("acme.{id}")).await.unwrap().unwrap();
    let mut webhook = Webhook::from_stored(&value).unwrap();
    let is_sealed = |(_, secret): (_, &Secret)| secret.sealed().is_some();
    assert!(webhook.definition.secrets().all(is_sealed));
    KeyRing::parse(KEY).unwrap().open(&mut webhook).unwrap();
    webhook
}

async fn is_empty(broker: &Broker) -> bool {
    broker.json(&["webhook", "list"]).await == json!([])
}

#[tokio::test]
async fn secrets_are_shown_once_or_never() {
    let broker = Broker::provisioned().await;
    let arguments = [
        &CREATE[..],
        &NO_PROBE,
        &[
            "--url",
            "http://127.0.0.1:9999/x",
            "--secret-header",
            "X-Key: k3y",
            "--basic-auth",
            "u:p4ss",
        ],
    ];
    let created = broker.json(&arguments.concat()).await;
    let key = text(&created["signing"]["secrets"][0]["key"]);
    assert!(key.starts_with("whsec_"));
    let id = text(&created["id"]);
    let webhook = stored(&broker, id).await;
    assert_eq!(webhook.definition.signing.secrets[0].key.expose(), key);
    assert_eq!(
        webhook.definition.headers[0]
            .value
            .as_ref()
            .unwrap()
            .expose(),
        "k3y"
    );
    for arguments in [
        &["webhook", "get", id, "--space", "acme"][..],
        &["--json", "webhook", "get", id, "--space", "acme"],
        &["--json", "webhook", "list"],
        &["webhook", "update", id, "--space", "acme", "--name", "new"],
    ] {
        let shown = broker.run(arguments).await.succeeded();
        for secret in [key, "k3y", "p4ss"] {
            assert!(
                !shown.stdout.contains(secret),
                "{secret} in {}",
                shown.stdout
            );
        }
        assert!(shown.stdout.contains(id));
    }
}

#[tokio::test]
async fn a_secret_that_is_mistyped_is_not_shown() {
    let broker = Broker::provisioned().await;
    for option in ["--secret-header", "--basic-auth", "--signing-secret"] {
        let url = ["--url", "http://127.0.0.1:9999/", option, "s3cret"];
        let refused = broker.run(&[&CREATE[..], &NO_PROBE, &url].concat()).await;
        assert_eq!(refused.code, 1);
        assert!(!refused.stderr.contains("s3cret"), "{}", refused.stderr);
    }
    assert!(is_empty(&broker).await);
}

#[tokio::test]
async fn a_definition_that_cannot_be_used_is_refused_field_by_field() {
    let broker = Broker::provisioned().await;
    let wrong = [
        &CREATE[..],
        &[
            "--url",
            "http://10.0.0.1/",
            "--timeout",
            "2m",
            "--pool",
            "mars",
            "--header",
            "Host: x",
        ],
    ];
    let refused = broker.run(&wrong.concat()).await;
    refused.failed(
        1,
        &[
            "/url: the host 10.0.0.1 is a private",
            "/delivery/timeout: ",
            "/delivery/pool: ",
            "/headers/0: ",
        ],
    );
    let file = r#"{"url": "https://a.example.com/", "topics": ["Entry"], "delivery": {}}"#;
    let from_file = ["webhook", "create", "--space", "acme", "--file", "-"];
    broker
        .run_with(&from_file, file)
        .await
        .failed(1, &["/topics/0: "]);
    let file = r#"{"url": "https://a.example.com/", "topics": ["*.*"], "filters": [{}]}"#;
    broker
        .run_with(&from_file, file)
        .await
        .failed(1, &["/filters"]);
    broker
        .run_with(&from_file, "[]")
        .await
        .failed(1, &["--file"]);
    broker
        .run(&["webhook", "create", "--space", "acme"])
        .await
        .failed(1, &["/url: ", "--url"]);
    assert!(is_empty(&broker).await);
}

#[tokio::test]
async fn a_name_that_stands_for_a_denied_address_is_refused() {
    let broker = Broker::provisioned().await;
    let local = [
        &CREATE[..],
        &[
            "--allow-local",
            "--no-probe",
            "--url",
            "http://localhost:9999/",
        ],
    ];
    let refused = broker.run(&local.concat()).await;
    refused.failed(1, &["/url: ", "loopback"]);
    assert!(is_empty(&broker).await);
    let allowed = [
        &local.concat()[..],
        &["--egress-allow", "127.0.0.0/8,::1/128"],
    ]
    .concat();
    broker.run(&allowed).await.succeeded();
}

#[tokio::test]
async fn an_endpoint_that_redirects_is_refused_unless_it_is_not_asked() {
    let broker = Broker::provisioned().await;
    let moved = Answer::status(301).header("location", "https://elsewhere.example.com/\u{9b}2J");
    let receiver = Receiver::answering([moved]).await;
    let url = receiver.url("/old");
    let create = [&CREATE[..], &LOOPBACK, &["--url", &url]].concat();
    let refused = broker
        .run(&create)
        .await
        .failed(1, &["/url: ", "301", "elsewhere.example.com"]);
    assert!(!refused.stderr.contains('\x1b'));
    let [request] = &receiver.requests()[..] else {
        panic!("one request is made")
    };
    assert_eq!((request.method.as_str(), request.body.len()), ("HEAD", 0));
    assert!(is_empty(&broker).await);
    broker
        .run(&[&create[..], &["--no-probe"]].concat())
        .await
        .succeeded();
    assert_eq!(receiver.requests().len(), 1);
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_yet_is_a_warning() {
    let broker = Broker::provisioned().await;
    let create = [&CREATE[..], &LOOPBACK, &["--url", "http://127.0.0.1:1024/"]].concat();
    let created = broker.run(&create).await.succeeded();
    assert!(
        created
            .stderr
            .contains("warning: the endpoint does not answer"),
        "{}",
        created.stderr
    );
}

#[tokio::test]
async fn an_update_changes_what_is_given_and_counts_the_version() {
    let broker = Broker::provisioned().await;
    let id = broker.webhook().await;
    let before = stored(&broker, &id).await;
    let update = [
        "webhook",
        "update",
        &id,
        "--space",
        "acme",
        "--topic",
        "Asset.*",
        "--header",
        "X-A: 1",
        "--max-retries",
        "2",
        "--retry-schedule",
        "1s,2m",
        "--rate-limit",
        "5/1s",
    ];
    let updated = broker.json(&update).await;
    assert_eq!(
        (&updated["version"], &updated["url"]),
        (&json!(2), &json!(before.definition.url))
    );
    assert_eq!(updated["topics"], json!(["Asset.*"]));
    assert_eq!(updated["delivery"]["retrySchedule"], json!(["1s", "2m"]));
    assert_eq!(
        stored(&broker, &id).await.definition.signing,
        before.definition.signing
    );
    let removed = broker
        .json(&[
            "webhook",
            "update",
            &id,
            "--space",
            "acme",
            "--remove-header",
            "x-a",
        ])
        .await;
    assert_eq!(
        (&removed["headers"], &removed["version"]),
        (&json!([]), &json!(3))
    );
}

#[tokio::test]
async fn an_update_that_changes_nothing_makes_no_version() {
    let broker = Broker::provisioned().await;
    let id = broker.webhook().await;
    let update = ["webhook", "update", &id, "--space", "acme"];
    assert_eq!(broker.json(&update).await["version"], 1);
    let named = [&update[..], &["--name", "n"]].concat();
    for _ in 0..2 {
        assert_eq!(broker.json(&named).await["version"], 2);
    }
}

#[tokio::test]
async fn what_get_answers_may_be_edited_and_written_back() {
    let broker = Broker::provisioned().await;
    let id = broker.webhook().await;
    let get = ["webhook", "get", &id, "--space", "acme"];
    let mut answer = broker.json(&get).await;
    answer["name"] = Value::from("edited");
    let update = ["webhook", "update", &id, "--space", "acme", "--file", "-"];
    broker
        .run_with(&update, &answer.to_string())
        .await
        .succeeded();
    let webhook = stored(&broker, &id).await;
    assert_eq!(
        (webhook.definition.name.as_str(), webhook.version),
        ("edited", 2)
    );
    assert_eq!(webhook.definition.signing.secrets.len(), 1);
    let outdated = broker.run_with(&update, &answer.to_string()).await;
    outdated.failed(1, &["version 1", "version 2"]);
}

#[tokio::test]
async fn enabling_voids_what_a_sender_found_out() {
    let broker = Broker::provisioned().await;
    let id = broker.webhook().await;
    let gone = EndpointState {
        status: Status::Disabled,
        reason: "gone: the endpoint answered 410".into(),
        until: None,
        webhook_version: 1,
        pause: None,
    };
    let states = broker.bucket(ENDPOINT_STATE_BUCKET).await;
    states
        .put(
            format!("acme.{id}"),
            serde_json::to_vec(&gone).unwrap().into(),
        )
        .await
        .unwrap();
    let shown = broker
        .run(&["webhook", "get", &id, "--space", "acme"])
        .await
        .succeeded();
    assert!(
        shown.stdout.contains("disabled") && shown.stdout.contains("410"),
        "{}",
        shown.stdout
    );
    let enabled = broker
        .json(&["webhook", "enable", &id, "--space", "acme"])
        .await;
    assert_eq!(enabled["state"]["status"], "active");
    let disabled = broker
        .json(&["webhook", "disable", &id, "--space", "acme"])
        .await;
    assert_eq!(
        (&disabled["state"]["status"], &disabled["enabled"]),
        (&json!("disabled"), &json!(false))
    );
}

#[tokio::test]
async fn a_webhook_belongs_to_its_space() {
    let broker = Broker::provisioned().await;
    let id = broker.webhook().await;
    for command in ["get", "delete", "enable", "disable", "update"] {
        let other = broker
            .run(&["webhook", command, &id, "--space", "other"])
            .await;
        other.failed(1, &[&id, "other"]);
    }
    assert_eq!(
        broker.json(&["webhook", "list", "--space", "other"]).await,
        json!([])
    );
    let listed = broker.json(&["webhook", "list", "--space", "acme"]).await;
    assert_eq!(listed.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_deleted_webhook_leaves_no_secret_behind() {
    let broker = Broker::provisioned().await;
    let id = broker.webhook().await;
    broker
        .run(&["webhook", "disable", &id, "--space", "acme"])
        .await
        .succeeded();
    broker
        .run(&["webhook", "delete", &id, "--space", "acme"])
        .await
        .succeeded();
    broker
        .run(&["webhook", "get", &id, "--space", "acme"])
        .await
        .failed(1, &[&id]);
    assert!(is_empty(&broker).await);
    let stream = broker
        .jetstream
        .get_stream("KV_tidings_webhooks")
        .await
        .unwrap();
    for sequence in 1..=stream.cached_info().state.last_sequence {
        if let Ok(message) = stream.get_raw_message(sequence).await {
            assert!(message.payload.is_empty(), "the history is gone");
        }
    }
}

#[tokio::test]
async fn a_pause_is_shown_until_it_is_resumed() {
    let broker = Broker::provisioned().await;
    let id = broker.webhook().await;
    let run = async |action: &[&str]| {
        let all = [&["webhook"], action, &[id.as_str(), "--space", "acme"]].concat();
        broker.json(&all).await["state"].clone()
    };
    let paused = run(&["pause", "--for", "1h"]).await;
    assert_eq!(paused["status"], "paused");
    assert_eq!(paused["reason"], "manual");
    assert!(paused["until"].is_string());
    assert_eq!(run(&["pause"]).await["until"], Value::Null);
    assert_eq!(run(&["resume"]).await["status"], "active");
    assert_eq!(run(&["resume"]).await["status"], "active");
    run(&["disable"]).await;
    let refused = broker
        .run(&["webhook", "pause", &id, "--space", "acme"])
        .await;
    refused.failed(1, &["disabled"]);
}

#[tokio::test]
async fn a_pool_that_nobody_serves_cannot_be_named_nor_dropped_while_it_is() {
    let broker = Broker::provisioned().await;
    let both = ["provision", "--pool", "default", "--pool", "eu"];
    broker.run(&both).await.succeeded();
    let create = [
        "webhook",
        "create",
        "--space",
        "acme",
        "--topic",
        "Entry.*",
        "--no-probe",
        "--egress-allow",
        "127.0.0.0/8",
        "--url",
        "http://127.0.0.1:9999/",
        "--pool",
        "eu",
    ];
    let refused = broker.run(&create).await;
    refused.failed(1, &["/delivery/pool", "no sender of the pool `eu`"]);
    let members = broker.bucket(MEMBERS_BUCKET).await;
    let sign = {
        let members = members.clone();
        async move || members.put("eu.red", Bytes::new()).await.unwrap()
    };
    sign().await;
    // As a sender does: a sign of life ends by itself.
    let living = tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            sign().await;
        }
    });
    let created = broker.json(&create).await;
    let id = text(&created["id"]);
    living.abort();
    let _ = living.await;
    members.delete("eu.red").await.unwrap();

    let get = ["webhook", "get", id, "--space", "acme"];
    let shown = broker.run(&get).await.succeeded();
    assert!(shown.stderr.contains("`eu` is alive"), "{}", shown.stderr);
    // Other changes are no fault of its pool.
    let rename = ["webhook", "update", id, "--space", "acme", "--name", "new"];
    broker.run(&rename).await.succeeded();
    let drop = ["provision", "--pool", "default"];
    broker.run(&drop).await.failed(1, &[id, "`eu`"]);
    let move_back = [
        "webhook", "update", id, "--space", "acme", "--pool", "default",
    ];
    broker.run(&move_back).await.succeeded();
    broker.run(&drop).await.succeeded();
}
