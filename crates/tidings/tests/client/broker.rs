//! A broker of its own for each test, and the program run against it.

use std::process::Stdio;
use std::time::Duration;

use async_nats::jetstream::{Context, kv};
use bytes::Bytes;
use jiff::Timestamp;
use prost::Message;
use serde_json::Value;
use tidings_nats::topology::{SEALING_KEY, SECRET_KEYS_BUCKET};
use tidings_proto::{timestamp_to_wire, v1};
use tidings_testkit::NatsServer;
use tidings_vault::KeyRing;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// The private key of all tests.
pub(crate) const KEY: &str = "tdgk_AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA";

pub(crate) const ENDS_WITHIN: Duration = Duration::from_secs(30);

/// A broker with everything that `tidings provision` makes.
pub(crate) struct Broker {
    pub(crate) server: NatsServer,
    pub(crate) jetstream: Context,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Broker {
    /// A broker with nothing on it.
    pub(crate) async fn bare() -> Self {
        let server = NatsServer::start().await;
        let jetstream = tidings_nats::connect::jetstream(&server.client().await);
        Self { server, jetstream }
    }

    pub(crate) async fn provisioned() -> Self {
        let broker = Self::bare().await;
        let provisioned = ["provision", "--storage", "256MiB", "--partitions", "2"];
        broker.run(&provisioned).await.succeeded();
        let keys = KeyRing::parse(KEY).unwrap();
        let sealing = keys.newest().unwrap().to_stored();
        let bucket = broker.bucket(SECRET_KEYS_BUCKET).await;
        bucket.put(SEALING_KEY, sealing.into()).await.unwrap();
        broker
    }

    /// Runs `tidings`.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Ended {
        self.run_with(arguments, "").await
    }

    /// Runs `tidings` with `input` on its standard input.
    pub(crate) async fn run_with(&self, arguments: &[&str], input: &str) -> Ended {
        run_at(&self.server.url(), arguments, input).await
    }

    /// Runs `tidings --json` and reads its answer.
    pub(crate) async fn json(&self, arguments: &[&str]) -> Value {
        let ended = self.run(&[&["--json"], arguments].concat()).await;
        serde_json::from_str(&ended.succeeded().stdout).unwrap()
    }

    /// Puts a message on a stream, and returns its place there.
    pub(crate) async fn put(&self, subject: &str, message: &impl Message) -> u64 {
        let payload = Bytes::from(message.encode_to_vec());
        let published = self
            .jetstream
            .publish(subject.to_owned(), payload)
            .await
            .unwrap();
        published.await.unwrap().sequence
    }

    pub(crate) async fn bucket(&self, name: &str) -> kv::Store {
        self.jetstream.get_key_value(name).await.unwrap()
    }

    pub(crate) async fn messages(&self, stream: &str) -> u64 {
        let stream = self.jetstream.get_stream(stream).await.unwrap();
        stream.cached_info().state.messages
    }

    /// Creates a webhook that receives nothing, and returns its id.
    pub(crate) async fn webhook(&self) -> String {
        let created = self
            .json(&[
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
            ])
            .await;
        text(&created["id"]).to_owned()
    }
}

/// Runs `tidings` against the broker at `url`; with no word of a broker if that is empty.
pub(crate) async fn run_at(url: &str, arguments: &[&str], input: &str) -> Ended {
    let url = Some(url).filter(|url| !url.is_empty());
    let mut process = Command::new(env!("CARGO_BIN_EXE_tidings"))
        .args(arguments)
        .env_clear()
        .envs(url.map(|url| ("TIDINGS_NATS_URL", url)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = process.stdin.take().unwrap();
    // It may end without having read everything.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let output = tokio::time::timeout(ENDS_WITHIN, process.wait_with_output()).await;
    let output = output.expect("the command ends in time").unwrap();
    Ended {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Ended {
    #[track_caller]
    pub(crate) fn succeeded(self) -> Self {
        assert_eq!(self.code, 0, "{self:#?}");
        self
    }

    /// It failed and said all of `words` on standard error, after `error:`.
    #[track_caller]
    pub(crate) fn failed(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        assert!(self.stderr.contains("error: "), "{self:#?}");
        for word in words {
            assert!(
                self.stderr.contains(word),
                "{word:?} is missing in {self:#?}"
            );
        }
        self
    }
}

#[track_caller]
pub(crate) fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no text"))
}

pub(crate) fn at(second: i64) -> Option<prost_types::Timestamp> {
    Some(timestamp_to_wire(
        Timestamp::from_second(1_795_000_000 + second).unwrap(),
    ))
}

/// The record of an attempt of the delivery `id`, of the space acme.
pub(crate) fn attempt(webhook: &str, id: &str, number: u32, verdict: &str) -> v1::Attempt {
    v1::Attempt {
        delivery_id: id.into(),
        webhook_id: webhook.into(),
        space: "acme".into(),
        environment: "master".into(),
        event_id: format!("event-of-{id}"),
        topic: "Entry.publish".into(),
        number,
        started_at: at(i64::from(number)),
        outcome: if verdict == "delivered" {
            "delivered"
        } else {
            "http_5xx"
        }
        .into(),
        verdict: verdict.into(),
        ..v1::Attempt::default()
    }
}

/// The delivery `id` of the space acme before its attempt `attempt`.
pub(crate) fn delivery(webhook: &str, id: &str, attempt: u32) -> v1::Delivery {
    let event = v1::Event {
        topic: "Entry.publish".into(),
        ..v1::Event::default()
    };
    v1::Delivery {
        id: id.into(),
        webhook_id: webhook.into(),
        space: "acme".into(),
        environment: "master".into(),
        event_id: format!("event-of-{id}"),
        event_sequence: 1,
        event: event.encode_to_vec().into(),
        created_at: at(0),
        attempt,
        round_start: 1,
        by_reference: false,
        round_started_at: at(0),
        schema_version: 1,
    }
}

/// The dead letter of the delivery `id` of the space acme, after two attempts.
pub(crate) fn letter(webhook: &str, id: &str, reason: &str) -> v1::DeadLetter {
    v1::DeadLetter {
        reason: reason.into(),
        detail: "all retries were used up".into(),
        at: at(10),
        space: "acme".into(),
        webhook_id: webhook.into(),
        delivery: Some(delivery(webhook, id, 3)),
        last_outcome: "http_5xx".into(),
        ..v1::DeadLetter::default()
    }
}
