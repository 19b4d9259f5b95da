//! Broker, router, sender and console: the last three in this process, as `tidings dev` runs them.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream;
use clap::{Args, Command, FromArgMatches};
use prost::Message as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tidings_console::ConsoleArgs;
use tidings_core::token::{self, Scope, TokenRecord};
use tidings_nats::connect::NatsArgs;
use tidings_nats::topology::{TOKENS_BUCKET, Topology, provision};
use tidings_proto::v1;
use tidings_router::RouterArgs;
use tidings_sender::SenderArgs;
use tidings_service::clock;
use tidings_service::health::Health;
use tidings_service::lifecycle::Lifecycle;
use tidings_testkit::{NatsServer, eventually};

use crate::http::Http;

pub(crate) const SOON: Duration = Duration::from_secs(30);
pub(crate) const ADMIN: &str = "tdg_admin-of-these-tests-only";

/// Everything that runs.
pub(crate) struct Platform {
    pub(crate) http: Http,
    pub(crate) context: jetstream::Context,
    pub(crate) address: std::net::SocketAddr,
    lifecycle: Lifecycle,
    _folder: TempDir,
    _nats: NatsServer,
}

impl Drop for Platform {
    fn drop(&mut self) {
        self.lifecycle.abort.cancel();
    }
}

impl Platform {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// With these options of the console.
    pub(crate) async fn start_with(options: &[&str]) -> Self {
        let nats = NatsServer::start().await;
        let context = jetstream::new(nats.client().await);
        provision(&context, &Topology::default()).await.unwrap();
        store_token(&context, ADMIN, "admin", None, vec![Scope::Admin]).await;
        let lifecycle = Lifecycle::new(Duration::from_secs(5));
        let args = NatsArgs::at(nats.url());
        let mut parts = Vec::new();
        let mut part = || {
            parts.push(Health::new());
            parts[parts.len() - 1].clone()
        };
        let router = RouterArgs {
            listen: None,
            nats: args.clone(),
            ..parse(&[])
        };
        tidings_router::run(router, part(), &lifecycle)
            .await
            .unwrap();
        let sender = SenderArgs {
            listen: None,
            nats: args.clone(),
            ..parse(&["--egress-allow", "127.0.0.0/8"])
        };
        tidings_sender::run(sender, part(), &lifecycle)
            .await
            .unwrap();
        let folder = TempDir::new().unwrap();
        let data_dir = folder.path().join("console");
        let always = [
            "--egress-allow",
            "127.0.0.0/8",
            "--plain-secrets",
            "--no-probe",
            "--listen",
        ];
        let own = ["127.0.0.1:0", "--data-dir", data_dir.to_str().unwrap()];
        let console: ConsoleArgs = parse(&[&always[..], &own, options].concat());
        let started = tidings_console::start(console, &args, part(), &lifecycle);
        let address = Box::pin(started).await.unwrap();
        eventually(SOON, "everything is ready", async || {
            parts.iter().all(|part| {
                let checks = part.checks();
                !checks.is_empty() && checks.values().all(Result::is_ok)
            })
        })
        .await;
        Self {
            http: Http::new(format!("http://{address}/api/v1"), Some(ADMIN)),
            context,
            address,
            lifecycle,
            _folder: folder,
            _nats: nats,
        }
    }

    /// Makes a webhook in `space` that wants what happens to content, with these fields beside.
    pub(crate) async fn webhook(&self, space: &str, url: &str, fields: Value) -> Value {
        let mut webhook = json!({ "url": url, "topics": ["Entry.*", "Asset.*"] });
        for (field, value) in fields.as_object().into_iter().flatten() {
            webhook[field] = value.clone();
        }
        let path = format!("/spaces/{space}/webhooks");
        self.http.post(&path, webhook).await.expect(201)
    }

    /// Publishes an event as a trusted producer does.
    pub(crate) async fn publish(&self, space: &str, id: &str, topic: &str) {
        let event = v1::Event {
            id: id.to_owned(),
            space: space.to_owned(),
            topic: topic.to_owned(),
            payload: r#"{"title": "<script>alert(1)</script>"}"#.into(),
            ..v1::Event::default()
        };
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", format!("{space}.master.{id}"));
        let subject = format!("tidings.event.{space}.master.{topic}");
        let payload = event.encode_to_vec().into();
        let stored = self.context.publish_with_headers(subject, headers, payload);
        stored.await.unwrap().await.unwrap();
    }

    /// Waits until a list holds `count` items, and returns them.
    pub(crate) async fn items(&self, path: &str, count: usize) -> Vec<Value> {
        let deadline = tokio::time::Instant::now() + SOON;
        loop {
            let page = self.http.get(path).await.expect(200);
            let items = page["items"].as_array().unwrap().clone();
            if items.len() == count {
                return items;
            }
            let is_late = tokio::time::Instant::now() > deadline;
            if is_late {
                let all = self.http.get("/spaces/acme/deliveries").await.text;
                panic!("{path} has not {count} items: {page}\nthere are {all}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A token for a space, or for all.
    pub(crate) async fn token(&self, space: Option<&str>, scopes: &[&str]) -> String {
        let wanted = json!({ "space": space, "scopes": scopes });
        let made = self.http.post("/tokens", wanted).await.expect(201);
        let token = made["token"].as_str().unwrap().to_owned();
        let known = self.http.with_token(Some(&token));
        eventually(SOON, "the token is known", async || {
            known.get("/nowhere").await.status != 401 && known.get("/status").await.status != 401
        })
        .await;
        token
    }
}

pub(crate) async fn store_token(
    context: &jetstream::Context,
    text: &str,
    id: &str,
    space: Option<&str>,
    scopes: Vec<Scope>,
) {
    let record = TokenRecord {
        id: id.to_owned(),
        name: String::new(),
        space: space.map(|space| space.parse().unwrap()),
        scopes,
        created_at: clock::now(),
        expires_at: None,
    };
    let bucket = context.get_key_value(TOKENS_BUCKET).await.unwrap();
    let value = serde_json::to_vec(&record).unwrap();
    bucket.put(token::hash(text), value.into()).await.unwrap();
}

fn parse<A: Args + FromArgMatches>(arguments: &[&str]) -> A {
    let command = A::augment_args(Command::new("part").no_binary_name(true));
    let matches = command.try_get_matches_from(arguments).unwrap();
    A::from_arg_matches(&matches).unwrap()
}
