//! The sender against a real nats-server and real receivers.
#![expect(
    clippy::unwrap_used,
    reason = "`allow-unwrap-in-tests` does not reach helpers of tests"
)]

mod broker;
mod dead_letters;
mod drain;
mod fairness;
mod fleet;
mod hostile;
mod intake;
mod limits;
mod pauses;
mod records;
mod references;
mod requests;
mod retries;
mod stand;
mod start;
mod templates;
