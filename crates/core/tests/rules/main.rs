//! The rules about where and what a tenant may send, against the corpora in `tests/corpora` and
//! against properties that hold for any input; and how the rules about when act together over a long
//! time.

#![expect(clippy::unwrap_used, reason = "the helpers of a test may fail it")]

mod address_properties;
mod corpus;
mod fleet_history;
mod header_corpus;
mod header_properties;
mod ssrf_corpus;
mod url_examples;
mod url_properties;
mod zone;
