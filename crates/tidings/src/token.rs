//! `tidings token`: creates, lists and revokes bearer tokens, straight in their bucket.

use std::time::Duration;

use anyhow::Context as _;
use async_nats::jetstream::kv;
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use jiff::Timestamp;
use serde_json::{Value, json};
use tidings_core::duration;
use tidings_core::name::Space;
use tidings_core::token::{self, Scope, TokenRecord};
use tidings_nats::topology::TOKENS_BUCKET;
use tidings_service::clock;

use crate::client::{Client, new_ulid};
use crate::output::{Fields, Output, Table, note, time};

#[derive(Debug, clap::Args)]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Create a token and show it, once.
    Create(CreateArgs),
    /// List tokens; the tokens themselves are not stored.
    List {
        /// Only those that are good for this space.
        #[arg(long, env = "TIDINGS_SPACE", value_name = "NAME")]
        space: Option<Space>,
    },
    /// Make a token good for nothing.
    Revoke {
        /// The token's id, as in the list.
        #[arg(value_name = "ID")]
        id: String,
    },
}

#[derive(Debug, clap::Args)]
struct CreateArgs {
    /// The only space it is good for; good for every space if left out.
    #[arg(long, env = "TIDINGS_SPACE", value_name = "NAME")]
    space: Option<Space>,
    /// What it may do: admin, events:write, webhooks:read, webhooks:write, deliveries:read or
    /// deliveries:write; repeat it for each.
    #[arg(
        long = "scope",
        value_name = "SCOPE",
        required = true,
        value_delimiter = ','
    )]
    scopes: Vec<Scope>,
    /// What it is for.
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    name: String,
    /// How long it is good, such as 720h; for ever if left out.
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    expires_in: Option<Duration>,
}

/// Runs the command.
pub(crate) async fn run(args: TokenArgs, client: &Client, output: Output) -> anyhow::Result<()> {
    let store = client.bucket(TOKENS_BUCKET).await?;
    match args.action {
        Action::Create(args) => create(args, &store, output).await,
        Action::List { space } => list(space.as_ref(), &store, output).await,
        Action::Revoke { id } => revoke(&id, &store, output).await,
    }
}

async fn create(args: CreateArgs, store: &kv::Store, output: Output) -> anyhow::Result<()> {
    let now = clock::now();
    let expires_at = args.expires_in.map(|wait| end(now, wait)).transpose()?;
    let record = TokenRecord {
        id: format!("tok_{}", new_ulid(now)),
        name: args.name,
        space: args.space,
        scopes: args.scopes,
        created_at: now,
        expires_at,
    };
    let token = token::from_bytes(&rand::random());
    let value = Bytes::from(serde_json::to_vec(&record)?);
    let stored = store.create(token::hash(token.expose()), value).await;
    stored.context("the token was not stored")?;
    let mut document = serde_json::to_value(&record)?;
    document["token"] = Value::from(token.expose());
    let mut fields = Fields::default();
    fields.add("id", &record.id);
    fields.add_some("name", &record.name);
    fields.add("space", space(&record));
    fields.add("scopes", scopes(&record));
    fields.add("expires", expiry(&record, now));
    fields.add("token", token.expose());
    note("The token is shown only now; a hash of it is stored.");
    output.answer(&document, fields)
}

async fn list(wanted: Option<&Space>, store: &kv::Store, output: Output) -> anyhow::Result<()> {
    let now = clock::now();
    let mut records: Vec<TokenRecord> = records(store)
        .await?
        .into_iter()
        .map(|(_, record)| record)
        .collect();
    let is_wanted = |record: &TokenRecord| match (wanted, &record.space) {
        (Some(wanted), Some(own)) => wanted == own,
        _ => true,
    };
    records.retain(is_wanted);
    records.sort_by(|a, b| a.id.cmp(&b.id));
    let headings = ["ID", "NAME", "SPACE", "SCOPES", "CREATED", "EXPIRES"];
    let mut table = Table::new(headings, "no tokens");
    for record in &records {
        table.row([
            record.id.clone(),
            record.name.clone(),
            space(record),
            scopes(record),
            time(record.created_at),
            expiry(record, now),
        ]);
    }
    output.answer(&records, table)
}

async fn revoke(id: &str, store: &kv::Store, output: Output) -> anyhow::Result<()> {
    let records = records(store).await?;
    let found = records.into_iter().find(|(_, record)| record.id == id);
    let (key, _) =
        found.with_context(|| format!("there is no token {id}; see `tidings token list`"))?;
    store
        .purge(key)
        .await
        .context("the token was not revoked")?;
    output.answer(
        &json!({ "id": id, "revoked": true }),
        format_args!("revoked {id}"),
    )
}

async fn records(store: &kv::Store) -> anyhow::Result<Vec<(String, TokenRecord)>> {
    let keys: Vec<String> = store.keys().await?.try_collect().await?;
    let mut records = Vec::with_capacity(keys.len());
    for key in keys {
        // It may have been revoked meanwhile.
        let Some(value) = store.get(&key).await? else {
            continue;
        };
        match serde_json::from_slice(&value) {
            Ok(record) => records.push((key, record)),
            Err(error) => note(format_args!(
                "warning: a token's record cannot be read: {error}"
            )),
        }
    }
    Ok(records)
}

fn end(now: Timestamp, wait: Duration) -> anyhow::Result<Timestamp> {
    now.checked_add(wait)
        .context("--expires-in reaches beyond all calendars; give less")
}

fn space(record: &TokenRecord) -> String {
    record
        .space
        .as_ref()
        .map_or_else(|| String::from("(every)"), Space::to_string)
}

fn scopes(record: &TokenRecord) -> String {
    record
        .scopes
        .iter()
        .map(|scope| scope.as_str())
        .collect::<Vec<_>>()
        .join(", ")
}

fn expiry(record: &TokenRecord, now: Timestamp) -> String {
    match record.expires_at {
        None => String::from("never"),
        Some(end) if end <= now => format!("{} (expired)", time(end)),
        Some(end) => time(end),
    }
}
