//! `tidings event send`, over each of the three ways in.

use std::time::Duration;

use clap::Parser;
use prost::Message as _;
use serde_json::{Value, json};
use tidings_ingest::IngestArgs;
use tidings_nats::topology::EVENTS;
use tidings_proto::v1;
use tidings_service::health::Health;
use tidings_service::lifecycle::Lifecycle;
use tidings_testkit::eventually;

use crate::broker::{Broker, Ended, text};

const PAYLOAD: &str = r#"{ "n": 12345678901234567890.10, "b": 1, "a": "\u00e4" }"#;

#[derive(Debug, Parser)]
struct Program {
    #[command(flatten)]
    ingest: IngestArgs,
}

/// A broker with `tidings-ingest` in front of it.
struct Ingest {
    broker: Broker,
    url: String,
    token: String,
    lifecycle: Lifecycle,
}

impl Ingest {
    async fn start() -> Self {
        let broker = Broker::provisioned().await;
        let arguments = [
            "token",
            "create",
            "--space",
            "acme",
            "--scope",
            "events:write",
        ];
        let token = text(&broker.json(&arguments).await["token"]).to_owned();
        let lifecycle = Lifecycle::new(Duration::from_secs(5));
        let url = broker.server.url();
        let arguments = ["ingest", "--listen", "127.0.0.1:0", "--nats-url", &url];
        let args = Program::parse_from(arguments).ingest;
        let health = Health::new();
        let address = tidings_ingest::start(args, health.clone(), &lifecycle)
            .await
            .unwrap();
        let ready = async || health.checks().values().all(Result::is_ok);
        eventually(Duration::from_secs(20), "ingest is ready", ready).await;
        Self {
            broker,
            url: format!("http://{address}"),
            token,
            lifecycle,
        }
    }

    async fn send(&self, via: &str, arguments: &[&str], input: &str) -> Ended {
        let common = ["--json", "event", "send", "--via", via, "--space", "acme"];
        let token = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(token.path(), &self.token).unwrap();
        let file = token.path().to_str().unwrap();
        let http = ["--ingest-url", &self.url, "--token-file", file];
        self.broker
            .run_with(&[&common[..], &http, arguments].concat(), input)
            .await
    }

    async fn stored(&self, sequence: u64) -> v1::Event {
        let stream = self.broker.jetstream.get_stream(EVENTS).await.unwrap();
        let message = stream.get_raw_message(sequence).await.unwrap();
        v1::Event::decode(message.payload).unwrap()
    }

    async fn stop(self) {
        self.lifecycle.stop.cancel();
        self.lifecycle.finish().await;
    }
}

fn answer(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap()
}

#[tokio::test]
async fn every_way_in_stores_the_same_event_once() {
    let ingest = Ingest::start().await;
    for (index, via) in ["http", "nats", "jetstream"].into_iter().enumerate() {
        let id = format!("e-{via}");
        let arguments = [
            "--id",
            &id,
            "--topic",
            "Entry.publish",
            "--entity-id",
            "5Ks",
            "--content-type",
            "article",
            "--locale",
            "en-US",
            "--actor",
            "me",
            "--context",
            "releaseId=r1",
            "--payload",
            PAYLOAD,
            "--occurred-at",
            "2026-11-22T10:00:00Z",
        ];
        let sequence = index as u64 + 1;
        let sent = ingest.send(via, &arguments, "").await.succeeded();
        let receipt = json!({ "id": id, "sequence": sequence, "duplicate": false });
        assert_eq!(
            answer(&sent),
            json!({ "accepted": 1, "refused": 0, "events": [receipt] }),
            "{via}"
        );
        let again = ingest.send(via, &arguments, "").await.succeeded();
        let repeated = &answer(&again)["events"][0];
        assert_eq!(
            (&repeated["sequence"], &repeated["duplicate"]),
            (&json!(sequence), &json!(true))
        );
        let event = ingest.stored(sequence).await;
        assert_eq!(event.space, "acme");
        let is_master = ["", "master"].contains(&event.environment.as_str());
        assert!(is_master, "{via}: an empty one means the same");
        assert_eq!(event.payload, PAYLOAD.as_bytes(), "byte for byte via {via}");
        assert_eq!(event.entity.unwrap().content_type, "article");
        assert_eq!(event.context["releaseId"], "r1");
    }
    ingest.stop().await;
}

#[tokio::test]
async fn many_events_are_answered_one_by_one() {
    let ingest = Ingest::start().await;
    let lines = r#"{"id":"a","topic":"Entry.publish","payload":{}}
        {"topic":"Entry","payload":{}}
        {"id":"c","space":"acme","topic":"Asset.delete","payload":null}"#;
    let array = format!("[{}]", lines.replace('\n', ","));
    for (via, input) in [("http", lines), ("nats", &array), ("jetstream", lines)] {
        let input = input.replace("\"a\"", &format!("\"a-{via}\""));
        let sent = ingest.send(via, &["--file", "-"], &input).await;
        let sent = sent.failed(1, &["1 of 3 events were refused"]);
        let answer = answer(&sent);
        assert_eq!(
            (&answer["accepted"], &answer["refused"]),
            (&json!(2), &json!(1)),
            "{via}"
        );
        assert_eq!(answer["events"][0]["id"], format!("a-{via}"));
        assert_eq!(
            answer["events"][1]["error"]["code"], "bad_topic",
            "{answer}"
        );
    }
    ingest.stop().await;
}

#[tokio::test]
async fn thousands_of_events_go_in_batches() {
    let ingest = Ingest::start().await;
    let line = r#"{"topic":"Entry.publish","payload":{"a":1}}"#;
    let sent = ingest
        .send("http", &["--file", "-"], &vec![line; 2_500].join("\n"))
        .await
        .succeeded();
    assert_eq!(answer(&sent)["accepted"], 2_500);
    assert!(
        sent.stderr.is_empty(),
        "there is no terminal to draw on: {}",
        sent.stderr
    );
    assert_eq!(ingest.broker.messages(EVENTS).await, 2_500);
    ingest.stop().await;
}

#[tokio::test]
async fn a_refusal_is_readable() {
    let ingest = Ingest::start().await;
    let event = ["--topic", "Entry.publish", "--payload", "1"];
    let wrong = [
        &[
            "event",
            "send",
            "--ingest-url",
            &ingest.url,
            "--token",
            "wrong-wrong-wrong",
        ],
        &event[..],
    ];
    let refused = ingest.broker.run(&wrong.concat()).await;
    refused.failed(1, &["the event was refused: ", "token"]);
    let missing = [&["event", "send", "--via", "nats"], &event[..]].concat();
    ingest.broker.run(&missing).await.failed(1, &["/space: "]);
    let skewed = [&event[..], &["--occurred-at", "2999-01-01T00:00:00Z"]].concat();
    for via in ["http", "nats", "jetstream"] {
        ingest
            .send(via, &skewed, "")
            .await
            .failed(1, &["clock_skew", "/occurredAt"]);
    }
    for input in ["", "{", "[]", "nothing"] {
        ingest
            .send("http", &["--file", "-"], input)
            .await
            .failed(1, &["events"]);
    }
    ingest.stop().await;
}

#[tokio::test]
async fn nobody_there_is_said() {
    let broker = Broker::provisioned().await;
    let event = [
        "event",
        "send",
        "--space",
        "acme",
        "--topic",
        "Entry.publish",
        "--payload",
        "{}",
    ];
    let http = broker
        .run(&[&event[..], &["--ingest-url", "http://127.0.0.1:1"]].concat())
        .await;
    http.failed(1, &["127.0.0.1:1", "--ingest-url", "refused"]);
    let nats = broker.run(&[&event[..], &["--via", "nats"]].concat()).await;
    nats.failed(1, &["no tidings-ingest serves this broker"]);
    broker
        .run(&[&event[..], &["--via", "jetstream"]].concat())
        .await
        .succeeded();
}

#[tokio::test]
async fn a_payload_may_lie_in_a_file() {
    let broker = Broker::provisioned().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("payload.json");
    std::fs::write(&path, PAYLOAD).unwrap();
    let at = format!("@{}", path.display());
    let event = [
        "event",
        "send",
        "--via",
        "jetstream",
        "--space",
        "acme",
        "--topic",
        "Entry.publish",
    ];
    broker
        .run(&[&event[..], &["--payload", &at]].concat())
        .await
        .succeeded();
    broker
        .run_with(&[&event[..], &["--payload", "-"]].concat(), PAYLOAD)
        .await
        .succeeded();
    broker
        .run(&[&event[..], &["--payload", "{"]].concat())
        .await
        .failed(1, &["--payload"]);
    assert_eq!(broker.messages(EVENTS).await, 2);
}
