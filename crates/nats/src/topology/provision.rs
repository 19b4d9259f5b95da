//! Creating and upgrading what should be there. Nothing is ever deleted, emptied or shrunk below
//! what it holds.

use std::collections::HashMap;
use std::fmt;

use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::{Consumer, pull};
use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::stream::{Config, Info};
use async_nats::jetstream::{ErrorCode, kv};

use super::refuse::{refuse_dropped_pools, refuse_stream};
use super::streams::{META_SCHEMA, bucket, consumers, streams};
use super::{BUCKETS, SCHEMA_VERSION, Topology};

/// What provisioning did to one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Such as `stream EVENTS`.
    pub what: String,
    /// What was done.
    pub done: Done,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// It was not there.
    Created,
    /// Its settings differed.
    Updated,
    /// It was right.
    Kept,
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Kept => "unchanged",
        })
    }
}

/// Why provisioning stopped.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    /// The change would lose messages or send them astray. Nothing was changed.
    #[error("{what} would change destructively: {detail}")]
    Destructive {
        /// Such as `stream EVENTS`.
        what: String,
        /// What would be lost, and what to do.
        detail: String,
    },
    /// Something else made a stream of this name. Nothing was changed.
    #[error("{what} is there and was not made by Tidings; give Tidings a NATS account of its own")]
    Foreign {
        /// Such as `stream EVENTS`.
        what: String,
    },
    /// A newer version of Tidings provisioned it. Nothing was changed.
    #[error(
        "{what} has layout {found}, this version knows {SCHEMA_VERSION}; use the newer `tidings`"
    )]
    Newer {
        /// Such as `stream EVENTS`.
        what: String,
        /// The layout found.
        found: u32,
    },
    /// The broker refused or did not answer. What was done before stays; provisioning may be run
    /// again.
    #[error("{what}: {detail}{}", remedy(.detail))]
    Broker {
        /// Such as `stream EVENTS`.
        what: String,
        /// The broker's words.
        detail: String,
    },
}

fn remedy(detail: &str) -> &'static str {
    if detail.contains("10047") || detail.contains("10028") {
        return "; the disk or the account has less room than --storage asks for: give a smaller one";
    }
    if detail.contains("10005") || detail.contains("10074") {
        return "; the cluster has fewer nodes than --stream-replicas asks for";
    }
    if detail.contains("timed out") {
        return "; the broker is busy, perhaps with moving replicas: run it again";
    }
    if detail.contains("10039") || detail.contains("10076") || detail.contains("503") {
        return "; is JetStream enabled on the server and for this account?";
    }
    ""
}

/// Makes everything so. May be run again at any time.
///
/// # Errors
/// A change would be destructive, or the broker does not do it.
pub async fn provision(
    context: &Context,
    topology: &Topology,
) -> Result<Vec<Change>, ProvisionError> {
    let wanted = streams(topology);
    let mut found = Vec::with_capacity(wanted.len());
    // Everything is looked at before anything is changed, so that a refusal leaves all as it was.
    for config in &wanted {
        let info = find_stream(context, &config.name).await?;
        if let Some(info) = &info {
            refuse_stream(info, config)?;
        }
        found.push(info);
    }
    refuse_dropped_pools(context, &found, topology).await?;
    let mut changes = Vec::new();
    for (config, info) in wanted.into_iter().zip(found) {
        changes.push(ensure_stream(context, config, info).await?);
    }
    for name in BUCKETS {
        changes.push(ensure_bucket(context, bucket(topology, name)).await?);
    }
    for (stream, config) in consumers(topology) {
        changes.push(ensure_consumer(context, stream, config).await?);
    }
    Ok(changes)
}

async fn find_stream(context: &Context, name: &str) -> Result<Option<Info>, ProvisionError> {
    match context.get_stream(name).await {
        Ok(stream) => Ok(Some(stream.cached_info().clone())),
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(error)
                if error.error_code() == ErrorCode::STREAM_NOT_FOUND =>
            {
                Ok(None)
            }
            _ => Err(broker(&format!("stream {name}"), &error)),
        },
    }
}

async fn ensure_stream(
    context: &Context,
    config: Config,
    current: Option<Info>,
) -> Result<Change, ProvisionError> {
    let what = format!("stream {}", config.name);
    let Some(current) = current else {
        context
            .create_stream(config)
            .await
            .map_err(|error| broker(&what, &error))?;
        return Ok(Change {
            what,
            done: Done::Created,
        });
    };
    let wanted = keep_what_must_stay(&current.config, config);
    if is_same(&current.config, &wanted) {
        return Ok(Change {
            what,
            done: Done::Kept,
        });
    }
    context
        .update_stream(wanted)
        .await
        .map_err(|error| broker(&what, &error))?;
    Ok(Change {
        what,
        done: Done::Updated,
    })
}

fn is_same(current: &Config, wanted: &Config) -> bool {
    let is_set = |(key, value): (&String, &String)| current.metadata.get(key) == Some(value);
    wanted.metadata.iter().all(is_set)
        && current.description == wanted.description
        && current.subjects == wanted.subjects
        && current.max_bytes == wanted.max_bytes
        && current.max_age == wanted.max_age
        && current.discard == wanted.discard
        && current.num_replicas == wanted.num_replicas
        && current.duplicate_window == wanted.duplicate_window
        && current.allow_direct == wanted.allow_direct
        && current.allow_atomic_publish == wanted.allow_atomic_publish
        && current.allow_message_schedules == wanted.allow_message_schedules
}

/// What cannot be changed in place, or was added by others, stays as it is.
fn keep_what_must_stay(current: &Config, wanted: Config) -> Config {
    let mut metadata: HashMap<String, String> = current.metadata.clone();
    metadata.extend(wanted.metadata);
    Config {
        metadata,
        persist_mode: current.persist_mode,
        placement: current.placement.clone(),
        ..wanted
    }
}

async fn ensure_bucket(context: &Context, config: kv::Config) -> Result<Change, ProvisionError> {
    let what = format!("bucket {}", config.bucket);
    let stream = format!("KV_{}", config.bucket);
    let Some(current) = find_stream(context, &stream).await? else {
        let created = context.create_key_value(config).await;
        created.map_err(|error| broker(&what, &error))?;
        mark(context, &stream, &what).await?;
        return Ok(Change {
            what,
            done: Done::Created,
        });
    };
    let current = &current.config;
    let schema = current.metadata.get(META_SCHEMA);
    let schema: Option<u32> = schema.and_then(|schema| schema.parse().ok());
    if let Some(found) = schema.filter(|found| *found > SCHEMA_VERSION) {
        return Err(ProvisionError::Newer { what, found });
    }
    if current.num_replicas == config.num_replicas
        && current.max_messages_per_subject == config.history
        && current.max_age == config.max_age
        && schema == Some(SCHEMA_VERSION)
    {
        return Ok(Change {
            what,
            done: Done::Kept,
        });
    }
    let updated = context.update_key_value(config).await;
    updated.map_err(|error| broker(&what, &error))?;
    mark(context, &stream, &what).await?;
    Ok(Change {
        what,
        done: Done::Updated,
    })
}

/// Writes the version of the layout into a bucket's metadata, where the client library cannot.
async fn mark(context: &Context, stream: &str, what: &str) -> Result<(), ProvisionError> {
    let Some(info) = find_stream(context, stream).await? else {
        let detail = String::from("it is gone again");
        let what = what.to_owned();
        return Err(ProvisionError::Broker { what, detail });
    };
    let mut config = info.config;
    let version = SCHEMA_VERSION.to_string();
    config.metadata.insert(META_SCHEMA.to_owned(), version);
    let updated = context.update_stream(config).await;
    updated.map_err(|error| broker(what, &error))?;
    Ok(())
}

async fn ensure_consumer(
    context: &Context,
    stream: &'static str,
    config: pull::Config,
) -> Result<Change, ProvisionError> {
    use async_nats::jetstream::stream::ConsumerErrorKind as Kind;
    let name = config.durable_name.clone().unwrap_or_default();
    let what = format!("consumer {name} on {stream}");
    let current: Result<Consumer<pull::Config>, _> =
        context.get_consumer_from_stream(&name, stream).await;
    let current = match current {
        Ok(current) => current,
        Err(error) => {
            let is_missing = matches!(error.kind(), Kind::JetStream(error)
                if error.error_code() == ErrorCode::CONSUMER_NOT_FOUND);
            if !is_missing {
                return Err(broker(&what, &error));
            }
            let created: Result<Consumer<pull::Config>, _> =
                context.create_consumer_on_stream(config, stream).await;
            created.map_err(|error| broker(&what, &error))?;
            return Ok(Change {
                what,
                done: Done::Created,
            });
        }
    };
    let found = &current.cached_info().config;
    if found.ack_wait == config.ack_wait
        && found.max_ack_pending == config.max_ack_pending
        && found.filter_subject == config.filter_subject
        && found.filter_subjects == config.filter_subjects
    {
        return Ok(Change {
            what,
            done: Done::Kept,
        });
    }
    let updated: Result<Consumer<pull::Config>, _> =
        context.update_consumer_on_stream(config, stream).await;
    updated.map_err(|error| broker(&what, &error))?;
    Ok(Change {
        what,
        done: Done::Updated,
    })
}

fn broker(what: &str, error: &dyn std::error::Error) -> ProvisionError {
    ProvisionError::Broker {
        what: what.to_owned(),
        detail: error.to_string(),
    }
}
