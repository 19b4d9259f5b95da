//! One attempt: the request is made, sent, and what came of it is told.

use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use tidings_core::attempt::Outcome;
use tidings_core::format::{Content, Rendered};
use tidings_core::retry_after;
use tidings_core::transformation::RenderError;
use tidings_egress::{EgressClient, Exchange, Failure, OutgoingRequest};
use tidings_nats::trace_context::{TRACEPARENT, TRACESTATE, TraceContext};
use tidings_service::clock;

use crate::open::Opened;
use crate::spans;
use crate::webhooks::{Entry, Target, Unusable};

/// An attempt that was made.
#[derive(Debug)]
pub struct Attempt {
    /// When it began.
    pub started_at: Timestamp,
    /// How it came out.
    pub outcome: Outcome,
    /// What went wrong, for people; empty if nothing did.
    pub error: String,
    /// Whether it failed through our own fault, so that the delivery is not charged for it.
    pub is_our_fault: bool,
    /// What was sent; `None` if it did not come to that.
    pub request: Option<Request>,
    /// What came of it; `None` if nothing was sent.
    pub exchange: Option<Exchange>,
}

/// What was sent.
#[derive(Debug)]
pub struct Request {
    /// The URL as it was rendered.
    pub url: String,
    /// The rest of it; the transport adds headers of its own.
    pub outgoing: OutgoingRequest,
}

impl Attempt {
    /// How long it took.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.exchange
            .as_ref()
            .map_or(Duration::ZERO, |exchange| exchange.timings.total)
    }
}

/// Makes one attempt at `opened`.
pub async fn attempt(client: &EgressClient, webhook: &Entry, opened: &Opened) -> Attempt {
    let started_at = clock::now();
    let target = match webhook.target.as_ref() {
        Ok(target) => target,
        Err(unusable) => return not_sent(started_at, unusable),
    };
    let mut rendered = match render(target, opened, started_at) {
        Ok(rendered) => rendered,
        Err(error) => return not_rendered(started_at, &error),
    };
    let span = spans::attempt(rendered.url.uri(), opened, &rendered.method);
    if let Some(trace) = span.onward(opened.trace.as_ref()) {
        write_trace(&trace, &mut rendered.headers);
    }
    let request = Request {
        url: rendered.url.as_str().to_owned(),
        outgoing: OutgoingRequest {
            method: rendered.method,
            url: rendered.url.uri().clone(),
            headers: rendered.headers,
            body: rendered.body,
            content_length: rendered.content_length,
        },
    };
    let exchanging = Box::pin(client.exchange(&request.outgoing, webhook.plan.timeout));
    let exchange = span.cover(exchanging).await;
    let outcome = outcome_of(&exchange);
    spans::tell(&span, &exchange, &outcome);
    let failure = exchange.result.as_ref().err();
    Attempt {
        started_at,
        outcome,
        error: failure.map(ToString::to_string).unwrap_or_default(),
        is_our_fault: failure.is_some_and(Failure::is_ours),
        request: Some(request),
        exchange: Some(exchange),
    }
}

fn not_sent(started_at: Timestamp, unusable: &Unusable) -> Attempt {
    Attempt {
        started_at,
        outcome: Outcome::Failed {
            code: unusable.code,
        },
        error: unusable.detail.clone(),
        is_our_fault: false,
        request: None,
        exchange: None,
    }
}

/// The event cannot be made a request of, and nobody is to blame for it but the webhook.
fn not_rendered(started_at: Timestamp, error: &RenderError) -> Attempt {
    Attempt {
        started_at,
        outcome: Outcome::from(error),
        error: error.to_string(),
        is_our_fault: false,
        request: None,
        exchange: None,
    }
}

fn render(target: &Target, opened: &Opened, now: Timestamp) -> Result<Rendered, RenderError> {
    let content = Content {
        delivery: &opened.delivery.id,
        attempt: opened.delivery.progress.attempt,
        event: &opened.event,
    };
    target.template.render(content, now)
}

fn write_trace(trace: &TraceContext, headers: &mut HeaderMap) {
    let all = [
        (TRACEPARENT, Some(&trace.traceparent)),
        (TRACESTATE, trace.tracestate.as_ref()),
    ];
    for (name, value) in all {
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}

fn outcome_of(exchange: &Exchange) -> Outcome {
    match &exchange.result {
        Ok(response) => {
            let asked = response
                .headers
                .get(RETRY_AFTER)
                .and_then(|value| value.to_str().ok());
            Outcome::Answered {
                status: response.status.as_u16(),
                retry_after: asked.and_then(|value| retry_after::parse(value, clock::now())),
            }
        }
        Err(failure) => Outcome::Failed {
            code: failure.code(),
        },
    }
}
