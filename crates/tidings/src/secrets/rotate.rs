//! Sealing everything that is stored anew.

use std::collections::BTreeMap;

use anyhow::Context as _;
use async_nats::jetstream::kv::{self, Operation, UpdateErrorKind};
use futures_util::{StreamExt as _, TryStreamExt as _};
use serde_json::json;
use tidings_core::webhook::Webhook;
use tidings_manage::{forget_history, sealer};
use tidings_nats::topology::{SECRET_KEYS_BUCKET, WEBHOOKS_BUCKET};
use tidings_vault::{KeyRing, Sealer};

use crate::client::Client;
use crate::output::{Output, note};

const AT_ONCE: usize = 16;
/// How often somebody else may change a webhook just while it is sealed anew.
const TRIES: usize = 5;

/// Runs `tidings secrets rotate`.
pub(super) async fn run(keys: &KeyRing, client: &Client, output: Output) -> anyhow::Result<()> {
    let sealing = client.bucket(SECRET_KEYS_BUCKET).await?;
    let sealer = sealer(&sealing).await?;
    let sealer = sealer.context("no key is in use; see `tidings secrets use`")?;
    let webhooks = client.bucket(WEBHOOKS_BUCKET).await?;
    let names: Vec<String> = webhooks.keys().await?.try_collect().await?;
    let rotation = Rotation {
        keys,
        sealer: &sealer,
        webhooks: &webhooks,
    };
    let outcomes: Vec<bool> = futures_util::stream::iter(names)
        .map(|name| rotation.tell(name))
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let failed = outcomes.iter().filter(|is_done| !**is_done).count();
    if failed > 0 {
        anyhow::bail!("{failed} of {} webhooks keep their keys", outcomes.len());
    }
    let (count, id) = (outcomes.len(), sealer.public_key().id());
    let document = json!({ "webhooks": count, "id": id });
    let text = format_args!("the secrets of {count} webhooks are encrypted with {id}");
    output.answer(&document, text)
}

/// How many secrets each key seals; those that are plain have no key.
pub(super) async fn count(webhooks: &kv::Store) -> anyhow::Result<BTreeMap<Option<String>, u64>> {
    let names: Vec<String> = webhooks.keys().await?.try_collect().await?;
    let mut values = futures_util::stream::iter(names)
        .map(|name| webhooks.get(name))
        .buffer_unordered(AT_ONCE);
    let mut counts = BTreeMap::new();
    while let Some(value) = values.try_next().await? {
        // What is no webhook has no secret that could be counted.
        let webhook = value.and_then(|value| Webhook::from_stored(&value).ok());
        for webhook in webhook.iter() {
            for (_, secret) in webhook.definition.secrets() {
                let id = secret.sealed().map(|sealed| sealed.key_id.clone());
                *counts.entry(id).or_default() += 1;
            }
        }
    }
    Ok(counts)
}

struct Rotation<'a> {
    keys: &'a KeyRing,
    sealer: &'a Sealer,
    webhooks: &'a kv::Store,
}

impl Rotation<'_> {
    /// Seals one anew, and tells if that does not work.
    async fn tell(&self, name: String) -> bool {
        let done = self.one(&name).await;
        if let Err(error) = &done {
            note(format_args!("{name}: {error:#}"));
        }
        done.is_ok()
    }

    async fn one(&self, name: &str) -> anyhow::Result<()> {
        for _ in 0..TRIES {
            let entry = self.webhooks.entry(name).await?;
            let Some(entry) = entry.filter(|entry| entry.operation == Operation::Put) else {
                return Ok(());
            };
            let mut webhook = Webhook::from_stored(&entry.value)?;
            if !self.is_current(&webhook) {
                self.keys.open(&mut webhook)?;
                self.sealer.seal(&mut webhook, None)?;
                let value = webhook.to_stored().into();
                match self.webhooks.update(name, value, entry.revision).await {
                    Ok(_) => {}
                    Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => continue,
                    Err(error) => return Err(error.into()),
                }
            }
            return Ok(forget_history(self.webhooks, name).await?);
        }
        anyhow::bail!("it was changed by somebody else again and again")
    }

    fn is_current(&self, webhook: &Webhook) -> bool {
        let id = self.sealer.public_key().id();
        let mut secrets = webhook.definition.secrets();
        secrets.all(|(_, secret)| secret.sealed().is_some_and(|sealed| sealed.key_id == id))
    }
}
