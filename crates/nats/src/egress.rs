//! The addresses that requests come from, in their bucket: one entry for each pool and network.

use std::net::IpAddr;

use async_nats::jetstream::Context;
use async_nats::jetstream::context::KeyValueErrorKind;
use async_nats::jetstream::kv::{CreateErrorKind, Entry, Operation, Store, UpdateErrorKind};
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use ipnet::IpNet;
use jiff::Timestamp;
use tidings_core::egress::{Published, Source, published, register};
use tidings_core::name::Pool;
use tracing::warn;

use crate::topology::{EGRESS_BUCKET, Layout, LayoutError};

/// Several senders may register the same address at the same moment.
const TRIES_MAX: usize = 8;

/// Why the registered addresses cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The bucket is not there.
    #[error("the bucket {EGRESS_BUCKET} is not there; run `tidings provision`")]
    Missing,
    /// The streams are not there, or cannot be used.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The broker refused or did not answer.
    #[error("the broker did not answer: {detail}")]
    Unavailable {
        /// What happened.
        detail: String,
    },
}

impl RegistryError {
    fn unavailable(error: impl std::fmt::Display) -> Self {
        Self::Unavailable {
            detail: error.to_string(),
        }
    }
}

/// The registered and announced addresses. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Registry {
    bucket: Store,
}

impl Registry {
    /// Opens the bucket.
    ///
    /// # Errors
    /// It is not there, or the broker does not answer.
    pub async fn open(context: &Context) -> Result<Self, RegistryError> {
        match context.get_key_value(EGRESS_BUCKET).await {
            Ok(bucket) => Ok(Self { bucket }),
            Err(error) if error.kind() == KeyValueErrorKind::GetBucket => {
                Err(RegistryError::Missing)
            }
            Err(error) => Err(RegistryError::unavailable(error)),
        }
    }

    /// Registers that a sender of `pool` sends from `address`; `true` unless that was known.
    ///
    /// # Errors
    /// The broker does not answer.
    pub async fn register(
        &self,
        pool: &Pool,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<bool, RegistryError> {
        let key = key(pool, &IpNet::from(address));
        for _ in 0..TRIES_MAX {
            let entry = self.entry(&key).await?;
            let known = entry.as_ref().and_then(|entry| read(&key, &entry.value));
            let Some(source) = register(known.as_ref(), address, now) else {
                return Ok(false);
            };
            if self.store(&key, &source, entry.as_ref()).await? {
                return Ok(true);
            }
        }
        Err(RegistryError::unavailable("others keep changing the entry"))
    }

    /// Announces `source` for `pool`, over what was said of it before.
    ///
    /// # Errors
    /// The broker does not answer.
    pub async fn announce(&self, pool: &Pool, source: &Source) -> Result<(), RegistryError> {
        let put = self.bucket.put(key(pool, &source.network), value(source));
        put.await.map_err(RegistryError::unavailable)?;
        Ok(())
    }

    /// Takes a network back; `false` if it was not there.
    ///
    /// # Errors
    /// The broker does not answer.
    pub async fn withdraw(&self, pool: &Pool, network: &IpNet) -> Result<bool, RegistryError> {
        let key = key(pool, network);
        if self.entry(&key).await?.is_none() {
            return Ok(false);
        }
        let purged = self.bucket.purge(&key).await;
        purged.map_err(RegistryError::unavailable)?;
        Ok(true)
    }

    /// All entries, in no order. What cannot be read is left out with a warning.
    ///
    /// # Errors
    /// The broker does not answer.
    pub async fn all(&self) -> Result<Vec<(Pool, Source)>, RegistryError> {
        let keys = self.bucket.keys().await;
        let keys = keys.map_err(RegistryError::unavailable)?;
        let keys: Vec<String> = keys
            .try_collect()
            .await
            .map_err(RegistryError::unavailable)?;
        let mut all = Vec::with_capacity(keys.len());
        for key in keys {
            let Some(entry) = self.entry(&key).await? else {
                continue;
            };
            let pool = key.split_once('.').and_then(|(pool, _)| pool.parse().ok());
            match (pool, read(&key, &entry.value)) {
                (Some(pool), Some(source)) => all.push((pool, source)),
                (None, _) => warn!(key, "a source address lies under a key without a pool"),
                (Some(_), None) => {}
            }
        }
        Ok(all)
    }

    /// The entry as it stands, a deleted one left out.
    async fn entry(&self, key: &str) -> Result<Option<Entry>, RegistryError> {
        let entry = self.bucket.entry(key).await;
        let entry = entry.map_err(RegistryError::unavailable)?;
        Ok(entry.filter(|entry| entry.operation == Operation::Put))
    }

    /// Stores `source` in the place of `old`; `false` if somebody else was faster.
    async fn store(
        &self,
        key: &str,
        source: &Source,
        old: Option<&Entry>,
    ) -> Result<bool, RegistryError> {
        let value = value(source);
        match old {
            None => match self.bucket.create(key, value).await {
                Ok(_) => Ok(true),
                Err(error) if error.kind() == CreateErrorKind::AlreadyExists => Ok(false),
                Err(error) => Err(RegistryError::unavailable(error)),
            },
            Some(old) => match self.bucket.update(key, value, old.revision).await {
                Ok(_) => Ok(true),
                Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => Ok(false),
                Err(error) => Err(RegistryError::unavailable(error)),
            },
        }
    }
}

/// What `GET /egress` answers: all pools with the addresses and blocks that they send from.
///
/// # Errors
/// The installation is not provisioned, or the broker does not answer.
pub async fn read_published(context: &Context) -> Result<Published, RegistryError> {
    let layout = Layout::read(context).await?;
    let sources = Registry::open(context).await?.all().await?;
    Ok(published(&layout.pools, sources))
}

/// A key may have no colon.
fn key(pool: &Pool, network: &IpNet) -> String {
    format!("{pool}.{}", network.to_string().replace(':', "="))
}

fn value(source: &Source) -> Bytes {
    let value = serde_json::to_vec(source).expect("a source has only serialisable values");
    Bytes::from(value)
}

fn read(key: &str, value: &[u8]) -> Option<Source> {
    match serde_json::from_slice(value) {
        Ok(source) => Some(source),
        Err(error) => {
            warn!(key, %error, "a source address cannot be read");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_network_has_a_key_that_the_broker_takes() {
        let pool = Pool::default();
        for network in [
            "203.0.113.7/32",
            "203.0.113.0/28",
            "::/0",
            "2001:db8::1/128",
        ] {
            let key = key(&pool, &network.parse().unwrap());
            let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-/_=.".contains(c);
            assert!(key.chars().all(is_allowed), "{key}");
        }
    }
}
