//! `tidings token`: creates, lists and revokes bearer tokens.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tidings_core::duration;
use tidings_core::name::Space;
use tidings_core::token::{Scope, TokenRecord};
use tidings_manage::token::{Expiry, NewToken};
use tidings_service::clock;

use crate::client::Client;
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
    match args.action {
        Action::Create(args) => create(args, client, output).await,
        Action::List { space } => list(space.as_ref(), client, output).await,
        Action::Revoke { id } => {
            client.manage().revoke_token(&client.actor, &id).await?;
            let document = json!({ "id": id, "revoked": true });
            output.answer(&document, format_args!("revoked {id}"))
        }
    }
}

async fn create(args: CreateArgs, client: &Client, output: Output) -> anyhow::Result<()> {
    let wanted = NewToken {
        name: args.name,
        space: args.space,
        scopes: args.scopes,
        expires: args.expires_in.map_or(Expiry::Never, Expiry::After),
    };
    let (record, token) = client.manage().create_token(&client.actor, wanted).await?;
    let mut document = serde_json::to_value(&record)?;
    document["token"] = Value::from(token.expose());
    let mut fields = Fields::default();
    fields.add("id", &record.id);
    fields.add_some("name", &record.name);
    fields.add("space", space(&record));
    fields.add("scopes", scopes(&record));
    fields.add("expires", expiry(&record, clock::now()));
    fields.add("token", token.expose());
    note("The token is shown only now; a hash of it is stored.");
    output.answer(&document, fields)
}

async fn list(wanted: Option<&Space>, client: &Client, output: Output) -> anyhow::Result<()> {
    let now = clock::now();
    let records = client.manage().tokens(wanted).await?;
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
