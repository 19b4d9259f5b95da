//! Spaces: what is set for them, and which there are.

use std::collections::BTreeSet;

use async_nats::jetstream::kv::{CreateErrorKind, Entry, Operation, UpdateErrorKind};
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use serde_json::{Value, json};
use tidings_core::name::Space;
use tidings_core::space::SpaceSettings;
use tidings_nats::topology::{SPACES_BUCKET, WEBHOOKS_BUCKET};

use crate::audit::Change;
use crate::{Actor, Error, Manage, Result};

/// The settings of a space as they are kept.
#[derive(Debug, Clone, Default)]
pub struct KeptSpace {
    /// What is set.
    pub settings: SpaceSettings,
    /// Counts its changes; 0 for a space for which nothing was ever set.
    pub version: u64,
}

impl Manage {
    /// What is set for a space. One that nobody heard of has the defaults: spaces exist as soon as
    /// somebody names them.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn space(&self, space: &Space) -> Result<KeptSpace> {
        match self.space_entry(space).await? {
            Some(entry) => read(&entry),
            None => Ok(KeptSpace::default()),
        }
    }

    /// Sets everything for a space anew. `version` is the one that the caller looked at.
    ///
    /// # Errors
    /// A setting cannot be used, it was changed meanwhile, or the broker does not answer.
    pub async fn put_space(
        &self,
        actor: &Actor,
        space: &Space,
        settings: SpaceSettings,
        version: Option<u64>,
    ) -> Result<KeptSpace> {
        let faults = settings.check();
        if !faults.is_empty() {
            return Err(Error::Invalid(faults));
        }
        let entry = self.space_entry(space).await?;
        let old = entry.as_ref().map(read).transpose()?;
        let stands = old.as_ref().map_or(0, |old| old.version);
        let stale = || Error::Stale(format!("the settings of {space} were changed meanwhile"));
        if version.is_some_and(|wanted| wanted != stands) {
            return Err(stale());
        }
        let value = serde_json::to_vec(&settings).map_err(|e| Error::broker(SPACES_BUCKET, e))?;
        let value = Bytes::from(value);
        let bucket = self.bucket(SPACES_BUCKET).await?;
        let failed = |error: &dyn std::fmt::Display| {
            Error::broker("the space's settings were not stored", error)
        };
        let revision = match &entry {
            Some(entry) => match bucket.update(space.as_str(), value, entry.revision).await {
                Ok(revision) => revision,
                Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => {
                    return Err(stale());
                }
                Err(error) => return Err(failed(&error)),
            },
            None => match bucket.create(space.as_str(), value).await {
                Ok(revision) => revision,
                Err(error) if error.kind() == CreateErrorKind::AlreadyExists => {
                    return Err(stale());
                }
                Err(error) => return Err(failed(&error)),
            },
        };
        self.record(Change {
            actor,
            space: Some(space),
            action: "space.put",
            target: space.as_str(),
            old: old.map_or(Value::Null, |old| json!(old.settings)),
            new: json!(settings),
        })
        .await;
        Ok(KeptSpace {
            settings,
            version: revision,
        })
    }

    /// Every space that has settings, a webhook or a token, in order.
    ///
    /// # Errors
    /// The broker does not answer.
    pub async fn spaces(&self) -> Result<BTreeSet<Space>> {
        let mut spaces = BTreeSet::new();
        for bucket in [SPACES_BUCKET, WEBHOOKS_BUCKET] {
            let failed = |error: &dyn std::fmt::Display| Error::broker(bucket, error);
            let store = self.bucket(bucket).await?;
            let keys = store.keys().await.map_err(|error| failed(&error))?;
            let keys: Result<Vec<String>, _> = keys.try_collect().await;
            for key in keys.map_err(|error| failed(&error))? {
                let name = key.split('.').next().unwrap_or_default();
                spaces.extend(name.parse::<Space>());
            }
        }
        let tokens = self.tokens(None).await?;
        spaces.extend(tokens.into_iter().filter_map(|token| token.space));
        Ok(spaces)
    }

    async fn space_entry(&self, space: &Space) -> Result<Option<Entry>> {
        let bucket = self.bucket(SPACES_BUCKET).await?;
        let entry = bucket.entry(space.as_str()).await;
        let entry = entry.map_err(|error| Error::broker(SPACES_BUCKET, error))?;
        Ok(entry.filter(|entry| entry.operation == Operation::Put))
    }
}

fn read(entry: &Entry) -> Result<KeptSpace> {
    let settings = serde_json::from_slice(&entry.value);
    let settings = settings.map_err(|error| {
        Error::broker(
            format_args!("the settings of {} cannot be read", entry.key),
            error,
        )
    })?;
    Ok(KeptSpace {
        settings,
        version: entry.revision,
    })
}
