//! `tidings webhook secret`: exchanging a signing secret without a webhook that cannot be verified.

use std::time::Duration;

use tidings_core::secret::Secret;
use tidings_manage::{Actor, Manage};

use super::{Target, answer, answer_saved, options};
use crate::output::Output;

#[derive(Debug, clap::Subcommand)]
pub(super) enum SecretAction {
    /// Add a signing secret for each scheme and show it, once. The old ones go on signing for a
    /// while.
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
    /// A secret that the receiver has already, instead of a new one: whsec_…, whsk_…, or 64
    /// characters for Contentful. Secrets for other schemes stay as they are. What stands on a
    /// command line can be read by others on this machine.
    #[arg(long, value_name = "SECRET", hide_env_values = true,
          value_parser = options::parse_secret)]
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
    actor: &Actor,
    manage: &Manage,
    output: Output,
) -> anyhow::Result<()> {
    match action {
        SecretAction::Add(args) => {
            let target = args.target.of(actor);
            let added = manage.add_signing_secret(target, args.signing_secret.clone(), args.grace);
            answer_saved(&added.await?, output)
        }
        SecretAction::Remove(args) => {
            let target = args.target.of(actor);
            let removed = manage.remove_signing_secret(target, &args.secret);
            answer(&removed.await?, output)
        }
    }
}
