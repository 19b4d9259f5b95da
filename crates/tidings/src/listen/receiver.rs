//! An HTTP endpoint that takes webhooks, checks their signatures and answers as it was told.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use jiff::Timestamp;
use tidings_core::signature::VerifyingKey;
use tidings_service::clock;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::verify::{Arrived, Check, check};

const BODY_BYTES_MAX: usize = 8 << 20;
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// How many requests are held at once; others wait for their turn.
const REQUESTS_MAX: usize = 256;
/// How many webhooks wait to be looked at.
const QUEUE_LENGTH: usize = 256;
/// How many ids are remembered, to tell a repetition from a new webhook.
const IDS_MAX: usize = 10_000;

/// How the receiver answers.
#[derive(Debug, Clone)]
pub(crate) struct Behaviour {
    /// The keys that webhooks may be signed with; none if signatures are not checked.
    pub(crate) keys: Vec<VerifyingKey>,
    /// The status of a failure that was asked for.
    pub(crate) fail: Option<StatusCode>,
    /// How many webhooks fail before they succeed; `None` for all.
    pub(crate) fail_times: Option<u64>,
    /// How long every answer is held back.
    pub(crate) delay: Duration,
}

/// A webhook that arrived.
#[derive(Debug)]
pub(crate) struct Received {
    /// When it was there.
    pub(crate) at: Timestamp,
    /// Its method.
    pub(crate) method: Method,
    /// The path and query it was sent to.
    pub(crate) path: String,
    /// Its headers.
    pub(crate) headers: HeaderMap,
    /// Its body, as it came.
    pub(crate) body: Bytes,
    /// How often its `webhook-id` has been here, this time included; 0 if it has none.
    pub(crate) times_seen: u32,
    /// What checking its signature found.
    pub(crate) check: Check,
    /// What it is answered with.
    pub(crate) status: StatusCode,
}

impl Received {
    /// The webhook's id, the same for all attempts.
    pub(crate) fn id(&self) -> Option<&str> {
        webhook_id(&self.headers)
    }
}

/// The routes of a receiver, and what arrives there. It is to be looked at all the time: while
/// nobody does, webhooks wait.
pub(crate) fn receiver(
    behaviour: Behaviour,
    stop: CancellationToken,
) -> (Router, mpsc::Receiver<Received>) {
    let (arrivals, arrived) = mpsc::channel(QUEUE_LENGTH);
    let shared = Shared {
        behaviour,
        stop,
        arrivals,
        slots: Semaphore::new(REQUESTS_MAX),
        memory: Mutex::new(Memory::default()),
    };
    (
        Router::new().fallback(receive).with_state(Arc::new(shared)),
        arrived,
    )
}

#[derive(Debug)]
struct Shared {
    behaviour: Behaviour,
    stop: CancellationToken,
    arrivals: mpsc::Sender<Received>,
    slots: Semaphore,
    memory: Mutex<Memory>,
}

async fn receive(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(_slot) = shared.slots.acquire().await else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let body = match read(body).await {
        Ok(body) => body,
        Err((status, detail)) => return (status, detail).into_response(),
    };
    let received = shared.judge(parts, body);
    let status = received.status;
    if shared.arrivals.send(received).await.is_err() {
        return ending();
    }
    let delay = tokio::time::sleep(shared.behaviour.delay);
    match shared.stop.run_until_cancelled(delay).await {
        Some(()) => status.into_response(),
        None if shared.behaviour.delay.is_zero() => status.into_response(),
        None => ending(),
    }
}

/// Not a success, so that the webhook comes again.
fn ending() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, "this receiver is ending\n").into_response()
}

async fn read(body: Body) -> Result<Bytes, (StatusCode, String)> {
    let collected = Limited::new(body, BODY_BYTES_MAX).collect();
    match tokio::time::timeout(BODY_TIMEOUT, collected).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let detail = format!("the body has more than {BODY_BYTES_MAX} bytes\n");
            Err((StatusCode::PAYLOAD_TOO_LARGE, detail))
        }
        Ok(Err(_)) => Err((
            StatusCode::BAD_REQUEST,
            String::from("the body broke off\n"),
        )),
        Err(_) => Err((
            StatusCode::REQUEST_TIMEOUT,
            String::from("the body did not end\n"),
        )),
    }
}

impl Shared {
    fn judge(&self, parts: Parts, body: Bytes) -> Received {
        let at = clock::now();
        let (times_seen, before) = {
            let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
            memory.remember(webhook_id(&parts.headers))
        };
        let fails = self.behaviour.fail_times.is_none_or(|times| before < times);
        let status = self
            .behaviour
            .fail
            .filter(|_| fails)
            .unwrap_or(StatusCode::OK);
        let path = parts
            .uri
            .path_and_query()
            .map_or("/", |path| path.as_str())
            .to_owned();
        let arrived = Arrived {
            method: parts.method.as_str(),
            path: &path,
            headers: &parts.headers,
            body: &body,
        };
        Received {
            at,
            check: check(arrived, &self.behaviour.keys, at),
            method: parts.method,
            path,
            times_seen,
            headers: parts.headers,
            body,
            status,
        }
    }
}

fn webhook_id(headers: &HeaderMap) -> Option<&str> {
    headers.get("webhook-id")?.to_str().ok()
}

/// What was here before: how many webhooks, and the latest ids.
#[derive(Debug, Default)]
struct Memory {
    count: u64,
    times: HashMap<String, u32>,
    order: VecDeque<String>,
}

impl Memory {
    /// Returns how often `id` has been here, now included, and how many webhooks came before.
    fn remember(&mut self, id: Option<&str>) -> (u32, u64) {
        let before = self.count;
        self.count += 1;
        let Some(id) = id else { return (0, before) };
        if let Some(times) = self.times.get_mut(id) {
            *times += 1;
            return (*times, before);
        }
        if self.order.len() == IDS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.times.remove(&oldest);
        }
        self.order.push_back(id.to_owned());
        self.times.insert(id.to_owned(), 1);
        (1, before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_counted_and_the_oldest_are_forgotten() {
        let mut memory = Memory::default();
        assert_eq!(memory.remember(Some("a")), (1, 0));
        assert_eq!(memory.remember(None), (0, 1));
        assert_eq!(memory.remember(Some("a")), (2, 2));
        for number in 0..IDS_MAX {
            memory.remember(Some(&format!("b{number}")));
        }
        assert_eq!(memory.times.len(), IDS_MAX);
        assert_eq!(memory.remember(Some("a")).0, 1);
    }
}
