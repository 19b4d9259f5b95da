//! `tidings egress`: the addresses that requests come from, as receivers may let them in.

use anyhow::bail;
use jiff::Timestamp;
use serde_json::json;
use tidings_core::egress::{Origin, Source, SourceNetwork, published};
use tidings_core::name::Pool;
use tidings_manage::Error;
use tidings_service::clock;

use crate::client::Client;
use crate::output::{Output, Table, time};

#[derive(Debug, clap::Args)]
pub(crate) struct EgressArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List the addresses and blocks of every pool, as they are published.
    List,
    /// Publish an address or a block ahead of its use, or one of a proxy.
    Announce {
        #[command(flatten)]
        target: Target,
        /// From when on requests may come from it, such as 2026-12-01T00:00:00Z; now if left out.
        #[arg(long, value_name = "TIME")]
        valid_from: Option<Timestamp>,
    },
    /// Publish an address or a block no longer. A sender that still sends from it registers it
    /// again: stop the sender first.
    Withdraw(Target),
}

/// Which network is meant.
#[derive(Debug, clap::Args)]
struct Target {
    /// An address such as 203.0.113.7, or a block such as 203.0.113.0/28.
    #[arg(value_name = "IP|CIDR")]
    network: SourceNetwork,
    /// The senders that send from it.
    #[arg(
        long,
        env = "TIDINGS_POOL",
        value_name = "NAME",
        default_value = "default"
    )]
    pool: Pool,
}

/// Runs the command.
pub(crate) async fn run(args: EgressArgs, client: &Client, output: Output) -> anyhow::Result<()> {
    match args.action {
        Action::List => list(client, output).await,
        Action::Announce { target, valid_from } => {
            announce(target, valid_from, client, output).await
        }
        Action::Withdraw(target) => withdraw(&target, client, output).await,
    }
}

async fn list(client: &Client, output: Output) -> anyhow::Result<()> {
    let sources = client.manage().egress_sources().await?;
    let headings = ["POOL", "ADDRESS", "VALID FROM", "BY"];
    let mut table = Table::new(
        headings,
        "no addresses; requests come from any machine's own",
    );
    for (pool, source) in &sources {
        table.row([
            pool.to_string(),
            text(source),
            time(source.valid_from),
            origin(source.origin).to_owned(),
        ]);
    }
    let pools = client.layout().await?.pools;
    output.answer(&published(&pools, sources), table)
}

async fn announce(
    target: Target,
    valid_from: Option<Timestamp>,
    client: &Client,
    output: Output,
) -> anyhow::Result<()> {
    let source = Source {
        network: target.network.0,
        valid_from: valid_from.unwrap_or_else(clock::now),
        origin: Origin::Operator,
    };
    client
        .manage()
        .announce_egress(&client.actor, &target.pool, &source)
        .await?;
    let document = json!({
        "pool": target.pool,
        "network": source.network,
        "validFrom": source.valid_from,
    });
    let line = format!(
        "announced {} of the pool {} from {} on",
        text(&source),
        target.pool,
        time(source.valid_from)
    );
    output.answer(&document, line)
}

async fn withdraw(target: &Target, client: &Client, output: Output) -> anyhow::Result<()> {
    let (pool, network) = (&target.pool, target.network.0);
    let withdrawn = client
        .manage()
        .withdraw_egress(&client.actor, pool, &network)
        .await;
    if let Err(Error::NotFound { .. }) = withdrawn {
        bail!("{network} is not published for the pool {pool}; see `tidings egress list`");
    }
    withdrawn?;
    let document = json!({ "pool": pool, "network": network, "withdrawn": true });
    output.answer(
        &document,
        format_args!("withdrew {network} of the pool {pool}"),
    )
}

/// A block of one is written as the address it is.
fn text(source: &Source) -> String {
    let network = source.network;
    match network.prefix_len() == network.max_prefix_len() {
        true => network.addr().to_string(),
        false => network.to_string(),
    }
}

fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Sender => "a sender",
        Origin::Operator => "an operator",
    }
}
