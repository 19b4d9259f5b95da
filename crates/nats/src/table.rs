//! A bucket as a local snapshot, kept fresh by a watch.

use std::collections::HashSet;
use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::kv::{Entry, Operation, Watch};
use futures_util::StreamExt as _;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

const REOPEN_DELAY: Duration = Duration::from_millis(500);

/// What keeps the entries of a bucket. Calls come one at a time, in the bucket's order.
pub trait Sink: Send + Sync {
    /// An entry is new or changed.
    fn put(&self, key: &str, value: &[u8]);
    /// An entry is gone.
    fn remove(&self, key: &str);
    /// Only these entries exist; whatever else is kept is gone.
    fn retain(&self, keys: &HashSet<String>);
}

/// Follows `bucket` into `sink` until `stop` is cancelled. `loaded` becomes `true` once everything
/// that was in the bucket at the start is in the sink.
pub async fn follow(
    context: Context,
    bucket: &'static str,
    sink: &dyn Sink,
    loaded: &watch::Sender<bool>,
    stop: &CancellationToken,
) {
    let forever = async {
        loop {
            if let Err(error) = follow_once(&context, bucket, sink, loaded).await {
                warn!(bucket, %error, "cannot follow the bucket; trying again");
            }
            tokio::time::sleep(REOPEN_DELAY).await;
        }
    };
    stop.run_until_cancelled(forever).await;
}

/// Follows until the watch ends.
async fn follow_once(
    context: &Context,
    bucket: &'static str,
    sink: &dyn Sink,
    loaded: &watch::Sender<bool>,
) -> Result<(), async_nats::Error> {
    let store = context.get_key_value(bucket).await?;
    let is_empty = store.status().await?.values() == 0;
    let mut watch = store.watch_with_history(">").await?;
    let mut initial = HashSet::new();
    if !is_empty {
        load(&mut watch, sink, &mut initial).await?;
    }
    sink.retain(&initial);
    loaded.send_replace(true);
    while let Some(entry) = watch.next().await {
        apply(sink, &entry?);
    }
    debug!(bucket, "the watch ended; opening it again");
    Ok(())
}

async fn load(
    watch: &mut Watch,
    sink: &dyn Sink,
    seen: &mut HashSet<String>,
) -> Result<(), async_nats::Error> {
    while let Some(entry) = watch.next().await {
        let entry = entry?;
        let is_last = entry.delta == 0;
        if entry.operation == Operation::Put {
            seen.insert(entry.key.clone());
        }
        apply(sink, &entry);
        if is_last {
            break;
        }
    }
    Ok(())
}

fn apply(sink: &dyn Sink, entry: &Entry) {
    match entry.operation {
        Operation::Put => sink.put(&entry.key, &entry.value),
        Operation::Delete | Operation::Purge => sink.remove(&entry.key),
    }
    debug!(
        bucket = entry.bucket,
        key = entry.key,
        revision = entry.revision,
        "applied"
    );
}
