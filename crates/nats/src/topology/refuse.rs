//! Which changes are refused, because they would lose messages or send them astray.

use std::collections::BTreeSet;

use async_nats::jetstream::Context;
use async_nats::jetstream::context::KeyValueErrorKind;
use async_nats::jetstream::kv::Operation;
use async_nats::jetstream::stream::{Config, DirectGetErrorKind, Info, PersistenceMode};
use futures_util::StreamExt as _;
use tidings_core::id::WebhookId;
use tidings_core::name::Pool;
use tidings_core::webhook::Webhook;

use super::provision::ProvisionError;
use super::streams::{META_PARTITIONS, META_POOLS, META_SCHEMA};
use super::{DELIVERIES, RETRIES, SCHEMA_VERSION, Topology, WEBHOOKS_BUCKET};

/// Refuses what would harm one stream and the messages in it.
pub(super) fn refuse_stream(current: &Info, wanted: &Config) -> Result<(), ProvisionError> {
    let what = format!("stream {}", wanted.name);
    let Some(schema) = current.config.metadata.get(META_SCHEMA) else {
        return Err(ProvisionError::Foreign { what });
    };
    if let Some(found) = schema.parse().ok().filter(|found| *found > SCHEMA_VERSION) {
        return Err(ProvisionError::Newer { what, found });
    }
    match destruction(current, wanted) {
        Some(detail) => Err(ProvisionError::Destructive { what, detail }),
        None => Ok(()),
    }
}

/// What would be lost, and what to do instead.
fn destruction(current: &Info, wanted: &Config) -> Option<String> {
    let (config, state) = (&current.config, &current.state);
    if config.retention != wanted.retention || config.storage != wanted.storage {
        return Some(String::from(
            "its retention or storage cannot be changed in place; let it drain, remove it by hand \
             and provision again",
        ));
    }
    if config.persist_mode == Some(PersistenceMode::Async) && wanted.num_replicas > 1 {
        return Some(format!(
            "it was made for one node and cannot be replicated; stop the senders, remove it by \
             hand (`nats stream rm {}` forgets what it holds) and provision again",
            wanted.name
        ));
    }
    let limit = u64::try_from(wanted.max_bytes)
        .ok()
        .filter(|limit| *limit > 0);
    if limit.is_some_and(|limit| limit < state.bytes) {
        return Some(format!(
            "it holds {} bytes and would be limited to {}; give a larger --storage",
            state.bytes, wanted.max_bytes
        ));
    }
    let is_partitioned = [DELIVERIES, RETRIES].contains(&wanted.name.as_str());
    let old = config.metadata.get(META_PARTITIONS)?;
    let new = wanted.metadata.get(META_PARTITIONS)?;
    (is_partitioned && old != new && state.messages > 0).then(|| {
        format!(
            "it holds {} messages in {old} partitions, {new} were asked for; let it drain first, \
             or keep --partitions {old}",
            state.messages
        )
    })
}

/// Refuses to drop a pool that deliveries wait for or that webhooks name.
pub(super) async fn refuse_dropped_pools(
    context: &Context,
    found: &[Option<Info>],
    topology: &Topology,
) -> Result<(), ProvisionError> {
    let mut all_dropped = BTreeSet::new();
    for info in found.iter().flatten() {
        for pool in dropped_pools(info, topology) {
            refuse_waiting(context, &info.config.name, &pool).await?;
            all_dropped.insert(pool);
        }
    }
    if all_dropped.is_empty() {
        return Ok(());
    }
    let what = format!("bucket {WEBHOOKS_BUCKET}");
    let naming = webhook_naming(context, &all_dropped).await;
    let naming = naming.map_err(|error| ProvisionError::Broker {
        what: what.clone(),
        detail: error.to_string(),
    })?;
    let Some((webhook, pool)) = naming else {
        return Ok(());
    };
    let detail = format!(
        "the webhook {webhook} names the pool `{pool}`, which would be dropped; give it another \
         one with `tidings webhook update`, or keep --pool {pool}"
    );
    Err(ProvisionError::Destructive { what, detail })
}

/// A webhook that names one of `pools`, if there is one.
async fn webhook_naming(
    context: &Context,
    pools: &BTreeSet<Pool>,
) -> Result<Option<(WebhookId, Pool)>, async_nats::Error> {
    let bucket = match context.get_key_value(WEBHOOKS_BUCKET).await {
        Ok(bucket) => bucket,
        // Not made yet: it holds nothing.
        Err(error) if error.kind() == KeyValueErrorKind::GetBucket => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if bucket.status().await?.values() == 0 {
        return Ok(None);
    }
    let mut entries = bucket.watch_with_history(">").await?;
    while let Some(entry) = entries.next().await {
        let entry = entry?;
        let is_there = entry.operation == Operation::Put;
        // What cannot be read is sent by nobody, whatever it names.
        let webhook = Webhook::from_stored(&entry.value).ok();
        if let Some(webhook) = webhook.filter(|_| is_there) {
            let pool = webhook.definition.delivery.pool;
            if pools.contains(&pool) {
                return Ok(Some((webhook.id, pool)));
            }
        }
        if entry.delta == 0 {
            break;
        }
    }
    Ok(None)
}

fn dropped_pools(info: &Info, topology: &Topology) -> Vec<Pool> {
    let pools = info
        .config
        .metadata
        .get(META_POOLS)
        .map_or("", String::as_str);
    let read = pools.split(',').filter_map(|name| name.parse().ok());
    read.filter(|pool| !topology.pools.contains(pool)).collect()
}

async fn refuse_waiting(
    context: &Context,
    stream: &str,
    pool: &Pool,
) -> Result<(), ProvisionError> {
    let what = format!("stream {stream}");
    let broker = |detail: String| ProvisionError::Broker {
        what: what.clone(),
        detail,
    };
    for filter in subjects_of_pool(stream, pool) {
        let opened = context.get_stream_no_info(stream).await;
        let opened = opened.map_err(|error| broker(error.to_string()))?;
        match opened.direct_get_first_for_subject(filter).await {
            Ok(_) => {
                let detail = format!(
                    "deliveries wait for the pool `{pool}`, which would be dropped; let them \
                     drain first, or keep --pool {pool}"
                );
                return Err(ProvisionError::Destructive { what, detail });
            }
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => {}
            Err(error) => return Err(broker(error.to_string())),
        }
    }
    Ok(())
}

fn subjects_of_pool(stream: &str, pool: &Pool) -> Vec<String> {
    let kinds: &[&str] = match stream {
        DELIVERIES => &["delivery"],
        RETRIES => &["later", "retry"],
        _ => &[],
    };
    kinds
        .iter()
        .map(|kind| format!("tidings.{kind}.{pool}.>"))
        .collect()
}
