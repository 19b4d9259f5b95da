//! Sealing the secrets of webhooks that this program stores.

use anyhow::Context as _;
use async_nats::jetstream::kv;
use tidings_core::webhook::{Definition, Webhook};
use tidings_nats::topology::{SEALING_KEY, SECRET_KEYS_BUCKET};
use tidings_vault::Sealer;

use crate::client::Client;

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
    pub(crate) async fn read(client: &Client, is_plain_fine: bool) -> anyhow::Result<Self> {
        let keys = client.bucket(SECRET_KEYS_BUCKET).await?;
        Ok(Self {
            sealer: sealer(&keys).await?,
            is_plain_fine,
        })
    }

    /// The webhook as it is stored in the place of `old`.
    ///
    /// # Errors
    /// There is no key, and a secret is new.
    pub(crate) fn seal(
        &self,
        webhook: &Webhook,
        old: Option<&Definition>,
    ) -> anyhow::Result<Webhook> {
        let mut sealed = webhook.clone();
        if let Some(sealer) = &self.sealer {
            sealer.seal(&mut sealed, old)?;
            return Ok(sealed);
        }
        let stored: Vec<_> = old.into_iter().flat_map(Definition::secrets).collect();
        let is_new = |secret| !stored.contains(&secret);
        if !self.is_plain_fine && webhook.definition.secrets().any(is_new) {
            anyhow::bail!(
                "there is no key to encrypt its secrets with; make one with `tidings secrets \
                 generate` and `tidings secrets use`, or give --plain-secrets"
            );
        }
        Ok(sealed)
    }
}

/// What seals with the key in use, if there is one.
pub(crate) async fn sealer(keys: &kv::Store) -> anyhow::Result<Option<Sealer>> {
    let stored = keys.get(SEALING_KEY).await.context(SECRET_KEYS_BUCKET)?;
    let sealer = stored.map(|stored| Sealer::from_stored(&stored));
    sealer.transpose().context(SECRET_KEYS_BUCKET)
}

/// Whether a secret of it is readable for who reads the bucket.
pub(crate) fn has_plain(definition: &Definition) -> bool {
    let mut secrets = definition.secrets();
    secrets.any(|(_, secret)| secret.sealed().is_none())
}

/// Removes what the bucket held at `key` before.
///
/// # Errors
/// The broker does not answer.
pub(crate) async fn forget_history(webhooks: &kv::Store, key: &str) -> anyhow::Result<()> {
    let subject = format!("{}{key}", webhooks.prefix);
    let purged = webhooks.stream.purge().filter(subject).keep(1).await;
    purged
        .context("the readable secrets of its earlier versions were not removed; run it again")?;
    Ok(())
}
