//! `tidings dead-letter`: what ended without success, and how it gets another chance.

mod letter;
mod list;
mod redeliver;

use tidings_core::dead_letter::Reason;
use tidings_core::id::{DeliveryId, WebhookId};
use tidings_core::name::Space;

use crate::client::Client;
use crate::output::Output;

#[derive(Debug, clap::Args)]
pub(crate) struct DeadLetterArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List dead letters, the newest first.
    List(ListArgs),
    /// Give deliveries another round of attempts, under the same ids; with `--all` also publish
    /// events again that routers were too old for (`newer_schema`).
    Redeliver(RedeliverArgs),
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    #[command(flatten)]
    filter: Filter,
    /// How many at the most.
    #[arg(long, value_name = "COUNT", default_value = "50", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
}

#[derive(Debug, clap::Args)]
struct RedeliverArgs {
    /// The deliveries' ids.
    #[arg(
        value_name = "DELIVERY",
        required_unless_present = "all",
        conflicts_with = "all"
    )]
    deliveries: Vec<DeliveryId>,
    /// All that the other options leave over.
    #[arg(long)]
    all: bool,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    filter: Filter,
}

// Which dead letters are meant.
#[derive(Debug, clap::Args)]
struct Filter {
    /// Only those of this space; those of all spaces if left out.
    #[arg(long, env = "TIDINGS_SPACE", value_name = "NAME")]
    space: Option<Space>,
    /// Only those of this webhook.
    #[arg(long, value_name = "ID")]
    webhook: Option<WebhookId>,
    /// Only those that ended for this reason, such as exhausted, expired or webhook_disabled.
    #[arg(long, value_name = "REASON")]
    reason: Option<Reason>,
}

/// Runs the command.
pub(crate) async fn run(
    args: DeadLetterArgs,
    client: &Client,
    output: Output,
) -> anyhow::Result<()> {
    match args.action {
        Action::List(args) => list::run(&args, client, output).await,
        Action::Redeliver(args) => redeliver::run(&args, client, output).await,
    }
}
