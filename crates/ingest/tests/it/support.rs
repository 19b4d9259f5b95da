//! One ingest in this process with its own nats-server, and a plain HTTP client.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::{self, Context, kv};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use prost::Message as _;
use serde_json::Value;
use tidings_core::token;
use tidings_ingest::IngestArgs;
use tidings_nats::connect::NatsArgs;
use tidings_nats::topology::{EVENTS, TOKENS_BUCKET, Topology, provision};
use tidings_proto::v1;
use tidings_service::health::Health;
use tidings_service::lifecycle::Lifecycle;
use tidings_testkit::{NatsServer, eventually};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Long enough for a busy machine; nothing waits for it unless something is broken.
pub(crate) const SOON: Duration = Duration::from_secs(30);
/// A token for the space `acme` only.
pub(crate) const ACME: &str = "token-of-acme-0001";
/// A token for all spaces.
pub(crate) const ADMIN: &str = "token-of-admin-0001";
pub(crate) const EVENTS_PATH: &str = "/v1/events";
pub(crate) const BATCH_PATH: &str = "/v1/events:batch";
pub(crate) const JSON: (&str, &str) = ("content-type", "application/json");
pub(crate) const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");

/// An ingest that runs.
pub(crate) struct Ingest {
    pub(crate) nats: NatsServer,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) address: SocketAddr,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) json: Value,
}

impl Answer {
    pub(crate) fn code(&self) -> &str {
        self.json["code"].as_str().unwrap_or_default()
    }

    pub(crate) fn pointer(&self) -> &str {
        self.json["errors"][0]["pointer"]
            .as_str()
            .unwrap_or_default()
    }

    pub(crate) fn sequence(&self) -> u64 {
        assert_eq!(self.status, 202, "{}", self.json);
        self.json["sequence"].as_u64().unwrap()
    }

    /// Asserts a problem that is well formed.
    pub(crate) fn expect_problem(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.code()), (status, code), "{}", self.json);
        assert_eq!(self.headers["content-type"], "application/problem+json");
        assert_eq!(self.json["status"], status);
        assert_eq!(self.json["type"], format!("urn:tidings:problem:{code}"));
        assert!(!self.json["detail"].as_str().unwrap().is_empty());
    }
}

impl Ingest {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// Starts it with other settings, and waits until it is ready.
    pub(crate) async fn start_with(change: impl FnOnce(&mut IngestArgs)) -> Self {
        let nats = NatsServer::start().await;
        provision_with_tokens(&nats).await;
        let ingest = Self::start_at(nats, change).await;
        ingest.until_ready().await;
        ingest
    }

    /// Starts it at a server as that is.
    pub(crate) async fn start_at(nats: NatsServer, change: impl FnOnce(&mut IngestArgs)) -> Self {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut args = IngestArgs::new(listen, NatsArgs::at(nats.url()));
        change(&mut args);
        let lifecycle = Lifecycle::new(SOON);
        let address = tidings_ingest::start(args, Health::new(), &lifecycle)
            .await
            .unwrap();
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self {
            nats,
            lifecycle,
            address,
            client,
        }
    }

    pub(crate) async fn until_ready(&self) {
        let within = "ingest takes events";
        eventually(SOON, within, async || {
            self.send(self.get("/readyz")).await.status == 200
        })
        .await;
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) async fn stop(&self) {
        self.lifecycle.stop.cancel();
        assert_eq!(self.lifecycle.finish().await, ExitCode::SUCCESS);
    }

    pub(crate) fn get(&self, path: &str) -> Request<Full<Bytes>> {
        Request::get(self.url(path)).body(Full::default()).unwrap()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        read(self.client.request(request).await.unwrap()).await
    }

    /// POSTs with the token for `acme` unless another `authorization` is given.
    pub(crate) async fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let mut request = Request::post(self.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !headers.iter().any(|(name, _)| *name == "authorization") {
            request = request.header("authorization", format!("Bearer {ACME}"));
        }
        self.send(request.body(Full::new(body.into())).unwrap())
            .await
    }

    /// Publishes an event as JSON.
    pub(crate) async fn publish(&self, json: impl Into<Bytes>) -> Answer {
        self.post(EVENTS_PATH, &[JSON], json).await
    }

    pub(crate) async fn context(&self) -> Context {
        jetstream::new(self.nats.client().await)
    }

    /// What lies in the stream of events at `sequence`: subject, headers, message.
    pub(crate) async fn stored(&self, sequence: u64) -> (String, HeaderMap, Bytes) {
        let stream = self
            .context()
            .await
            .get_stream_no_info(EVENTS)
            .await
            .unwrap();
        let message = stream.direct_get(sequence).await.unwrap();
        (
            message.subject.to_string(),
            message.headers,
            message.payload,
        )
    }

    pub(crate) async fn stored_event(&self, sequence: u64) -> v1::Event {
        v1::Event::decode(self.stored(sequence).await.2).unwrap()
    }

    pub(crate) async fn stored_count(&self) -> u64 {
        let stream = self.context().await.get_stream(EVENTS).await.unwrap();
        stream.cached_info().state.messages
    }

    /// A connection of one's own, for what a client does not do.
    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// The head of a POST with a body of `length` bytes.
    pub(crate) fn head(&self, length: usize) -> String {
        format!(
            "POST {EVENTS_PATH} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {ACME}\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n",
            self.address
        )
    }
}

/// Sends bytes, and reads what comes until the server closes.
pub(crate) async fn exchange(mut stream: TcpStream, bytes: &[u8]) -> String {
    // The server may answer and close before it has read all.
    let _ = stream.write_all(bytes).await;
    until_closed(stream).await
}

pub(crate) async fn until_closed(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    let _ = tokio::time::timeout(SOON, reading)
        .await
        .expect("the server closes");
    String::from_utf8_lossy(&answer).into_owned()
}

/// Provisions the streams, and puts the tokens where they belong.
pub(crate) async fn provision_with_tokens(nats: &NatsServer) {
    provision_as(nats, &Topology::default()).await;
}

/// Provisions this, and puts the tokens where they belong.
pub(crate) async fn provision_as(nats: &NatsServer, topology: &Topology) {
    let context = jetstream::new(nats.client().await);
    provision(&context, topology).await.unwrap();
    let tokens = context.get_key_value(TOKENS_BUCKET).await.unwrap();
    put_token(&tokens, ACME, "\"acme\"", "events:write", "null").await;
    put_token(&tokens, ADMIN, "null", "admin", "null").await;
    put_token(
        &tokens,
        "token-of-reader-01",
        "null",
        "webhooks:read",
        "null",
    )
    .await;
    let past = "\"2020-01-01T00:00:00Z\"";
    put_token(&tokens, "token-of-yesterday", "null", "admin", past).await;
}

/// Puts the record of a token; `space` and `expires_at` are JSON.
pub(crate) async fn put_token(
    tokens: &kv::Store,
    token: &str,
    space: &str,
    scope: &str,
    expires_at: &str,
) {
    let record = format!(
        r#"{{"id":"t","space":{space},"scopes":["{scope}"],
        "createdAt":"2020-01-01T00:00:00Z","expiresAt":{expires_at}}}"#
    );
    tokens.put(token::hash(token), record.into()).await.unwrap();
}

async fn read(response: Response<hyper::body::Incoming>) -> Answer {
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer {
        status: head.status.as_u16(),
        headers: head.headers,
        json: serde_json::from_slice(&body).unwrap_or_default(),
    }
}
