//! Events as JSON, alone and in batches.
#![no_main]

mod shared;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tidings_ingest::decode::{batch, json};

fuzz_target!(|data: &[u8]| {
    let body = Bytes::copy_from_slice(data);
    let read = json::event(&body);
    if let Ok(candidate) = &read {
        // The payload's bytes are those that came.
        let payload = &candidate.event.payload;
        assert!(body.as_ptr_range().contains(&payload.as_ptr()));
    }
    shared::judge(read);
    for item in batch::json(&body).unwrap_or_default() {
        shared::judge(json::event(&item));
    }
});
