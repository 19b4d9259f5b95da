//! W3C trace context: which trace something belongs to, as `traceparent` and `tracestate` say.

/// The header that names the trace.
pub const TRACEPARENT: &str = "traceparent";
/// The header with vendors' additions.
pub const TRACESTATE: &str = "tracestate";

const TRACESTATE_BYTES_MAX: usize = 512;

/// A trace context that is well formed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    /// `00-<32 hex>-<16 hex>-<2 hex>`.
    pub traceparent: String,
    /// Vendors' additions, if there are any.
    pub tracestate: Option<String>,
}

impl TraceContext {
    /// Takes the context from header values; a malformed one is none, as the W3C text says.
    #[must_use]
    pub fn new(traceparent: Option<&str>, tracestate: Option<&str>) -> Option<Self> {
        let traceparent = traceparent.filter(|text| is_traceparent(text))?.to_owned();
        let printable = |text: &&str| {
            text.len() <= TRACESTATE_BYTES_MAX && text.bytes().all(|b| (0x20..0x7f).contains(&b))
        };
        let tracestate = tracestate.filter(printable).filter(|text| !text.is_empty());
        Some(Self {
            traceparent,
            tracestate: tracestate.map(str::to_owned),
        })
    }
}

fn is_traceparent(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let hex = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let set = |part: &str| part.bytes().any(|b| b != b'0');
    match parts.as_slice() {
        [version, trace, span, flags] => {
            *version == "00"
                && hex(trace, 32)
                && set(trace)
                && hex(span, 16)
                && set(span)
                && hex(flags, 2)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_well_formed_contexts_pass() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert!(TraceContext::new(Some(good), None).is_some());
        for bad in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert!(TraceContext::new(Some(bad), None).is_none(), "{bad}");
        }
    }

    #[test]
    fn what_cannot_be_a_header_is_no_tracestate() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let of = |state| {
            TraceContext::new(Some(good), Some(state))
                .unwrap()
                .tracestate
        };
        assert_eq!(of("a=b").as_deref(), Some("a=b"));
        assert_eq!(of("a=\r\n"), None);
        assert_eq!(of(&"a".repeat(513)), None);
    }
}
