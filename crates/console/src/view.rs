//! What the API answers and the pages show: plain data, named as in CONTRACT.md, without secrets.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use tidings_proto::{timestamp_from_wire, v1};
use utoipa::ToSchema;

use crate::log::{Delivery, Event, Lag, Letter, Status};

/// Of a request's body, so much is shown.
const BODY_BYTES_MAX: usize = 64 << 10;

/// How far the delivery log is behind the streams.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LagView {
    /// Messages that were not read yet.
    pub messages: u64,
    /// Seconds since it was last up to date; 0 while it is.
    pub seconds: u64,
}

impl From<Lag> for LagView {
    fn from(lag: Lag) -> Self {
        Self {
            messages: lag.messages,
            seconds: lag.seconds,
        }
    }
}

/// How a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StatusView {
    /// It waits for its first attempt.
    Pending,
    /// It waits for another attempt.
    Retrying,
    /// The receiver took it.
    Delivered,
    /// It ended without success, and may be redelivered.
    Dead,
}

impl From<Status> for StatusView {
    fn from(status: Status) -> Self {
        match status {
            Status::Pending => Self::Pending,
            Status::Retrying => Self::Retrying,
            Status::Delivered => Self::Delivered,
            Status::Dead => Self::Dead,
        }
    }
}

/// A delivery. It is known from its first attempt on, or from when that was put off.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryView {
    /// Its id, the receiver's `webhook-id`.
    pub id: String,
    /// Its webhook.
    pub webhook_id: String,
    /// Its event's environment.
    pub environment: String,
    /// Its event.
    pub event_id: String,
    /// The event's topic; empty if it is not known any more.
    pub topic: String,
    /// How it stands.
    pub status: StatusView,
    /// Why it is not delivered; empty if it is. Of a pending one what keeps it: `paused`, `rate`,
    /// `slots`, `host`, `permits`, `locked`, `not_known` or `payload`.
    pub reason: String,
    /// How many attempts were made.
    pub attempts: u32,
    /// The earliest that is known of it.
    pub created_at: Timestamp,
    /// When the last attempt began, when the first was put off, or when it was given up.
    pub last_at: Timestamp,
}

impl From<Delivery> for DeliveryView {
    fn from(delivery: Delivery) -> Self {
        Self {
            created_at: time(delivery.at),
            last_at: time(delivery.last_at),
            status: delivery.status.into(),
            id: delivery.id,
            webhook_id: delivery.webhook,
            environment: delivery.environment,
            event_id: delivery.event,
            topic: delivery.topic,
            reason: delivery.reason,
            attempts: delivery.attempts,
        }
    }
}

/// A delivery with everything that was tried.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryDetail {
    /// The delivery.
    #[serde(flatten)]
    pub delivery: DeliveryView,
    /// When the next attempt is due, as far as it is known; a pending one may be put off again then.
    pub next_attempt_at: Option<Timestamp>,
    /// Every attempt, the oldest first.
    pub attempt_list: Vec<AttemptView>,
    /// The payload of its event, while the event is kept.
    #[schema(value_type = Option<Object>)]
    pub payload: Option<Value>,
}

/// One HTTP request with its outcome.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AttemptView {
    /// From 1.
    pub number: u32,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// `delivered`, or the stable word for what went wrong.
    pub outcome: String,
    /// What went wrong, for people.
    pub error: String,
    /// What was sent.
    pub request: Option<RequestView>,
    /// What came back, if anything did.
    pub response: Option<ResponseView>,
    /// How long each step took.
    pub timings: Option<TimingsView>,
    /// Whom it was sent to.
    pub remote_address: String,
    /// Such as `HTTP/1.1`.
    pub http_version: String,
    /// Whether the connection had been used before.
    pub connection_reused: bool,
    /// What followed: `delivered`, `retry` or the reason of the dead letter.
    pub verdict: String,
    /// When the next attempt is due, if there is one.
    pub next_attempt_at: Option<Timestamp>,
    /// The sender that made the request.
    pub sender: String,
}

/// What was sent. Secret headers show as `***`.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequestView {
    /// Such as `POST`.
    pub method: String,
    /// The URL.
    pub url: String,
    /// The headers.
    pub headers: Vec<HeaderView>,
    /// How long the body was, in bytes.
    pub body_bytes: u64,
    /// The body as text, at most 64 KiB of it. It is not recorded but made of the event once more:
    /// `null` if the event is gone or the webhook was changed since.
    pub body: Option<String>,
}

/// What came back.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResponseView {
    /// The status code.
    pub status: u32,
    /// The headers.
    pub headers: Vec<HeaderView>,
    /// The body as text, at most 64 KiB of it.
    pub body: String,
    /// Whether there was more.
    pub body_truncated: bool,
}

/// A header.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeaderView {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// In microseconds; 0 for a step that did not happen.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TimingsView {
    /// Looking the name up.
    pub dns_us: u64,
    /// Connecting.
    pub connect_us: u64,
    /// The TLS handshake.
    pub tls_us: u64,
    /// From the request to the first byte of the answer.
    pub first_byte_us: u64,
    /// All of it.
    pub total_us: u64,
}

impl AttemptView {
    /// The same with what was sent.
    #[must_use]
    pub(crate) fn with_body(mut self, body: Option<Bytes>) -> Self {
        if let (Some(request), Some(body)) = (&mut self.request, body) {
            let shown = &body[..body.len().min(BODY_BYTES_MAX)];
            request.body = Some(String::from_utf8_lossy(shown).into_owned());
        }
        self
    }
}

impl From<v1::Attempt> for AttemptView {
    fn from(attempt: v1::Attempt) -> Self {
        let time =
            |wire: Option<prost_types::Timestamp>| wire.as_ref().and_then(timestamp_from_wire);
        Self {
            number: attempt.number,
            started_at: time(attempt.started_at),
            outcome: attempt.outcome,
            error: attempt.error,
            request: attempt.request.map(RequestView::from),
            response: attempt.response.map(ResponseView::from),
            timings: attempt.timings.map(|timings| TimingsView {
                dns_us: timings.dns_us,
                connect_us: timings.connect_us,
                tls_us: timings.tls_us,
                first_byte_us: timings.first_byte_us,
                total_us: timings.total_us,
            }),
            remote_address: attempt.remote_address,
            http_version: attempt.http_version,
            connection_reused: attempt.connection_reused,
            verdict: attempt.verdict,
            next_attempt_at: time(attempt.next_attempt_at),
            sender: attempt.sender,
        }
    }
}

impl From<v1::Request> for RequestView {
    fn from(request: v1::Request) -> Self {
        Self {
            method: request.method,
            url: request.url,
            headers: headers(request.headers),
            body_bytes: request.body_bytes,
            body: None,
        }
    }
}

impl From<v1::Response> for ResponseView {
    fn from(response: v1::Response) -> Self {
        Self {
            status: response.status,
            headers: headers(response.headers),
            body: String::from_utf8_lossy(&response.body).into_owned(),
            body_truncated: response.body_truncated,
        }
    }
}

fn headers(headers: Vec<v1::Header>) -> Vec<HeaderView> {
    let view = |header: v1::Header| HeaderView {
        name: header.name,
        value: header.value,
    };
    headers.into_iter().map(view).collect()
}

/// An event in a list.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventView {
    /// Its id.
    pub id: String,
    /// Its environment.
    pub environment: String,
    /// Its topic.
    pub topic: String,
    /// Its place in its stream.
    pub sequence: u64,
    /// When the stream took it in.
    pub received_at: Timestamp,
}

impl From<Event> for EventView {
    fn from(event: Event) -> Self {
        Self {
            received_at: time(event.at),
            id: event.id,
            environment: event.environment,
            topic: event.topic,
            sequence: event.sequence,
        }
    }
}

/// An event with its content, and what became of it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventDetail {
    /// The event.
    #[serde(flatten)]
    pub event: EventView,
    /// What it happened to; absent if the event itself is no longer kept.
    pub entity: Option<EntityView>,
    /// When it happened.
    pub occurred_at: Option<Timestamp>,
    /// Who did it.
    pub actor: String,
    /// Groupings such as a release.
    pub context: BTreeMap<String, String>,
    /// The payload; absent if the event itself is no longer kept.
    #[schema(value_type = Option<Object>)]
    pub payload: Option<Value>,
    /// For each webhook of the space: whether it gets the event, why, and what became of it.
    pub webhooks: Vec<EventWebhook>,
}

/// What an event happened to.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EntityView {
    /// The CMS's own id.
    pub id: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its content type.
    pub content_type: String,
    /// Its revision, 0 when unknown.
    pub revision: u32,
    /// Its locales.
    pub locales: Vec<String>,
}

/// What an event is to a webhook.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventWebhook {
    /// The webhook.
    pub webhook_id: String,
    /// What people call it.
    pub name: String,
    /// Whether the webhook as it is now gets the event.
    pub matches: bool,
    /// Whether the webhook was changed after the event came in, so that it may have been judged
    /// otherwise then.
    pub changed_since: bool,
    /// Each condition: what it asks, what it saw, and what it came to.
    #[schema(value_type = Vec<Object>)]
    pub checks: Vec<Value>,
    /// What of its filters is not understood.
    #[schema(value_type = Vec<Object>)]
    pub faults: Vec<Value>,
    /// `delivered`, `retrying`, `dead`, `waiting` for the first attempt, or `not_matched`.
    pub outcome: String,
    /// The delivery, once it was attempted or put off.
    pub delivery: Option<DeliveryView>,
}

/// A dead letter.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LetterView {
    /// Its place in its stream.
    pub sequence: u64,
    /// Its webhook; empty if none is known.
    pub webhook_id: String,
    /// Its delivery; empty if it is of none, and cannot be sent again.
    pub delivery_id: String,
    /// Its event; empty if none is known.
    pub event_id: String,
    /// The event's topic, if it is known.
    pub topic: String,
    /// Why it was given up.
    pub reason: String,
    /// The same for people.
    pub detail: String,
    /// How many attempts were made.
    pub attempts: u32,
    /// The outcome of the last attempt; empty if there was none.
    pub last_outcome: String,
    /// When it was given up.
    pub at: Timestamp,
}

impl From<Letter> for LetterView {
    fn from(letter: Letter) -> Self {
        Self {
            at: time(letter.at),
            sequence: letter.sequence,
            webhook_id: letter.webhook,
            delivery_id: letter.delivery,
            event_id: letter.event,
            topic: letter.topic,
            reason: letter.reason,
            detail: letter.detail,
            attempts: letter.attempts,
            last_outcome: letter.outcome,
        }
    }
}

/// How a webhook fares.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HealthView {
    /// The webhook.
    pub webhook_id: String,
    /// Whether deliveries are sent.
    pub state: StateView,
    /// Where the window begins that the numbers are of.
    pub from: Timestamp,
    /// Where it ends.
    pub to: Timestamp,
    /// Attempts; of the newest 20,000.
    pub attempts: u64,
    /// Attempts that the receiver took.
    pub delivered: u64,
    /// Attempts that it did not take.
    pub failed: u64,
    /// Of all attempts, those that the receiver took, from 0 to 1; absent if there were none.
    pub success_rate: Option<f64>,
    /// How long attempts took.
    pub latency_ms: LatencyView,
    /// Deliveries that began in the window, by how they stand; counted up to 100,000.
    pub deliveries: CountsView,
    /// What waits.
    pub backlog: BacklogView,
    /// Equal parts of the window, the oldest first.
    pub series: Vec<BucketView>,
    /// How far the numbers are behind.
    pub lag: LagView,
}

/// Whether deliveries are sent.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StateView {
    /// `active`, `paused` or `disabled`.
    pub status: String,
    /// Why it is not active.
    pub reason: String,
    /// When a pause is looked at again.
    pub until: Option<Timestamp>,
}

/// Percentiles in milliseconds.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LatencyView {
    /// The median.
    pub p50: f64,
    /// The 95th percentile.
    pub p95: f64,
    /// The 99th percentile.
    pub p99: f64,
}

/// Deliveries by how they stand.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CountsView {
    /// The receiver took them.
    pub delivered: u64,
    /// They wait for their first attempt, which was put off.
    pub pending: u64,
    /// They wait for another attempt.
    pub retrying: u64,
    /// They ended without success.
    pub dead: u64,
}

/// What waits.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BacklogView {
    /// Deliveries whose first attempt was put off, because the webhook is paused or over one of its
    /// limits, whenever they began; counted up to 100,000.
    pub pending: u64,
    /// Deliveries that wait for another attempt, whenever they began; counted up to 100,000.
    pub retrying: u64,
    /// Deliveries that no sender has looked at yet in the webhook's partition, those of other
    /// webhooks among them.
    pub partition: u64,
}

/// A part of a window.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BucketView {
    /// Where it begins.
    pub from: Timestamp,
    /// Attempts in it.
    pub attempts: u64,
    /// Those that the receiver took.
    pub delivered: u64,
}

/// What a webhook would have got of the events that came last.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DryRunView {
    /// Events that were looked at, at most 1,000.
    pub checked: u64,
    /// Those that it would have got.
    pub matched: u64,
    /// The newest of these, at most 10.
    pub examples: Vec<EventView>,
    /// The time of the oldest event that was looked at.
    pub since: Option<Timestamp>,
}

/// A time of the log.
#[must_use]
pub fn time(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or(Timestamp::UNIX_EPOCH)
}
