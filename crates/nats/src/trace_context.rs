//! W3C trace context (`traceparent`, `tracestate`) on its way through NATS headers.

use async_nats::HeaderMap;
pub use tidings_core::trace_context::{TRACEPARENT, TRACESTATE, TraceContext};

/// Takes the context from a message's headers.
#[must_use]
pub fn read(headers: Option<&HeaderMap>) -> Option<TraceContext> {
    let headers = headers?;
    let text = |name: &str| headers.get(name).map(async_nats::HeaderValue::as_str);
    TraceContext::new(text(TRACEPARENT), text(TRACESTATE))
}

/// Puts the context into a message's headers.
pub fn write(trace: &TraceContext, headers: &mut HeaderMap) {
    headers.insert(TRACEPARENT, trace.traceparent.as_str());
    if let Some(tracestate) = &trace.tracestate {
        headers.insert(TRACESTATE, tracestate.as_str());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_goes_through_headers() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let context = TraceContext::new(Some(good), Some("a=b")).unwrap();
        let mut headers = HeaderMap::new();
        write(&context, &mut headers);
        assert_eq!(read(Some(&headers)), Some(context));
    }
}
