//! A request as its trace tells of it.

use std::borrow::Cow;

use axum::extract::Request;
use axum::response::Response;
use http::header::{HOST, USER_AGENT};
use http::{HeaderMap, Version};
use tidings_nats::trace_context::{TRACEPARENT, TRACESTATE, TraceContext};
use tidings_service::trace::Span;

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct Traced {
    pub(super) span: Span,
    /// The trace that the producer named.
    given: Option<TraceContext>,
}

impl Traced {
    /// The request arrived. `name` is its method and route.
    pub(super) fn begin(name: &'static str, request: &Request) -> Self {
        let headers = request.headers();
        let given = trace_of(headers);
        let (method, route) = name.split_once(' ').unwrap_or((name, ""));
        let mut draft = Span::server(name)
            .caused_by(given.as_ref())
            .word("http.request.method", method)
            .word("http.route", route)
            .word("url.path", route)
            .word("url.scheme", "http")
            .word("network.protocol.version", version(request.version()));
        for (key, header) in [
            ("server.address", HOST),
            ("user_agent.original", USER_AGENT),
        ] {
            if let Some(text) = headers.get(header).and_then(|value| value.to_str().ok()) {
                draft = draft.text(key, text);
            }
        }
        let span = draft.begin();
        Self { span, given }
    }

    /// The trace for what the request brought.
    pub(super) fn onward(&self) -> Option<Cow<'_, TraceContext>> {
        self.span.onward(self.given.as_ref())
    }

    /// The request was answered.
    pub(super) fn answered(self, response: Response) -> Response {
        let status = response.status();
        self.span
            .number("http.response.status_code", status.as_u16());
        // By the conventions a producer's mistake is no failure of the server.
        if status.is_server_error() {
            self.span.failed(status.as_str());
        }
        response
    }
}

fn trace_of(headers: &HeaderMap) -> Option<TraceContext> {
    let text = |name| headers.get(name)?.to_str().ok();
    TraceContext::new(text(TRACEPARENT), text(TRACESTATE))
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "2",
        Version::HTTP_10 => "1.0",
        _ => "1.1",
    }
}
