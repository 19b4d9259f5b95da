//! The settings of every stream, consumer and bucket, as data.

use std::collections::HashMap;
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::kv;
use async_nats::jetstream::stream::{
    Config, DiscardPolicy, PersistenceMode, RetentionPolicy, StorageType,
};
use tidings_core::name::Pool;

use super::{
    ACK_WAIT, ATTEMPTS, AUDIT, Commit, DEAD_LETTERS, DELIVERIES, EGRESS_BUCKET,
    ENDPOINT_STATE_BUCKET, EVENTS, LEASE_AGE, LEASES_BUCKET, MEMBERS_BUCKET, REPLAYS_BUCKET,
    RETRIES, SCHEMA_VERSION, SECRET_KEYS_BUCKET, SESSION_AGE, SESSIONS_BUCKET, SPACES_BUCKET,
    TOKENS_BUCKET, Topology, WEBHOOKS_BUCKET,
};
use crate::subject;

/// The durable consumer that all routers share.
pub const ROUTER_CONSUMER: &str = "router";
/// The prefix of the durable consumers of first attempts.
pub const DELIVERIES_CONSUMER: &str = "sender";
/// The prefix of the durable consumers of retries.
pub const RETRIES_CONSUMER: &str = "retry";

/// All buckets.
pub const BUCKETS: [&str; 10] = [
    WEBHOOKS_BUCKET,
    SPACES_BUCKET,
    TOKENS_BUCKET,
    ENDPOINT_STATE_BUCKET,
    MEMBERS_BUCKET,
    EGRESS_BUCKET,
    SECRET_KEYS_BUCKET,
    REPLAYS_BUCKET,
    LEASES_BUCKET,
    SESSIONS_BUCKET,
];

pub(super) const META_SCHEMA: &str = "tidings.schema";
pub(super) const META_COMMIT: &str = "tidings.commit";
pub(super) const META_PARTITIONS: &str = "tidings.partitions";
pub(super) const META_POOLS: &str = "tidings.pools";
pub(super) const META_EVENT_AGE: &str = "tidings.event_age_s";
pub(super) const META_SYNC: &str = "tidings.sync";
pub(super) const META_STORAGE: &str = "tidings.storage_bytes";
/// Says that consumers also take deliveries that leave their payload in the stream of events.
pub(super) const META_REFERENCES: &str = "tidings.references";

pub(super) const SYNC_ALWAYS: &str = "always";
const SYNC_INTERVAL: &str = "interval";

const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);
/// Longer than a sender tries to store a record. The broker holds every id of the window in memory,
/// and there is one for each attempt.
const ATTEMPT_DUPLICATE_WINDOW: Duration = Duration::from_secs(10);
const ATTEMPT_AGE: Duration = Duration::from_secs(7 * 24 * 60 * 60);
const DEAD_LETTER_AGE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
const AUDIT_AGE: Duration = Duration::from_secs(400 * 24 * 60 * 60);
const MEMBER_AGE: Duration = Duration::from_secs(5);
const WEBHOOK_HISTORY: i64 = 5;
/// Events that routers have taken and not settled, those that wait for an upgrade included.
pub const ROUTER_ACKS_PENDING_MAX: i64 = 2_048;
const PARTITION_ACKS_PENDING_MAX: i64 = 1_024;

/// The durable consumer of first attempts of a partition.
#[must_use]
pub fn delivery_consumer(pool: &Pool, partition: u16) -> String {
    format!("{DELIVERIES_CONSUMER}-{pool}-{partition}")
}

/// The durable consumer of retries of a partition.
#[must_use]
pub fn retry_consumer(pool: &Pool, partition: u16) -> String {
    format!("{RETRIES_CONSUMER}-{pool}-{partition}")
}

/// All streams.
pub(super) fn streams(topology: &Topology) -> Vec<Config> {
    vec![
        events(topology),
        deliveries(topology),
        retries(topology),
        attempts(topology),
        dead_letters(topology),
        audit(topology),
    ]
}

/// What all streams have in common: on disk, bounded, refusing instead of forgetting.
fn stream(topology: &Topology, name: &str, subjects: &[&str], percent: u64) -> Config {
    let bytes = topology.storage_bytes / 100 * percent;
    Config {
        name: name.to_owned(),
        subjects: subjects.iter().map(|&subject| subject.to_owned()).collect(),
        max_bytes: i64::try_from(bytes).unwrap_or(i64::MAX),
        discard: DiscardPolicy::New,
        storage: StorageType::File,
        num_replicas: topology.replicas,
        duplicate_window: DUPLICATE_WINDOW,
        allow_direct: true,
        allow_atomic_publish: topology.commit() == Commit::Batch,
        metadata: metadata(topology),
        ..Config::default()
    }
}

fn metadata(topology: &Topology) -> HashMap<String, String> {
    let pools: Vec<&str> = topology.pools.iter().map(Pool::as_str).collect();
    let commit = match topology.commit() {
        Commit::Single => "single",
        Commit::Batch => "batch",
    };
    let sync = if topology.sync_always {
        SYNC_ALWAYS
    } else {
        SYNC_INTERVAL
    };
    [
        (META_SCHEMA, SCHEMA_VERSION.to_string()),
        (META_COMMIT, commit.to_owned()),
        (META_PARTITIONS, topology.partitions.to_string()),
        (META_POOLS, pools.join(",")),
        (META_EVENT_AGE, topology.event_age.as_secs().to_string()),
        (META_SYNC, sync.to_owned()),
        (META_STORAGE, topology.storage_bytes.to_string()),
        (META_REFERENCES, String::from("1")),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

/// Kept for reading after they were routed. The router purges what is old and settled; the broker
/// never does by itself (invariant O4).
fn events(topology: &Topology) -> Config {
    Config {
        description: Some(String::from("events as they were published")),
        ..stream(topology, EVENTS, &[subject::EVENTS], 45)
    }
}

fn deliveries(topology: &Topology) -> Config {
    Config {
        description: Some(String::from("deliveries that wait for their first attempt")),
        retention: RetentionPolicy::WorkQueue,
        ..stream(topology, DELIVERIES, &[subject::DELIVERIES], 35)
    }
}

/// Apart from DELIVERIES, because long waiters among short-lived messages leave holes there.
///
/// nats-server refuses `discard: new` on a stream with schedules (error 10052), and a size with
/// `discard: old` would drop retries. So it has no size of its own: the broker's `max_file_store`
/// is its bound, and refuses (docs/adr/0005).
fn retries(topology: &Topology) -> Config {
    Config {
        description: Some(String::from("deliveries that wait for a retry")),
        retention: RetentionPolicy::WorkQueue,
        discard: DiscardPolicy::Old,
        max_bytes: -1,
        allow_message_schedules: true,
        ..stream(topology, RETRIES, &[subject::LATER, subject::RETRIES], 0)
    }
}

/// A log for people: bounded by age and size, and the first to be forgotten.
fn attempts(topology: &Topology) -> Config {
    Config {
        description: Some(String::from("attempts with their outcomes")),
        discard: DiscardPolicy::Old,
        max_age: ATTEMPT_AGE,
        duplicate_window: ATTEMPT_DUPLICATE_WINDOW,
        persist_mode: (topology.replicas == 1).then_some(PersistenceMode::Async),
        allow_atomic_publish: false,
        ..stream(topology, ATTEMPTS, &[subject::ATTEMPTS], 10)
    }
}

fn dead_letters(topology: &Topology) -> Config {
    Config {
        description: Some(String::from("deliveries that ended without success")),
        max_age: DEAD_LETTER_AGE,
        ..stream(topology, DEAD_LETTERS, &[subject::DEAD_LETTERS], 9)
    }
}

/// What people did. A full stream forgets the oldest rather than forbid people to work.
fn audit(topology: &Topology) -> Config {
    Config {
        description: Some(String::from("records of what people changed")),
        discard: DiscardPolicy::Old,
        max_age: AUDIT_AGE,
        allow_atomic_publish: false,
        ..stream(topology, AUDIT, &[subject::AUDIT], 1)
    }
}

/// All consumers, each with its stream.
pub(super) fn consumers(topology: &Topology) -> Vec<(&'static str, pull::Config)> {
    let router = consumer(
        ROUTER_CONSUMER,
        vec![subject::EVENTS.to_owned()],
        ROUTER_ACKS_PENDING_MAX,
    );
    let mut all = vec![(EVENTS, router)];
    for pool in &topology.pools {
        for partition in 0..topology.partitions {
            let first = consumer(
                &delivery_consumer(pool, partition),
                subject::with_references(subject::delivery(pool, partition)),
                PARTITION_ACKS_PENDING_MAX,
            );
            let again = consumer(
                &retry_consumer(pool, partition),
                subject::with_references(subject::retry(pool, partition)),
                PARTITION_ACKS_PENDING_MAX,
            );
            all.extend([(DELIVERIES, first), (RETRIES, again)]);
        }
    }
    all
}

/// Redelivery is unlimited: the limit of attempts is ours (invariant O5).
fn consumer(name: &str, mut subjects: Vec<String>, max_ack_pending: i64) -> pull::Config {
    let (filter_subject, filter_subjects) = match subjects.len() {
        1 => (subjects.remove(0), Vec::new()),
        _ => (String::new(), subjects),
    };
    pull::Config {
        durable_name: Some(name.to_owned()),
        filter_subject,
        filter_subjects,
        ack_policy: AckPolicy::Explicit,
        ack_wait: ACK_WAIT,
        max_ack_pending,
        max_deliver: -1,
        ..pull::Config::default()
    }
}

/// The settings of a bucket.
pub(super) fn bucket(topology: &Topology, name: &str) -> kv::Config {
    kv::Config {
        bucket: name.to_owned(),
        history: if name == WEBHOOKS_BUCKET {
            WEBHOOK_HISTORY
        } else {
            1
        },
        max_age: match name {
            MEMBERS_BUCKET => MEMBER_AGE,
            LEASES_BUCKET => LEASE_AGE,
            SESSIONS_BUCKET => SESSION_AGE,
            _ => Duration::ZERO,
        },
        storage: StorageType::File,
        num_replicas: topology.replicas,
        ..kv::Config::default()
    }
}
