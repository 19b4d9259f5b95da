//! Bearer tokens: only their hashes are stored.

use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use jiff::Timestamp;
use serde_json::{Value, json};
use tidings_core::name::Space;
use tidings_core::secret::Secret;
use tidings_core::token::{self, Scope, TokenRecord};
use tidings_nats::topology::TOKENS_BUCKET;
use tidings_service::clock;
use tracing::warn;

use crate::audit::Change;
use crate::{Actor, Error, Manage, Result, new_ulid};

const NAME_CHARS_MAX: usize = 256;

/// What a new token should be.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// What it is for.
    pub name: String,
    /// The only space it is good for; `None` for every space.
    pub space: Option<Space>,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// When it stops being good.
    pub expires: Expiry,
}

/// When a token stops being good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// Never.
    Never,
    /// At this time.
    At(Timestamp),
    /// So long after it was made.
    After(Duration),
}

impl Expiry {
    fn end(self, now: Timestamp) -> Result<Option<Timestamp>> {
        let fault = |detail| Error::field("/expiresAt", "bad_value", detail);
        let end = match self {
            Self::Never => return Ok(None),
            Self::At(end) => end,
            Self::After(wait) => {
                let detail = "it reaches beyond all calendars; give less";
                now.checked_add(wait).map_err(|_| fault(detail))?
            }
        };
        match end > now {
            true => Ok(Some(end)),
            false => Err(fault(
                "it is in the past; the token would be good for nothing",
            )),
        }
    }
}

impl Manage {
    /// Makes a token. It is returned here and never again.
    ///
    /// # Errors
    /// It would be good for nothing, or the broker does not answer.
    pub async fn create_token(
        &self,
        actor: &Actor,
        wanted: NewToken,
    ) -> Result<(TokenRecord, Secret)> {
        let now = clock::now();
        check(&wanted)?;
        let expires_at = wanted.expires.end(now)?;
        let mut scopes = wanted.scopes;
        scopes.sort_unstable();
        scopes.dedup();
        let record = TokenRecord {
            id: format!("tok_{}", new_ulid(now)),
            name: wanted.name,
            space: wanted.space,
            scopes,
            created_at: now,
            expires_at,
        };
        let token = token::from_bytes(&rand::random());
        let shown = json!(record);
        let value = Bytes::from(shown.to_string());
        let store = self.bucket(TOKENS_BUCKET).await?;
        let stored = store.create(token::hash(token.expose()), value).await;
        stored.map_err(|error| Error::broker("the token was not stored", error))?;
        self.record(Change {
            actor,
            space: record.space.as_ref(),
            action: "token.create",
            target: &record.id,
            old: Value::Null,
            new: shown,
        })
        .await;
        Ok((record, token))
    }

    /// All tokens, or those that are good for `space`, the oldest first.
    ///
    /// # Errors
    /// The broker does not answer.
    pub async fn tokens(&self, space: Option<&Space>) -> Result<Vec<TokenRecord>> {
        let is_wanted = |record: &TokenRecord| match (space, &record.space) {
            (Some(wanted), Some(own)) => wanted == own,
            _ => true,
        };
        let records = self.token_records().await?.into_iter();
        let mut records: Vec<_> = records.map(|(_, record)| record).collect();
        records.retain(is_wanted);
        records.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(records)
    }

    /// Makes a token good for nothing.
    ///
    /// # Errors
    /// There is none of this id, or the broker does not answer.
    pub async fn revoke_token(&self, actor: &Actor, id: &str) -> Result<()> {
        let records = self.token_records().await?;
        let found = records.into_iter().find(|(_, record)| record.id == id);
        let (key, record) = found.ok_or_else(|| Error::not_found("token", id))?;
        let store = self.bucket(TOKENS_BUCKET).await?;
        let purged = store.purge(key).await;
        purged.map_err(|error| Error::broker("the token was not revoked", error))?;
        self.record(Change {
            actor,
            space: record.space.as_ref(),
            action: "token.revoke",
            target: id,
            old: json!(record),
            new: Value::Null,
        })
        .await;
        Ok(())
    }

    /// The record of the token with this text, if it is known.
    ///
    /// # Errors
    /// The broker does not answer.
    pub async fn find_token(&self, text: &str) -> Result<Option<TokenRecord>> {
        let store = self.bucket(TOKENS_BUCKET).await?;
        let value = store.get(token::hash(text)).await;
        let value = value.map_err(|error| Error::broker(TOKENS_BUCKET, error))?;
        Ok(value.and_then(|value| serde_json::from_slice(&value).ok()))
    }

    async fn token_records(&self) -> Result<Vec<(String, TokenRecord)>> {
        let failed = |error: &dyn std::fmt::Display| Error::broker(TOKENS_BUCKET, error);
        let store = self.bucket(TOKENS_BUCKET).await?;
        let keys = store.keys().await.map_err(|error| failed(&error))?;
        let keys: Vec<String> = keys.try_collect().await.map_err(|error| failed(&error))?;
        let mut records = Vec::with_capacity(keys.len());
        for key in keys {
            let value = store.get(&key).await.map_err(|error| failed(&error))?;
            // It may have been revoked meanwhile.
            let Some(value) = value else { continue };
            match serde_json::from_slice(&value) {
                Ok(record) => records.push((key, record)),
                Err(error) => warn!(%error, "a token's record cannot be read"),
            }
        }
        Ok(records)
    }
}

fn check(wanted: &NewToken) -> Result<()> {
    if wanted.scopes.is_empty() {
        let detail = "name at least one scope, such as `webhooks:read`";
        return Err(Error::field("/scopes", "missing", detail));
    }
    if wanted.space.is_some() && wanted.scopes.contains(&Scope::Admin) {
        let detail = "an admin token is good for every space; leave `space` out, or name scopes";
        return Err(Error::field("/scopes", "bad_value", detail));
    }
    let is_bad_name = wanted.name.chars().any(char::is_control);
    if is_bad_name || wanted.name.chars().count() > NAME_CHARS_MAX {
        let detail = format!("it has a control character, or over {NAME_CHARS_MAX} characters");
        return Err(Error::field("/name", "bad_text", detail));
    }
    Ok(())
}
