//! Some of very many webhooks: keys are read of all of them, definitions only of those that are shown.

use async_nats::jetstream::kv::{self, Operation};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tidings_core::id::WebhookId;
use tidings_core::name::Space;
use tidings_nats::topology::WEBHOOKS_BUCKET;

use super::Kept;
use super::store::{kept, key};
use crate::latest::{Value, latest_keys};
use crate::{Error, Manage, Result};

/// Webhooks that are read at once.
const AT_ONCE: usize = 32;

impl Manage {
    /// The ids of all webhooks of a space, the oldest first.
    ///
    /// # Errors
    /// The broker does not answer.
    pub async fn webhook_ids(&self, space: &Space) -> Result<Vec<WebhookId>> {
        let bucket = self.bucket(WEBHOOKS_BUCKET).await?;
        let keys = latest_keys(self.context(), &bucket, &format!("{space}.>")).await?;
        let ids = keys.iter().filter_map(|key| key.split_once('.'));
        Ok(ids.filter_map(|(_, id)| id.parse().ok()).collect())
    }

    /// The webhooks with these ids, in their order. What is gone is left out, and with a warning
    /// what cannot be read.
    ///
    /// # Errors
    /// The broker does not answer.
    pub async fn webhooks_of(&self, space: &Space, ids: &[WebhookId]) -> Result<Vec<Kept>> {
        let (webhooks, states) = self.open().await?;
        let (webhooks, states) = (&webhooks, &states);
        let keys = ids.iter().map(|id| key(space, id));
        let reads = keys.map(|key| async move {
            let (found, state) = tokio::try_join!(value(webhooks, &key), value(states, &key))?;
            let read = found.map(|found| kept(&key, &found, state.as_ref()));
            read.transpose().map(Option::flatten)
        });
        // Collected first, so that the stream does not hold what made them.
        let reads = stream::iter(reads.collect::<Vec<_>>()).buffered(AT_ONCE);
        let read: Vec<Option<Kept>> = reads.try_collect().await?;
        Ok(read.into_iter().flatten().collect())
    }
}

async fn value(bucket: &kv::Store, key: &str) -> Result<Option<Value>> {
    let entry = bucket.entry(key).await;
    let entry = entry.map_err(|error| Error::broker(&bucket.name, error))?;
    let entry = entry.filter(|entry| entry.operation == Operation::Put);
    Ok(entry.map(|entry| Value {
        bytes: entry.value,
        revision: entry.revision,
    }))
}
