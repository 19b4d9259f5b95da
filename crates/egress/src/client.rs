//! The client: one request, its deadline, its immediate repeats, and its connections.
//!
//! Connections are pooled by hyper-util's client. It knows idle times but no age, and it checks a
//! connection's "poison" whenever it takes one out of the pool. So each exchange poisons its
//! connection at its end if the connection would be too old by the time its idle time is over:
//! whatever comes out of the pool is younger than `connection_age_max`.

use std::sync::Arc;
use std::time::Duration;

use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Request, Version, header};
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::{CaptureConnection, Connected, capture_connection};
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::TokioTimer;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::task::TaskTracker;

use crate::body::{self, BodyLimits, Payload};
use crate::classify;
use crate::connector::{ConnectError, Connector};
use crate::exchange::{Exchange, OutgoingRequest, Response, Timings, has_ambiguous_framing};
use crate::failure::{Failure, Http2Failure, TimeoutPhase};
use crate::interim::InterimCount;
use crate::options::{EgressError, EgressOptions};
use crate::spawner::Spawner;
use crate::wire::{ConnectionInfo, DialTimings, OpenCount};

/// No exchange lasts longer, whatever it is asked for.
const DEADLINE_MAX: Duration = Duration::from_secs(3600);
/// How long [`EgressClient::close`] waits for connections to end.
const CLOSE_BUDGET: Duration = Duration::from_secs(1);
/// Immediate repeats of a request that the receiver certainly did not process.
const UNPROCESSED_REPEATS_MAX: u8 = 3;
/// Immediate repeats of a request on a kept connection that ended without a byte.
const STALE_REPEATS_MAX: u8 = 1;
/// What a stream may receive before it is read: more than any body that is kept.
const STREAM_WINDOW_BYTES: u32 = 128 * 1024;
/// What a connection may receive before it is read.
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;

/// Header fields that belong to the transport.
const TRANSPORT_HEADERS: [HeaderName; 9] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::EXPECT,
    header::HOST,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
];

/// Makes guarded HTTP requests over pooled connections. Share it in an [`Arc`].
pub struct EgressClient {
    http: Client<Connector, Payload>,
    tasks: TaskTracker,
    informational_max: u32,
    body: BodyLimits,
    /// The age from which on a connection is not put to use again.
    retire_age: Duration,
    open: OpenCount,
}

impl std::fmt::Debug for EgressClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EgressClient").finish_non_exhaustive()
    }
}

impl EgressClient {
    /// Builds a client. Needs a Tokio runtime with IO and time.
    ///
    /// # Errors
    /// If it could not work as asked: see [`EgressError`].
    pub fn new(options: EgressOptions) -> Result<Self, EgressError> {
        let options = options.checked()?;
        let tasks = TaskTracker::new();
        let connector = Connector::new(&options)?;
        Ok(Self {
            open: connector.open().clone(),
            http: http_client(&options, connector, tasks.clone()),
            tasks,
            informational_max: options.informational_max,
            body: BodyLimits {
                bytes_max: options.body_bytes_max,
                frames_max: options.body_frames_max,
                budget: options.body_timeout,
            },
            retire_age: options
                .connection_age_max
                .saturating_sub(options.idle_timeout),
        })
    }

    /// Makes one request. `deadline` covers everything up to the complete final head; the body has
    /// its own budget after that. Drop the future to cancel the request.
    pub async fn exchange(&self, request: &OutgoingRequest, deadline: Duration) -> Exchange {
        let began = Instant::now();
        let until = began + deadline.min(DEADLINE_MAX);
        let mut repeats = 0;
        loop {
            let sent = self.send(request, began, until).await;
            if sent.may_repeat(repeats) && Instant::now() < until {
                repeats += 1;
                continue;
            }
            return self.finish(sent, began, repeats).await;
        }
    }

    /// Gives up all connections and waits a moment for them to end. Dropping the client ends them
    /// too, without waiting.
    pub async fn close(self) {
        let Self { http, tasks, .. } = self;
        drop(http);
        tasks.close();
        let _ = timeout(CLOSE_BUDGET, tasks.wait()).await;
    }

    async fn send(&self, request: &OutgoingRequest, began: Instant, until: Instant) -> Sent {
        let mut outgoing = to_http(request);
        let interim = InterimCount::of(&mut outgoing, self.informational_max);
        let captured = capture_connection(&mut outgoing);
        let answered = tokio::select! {
            biased;
            () = interim.exceeded() => Answered::TooManyInterim,
            answered = timeout_at(until, self.http.request(outgoing)) => match answered {
                Ok(Ok(response)) => Answered::Head(response),
                Ok(Err(error)) => Answered::Error(error),
                Err(_) => Answered::TimedOut,
            },
        };
        Sent::new(answered, captured, began)
    }

    async fn finish(&self, sent: Sent, began: Instant, repeats: u8) -> Exchange {
        let Sent {
            outcome,
            connection,
            captured,
            dialled,
            remote,
            reused,
            ..
        } = sent;
        let mut timings = Timings {
            dns: dialled.dns,
            connect: dialled.connect,
            tls: dialled.tls,
            ..Timings::default()
        };
        let mut http_version = connection.as_ref().map(|connection| spoken_on(connection));
        let result = match outcome {
            Ok(response) => {
                timings.first_byte = Some(began.elapsed());
                http_version = Some(response.version());
                Ok(self.read(response, connection.as_deref(), &captured).await)
            }
            Err(failure) => Err(failure),
        };
        self.retire(connection.as_deref(), &captured, &result);
        timings.total = began.elapsed();
        Exchange {
            result,
            timings,
            remote_addr: connection
                .as_ref()
                .map(|connection| connection.remote)
                .or(remote),
            local_addr: connection.as_ref().map(|connection| connection.local),
            connection_reused: reused,
            http_version,
            repeats,
        }
    }

    async fn read(
        &self,
        response: http::Response<Incoming>,
        connection: Option<&ConnectionInfo>,
        captured: &CaptureConnection,
    ) -> Response {
        let (head, incoming) = response.into_parts();
        if has_ambiguous_framing(&head.headers) {
            poison(captured);
        }
        let headers = detached(head.headers);
        let body = body::collect(incoming, self.body, connection).await;
        Response {
            status: head.status,
            headers,
            body: body.bytes,
            body_truncated: body.truncated,
            body_error: body.error,
        }
    }

    /// How many connections are open, those in use included.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.open.get()
    }

    /// Keeps a connection that is too old, or seems dead, from being used again.
    fn retire(
        &self,
        connection: Option<&ConnectionInfo>,
        captured: &CaptureConnection,
        result: &Result<Response, Failure>,
    ) {
        let Some(connection) = connection else {
            return;
        };
        // An HTTP/2 connection outlives its exchanges: one that swallows requests without a sign of
        // life would swallow all that follow.
        let is_dead = matches!(result, Err(Failure::Timeout(_))) && connection.is_silent();
        if is_dead || connection.opened.elapsed() >= self.retire_age {
            poison(captured);
        }
    }
}

/// What came back from the HTTP client.
enum Answered {
    Head(http::Response<Incoming>),
    Error(legacy::Error),
    TimedOut,
    TooManyInterim,
}

/// A request that was sent once, or could not be.
struct Sent {
    outcome: Result<http::Response<Incoming>, Failure>,
    captured: CaptureConnection,
    connection: Option<Arc<ConnectionInfo>>,
    /// How long dialling took, if it was for this request.
    dialled: DialTimings,
    /// Whom we tried to reach, if there is no connection.
    remote: Option<std::net::SocketAddr>,
    reused: bool,
    /// Whether the HTTP client gave up before it sent anything.
    unsent: bool,
}

impl Sent {
    fn new(answered: Answered, captured: CaptureConnection, began: Instant) -> Self {
        let connection = connection_of(&answered, &captured);
        let reused = connection
            .as_deref()
            .is_some_and(|connection| !connection.first_use() || connection.began < began);
        let mut sent = Self {
            outcome: Err(Failure::TooManyInformational),
            captured,
            dialled: match &connection {
                Some(connection) if !reused => connection.dialled,
                _ => DialTimings::default(),
            },
            connection,
            remote: None,
            reused,
            unsent: false,
        };
        sent.take(answered);
        sent
    }

    fn take(&mut self, answered: Answered) {
        let connection = self.connection.as_deref();
        match answered {
            Answered::Head(response) => {
                if let Some(connection) = connection {
                    connection.claim();
                }
                self.outcome = Ok(response);
            }
            Answered::Error(error) => {
                self.outcome = Err(classify::failure_of(&error, connection));
                self.unsent = classify::is_unsent(&error);
                if let Some(connect) = classify::first_cause::<ConnectError>(&error) {
                    (self.dialled, self.remote) = (connect.dialled, connect.remote);
                }
            }
            Answered::TimedOut => {
                let phase = match connection {
                    Some(_) => TimeoutPhase::Waiting,
                    None => TimeoutPhase::Dialling,
                };
                self.outcome = Err(Failure::Timeout(phase));
            }
            Answered::TooManyInterim => self.outcome = Err(Failure::TooManyInformational),
        }
    }

    /// Whether the request may be sent again at once, after `repeats` repeats.
    fn may_repeat(&self, repeats: u8) -> bool {
        let (Err(failure), Some(connection)) = (&self.outcome, &self.connection) else {
            return false;
        };
        match failure {
            Failure::Http2(Http2Failure::Refused | Http2Failure::GoingAway) => {
                repeats < UNPROCESSED_REPEATS_MAX
            }
            Failure::ConnectionClosed | Failure::ConnectionReset => {
                let is_unprocessed = self.unsent && connection.is_http2;
                let is_stale = self.reused && connection.is_silent();
                (is_unprocessed && repeats < UNPROCESSED_REPEATS_MAX)
                    || (is_stale && repeats < STALE_REPEATS_MAX)
            }
            _ => false,
        }
    }
}

fn connection_of(answered: &Answered, captured: &CaptureConnection) -> Option<Arc<ConnectionInfo>> {
    if let Answered::Head(response) = answered {
        return response.extensions().get().cloned();
    }
    let mut extensions = Extensions::new();
    captured
        .connection_metadata()
        .as_ref()?
        .get_extras(&mut extensions);
    extensions.remove()
}

/// The same header fields with values of their own. As they come they are slices of the connection's
/// read buffer, all of which would be kept as long as they are while the connection takes another.
fn detached(mut headers: HeaderMap) -> HeaderMap {
    for value in headers.values_mut() {
        if let Ok(own) = HeaderValue::from_bytes(value.as_bytes()) {
            *value = own;
        }
    }
    headers
}

fn poison(captured: &CaptureConnection) {
    if let Some(connected) = captured.connection_metadata().as_ref() {
        Connected::poison(connected);
    }
}

fn spoken_on(connection: &ConnectionInfo) -> Version {
    match connection.is_http2 {
        true => Version::HTTP_2,
        false => Version::HTTP_11,
    }
}

fn with_transport_headers(mut headers: HeaderMap) -> HeaderMap {
    for name in &TRANSPORT_HEADERS {
        headers.remove(name);
    }
    headers
        .entry(header::ACCEPT_ENCODING)
        .or_insert(const { HeaderValue::from_static("identity") });
    headers
}

fn to_http(request: &OutgoingRequest) -> Request<Payload> {
    let body = Payload::new(request.body.clone(), request.content_length);
    let mut outgoing = Request::new(body);
    *outgoing.method_mut() = request.method.clone();
    *outgoing.uri_mut() = request.url.clone();
    *outgoing.headers_mut() = with_transport_headers(request.headers.clone());
    outgoing
}

fn http_client(
    options: &EgressOptions,
    connector: Connector,
    tasks: TaskTracker,
) -> Client<Connector, Payload> {
    let head_bytes_max = u32::try_from(options.head_bytes_max).unwrap_or(u32::MAX);
    Client::builder(Spawner(tasks))
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(options.idle_timeout)
        .pool_max_idle_per_host(options.idle_per_host_max)
        .http1_max_buf_size(options.head_bytes_max)
        .http1_max_headers(options.headers_max)
        .http1_ignore_invalid_headers_in_responses(true)
        .http2_max_header_list_size(head_bytes_max)
        .http2_initial_stream_window_size(STREAM_WINDOW_BYTES)
        .http2_initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .build(connector)
}
