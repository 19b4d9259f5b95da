//! Sealing the secrets of webhooks that this program stores.

use async_nats::jetstream::kv;
use tidings_core::webhook::{Definition, Webhook};
use tidings_nats::topology::{SEALING_KEY, SECRET_KEYS_BUCKET};
use tidings_vault::Sealer;

use crate::{Error, Manage, Result};

/// What happens to the secrets of a webhook that is stored.
#[derive(Debug)]
pub(crate) struct Sealing {
    sealer: Option<Sealer>,
    is_plain_fine: bool,
}

impl Sealing {
    /// Reads which key is in use.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) async fn read(manage: &Manage) -> Result<Self> {
        let keys = manage.bucket(SECRET_KEYS_BUCKET).await?;
        Ok(Self {
            sealer: sealer(&keys).await?,
            is_plain_fine: manage.options().plain_secrets,
        })
    }

    /// The webhook as it is stored in the place of `old`.
    ///
    /// # Errors
    /// There is no key, and a secret is new; or a secret came sealed that did not lie there.
    pub(crate) fn seal(&self, webhook: &Webhook, old: Option<&Definition>) -> Result<Webhook> {
        let mut sealed = webhook.clone();
        if let Some(sealer) = &self.sealer {
            let done = sealer.seal(&mut sealed, old);
            done.map_err(|foreign| {
                Error::field(
                    &format!("/{}", foreign.field),
                    "bad_secret",
                    foreign.to_string(),
                )
            })?;
            return Ok(sealed);
        }
        let stored: Vec<_> = old.into_iter().flat_map(Definition::secrets).collect();
        let is_new = |secret| !stored.contains(&secret);
        if !self.is_plain_fine && webhook.definition.secrets().any(is_new) {
            return Err(Error::conflict(
                "no_secret_key",
                "there is no key to encrypt its secrets with; make one with `tidings secrets \
                 generate` and `tidings secrets use`, or give --plain-secrets",
            ));
        }
        Ok(sealed)
    }
}

/// What seals with the key in use, if there is one.
///
/// # Errors
/// The bucket cannot be read.
pub async fn sealer(keys: &kv::Store) -> Result<Option<Sealer>> {
    let stored = keys.get(SEALING_KEY).await;
    let stored = stored.map_err(|error| Error::broker(SECRET_KEYS_BUCKET, error))?;
    let sealer = stored.map(|stored| Sealer::from_stored(&stored));
    let sealer = sealer.transpose();
    sealer.map_err(|error| Error::broker(SECRET_KEYS_BUCKET, error))
}

/// Whether a secret of it is readable for who reads the bucket.
#[must_use]
pub fn has_plain(definition: &Definition) -> bool {
    let mut secrets = definition.secrets();
    secrets.any(|(_, secret)| secret.sealed().is_none())
}

/// Removes what the bucket held at `key` before.
///
/// # Errors
/// The broker does not answer.
pub async fn forget_history(webhooks: &kv::Store, key: &str) -> Result<()> {
    let subject = format!("{}{key}", webhooks.prefix);
    let purged = webhooks.stream.purge().filter(subject).keep(1).await;
    let what = "the readable secrets of its earlier versions were not removed; run it again";
    purged.map_err(|error| Error::broker(what, error))?;
    Ok(())
}
