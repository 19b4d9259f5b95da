//! Which streams, consumers and buckets there are, with their settings (DESIGN.md section 4).
//!
//! [`Topology`] says what should be; [`provision`] makes it so without destroying anything;
//! [`Layout`] is what a service reads back at its start.

mod layout;
mod provision;
mod refuse;
mod streams;

use std::collections::BTreeSet;
use std::time::Duration;

pub(crate) use layout::storage_bytes;
pub use layout::{Layout, LayoutError};
pub use provision::{Change, Done, ProvisionError, provision};
pub use streams::{
    BUCKETS, DELIVERIES_CONSUMER, RETRIES_CONSUMER, ROUTER_ACKS_PENDING_MAX, ROUTER_CONSUMER,
    delivery_consumer, retry_consumer,
};
use tidings_core::name::Pool;
use tidings_core::partition::PARTITIONS_DEFAULT;

/// The stream of events.
pub const EVENTS: &str = "EVENTS";
/// The stream of deliveries that wait for their first attempt.
pub const DELIVERIES: &str = "DELIVERIES";
/// The stream of deliveries that wait for a retry.
pub const RETRIES: &str = "RETRIES";
/// The stream of attempts.
pub const ATTEMPTS: &str = "ATTEMPTS";
/// The stream of dead letters.
pub const DEAD_LETTERS: &str = "DEAD_LETTERS";

/// The stream of records of what people changed. Written by consoles and the command line only.
pub const AUDIT: &str = "AUDIT";

/// Webhooks, under `<space>.<webhook>`.
pub const WEBHOOKS_BUCKET: &str = "tidings_webhooks";
/// Settings of spaces.
pub const SPACES_BUCKET: &str = "tidings_spaces";
/// Hashes of tokens with their scopes.
pub const TOKENS_BUCKET: &str = "tidings_tokens";
/// What senders found out about endpoints, under `<space>.<webhook>`.
pub const ENDPOINT_STATE_BUCKET: &str = "tidings_endpoint_state";
/// Live senders.
pub const MEMBERS_BUCKET: &str = "tidings_members";
/// Published egress addresses.
pub const EGRESS_BUCKET: &str = "tidings_egress";
/// How replays stand, under `<space>.<replay>`.
pub const REPLAYS_BUCKET: &str = "tidings_replays";
/// Who does what only one process may do; entries end by themselves after [`LEASE_AGE`].
pub const LEASES_BUCKET: &str = "tidings_leases";
/// Bucket of the browsers that are signed in, by the hashes of their cookies.
pub const SESSIONS_BUCKET: &str = "tidings_sessions";
/// How long a browser stays signed in.
pub const SESSION_AGE: Duration = Duration::from_secs(12 * 60 * 60);
/// Bucket of the public key that secrets of webhooks are sealed with, under [`SEALING_KEY`].
pub const SECRET_KEYS_BUCKET: &str = "tidings_secret_keys";
/// The only key of [`SECRET_KEYS_BUCKET`].
pub const SEALING_KEY: &str = "sealing";

/// The version of this layout; a service refuses a newer one than it knows.
pub const SCHEMA_VERSION: u32 = 1;

/// How long a lease is good that is not renewed.
pub const LEASE_AGE: Duration = Duration::from_secs(10);

/// How long a message that was taken may stay unsettled without a sign of life.
pub const ACK_WAIT: Duration = Duration::from_secs(15);

/// How messages are best stored on this broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commit {
    /// One by one: the broker syncs in intervals, or replicates.
    Single,
    /// In atomic batches: one node, which syncs every write.
    Batch,
}

/// What should be there.
#[derive(Debug, Clone)]
pub struct Topology {
    /// How many nodes hold each stream.
    pub replicas: usize,
    /// Whether the broker syncs every write (`sync_interval: always`).
    pub sync_always: bool,
    /// Bytes on disk that all streams may use together.
    pub storage_bytes: u64,
    /// How long events are kept after they were routed.
    pub event_age: Duration,
    /// How many partitions each pool has.
    pub partitions: u16,
    /// The pools.
    pub pools: BTreeSet<Pool>,
}

impl Default for Topology {
    fn default() -> Self {
        Self {
            replicas: 1,
            sync_always: false,
            storage_bytes: 16 << 30,
            event_age: Duration::from_secs(7 * 24 * 60 * 60),
            partitions: PARTITIONS_DEFAULT,
            pools: BTreeSet::from([Pool::default()]),
        }
    }
}

impl Topology {
    /// How messages are best stored: batches cost a sync each, which pays only where single
    /// messages cost one too (DESIGN.md section 3).
    #[must_use]
    pub fn commit(&self) -> Commit {
        match self.sync_always && self.replicas == 1 {
            true => Commit::Batch,
            false => Commit::Single,
        }
    }
}
