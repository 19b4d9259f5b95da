//! Events as protobuf, alone and in batches.
#![no_main]

mod shared;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tidings_ingest::decode::{batch, protobuf};

fuzz_target!(|data: &[u8]| {
    let body = Bytes::copy_from_slice(data);
    // The payload of a protobuf message is checked where it was read.
    shared::judge(protobuf::event(&body));
    for item in batch::protobuf(&body).unwrap_or_default() {
        shared::judge(protobuf::event(&item));
    }
});
