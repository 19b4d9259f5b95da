//! Ingest on a real socket, against a real nats-server.

#![expect(
    clippy::unwrap_used,
    reason = "test helpers: what goes wrong shows where"
)]

mod batches;
mod broker;
mod connections;
mod corpus;
mod events;
mod nats_requests;
mod properties;
mod support;
