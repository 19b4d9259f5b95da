//! Spans of OpenTelemetry, which cost nothing while nobody collects them.
//!
//! Spans are made by hand where an event changes hands, and nowhere else: no library's own spans
//! are exported, so that the exporter's requests can never trace themselves. A span's parent comes
//! with the message ([`TraceContext`]), or is the span that covers the code. Names are from closed
//! sets; ids are attributes. What is secret is never one: of a URL only the origin.

use std::borrow::Cow;
use std::fmt::Display;
use std::sync::OnceLock;

use futures_util::future::Either;
use opentelemetry::context::{FutureExt as _, WithContext};
use opentelemetry::trace::{
    Link, SpanBuilder, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags,
    TraceId, TraceState, Tracer as _,
};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_sdk::trace::SdkTracer;
use tidings_core::trace_context::TraceContext;

/// Set once, if spans are collected.
static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// From now on spans are collected.
pub(crate) fn collect_with(tracer: SdkTracer) {
    // Started once a process; a second tracer would be the same.
    let _ = TRACER.set(tracer);
}

/// Whether spans are collected. Without, every span is none and costs nothing.
#[must_use]
pub fn is_on() -> bool {
    TRACER.get().is_some()
}

/// What is being done, for as long as this lives; nothing if spans are not collected.
#[derive(Debug, Default)]
pub struct Span(Option<Context>);

/// A span that has not begun.
#[derive(Debug)]
#[must_use]
pub struct Draft(Option<Box<Drafted>>);

#[derive(Debug)]
struct Drafted {
    tracer: &'static SdkTracer,
    kind: SpanKind,
    name: &'static str,
    parent: Context,
    attributes: Vec<KeyValue>,
    links: Vec<Link>,
}

impl Span {
    /// Somebody's request is answered.
    pub fn server(name: &'static str) -> Draft {
        Draft::of(SpanKind::Server, name)
    }

    /// A request is made, until its answer.
    pub fn client(name: &'static str) -> Draft {
        Draft::of(SpanKind::Client, name)
    }

    /// A message is stored, until the stream's acknowledgement.
    pub fn producer(name: &'static str) -> Draft {
        Draft::of(SpanKind::Producer, name)
    }

    /// A message is worked on, until it is settled.
    pub fn consumer(name: &'static str) -> Draft {
        Draft::of(SpanKind::Consumer, name)
    }

    /// The context for whoever comes next: this span's, or the `given` one where spans are not
    /// collected.
    #[must_use]
    pub fn onward<'a>(&self, given: Option<&'a TraceContext>) -> Option<Cow<'a, TraceContext>> {
        match &self.0 {
            None => given.map(Cow::Borrowed),
            Some(context) => written(context.span().span_context()).map(Cow::Owned),
        }
    }

    /// Adds text.
    pub fn text(&self, key: &'static str, value: impl Display) {
        self.set(key, || Value::from(value.to_string()));
    }

    /// Adds a number.
    pub fn number(&self, key: &'static str, value: impl TryInto<i64>) {
        self.set(key, || Value::from(value.try_into().unwrap_or(i64::MAX)));
    }

    /// Adds a yes or no.
    pub fn flag(&self, key: &'static str, value: bool) {
        self.set(key, || Value::from(value));
    }

    /// It did not come out as it should: `kind` is a word from a closed set.
    pub fn failed(&self, kind: &str) {
        if let Some(context) = &self.0 {
            let span = context.span();
            span.set_attribute(KeyValue::new("error.type", kind.to_owned()));
            span.set_status(Status::error(""));
        }
    }

    /// Runs `future` as a part of this span: log lines written in it name the span.
    pub fn cover<F: Future>(&self, future: F) -> Either<F, WithContext<F>> {
        match &self.0 {
            None => Either::Left(future),
            Some(context) => Either::Right(future.with_context(context.clone())),
        }
    }

    fn set(&self, key: &'static str, value: impl FnOnce() -> Value) {
        if let Some(context) = &self.0 {
            context.span().set_attribute(KeyValue::new(key, value()));
        }
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if let Some(context) = &self.0 {
            context.span().end();
        }
    }
}

impl Draft {
    fn of(kind: SpanKind, name: &'static str) -> Self {
        Self(TRACER.get().map(|tracer| {
            Box::new(Drafted {
                tracer,
                kind,
                name,
                // What it is a part of, if it has no cause elsewhere.
                parent: Context::current(),
                attributes: Vec::with_capacity(16),
                links: Vec::new(),
            })
        }))
    }

    /// It was caused by what came from elsewhere.
    pub fn caused_by(self, cause: Option<&TraceContext>) -> Self {
        self.with(|drafted| {
            if let Some(remote) = cause.and_then(read) {
                drafted.parent = Context::new().with_remote_span_context(remote);
            }
        })
    }

    /// It has to do with something else besides its cause.
    pub fn linked_to(self, other: Option<&TraceContext>) -> Self {
        self.with(|drafted| {
            drafted
                .links
                .extend(other.and_then(read).map(Link::with_context));
        })
    }

    /// It is about a message: `operation` is `send` or `process`, `destination` what the subjects of
    /// such messages have in common (OpenTelemetry's conventions for messaging).
    pub fn of_message(
        self,
        operation: &'static str,
        destination: &'static str,
        subject: impl Display,
        bytes: usize,
    ) -> Self {
        self.word("messaging.system", "nats")
            .word("messaging.operation.type", operation)
            .word("messaging.destination.template", destination)
            .text("messaging.destination.name", subject)
            .number("messaging.message.body.size", bytes)
    }

    /// Adds a word.
    pub fn word(self, key: &'static str, value: &'static str) -> Self {
        self.with(|drafted| drafted.attributes.push(KeyValue::new(key, value)))
    }

    /// Adds text.
    pub fn text(self, key: &'static str, value: impl Display) -> Self {
        self.with(|drafted| {
            let value = value.to_string();
            drafted.attributes.push(KeyValue::new(key, value));
        })
    }

    /// Adds a number.
    pub fn number(self, key: &'static str, value: impl TryInto<i64>) -> Self {
        self.with(|drafted| {
            let value = value.try_into().unwrap_or(i64::MAX);
            drafted.attributes.push(KeyValue::new(key, value));
        })
    }

    /// Begins.
    #[must_use]
    pub fn begin(self) -> Span {
        Span(self.0.map(|drafted| {
            let span = SpanBuilder::from_name(drafted.name)
                .with_kind(drafted.kind)
                .with_attributes(drafted.attributes)
                .with_links(drafted.links);
            let parent = drafted.parent;
            let span = drafted.tracer.build_with_context(span, &parent);
            // Without the parent, which would end only after its last part.
            Context::new().with_span(span)
        }))
    }

    fn with(mut self, change: impl FnOnce(&mut Drafted)) -> Self {
        if let Some(drafted) = &mut self.0 {
            change(drafted);
        }
        self
    }
}

/// The ids of the span that the code which is running now is a part of, for log lines.
pub(crate) fn current_ids() -> Option<(TraceId, SpanId)> {
    if !is_on() {
        return None;
    }
    Context::map_current(|context| {
        let span = context.span();
        let ids = span.span_context();
        ids.is_valid().then(|| (ids.trace_id(), ids.span_id()))
    })
}

/// What arrived as text.
fn read(trace: &TraceContext) -> Option<SpanContext> {
    let mut parts = trace.traceparent.split('-').skip(1);
    let trace_id = TraceId::from_hex(parts.next()?).ok()?;
    let span_id = SpanId::from_hex(parts.next()?).ok()?;
    let flags = u8::from_str_radix(parts.next()?, 16).ok()?;
    let state = trace.tracestate.as_deref().unwrap_or_default();
    let state: TraceState = state.parse().unwrap_or_default();
    let flags = TraceFlags::new(flags) & TraceFlags::SAMPLED;
    Some(SpanContext::new(trace_id, span_id, flags, true, state))
}

/// The text that goes on.
fn written(span: &SpanContext) -> Option<TraceContext> {
    let traceparent = format!(
        "00-{}-{}-{:02x}",
        span.trace_id(),
        span.span_id(),
        span.trace_flags() & TraceFlags::SAMPLED
    );
    let tracestate = span.trace_state().header();
    TraceContext::new(Some(&traceparent), Some(&tracestate))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn what_arrived_goes_on_as_it_was_while_nothing_is_collected() {
        let given = TraceContext::new(Some(TRACEPARENT), Some("cms=editor,other=1")).unwrap();
        let span = Span::server("POST /v1/events")
            .caused_by(Some(&given))
            .begin();
        assert!(span.0.is_none());
        assert_eq!(span.onward(Some(&given)).as_deref(), Some(&given));
        assert_eq!(span.onward(None), None);
    }

    #[test]
    fn a_context_is_read_and_written() {
        for state in [None, Some("cms=editor,other=1")] {
            let given = TraceContext::new(Some(TRACEPARENT), state).unwrap();
            assert_eq!(written(&read(&given).unwrap()), Some(given));
        }
    }
}
