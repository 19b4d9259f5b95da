//! The JetStream edge: subjects, streams, publishing, consuming, tables.
//!
//! [`topology`] is the only place that knows which streams there are. [`publish`] stores messages
//! and answers only after the broker's acknowledgement; [`consume`] takes work; [`table`] keeps a
//! bucket as a local snapshot; [`egress`] keeps the addresses that requests come from; [`access`] says
//! who may do what. No rule of the product is here.

pub mod access;
pub mod connect;
pub mod consume;
pub mod egress;
pub mod event_time;
pub mod metrics;
pub mod pools;
pub mod publish;
pub mod queues;
pub mod stored_event;
pub mod subject;
pub mod table;
pub mod topology;
pub mod trace_context;

/// The one client library of the workspace, for the types that pass through.
pub use async_nats;
