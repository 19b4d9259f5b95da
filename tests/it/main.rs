//! The promises of the product, shown on the real programs: a nats-server, `tidings-ingest`,
//! `tidings-router` and `tidings-sender` as child processes, and receivers that answer anything.
//!
//! Read [`platform`] first; every other module is a room of promises, and each test's name is one.

mod access;
mod browser;
mod client;
mod cluster;
mod compose;
mod console;
mod crash;
mod dead_letter;
mod dedupe;
mod delivery;
mod deploy;
mod event;
mod fan_out;
mod foreign;
mod formats;
mod limits;
mod load;
mod options;
mod platform;
mod pools;
mod receivers;
mod redaction;
mod retry;
mod samples;
mod shutdown;
mod snippets;
mod startup;
mod telemetry;
mod trace;
mod transformations;
