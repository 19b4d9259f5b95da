//! `tidings webhook secret`: exchanging a signing secret without a webhook that cannot be verified.

use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use serde_json::Value;
use tidings_core::endpoint_url::UrlPolicy;
use tidings_core::secret::Secret;
use tidings_core::signature::secret_from_bytes;
use tidings_core::webhook::{Signing, SigningSecret, view};
use tidings_service::clock;

use super::{Kept, Target, Webhooks, answer, faults, next_version, options, refuse, show};
use crate::client::{Client, new_ulid};
use crate::output::{Output, note};

#[derive(Debug, clap::Subcommand)]
pub(super) enum SecretAction {
    /// Add a signing secret and show it, once. The old ones go on signing for a while.
    Add(AddArgs),
    /// Remove a signing secret at once.
    Remove(RemoveArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct AddArgs {
    #[command(flatten)]
    target: Target,
    /// How long the old secrets go on signing.
    #[arg(long, value_name = "DURATION", default_value = "24h",
          value_parser = tidings_core::duration::parse)]
    grace: Duration,
    /// A secret that the receiver has already, instead of a new one. What stands on a command line
    /// can be read by others on this machine.
    #[arg(long, value_name = "whsec_…", value_parser = options::parse_secret)]
    signing_secret: Option<Secret>,
}

#[derive(Debug, clap::Args)]
pub(super) struct RemoveArgs {
    #[command(flatten)]
    target: Target,
    /// The secret's id, as `webhook get` shows it.
    #[arg(value_name = "SECRET")]
    secret: String,
}

/// Runs the command.
pub(super) async fn run(
    action: SecretAction,
    client: &Client,
    webhooks: &Webhooks,
    output: Output,
) -> anyhow::Result<()> {
    match action {
        SecretAction::Add(args) => add(args, client, webhooks, output).await,
        SecretAction::Remove(args) => remove(&args, webhooks, output).await,
    }
}

async fn add(
    args: AddArgs,
    client: &Client,
    webhooks: &Webhooks,
    output: Output,
) -> anyhow::Result<()> {
    let old = webhooks.get(&args.target.space, &args.target.id).await?;
    let now = clock::now();
    let end = now.checked_add(args.grace).context("--grace")?;
    let key = args.signing_secret;
    let is_made = key.is_none();
    let added = SigningSecret {
        id: format!("sec_{}", new_ulid(now)),
        key: key.unwrap_or_else(|| secret_from_bytes(&rand::random())),
        expires_at: None,
    };
    let mut definition = old.webhook.definition.clone();
    exchange(&mut definition.signing, added.clone(), now, end);
    let mut faults = faults(&definition, &UrlPolicy::default(), client).await?;
    // Whatever else is wrong with it was so before.
    faults.retain(|fault| fault.pointer.starts_with("/signing"));
    refuse(faults)?;
    let webhook = next_version(old.webhook.clone(), definition, now);
    webhooks.replace(&webhook, &old).await?;
    let state = webhooks.state(&webhook).await?;
    let mut document = view(&webhook, state.as_ref());
    let mut text = show::fields(&document);
    if is_made {
        document["signing"]["secrets"][0]["key"] = Value::from(added.key.expose());
        text.add("signing secret", added.key.expose());
        note("The signing secret is shown only now; the receiver verifies signatures with it.");
    }
    output.answer(&document, text)
}

async fn remove(args: &RemoveArgs, webhooks: &Webhooks, output: Output) -> anyhow::Result<()> {
    let Target { id, space } = &args.target;
    let old: Kept = webhooks.get(space, id).await?;
    let now = clock::now();
    let mut definition = old.webhook.definition.clone();
    let secrets = &mut definition.signing.secrets;
    let count = secrets.len();
    secrets.retain(|secret| secret.id != args.secret);
    if secrets.len() == count {
        anyhow::bail!(
            "{id} has no signing secret {}; see `tidings webhook get`",
            args.secret
        );
    }
    // Of those that end soon, one would leave the webhook unsigned.
    if !secrets.iter().any(|secret| secret.expires_at.is_none()) {
        anyhow::bail!("nothing would sign without it; `tidings webhook secret add` comes first");
    }
    let webhook = next_version(old.webhook.clone(), definition, now);
    webhooks.replace(&webhook, &old).await?;
    answer(&webhook, webhooks, output).await
}

/// Puts `added` first, lets the others end at `end`, and drops what has ended already.
fn exchange(signing: &mut Signing, added: SigningSecret, now: Timestamp, end: Timestamp) {
    let secrets = &mut signing.secrets;
    secrets.retain(|secret| secret.is_valid(now));
    for secret in secrets.iter_mut() {
        secret.expires_at = Some(secret.expires_at.map_or(end, |own| own.min(end)));
    }
    secrets.insert(0, added);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_secrets_sign_until_the_grace_is_over_and_no_longer_than_before() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let secret = |id: &str, expires_at| SigningSecret {
            id: id.to_owned(),
            key: Secret::new("x"),
            expires_at,
        };
        let mut signing = Signing {
            secrets: vec![
                secret("for ever", None),
                secret("soon", Some(at(120))),
                secret("ended", Some(at(100))),
            ],
            ..Signing::default()
        };
        exchange(&mut signing, secret("new", None), at(100), at(200));
        let left: Vec<_> = signing
            .secrets
            .iter()
            .map(|secret| (secret.id.as_str(), secret.expires_at))
            .collect();
        let expected = [
            ("new", None),
            ("for ever", Some(at(200))),
            ("soon", Some(at(120))),
        ];
        assert_eq!(left, expected);
    }
}
