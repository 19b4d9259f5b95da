//! What operators ask for: spaces, the status, tests, replays, completions.

use std::time::Duration;

use serde_json::json;
use tidings_proto::v1;
use tidings_testkit::Process;

use crate::broker::{Broker, attempt, text};
use crate::terminal;

const WITHIN: Duration = Duration::from_secs(30);
const ACME: [&str; 2] = ["--space", "acme"];

#[tokio::test]
async fn what_is_set_for_a_space_is_shown_and_taken_back() {
    let broker = Broker::provisioned().await;
    let rate = ["--events-per-second", "5", "--burst", "9", "--name", "Acme"];
    let set = broker
        .json(&[&["space", "set", "acme"][..], &rate].concat())
        .await;
    assert_eq!(
        set["ingestRate"],
        json!({"eventsPerSecond": 5, "burst": 9}),
        "{set}"
    );
    assert_eq!(set["version"], 1);
    let shown = broker.run(&["space", "get", "acme"]).await.succeeded();
    assert!(shown.stdout.contains("5 events per second"), "{shown:?}");
    assert_eq!(broker.json(&["space", "list"]).await, json!(["acme"]));
    let back = ["space", "set", "acme", "--default-rate"];
    let back = broker.json(&back).await;
    assert_eq!(
        (&back["ingestRate"], &back["name"]),
        (&json!(null), &json!("Acme"))
    );
    let wrong = broker.run(&["space", "set", "a.b"]).await;
    wrong.failed(2, &["a.b"]);
}

#[tokio::test]
async fn the_status_tells_what_waits_in_each_stream_and_that_nobody_sends() {
    let broker = Broker::provisioned().await;
    let webhook = broker.webhook().await;
    let test = [&["webhook", "test", &webhook][..], &ACME].concat();
    let sent = broker.json(&test).await;
    assert!(text(&sent["deliveryId"]).starts_with("dlv_"), "{sent}");
    let status = broker.json(&["status"]).await;
    let streams = status["streams"].as_array().unwrap();
    let events = streams.iter().find(|stream| stream["name"] == "EVENTS");
    assert_eq!(
        events.unwrap()["waiting"],
        1,
        "the router lags by it: {status}"
    );
    assert_eq!(status["members"], json!([]));
    let shown = broker.run(&["status"]).await.succeeded();
    assert!(shown.stdout.contains("DEAD_LETTERS"), "{shown:?}");
    assert!(shown.stdout.contains("no sender is alive"), "{shown:?}");
}

#[tokio::test]
async fn a_webhook_that_cannot_be_tested_says_why() {
    let broker = Broker::provisioned().await;
    let webhook = broker.webhook().await;
    let disable = [&["webhook", "disable", &webhook][..], &ACME].concat();
    broker.run(&disable).await.succeeded();
    let test = [&["webhook", "test", &webhook][..], &ACME].concat();
    broker
        .run(&test)
        .await
        .failed(1, &["disabled", "enable it"]);
    let nobody = [&["webhook", "test", "wh_nobody"][..], &ACME].concat();
    broker.run(&nobody).await.failed(1, &["wh_nobody"]);
    assert_eq!(broker.messages("EVENTS").await, 0);
}

#[tokio::test]
async fn a_replay_is_counted_sent_and_listed() {
    let broker = Broker::provisioned().await;
    let webhook = broker.webhook().await;
    let test = [&["webhook", "test", &webhook][..], &ACME].concat();
    broker.run(&test).await.succeeded();
    let subject = format!("tidings.attempt.acme.{webhook}");
    for id in ["dlv_a", "dlv_b"] {
        let record = v1::Attempt {
            event_sequence: 1,
            ..attempt(&webhook, id, 1, "delivered")
        };
        broker.put(&subject, &record).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let console = Process::launch(env!("CARGO_BIN_EXE_tidings"))
        .args(["console", "--listen", "127.0.0.1:0", "--plain-secrets"])
        .args(["--nats-url", &broker.server.url(), "--data-dir"])
        .arg(folder.path())
        .start();
    let start = ["replay", "start", "--from", "2020-01-01T00:00:00Z"];
    let start = [&start[..], &ACME].concat();
    let counted = broker.json(&[&start[..], &["--dry-run"]].concat()).await;
    assert_eq!(counted, json!({"dryRun": true, "count": 2}));
    assert_eq!(broker.messages("DELIVERIES").await, 0, "only counted");
    // Without a yes, and nobody there to ask, nothing is sent.
    let unasked = broker.run(&start).await;
    assert_ne!(unasked.code, 0, "{unasked:?}");
    let done = broker.json(&[&start[..], &["--yes"]].concat()).await;
    assert_eq!(
        (&done["state"], &done["sent"], &done["total"]),
        (&json!("done"), &json!(2), &json!(2)),
        "{done}"
    );
    assert_eq!(broker.messages("DELIVERIES").await, 2);
    // On a terminal a bar tells how far it has come, and is gone at the end.
    let seen = terminal::seen(&broker, &[&start[..], &["--yes"]].concat()).await;
    assert!(seen.contains("\r\x1b[Ksending again ["), "{seen:?}");
    assert!(seen.contains("] 0/2"), "{seen:?}");
    assert!(seen.ends_with("\r\x1b[K"), "{seen:?}");
    let listed = broker
        .json(&[&["replay", "list"][..], &ACME].concat())
        .await;
    assert_eq!(listed.as_array().map(Vec::len), Some(2));
    assert_eq!(listed[1]["id"], done["id"]);
    let id = text(&done["id"]);
    let ended = [&["replay", "cancel", id][..], &ACME].concat();
    broker.run(&ended).await.failed(1, &[id]);
    assert!(console.terminate(WITHIN).await.success());
}

#[tokio::test]
async fn completions_know_the_commands_of_every_shell() {
    let broker = Broker::bare().await;
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let printed = broker.run(&["completions", shell]).await.succeeded();
        for word in ["replay", "webhook", "explain", "--json"] {
            // Fish writes options without their dashes.
            let word = if shell == "fish" {
                word.trim_start_matches('-')
            } else {
                word
            };
            assert!(printed.stdout.contains(word), "{shell}: {word}");
        }
    }
    let unknown = broker.run(&["completions", "dos"]).await;
    unknown.failed(2, &["dos", "possible values"]);
}
