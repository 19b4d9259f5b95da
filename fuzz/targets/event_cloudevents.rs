//! CloudEvents: structured mode, batches of it, and binary mode, whose headers are lines before the
//! body.
#![no_main]

mod shared;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use tidings_ingest::decode::{batch, cloudevents};

fuzz_target!(|data: &[u8]| {
    let body = Bytes::copy_from_slice(data);
    shared::judge(cloudevents::structured(&body));
    for item in batch::json(&body).unwrap_or_default() {
        shared::judge(cloudevents::structured(&item));
    }
    let (headers, body) = split(data);
    shared::judge(cloudevents::binary(&headers, &body));
});

/// Lines `name: value` up to an empty one, then the body.
fn split(data: &[u8]) -> (HeaderMap, Bytes) {
    let mut headers = HeaderMap::new();
    let mut rest = data;
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let line = &rest[..end];
        rest = &rest[end + 1..];
        if line.is_empty() || headers.len() > 64 {
            break;
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    (headers, Bytes::copy_from_slice(rest))
}
