//! The `standard` format: Standard Webhooks 1.0.0, `{"type", "timestamp", "data"}`.

use bytes::{BufMut as _, Bytes, BytesMut};

use crate::event::Event;

/// Writes the envelope around the payload's own bytes, which are never parsed.
pub(super) fn body(event: &Event, payload: &[u8]) -> Bytes {
    // A checked topic and a timestamp need no JSON escapes.
    let head = format!(
        "{{\"type\":\"{}\",\"timestamp\":\"{}\",\"data\":",
        event.topic, event.occurred_at
    );
    let mut body = BytesMut::with_capacity(head.len() + payload.len() + 1);
    body.put_slice(head.as_bytes());
    body.put_slice(payload);
    body.put_u8(b'}');
    body.freeze()
}
