//! The three ways in, as a producer takes them: HTTP, NATS request and reply, and JetStream.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use async_nats::jetstream::Context;
use async_nats::{Client, HeaderMap};
use bytes::Bytes;
use futures_util::future::try_join_all;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use prost::Message as _;
use tidings_core::event::Event;
use tidings_core::secret::Secret;
use tidings_nats::publish::MESSAGE_ID;
use tidings_nats::subject;
use tidings_proto::event_to_wire;
use tidings_proto::v1::PublishReply;

use crate::fixtures::to_json;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
const TRIES_MAX: u32 = 3;
const TRY_AGAIN: Duration = Duration::from_millis(250);
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// A way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// `POST /v1/events` with JSON.
    Http,
    /// A request to the NATS service with protobuf.
    Request,
    /// Protobuf straight onto the stream.
    JetStream,
}

/// All ways in.
pub(super) const WAYS: [Way; 3] = [Way::Http, Way::Request, Way::JetStream];

impl Way {
    /// The way's name, fit for an id.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Request => "nats",
            Self::JetStream => "jetstream",
        }
    }
}

/// Where the ways in are.
#[derive(Debug)]
pub(in crate::dev) struct Doors {
    /// Where ingest listens.
    pub(in crate::dev) ingest: SocketAddr,
    /// A token that ingest takes.
    pub(in crate::dev) token: Secret,
    /// The broker.
    pub(in crate::dev) nats: Client,
    /// The broker's streams.
    pub(in crate::dev) jetstream: Context,
}

/// What a producer over HTTP has.
type Http = HttpClient<HttpConnector, Full<Bytes>>;

/// Publishes the events, those of each way one after the other, all ways at the same time.
///
/// # Errors
/// The first event that is not taken.
pub(super) async fn publish(doors: &Doors, events: Vec<(Way, Event)>) -> anyhow::Result<()> {
    let http = HttpClient::builder(TokioExecutor::new()).build_http();
    let one_way = async |way: Way| {
        for (_, event) in events.iter().filter(|(of, _)| *of == way) {
            publish_surely(&http, doors, way, event)
                .await
                .with_context(|| format!("publishing {} by {}", event.id, way.as_str()))?;
        }
        anyhow::Ok(())
    };
    try_join_all(WAYS.map(one_way)).await?;
    Ok(())
}

/// Publishes again after a failure, as producers should: the event's id keeps it from being stored
/// twice.
async fn publish_surely(http: &Http, doors: &Doors, way: Way, event: &Event) -> anyhow::Result<()> {
    for _ in 1..TRIES_MAX {
        match publish_once(http, doors, way, event).await {
            Ok(()) => return Ok(()),
            Err(error) => tracing::debug!(error = format!("{error:#}"), "publishing again"),
        }
        tokio::time::sleep(TRY_AGAIN).await;
    }
    publish_once(http, doors, way, event).await
}

async fn publish_once(http: &Http, doors: &Doors, way: Way, event: &Event) -> anyhow::Result<()> {
    let publishing = async {
        match way {
            Way::Http => by_http(http, doors, event).await,
            Way::Request => by_request(doors, event).await,
            Way::JetStream => by_jetstream(doors, event).await,
        }
    };
    let published = tokio::time::timeout(ANSWER_TIMEOUT, publishing).await;
    published.context("no answer in time")?
}

async fn by_http(http: &Http, doors: &Doors, event: &Event) -> anyhow::Result<()> {
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("http://{}/v1/events", doors.ingest))
        .header(CONTENT_TYPE, "application/json")
        .header(AUTHORIZATION, format!("Bearer {}", doors.token.expose()))
        .body(Full::new(Bytes::from(to_json(event)?)))?;
    let response = http.request(request).await?;
    let status = response.status();
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX)
        .collect()
        .await;
    let body = body.map_err(|error| anyhow::anyhow!(error))?.to_bytes();
    if !status.is_success() {
        bail!("{status}: {}", String::from_utf8_lossy(&body));
    }
    Ok(())
}

async fn by_request(doors: &Doors, event: &Event) -> anyhow::Result<()> {
    let subject = format!("{}.{}", subject::INGEST, event.space);
    let payload = event_to_wire(event).encode_to_vec();
    let reply = doors.nats.request(subject, payload.into()).await?;
    let error = reply
        .headers
        .as_ref()
        .and_then(|headers| headers.get("Nats-Service-Error"));
    if let Some(error) = error {
        bail!("{error}: {}", String::from_utf8_lossy(&reply.payload));
    }
    let answer = PublishReply::decode(reply.payload)?;
    if answer.id != event.id.as_str() {
        bail!("the answer is for another event: {}", answer.id);
    }
    Ok(())
}

async fn by_jetstream(doors: &Doors, event: &Event) -> anyhow::Result<()> {
    let subject = subject::event(&event.space, &event.environment, &event.topic);
    let mut headers = HeaderMap::new();
    let id = format!("{}.{}.{}", event.space, event.environment, event.id);
    headers.insert(MESSAGE_ID, id);
    let payload = event_to_wire(event).encode_to_vec();
    let stored = doors
        .jetstream
        .publish_with_headers(subject, headers, payload.into())
        .await?;
    stored.await?;
    Ok(())
}
