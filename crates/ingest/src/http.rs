//! Events over HTTP (CONTRACT.md section 3): `POST /v1/events` and `POST /v1/events:batch`.

mod batch;
mod body;
mod linger;
mod media;
mod serve;
mod traced;
mod unreadable;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::header::{ALLOW, CONNECTION};
use http::request::Parts;
use http::{HeaderValue, StatusCode, Version};
use tidings_nats::trace_context::TraceContext;
use tidings_service::clock;
use tidings_service::problem::Problem;

use crate::accept::{Accepted, Ingest};
use crate::args::IngestArgs;
use crate::auth::Caller;
use crate::metrics::Transport;
use body::{Bodies, Held};

pub(crate) use serve::serve;
use traced::Traced;

/// Takes events over HTTP.
#[derive(Debug)]
struct Api {
    ingest: Arc<Ingest>,
    bodies: Bodies,
    max_unacked: usize,
}

/// The routes for events, and problems for every other one.
pub(crate) fn routes(ingest: Arc<Ingest>, args: &IngestArgs) -> Router {
    let api = Api {
        ingest,
        bodies: Bodies::new(args.max_buffered_bytes.0, args.body_timeout),
        max_unacked: args.max_unacked,
    };
    Router::new()
        .route("/v1/events", post(publish).fallback(only_post))
        .route("/v1/events:batch", post(publish_batch).fallback(only_post))
        .fallback(not_found)
        .with_state(Arc::new(api))
}

async fn publish(State(api): State<Arc<Api>>, request: Request) -> Response {
    let version = request.version();
    let traced = Traced::begin("POST /v1/events", &request);
    let answering = async {
        let answered = api.publish(request, traced.onward().as_deref()).await;
        api.answer(answered.map(Accepted::into_response), version)
    };
    let response = traced.span.cover(answering).await;
    traced.answered(response)
}

async fn publish_batch(State(api): State<Arc<Api>>, request: Request) -> Response {
    let version = request.version();
    let traced = Traced::begin("POST /v1/events:batch", &request);
    let answering = async {
        let answered = api.publish_batch(request, traced.onward().as_deref()).await;
        api.answer(answered, version)
    };
    let response = traced.span.cover(answering).await;
    traced.answered(response)
}

async fn not_found() -> Problem {
    let detail = "there is no such resource; events are published to /v1/events";
    Problem::new(StatusCode::NOT_FOUND, "not_found", detail)
}

async fn only_post() -> Response {
    let detail = "events are published by POST";
    let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail);
    ([(ALLOW, HeaderValue::from_static("POST"))], problem).into_response()
}

impl Api {
    async fn publish(
        &self,
        request: Request,
        trace: Option<&TraceContext>,
    ) -> Result<Accepted, Problem> {
        let (head, body) = request.into_parts();
        let caller = self.authenticate(&head)?;
        let media = media::Single::of(&head.headers)?;
        let held = self.read(&head, body, self.ingest.event_bytes_max).await?;
        let candidate = media.decode(&head.headers, &held.bytes)?;
        let accepting = self
            .ingest
            .accept(candidate, &caller, trace, Transport::Http);
        accepting.await
    }

    /// Who sent it. Nobody is refused before the tokens are there.
    fn authenticate(&self, head: &Parts) -> Result<Caller, Problem> {
        self.ingest.check_open()?;
        self.ingest.tokens.authenticate(&head.headers, clock::now())
    }

    async fn read(&self, head: &Parts, body: Body, bytes_max: usize) -> Result<Held, Problem> {
        media::check_encoding(&head.headers)?;
        self.bodies.read(&head.headers, body, bytes_max).await
    }

    fn answer(&self, answered: Result<Response, Problem>, version: Version) -> Response {
        let problem = match answered {
            Ok(response) => return response,
            Err(problem) => problem,
        };
        self.ingest.refused(&problem, Transport::Http);
        let is_cut = matches!(
            problem.status,
            StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT
        );
        let mut response = problem.into_response();
        // The rest of the body is not read, so nothing can follow it. HTTP/2 has a word of its own.
        if is_cut && version < Version::HTTP_2 {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
        }
        response
    }
}

impl IntoResponse for Accepted {
    fn into_response(self) -> Response {
        (StatusCode::ACCEPTED, axum::Json(self)).into_response()
    }
}
