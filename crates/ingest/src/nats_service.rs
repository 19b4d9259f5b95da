//! Events over NATS request and reply (CONTRACT.md section 3): a micro service on
//! `tidings.ingest.v1.<space>`, found by `nats micro ls`.
//!
//! The request is a protobuf `Event`, the reply a `PublishReply` or a service error whose
//! description begins with the problem's code. Who may publish to which space is NATS's own to
//! decide, by its permissions on the subjects.

use std::sync::Arc;
use std::time::Duration;

use async_nats::Client;
use async_nats::service::error::Error as ServiceError;
use async_nats::service::{Request, Service, ServiceExt as _, endpoint::Endpoint};
use bytes::Bytes;
use futures_util::StreamExt as _;
use prost::Message as _;
use tidings_core::event::EventError;
use tidings_nats::subject;
use tidings_nats::trace_context::{self, TraceContext};
use tidings_proto::v1;
use tidings_service::health::Health;
use tidings_service::lifecycle::Lifecycle;
use tidings_service::problem::Problem;
use tidings_service::trace::Span;
use tokio::sync::Semaphore;
use tracing::{debug, warn};

use crate::accept::{Accepted, Ingest};
use crate::auth::Caller;
use crate::broker::SERVICE;
use crate::check::problem;
use crate::decode::protobuf;
use crate::metrics::Transport;
use crate::store::unavailable;

/// The service's name and queue group: each request goes to one ingest.
const NAME: &str = "tidings-ingest";
const ENDPOINT: &str = "publish";
const DESCRIPTION: &str = "Takes events (tidings.v1.Event) and replies once they are stored";
const VERSION: &str = env!("CARGO_PKG_VERSION");
const START_AGAIN: Duration = Duration::from_secs(1);
/// How long requests that are on their way are waited for after the service has gone.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest description of an error, in characters: it goes into a header.
const DESCRIPTION_CHARS_MAX: usize = 400;

/// Serves requests, at most `concurrency` at once, until the process is asked to stop.
pub(crate) async fn serve(
    client: Client,
    ingest: Arc<Ingest>,
    concurrency: usize,
    health: &Health,
    lifecycle: &Lifecycle,
) {
    let starting = start_persistently(&client);
    let Some((service, endpoint)) = lifecycle.stop.run_until_cancelled(starting).await else {
        return;
    };
    health.ready(SERVICE);
    let server = Server {
        ingest,
        slots: Arc::new(Semaphore::new(concurrency)),
        lifecycle: lifecycle.clone(),
    };
    server.serve(service, endpoint).await;
}

async fn start_persistently(client: &Client) -> (Service, Endpoint) {
    loop {
        match start(client).await {
            Ok(started) => return started,
            Err(error) => warn!(%error, "cannot start the NATS service; trying again"),
        }
        tokio::time::sleep(START_AGAIN).await;
    }
}

async fn start(client: &Client) -> Result<(Service, Endpoint), async_nats::Error> {
    let service = client
        .service_builder()
        .description(DESCRIPTION)
        .queue_group(NAME)
        .start(NAME, VERSION)
        .await?;
    let subject = format!("{}.*", subject::INGEST);
    let endpoint = service
        .endpoint_builder()
        .name(ENDPOINT)
        .add(subject)
        .await?;
    // Nobody is told that the service is there before the broker knows of it.
    client.flush().await?;
    Ok((service, endpoint))
}

struct Server {
    ingest: Arc<Ingest>,
    slots: Arc<Semaphore>,
    lifecycle: Lifecycle,
}

impl Server {
    async fn serve(&self, service: Service, mut endpoint: Endpoint) {
        while let Some(Some(request)) = self
            .lifecycle
            .stop
            .run_until_cancelled(endpoint.next())
            .await
        {
            self.begin(request).await;
        }
        if let Err(error) = service.stop().await {
            debug!(%error, "could not stop the NATS service");
        }
        // What the server had sent before it heard of the end is served too.
        while let Ok(Some(request)) = tokio::time::timeout(DRAIN_TIMEOUT, endpoint.next()).await {
            self.begin(request).await;
        }
    }

    /// Serves a request in a task of its own. Beyond the limit it is refused at once, because the
    /// client's own queue is not bounded by bytes.
    async fn begin(&self, request: Request) {
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
            let detail = "too many requests are under way; try again";
            let problem = unavailable("overloaded", detail, Duration::from_secs(1));
            return respond(&self.ingest, &request, Err(problem)).await;
        };
        let ingest = Arc::clone(&self.ingest);
        let abort = self.lifecycle.abort.clone();
        self.lifecycle.tasks.spawn(async move {
            abort.run_until_cancelled(answer(&ingest, &request)).await;
            drop(slot);
        });
    }
}

async fn answer(ingest: &Ingest, request: &Request) {
    let message = &request.message;
    let given = trace_context::read(message.headers.as_ref());
    let span = Span::server("process tidings.ingest.v1")
        .caused_by(given.as_ref())
        .of_message(
            "process",
            subject::INGEST,
            &message.subject,
            message.payload.len(),
        )
        .begin();
    let answering = async {
        let trace = span.onward(given.as_ref());
        let taken = take(ingest, request, trace.as_deref()).await;
        if let Err(problem) = &taken {
            span.failed(problem.code);
        }
        respond(ingest, request, taken).await;
    };
    span.cover(answering).await;
}

async fn take(
    ingest: &Ingest,
    request: &Request,
    trace: Option<&TraceContext>,
) -> Result<Accepted, Problem> {
    ingest.check_open()?;
    let message = &request.message;
    let (bytes, bytes_max) = (message.payload.len(), ingest.event_bytes_max);
    if bytes > bytes_max {
        let detail = format!("the event has {bytes} bytes, the limit is {bytes_max}");
        return Err(problem(&EventError::new("too_large", "", detail)));
    }
    let caller = caller(&message.subject)?;
    let candidate = protobuf::event(&message.payload).map_err(|fault| problem(&fault))?;
    let accepting = ingest.accept(candidate, &caller, trace, Transport::Nats);
    accepting.await
}

/// Whoever publishes to the subject of a space.
fn caller(subject: &str) -> Result<Caller, Problem> {
    let name = subject.rsplit('.').next().unwrap_or_default();
    let space = name.parse().map_err(|error| {
        let detail = format!("the subject's last part is no space: {error}");
        problem(&EventError::new("bad_space", "/space", detail))
    })?;
    Ok(Caller::Subject(space))
}

async fn respond(ingest: &Ingest, request: &Request, taken: Result<Accepted, Problem>) {
    let reply = match &taken {
        Ok(accepted) => Ok(reply(accepted)),
        Err(problem) => {
            ingest.refused(problem, Transport::Nats);
            Err(ServiceError {
                status: description(problem),
                code: usize::from(problem.status.as_u16()),
            })
        }
    };
    if !is_answerable(request.message.reply.as_deref()) {
        return debug!("the reply would not go to a requester; keeping it");
    }
    // Who published without a reply subject, or has gone, does not want to know.
    if let Err(error) = request.respond(reply).await {
        debug!(%error, "could not reply");
    }
}

/// Whether a reply goes to somebody who waits for one. Whoever sends a request names the subject of
/// the reply, and this program may publish where the sender may not: to streams, as other spaces.
fn is_answerable(reply: Option<&str>) -> bool {
    reply.is_some_and(|subject| !subject.starts_with("tidings.") && !subject.starts_with('$'))
}

fn reply(accepted: &Accepted) -> Bytes {
    let reply = v1::PublishReply {
        id: accepted.id.to_string(),
        sequence: accepted.sequence,
        duplicate: accepted.duplicate,
    };
    reply.encode_to_vec().into()
}

/// A problem as a header can carry it: the client writes it out as it is.
fn description(problem: &Problem) -> String {
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    let text = format!("{}: {}", problem.code, problem.detail);
    text.chars()
        .map(printable)
        .take(DESCRIPTION_CHARS_MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    #[test]
    fn a_description_is_one_line_of_bounded_length() {
        let detail = format!("a\r\nNats-Evil: 1{}", "x".repeat(1_000));
        let problem = Problem::new(StatusCode::BAD_REQUEST, "bad_id", detail);
        let description = description(&problem);
        assert!(description.starts_with("bad_id: a  Nats-Evil"));
        assert_eq!(description.chars().count(), DESCRIPTION_CHARS_MAX);
        assert!(!description.contains(['\r', '\n']));
    }

    #[test]
    fn the_subject_names_the_space() {
        assert!(
            matches!(caller("tidings.ingest.v1.acme"), Ok(Caller::Subject(space)) if space.as_str() == "acme")
        );
        assert_eq!(
            caller("tidings.ingest.v1.a b").unwrap_err().code,
            "bad_space"
        );
    }
}
