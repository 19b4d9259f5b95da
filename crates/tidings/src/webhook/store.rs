//! Webhooks in their bucket, and what senders found out about their endpoints.

use anyhow::Context as _;
use async_nats::jetstream::kv::{self, CreateErrorKind, Operation, UpdateErrorKind};
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use tidings_core::id::WebhookId;
use tidings_core::name::Space;
use tidings_core::webhook::{EndpointState, Webhook};
use tidings_nats::topology::{ENDPOINT_STATE_BUCKET, WEBHOOKS_BUCKET};

use crate::client::Client;
use crate::output::note;
use crate::secrets::{Sealing, forget_history, has_plain};

const READS_AT_ONCE: usize = 32;

/// The two buckets.
#[derive(Debug)]
pub(crate) struct Webhooks {
    webhooks: kv::Store,
    states: kv::Store,
    sealing: Sealing,
}

/// A webhook with the revision under which it is kept.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) webhook: Webhook,
    pub(crate) revision: u64,
}

impl Webhooks {
    /// Opens the buckets.
    pub(crate) async fn open(client: &Client) -> anyhow::Result<Self> {
        Self::open_to_write(client, false).await
    }

    /// Opens the buckets. Secrets are stored readable for who reads the bucket if there is no key
    /// to seal them with and `is_plain_fine`.
    pub(super) async fn open_to_write(
        client: &Client,
        is_plain_fine: bool,
    ) -> anyhow::Result<Self> {
        let webhooks = client.bucket(WEBHOOKS_BUCKET).await?;
        Ok(Self {
            webhooks,
            states: client.bucket(ENDPOINT_STATE_BUCKET).await?,
            sealing: Sealing::read(client, is_plain_fine).await?,
        })
    }

    /// The webhook `id`.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub(crate) async fn get(&self, space: &Space, id: &WebhookId) -> anyhow::Result<Kept> {
        self.find(space, id).await?.with_context(|| {
            format!("there is no webhook {id} in the space {space}; see `tidings webhook list`")
        })
    }

    /// The webhook `id`, if there is one.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) async fn find(&self, space: &Space, id: &WebhookId) -> anyhow::Result<Option<Kept>> {
        let entry = self.webhooks.entry(key(space, id)).await?;
        let Some(entry) = entry.filter(|entry| entry.operation == Operation::Put) else {
            return Ok(None);
        };
        let webhook = Webhook::from_stored(&entry.value)
            .with_context(|| format!("the webhook {id} cannot be read"))?;
        Ok(Some(Kept {
            webhook,
            revision: entry.revision,
        }))
    }

    /// All webhooks, or those of one space, with their endpoints' states; sorted by space and age.
    pub(crate) async fn list(
        &self,
        space: Option<&Space>,
    ) -> anyhow::Result<Vec<(Webhook, Option<EndpointState>)>> {
        let prefix = space.map_or_else(String::new, |space| format!("{space}."));
        let mut keys: Vec<String> = self.webhooks.keys().await?.try_collect().await?;
        keys.retain(|key| key.starts_with(&prefix));
        keys.sort_unstable();
        futures_util::stream::iter(keys)
            .map(|key| self.read(key))
            .buffered(READS_AT_ONCE)
            .try_filter_map(async |read| Ok(read))
            .try_collect()
            .await
    }

    /// Reads one of many: nothing if it was deleted meanwhile, or cannot be read.
    async fn read(&self, key: String) -> anyhow::Result<Option<(Webhook, Option<EndpointState>)>> {
        let Some(value) = self.webhooks.get(&key).await? else {
            return Ok(None);
        };
        match Webhook::from_stored(&value) {
            Ok(webhook) => {
                let state = self.state(&webhook).await?;
                Ok(Some((webhook, state)))
            }
            Err(error) => {
                note(format_args!(
                    "warning: the webhook {key} cannot be read: {error}"
                ));
                Ok(None)
            }
        }
    }

    /// What senders found out about a webhook's endpoint.
    pub(crate) async fn state(&self, webhook: &Webhook) -> anyhow::Result<Option<EndpointState>> {
        let value = self.states.get(key(&webhook.space, &webhook.id)).await?;
        let read = value
            .map(|value| serde_json::from_slice(&value))
            .transpose();
        read.with_context(|| format!("the endpoint state of {} cannot be read", webhook.id))
    }

    /// Records a person's word about a webhook's endpoint.
    pub(super) async fn put_state(
        &self,
        webhook: &Webhook,
        state: &EndpointState,
    ) -> anyhow::Result<()> {
        let value = Bytes::from(serde_json::to_vec(state)?);
        let put = self.states.put(key(&webhook.space, &webhook.id), value);
        put.await.context("the endpoint's state was not stored")?;
        Ok(())
    }

    /// Stores a new webhook, its secrets sealed.
    pub(super) async fn create(&self, webhook: &Webhook) -> anyhow::Result<()> {
        let key = key(&webhook.space, &webhook.id);
        let sealed = self.sealing.seal(webhook, None)?;
        match self
            .webhooks
            .create(key, Bytes::from(sealed.to_stored()))
            .await
        {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == CreateErrorKind::AlreadyExists => {
                anyhow::bail!("the webhook {} exists already", webhook.id)
            }
            Err(error) => Err(error).context("the webhook was not stored"),
        }
    }

    /// Stores a changed webhook, its secrets sealed, unless it was changed by somebody else since
    /// `old` was read.
    pub(super) async fn replace(&self, webhook: &Webhook, old: &Kept) -> anyhow::Result<()> {
        let key = key(&webhook.space, &webhook.id);
        let before = &old.webhook.definition;
        let sealed = self.sealing.seal(webhook, Some(before))?;
        match self
            .webhooks
            .update(&key, Bytes::from(sealed.to_stored()), old.revision)
            .await
        {
            Ok(_) => {}
            Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => {
                anyhow::bail!(
                    "{} was changed by somebody else meanwhile; run it again",
                    webhook.id
                )
            }
            Err(error) => return Err(error).context("the webhook was not stored"),
        }
        match has_plain(before) && !has_plain(&sealed.definition) {
            true => forget_history(&self.webhooks, &key).await,
            false => Ok(()),
        }
    }

    /// Deletes a webhook with its history, which holds its secrets.
    pub(super) async fn delete(&self, webhook: &Webhook, revision: u64) -> anyhow::Result<()> {
        let key = key(&webhook.space, &webhook.id);
        self.webhooks
            .purge_expect_revision(&key, Some(revision))
            .await
            .context(
                "the webhook was not deleted; if somebody changed it meanwhile, run it again",
            )?;
        self.states
            .purge(&key)
            .await
            .context("its endpoint state was not deleted")
    }
}

fn key(space: &Space, id: &WebhookId) -> String {
    format!("{space}.{id}")
}
