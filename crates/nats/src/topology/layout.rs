//! What a service reads back at its start: that the streams are there, and how they are laid out.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::stream::Config;
use futures_util::TryStreamExt as _;
use tidings_core::name::Pool;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::streams::{
    META_COMMIT, META_EVENT_AGE, META_PARTITIONS, META_POOLS, META_REFERENCES, META_SCHEMA,
    META_STORAGE, META_SYNC, ROUTER_CONSUMER, SYNC_ALWAYS, delivery_consumer, retry_consumer,
};
use super::{
    ATTEMPTS, Commit, DEAD_LETTERS, DELIVERIES, EVENTS, RETRIES, SCHEMA_VERSION, Topology,
};

const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// The layout that was provisioned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// How messages are best stored.
    pub commit: Commit,
    /// How many partitions each pool has.
    pub partitions: u16,
    /// The pools that have consumers.
    pub pools: BTreeSet<Pool>,
    /// How long events are kept after they were routed.
    pub event_age: Duration,
    /// Whether senders are handed deliveries that leave their payload in the stream of events.
    pub has_references: bool,
}

/// Why the layout cannot be used yet.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// A stream is not there.
    #[error("the stream {stream} is not there; run `tidings provision`")]
    Missing {
        /// The stream's name.
        stream: &'static str,
    },
    /// A consumer is not there.
    #[error("the stream {stream} has lost its consumer {consumer}; run `tidings provision`")]
    MissingConsumer {
        /// The stream's name.
        stream: &'static str,
        /// The consumer's name.
        consumer: String,
    },
    /// A newer version of Tidings provisioned it.
    #[error(
        "the streams have layout {found}, this version knows {SCHEMA_VERSION}; upgrade this service"
    )]
    Newer {
        /// The layout found.
        found: u32,
    },
    /// The streams were not made by `tidings provision`.
    #[error("the stream has no usable `{key}` in its metadata; run `tidings provision`")]
    Metadata {
        /// The metadata's key.
        key: &'static str,
    },
    /// The broker did not answer.
    #[error("the broker did not answer: {detail}")]
    Unavailable {
        /// What happened.
        detail: String,
    },
}

impl Layout {
    /// Reads the layout.
    ///
    /// # Errors
    /// A stream is missing or of another version, or the broker does not answer.
    pub async fn read(context: &Context) -> Result<Self, LayoutError> {
        let mut metadata = HashMap::new();
        for stream in [EVENTS, RETRIES, ATTEMPTS, DEAD_LETTERS, DELIVERIES] {
            metadata = stream_config(context, stream).await?.metadata;
        }
        Self::from_metadata(&metadata)
    }

    /// Reads the layout and waits, for as long as it takes, until it can be used. Says once why it
    /// waits. `None` once `stop` is cancelled.
    pub async fn wait(context: &Context, stop: &CancellationToken) -> Option<Self> {
        let mut said = String::new();
        let waiting = async {
            loop {
                let error = match Self::read(context).await {
                    Ok(layout) => return layout,
                    Err(error) => error.to_string(),
                };
                if said != error {
                    info!("waiting: {error}");
                    said = error;
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        stop.run_until_cancelled(waiting).await
    }

    /// Checks that what routers take events from is there.
    ///
    /// # Errors
    /// A stream or the consumer is missing, or the broker does not answer.
    pub async fn check_for_router(context: &Context) -> Result<(), LayoutError> {
        Self::read(context).await?;
        check_consumers(context, EVENTS, [ROUTER_CONSUMER.to_owned()]).await
    }

    /// Checks that what the senders of `pool` take deliveries from is there.
    ///
    /// # Errors
    /// A stream or a consumer is missing, or the broker does not answer.
    pub async fn check_for_sender(context: &Context, pool: &Pool) -> Result<(), LayoutError> {
        let partitions = 0..Self::read(context).await?.partitions;
        let first = partitions.clone().map(|at| delivery_consumer(pool, at));
        check_consumers(context, DELIVERIES, first).await?;
        let again = partitions.map(|at| retry_consumer(pool, at));
        check_consumers(context, RETRIES, again).await
    }

    fn from_metadata(metadata: &HashMap<String, String>) -> Result<Self, LayoutError> {
        let text = |key| metadata.get(key).ok_or(LayoutError::Metadata { key });
        let bad = |key| LayoutError::Metadata { key };
        let found = text(META_SCHEMA)?.parse().map_err(|_| bad(META_SCHEMA))?;
        if found > SCHEMA_VERSION {
            return Err(LayoutError::Newer { found });
        }
        let commit = match text(META_COMMIT)?.as_str() {
            "single" => Commit::Single,
            "batch" => Commit::Batch,
            _ => return Err(bad(META_COMMIT)),
        };
        let partitions = text(META_PARTITIONS)?
            .parse()
            .map_err(|_| bad(META_PARTITIONS))?;
        let pools: Result<BTreeSet<Pool>, _> =
            text(META_POOLS)?.split(',').map(str::parse).collect();
        let seconds = text(META_EVENT_AGE)?
            .parse()
            .map_err(|_| bad(META_EVENT_AGE))?;
        Ok(Self {
            commit,
            partitions,
            pools: pools.map_err(|_| bad(META_POOLS))?,
            event_age: Duration::from_secs(seconds),
            has_references: metadata.contains_key(META_REFERENCES),
        })
    }
}

impl Topology {
    /// What was provisioned, so that provisioning again changes only what is asked for; `None` if
    /// nothing was yet.
    ///
    /// # Errors
    /// The streams are another's or of another version, or the broker does not answer.
    pub async fn read(context: &Context) -> Result<Option<Self>, LayoutError> {
        // Streams are made and changed in this order: after a run that was cut off, the last one
        // that is there has the settings that came through whole.
        for stream in [DEAD_LETTERS, ATTEMPTS, RETRIES, DELIVERIES, EVENTS] {
            match stream_config(context, stream).await {
                Ok(config) => return Self::from_config(&config).map(Some),
                Err(LayoutError::Missing { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    fn from_config(config: &Config) -> Result<Self, LayoutError> {
        let metadata = &config.metadata;
        let layout = Layout::from_metadata(metadata)?;
        Ok(Self {
            replicas: config.num_replicas,
            sync_always: metadata
                .get(META_SYNC)
                .is_some_and(|sync| sync == SYNC_ALWAYS),
            storage_bytes: storage_bytes(config)
                .ok_or(LayoutError::Metadata { key: META_STORAGE })?,
            event_age: layout.event_age,
            partitions: layout.partitions,
            pools: layout.pools,
        })
    }
}

/// Bytes that all streams may use together, as a stream's settings say.
pub(crate) fn storage_bytes(config: &Config) -> Option<u64> {
    config.metadata.get(META_STORAGE)?.parse().ok()
}

async fn check_consumers(
    context: &Context,
    stream: &'static str,
    needed: impl IntoIterator<Item = String>,
) -> Result<(), LayoutError> {
    let unavailable = |detail| LayoutError::Unavailable { detail };
    let opened = context.get_stream_no_info(stream).await;
    let opened = opened.map_err(|error| unavailable(error.to_string()))?;
    let names: Result<HashSet<String>, _> = opened.consumer_names().try_collect().await;
    let names = names.map_err(|error| unavailable(error.to_string()))?;
    match needed.into_iter().find(|name| !names.contains(name)) {
        None => Ok(()),
        Some(consumer) => Err(LayoutError::MissingConsumer { stream, consumer }),
    }
}

async fn stream_config(context: &Context, stream: &'static str) -> Result<Config, LayoutError> {
    use async_nats::jetstream::context::GetStreamErrorKind as Kind;
    match context.get_stream(stream).await {
        Ok(found) => Ok(found.cached_info().config.clone()),
        Err(error) => Err(match error.kind() {
            Kind::JetStream(_) => LayoutError::Missing { stream },
            _ => LayoutError::Unavailable {
                detail: error.to_string(),
            },
        }),
    }
}
