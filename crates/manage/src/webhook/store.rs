//! Webhooks in their bucket, and what senders found out about their endpoints.

use async_nats::jetstream::kv::{self, CreateErrorKind, Operation, UpdateErrorKind};
use bytes::Bytes;
use tidings_core::id::WebhookId;
use tidings_core::name::Space;
use tidings_core::webhook::{EndpointState, Webhook};
use tidings_nats::topology::{ENDPOINT_STATE_BUCKET, WEBHOOKS_BUCKET};
use tracing::warn;

use super::Kept;
use crate::latest::{Value, latest};
use crate::sealing::{Sealing, forget_history, has_plain};
use crate::{Error, Manage, Result};

const NOT_STORED: &str = "the webhook was not stored";

impl Manage {
    /// The webhook `id`.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub async fn webhook(&self, space: &Space, id: &WebhookId) -> Result<Kept> {
        let found = self.find_webhook(space, id).await?;
        found.ok_or_else(|| Error::not_found("webhook", format_args!("{id} in the space {space}")))
    }

    /// The webhook `id`, if there is one.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn find_webhook(&self, space: &Space, id: &WebhookId) -> Result<Option<Kept>> {
        let (webhooks, states) = self.open().await?;
        let entry = webhooks.entry(key(space, id)).await;
        let entry = entry.map_err(|error| Error::broker(WEBHOOKS_BUCKET, error))?;
        let Some(entry) = entry.filter(|entry| entry.operation == Operation::Put) else {
            return Ok(None);
        };
        let webhook = Webhook::from_stored(&entry.value);
        let webhook = webhook.map_err(|error| unreadable(id, &error))?;
        Ok(Some(Kept {
            state: state(&states, &webhook).await?,
            webhook,
            revision: entry.revision,
        }))
    }

    /// All webhooks, or those of one space, sorted by space and age. What cannot be read is left
    /// out with a warning.
    ///
    /// # Errors
    /// The broker does not answer.
    pub async fn webhooks(&self, space: Option<&Space>) -> Result<Vec<Kept>> {
        let (webhooks, states) = self.open().await?;
        let keys = space.map_or_else(|| String::from(">"), |space| format!("{space}.>"));
        let (found, mut states) = tokio::try_join!(
            latest(self.context(), &webhooks, &keys),
            latest(self.context(), &states, &keys)
        )?;
        let kept = found.into_iter().map(|(key, value)| {
            let state = states.remove(&key);
            kept(&key, &value, state.as_ref())
        });
        kept.filter_map(Result::transpose).collect()
    }

    /// Stores a new webhook, its secrets sealed.
    pub(super) async fn insert(&self, webhook: &Webhook) -> Result<Kept> {
        let sealed = Sealing::read(self).await?.seal(webhook, None)?;
        let (webhooks, _) = self.open().await?;
        let key = key(&webhook.space, &webhook.id);
        match webhooks.create(key, Bytes::from(sealed.to_stored())).await {
            Ok(revision) => Ok(Kept {
                webhook: sealed,
                state: None,
                revision,
            }),
            Err(error) if error.kind() == CreateErrorKind::AlreadyExists => {
                let detail = format!("the webhook {} exists already", webhook.id);
                Err(Error::conflict("exists", detail))
            }
            Err(error) => Err(Error::broker(NOT_STORED, error)),
        }
    }

    /// Stores a changed webhook, its secrets sealed, unless it was changed by somebody else since
    /// `old` was read.
    pub(super) async fn replace(&self, webhook: &Webhook, old: &Kept) -> Result<Kept> {
        let before = &old.webhook.definition;
        let sealed = Sealing::read(self).await?.seal(webhook, Some(before))?;
        let (webhooks, _) = self.open().await?;
        let key = key(&webhook.space, &webhook.id);
        let value = Bytes::from(sealed.to_stored());
        let revision = match webhooks.update(&key, value, old.revision).await {
            Ok(revision) => revision,
            Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => {
                return Err(stale(&webhook.id));
            }
            Err(error) => return Err(Error::broker(NOT_STORED, error)),
        };
        if has_plain(before) && !has_plain(&sealed.definition) {
            forget_history(&webhooks, &key).await?;
        }
        Ok(Kept {
            webhook: sealed,
            state: old.state.clone(),
            revision,
        })
    }

    /// Deletes a webhook with its history, which holds its secrets.
    pub(super) async fn remove(&self, old: &Kept) -> Result<()> {
        let (webhooks, states) = self.open().await?;
        let key = key(&old.webhook.space, &old.webhook.id);
        let purged = webhooks.purge_expect_revision(&key, Some(old.revision));
        purged.await.map_err(|error| {
            // The client library has no kind for it.
            match error.to_string().contains("wrong last sequence") {
                true => stale(&old.webhook.id),
                false => Error::broker("the webhook was not deleted", error),
            }
        })?;
        let purged = states.purge(&key).await;
        purged.map_err(|error| Error::broker("its endpoint state was not deleted", error))
    }

    /// Records a person's word about a webhook's endpoint.
    pub(super) async fn put_state(&self, webhook: &Webhook, state: &EndpointState) -> Result<()> {
        let value = serde_json::to_vec(state).map_err(|error| Error::broker("state", error))?;
        let states = self.bucket(ENDPOINT_STATE_BUCKET).await?;
        let put = states.put(key(&webhook.space, &webhook.id), Bytes::from(value));
        let put = put.await;
        put.map_err(|error| Error::broker("the endpoint's state was not stored", error))?;
        Ok(())
    }

    pub(super) async fn open(&self) -> Result<(kv::Store, kv::Store)> {
        let webhooks = self.bucket(WEBHOOKS_BUCKET).await?;
        Ok((webhooks, self.bucket(ENDPOINT_STATE_BUCKET).await?))
    }
}

/// One of many: nothing if it cannot be read.
pub(super) fn kept(key: &str, value: &Value, state: Option<&Value>) -> Result<Option<Kept>> {
    let webhook = match Webhook::from_stored(&value.bytes) {
        Ok(webhook) => webhook,
        Err(error) => {
            warn!(key, %error, "a webhook cannot be read: {key}: {error}");
            return Ok(None);
        }
    };
    let state = state.map(|state| read_state(&webhook, &state.bytes));
    Ok(Some(Kept {
        state: state.transpose()?,
        webhook,
        revision: value.revision,
    }))
}

/// What senders found out about a webhook's endpoint.
async fn state(states: &kv::Store, webhook: &Webhook) -> Result<Option<EndpointState>> {
    let value = states.get(key(&webhook.space, &webhook.id)).await;
    let value = value.map_err(|error| Error::broker(ENDPOINT_STATE_BUCKET, error))?;
    value.map(|value| read_state(webhook, &value)).transpose()
}

fn read_state(webhook: &Webhook, value: &[u8]) -> Result<EndpointState> {
    serde_json::from_slice(value).map_err(|error| {
        let what = format!("the endpoint state of {} cannot be read", webhook.id);
        Error::broker(what, error)
    })
}

pub(super) fn key(space: &Space, id: &WebhookId) -> String {
    format!("{space}.{id}")
}

fn stale(id: &WebhookId) -> Error {
    Error::Stale(format!(
        "{id} was changed by somebody else meanwhile; get it again"
    ))
}

fn unreadable(id: &WebhookId, error: &dyn std::fmt::Display) -> Error {
    Error::broker(format_args!("the webhook {id} cannot be read"), error)
}
