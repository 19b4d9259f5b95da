//! `tidings secrets`: the keys that secrets of webhooks are sealed with.

mod rotate;

use std::path::PathBuf;

use anyhow::Context as _;
use async_nats::jetstream;
use serde_json::json;
use tidings_manage::sealer;
use tidings_nats::topology::{SEALING_KEY, SECRET_KEYS_BUCKET, WEBHOOKS_BUCKET};
use tidings_sender::args::SecretArgs;
use tidings_vault::PublicKey;

use crate::client::Client;
use crate::output::{Output, Table, note};

#[derive(Debug, clap::Args)]
pub(crate) struct SecretsArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Add a new private key to a file. Give the file to every sender before the key is used.
    Generate {
        /// The file; it is made, for its owner alone, if it is not there.
        #[arg(long, env = "TIDINGS_SECRET_KEY_FILE", value_name = "FILE")]
        secret_key_file: PathBuf,
    },
    /// Encrypt with the newest of the given keys from now on. Only its public half is stored.
    Use(SecretArgs),
    /// Encrypt every stored secret anew with the key in use, and forget what earlier versions of
    /// webhooks held. The given keys open what is encrypted.
    Rotate(SecretArgs),
    /// List the keys that stored secrets are encrypted with. One that no secret needs, and that is
    /// not in use, may be destroyed.
    List,
}

/// Runs the command. What needs no broker calls for no connection.
pub(crate) async fn run(
    args: SecretsArgs,
    connect: impl AsyncFnOnce() -> anyhow::Result<Client>,
    output: Output,
) -> anyhow::Result<()> {
    match args.action {
        Action::Generate { secret_key_file } => {
            let keys = tidings_vault::append(&secret_key_file).context("--secret-key-file")?;
            let newest = keys.newest().context("the new key is not there")?;
            note("Keep a copy of the file: without it nobody can read the secrets.");
            let document = json!({ "id": newest.id(), "file": secret_key_file });
            output.answer(&document, newest.id())
        }
        Action::Use(args) => {
            let keys = args.read()?;
            let newest = keys
                .newest()
                .context("give the keys with --secret-key-file")?;
            let client = connect().await?;
            store(&client.jetstream, newest).await?;
            let id = newest.id();
            output.answer(&json!({ "id": id }), format_args!("encrypting with {id}"))
        }
        Action::Rotate(args) => rotate::run(&args.read()?, &connect().await?, output).await,
        Action::List => list(&connect().await?, output).await,
    }
}

/// Makes `key` the one that seals.
///
/// # Errors
/// It cannot be stored.
pub(crate) async fn store(context: &jetstream::Context, key: &PublicKey) -> anyhow::Result<()> {
    let keys = context.get_key_value(SECRET_KEYS_BUCKET).await;
    let keys = keys.with_context(|| format!("{SECRET_KEYS_BUCKET}: run `tidings provision`"))?;
    let put = keys.put(SEALING_KEY, key.to_stored().into()).await;
    put.context("the key was not stored")?;
    Ok(())
}

async fn list(client: &Client, output: Output) -> anyhow::Result<()> {
    let keys = client.bucket(SECRET_KEYS_BUCKET).await?;
    let webhooks = client.bucket(WEBHOOKS_BUCKET).await?;
    let sealer = sealer(&keys).await?;
    let in_use = sealer.as_ref().map(|sealer| sealer.public_key().id());
    let mut counts = rotate::count(&webhooks).await?;
    if let Some(id) = in_use {
        counts.entry(Some(id.to_owned())).or_default();
    }
    let mut table = Table::new(["KEY", "SECRETS", "IN USE"], "no secrets");
    let mut documents = Vec::with_capacity(counts.len());
    for (id, count) in counts {
        let is_used = id.is_some() && id.as_deref() == in_use;
        documents.push(json!({ "id": id, "secrets": count, "inUse": is_used }));
        let name = id.unwrap_or_else(|| String::from("not encrypted"));
        let used = if is_used { "yes" } else { "" };
        table.row([name, count.to_string(), used.to_owned()]);
    }
    output.answer(&documents, table)
}
