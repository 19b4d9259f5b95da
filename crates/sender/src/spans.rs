//! A delivery as its trace tells of it: the processing of a message, each attempt, each message that
//! follows. Of URLs only the origin is told, since the rest may be secret.

use async_nats::HeaderMap;
use http::{Method, Uri, Version};
use tidings_core::attempt::Outcome;
use tidings_egress::Exchange;
use tidings_nats::publish::Outgoing;
use tidings_nats::trace_context::TraceContext;
use tidings_service::trace::Span;

use crate::hand::Taken;
use crate::open::Opened;
use crate::permits::Lane;

/// The header of a scheduled message that names the span which scheduled it, as `traceparent`
/// does. The message's own trace context stays that of its delivery, so that all attempts are
/// children of it, however many there are.
const SCHEDULED_BY: &str = "Tidings-Scheduled-By";

/// A delivery is worked on until it is settled. It is caused by its fan-out; what came back is
/// linked to what scheduled it.
pub(crate) fn process(taken: &Taken, opened: &Opened) -> Span {
    let (name, destination) = match taken.place.lane {
        Lane::First => ("process tidings.delivery", "tidings.delivery"),
        Lane::Retry => ("process tidings.retry", "tidings.retry"),
    };
    let delivery = &opened.delivery;
    Span::consumer(name)
        .caused_by(opened.trace.as_ref())
        .linked_to(scheduled_by(taken.headers.as_ref()).as_ref())
        .of_message("process", destination, &taken.subject, taken.payload.len())
        .text("messaging.message.id", &delivery.id)
        .text("tidings.space", &delivery.space)
        .text("tidings.webhook.id", &delivery.webhook_id)
        .text("tidings.event.id", &delivery.event_id)
        .text("tidings.event.topic", &opened.event.topic)
        .number("tidings.attempt.number", delivery.progress.attempt)
        .begin()
}

/// One request to the endpoint.
pub(crate) fn attempt(url: &Uri, opened: &Opened, method: &Method) -> Span {
    let (name, method) = known(method);
    let mut draft = Span::client(name).word("http.request.method", method);
    if let Some(scheme) = url.scheme_str() {
        let host = url.host().unwrap_or_default();
        let port = url.port_u16().unwrap_or(match scheme {
            "https" => 443,
            _ => 80,
        });
        draft = draft
            .text("url.scheme", scheme)
            .text("server.address", host)
            .number("server.port", port)
            .text(
                "url.full",
                format_args!("{scheme}://{host}:{port}/REDACTED"),
            );
    }
    let delivery = &opened.delivery;
    draft
        .text("tidings.delivery.id", &delivery.id)
        .text("tidings.webhook.id", &delivery.webhook_id)
        .number("tidings.attempt.number", delivery.progress.attempt)
        .number(
            "http.request.resend_count",
            delivery.progress.attempt.saturating_sub(1),
        )
        .begin()
}

/// What came of the request.
pub(crate) fn tell(span: &Span, exchange: &Exchange, outcome: &Outcome) {
    span.text("tidings.outcome", outcome.code());
    if let Some(version) = exchange.http_version {
        let version = match version {
            Version::HTTP_2 => "2",
            Version::HTTP_10 => "1.0",
            _ => "1.1",
        };
        span.text("network.protocol.version", version);
    }
    if let Some(remote) = exchange.remote_addr {
        span.text("network.peer.address", remote.ip());
        span.number("network.peer.port", remote.port());
    }
    span.flag("tidings.connection.reused", exchange.connection_reused);
    if let Ok(response) = &exchange.result {
        let status = response.status;
        span.number("http.response.status_code", status.as_u16());
        if !outcome.is_success() {
            span.failed(status.as_str());
        }
    } else {
        span.failed(outcome.code());
    }
}

/// A message that comes back later is stored. It goes on in the trace of its delivery.
pub(crate) fn schedule(outgoing: &mut Outgoing, trace: Option<&TraceContext>) -> Span {
    let span = store("publish tidings.later", "tidings.later", outgoing);
    if let Some(trace) = trace {
        tidings_nats::trace_context::write(trace, &mut outgoing.headers);
    }
    if let Some(own) = span.onward(None) {
        outgoing
            .headers
            .insert(SCHEDULED_BY, own.traceparent.as_str());
    }
    span
}

/// A message that follows is stored.
pub(crate) fn store(name: &'static str, destination: &'static str, outgoing: &Outgoing) -> Span {
    Span::producer(name)
        .of_message(
            "send",
            destination,
            &outgoing.subject,
            outgoing.payload.len(),
        )
        .text("messaging.message.id", &outgoing.id)
        .begin()
}

fn scheduled_by(headers: Option<&HeaderMap>) -> Option<TraceContext> {
    let text = headers?.get(SCHEDULED_BY)?;
    TraceContext::new(Some(text.as_str()), None)
}

/// A span's name and the method, from a closed set as the conventions demand.
fn known(method: &Method) -> (&'static str, &'static str) {
    let known = match method.as_str() {
        "POST" => "POST",
        "GET" => "GET",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        _ => return ("HTTP", "_OTHER"),
    };
    (known, known)
}
