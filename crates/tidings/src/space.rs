//! `tidings space`: what is set for spaces.

use std::num::NonZeroU32;

use serde_json::json;
use tidings_core::name::Space;
use tidings_core::space::EventRate;
use tidings_manage::space::KeptSpace;

use crate::client::Client;
use crate::output::{Fields, Output, Table};

#[derive(Debug, clap::Args)]
pub(crate) struct SpaceArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List the spaces that have settings, webhooks or tokens.
    List,
    /// Show what is set for a space.
    Get {
        /// The space.
        #[arg(value_name = "NAME")]
        space: Space,
    },
    /// Change what is set for a space; what is not given stays.
    Set(SetArgs),
}

#[derive(Debug, clap::Args)]
struct SetArgs {
    /// The space.
    #[arg(value_name = "NAME")]
    space: Space,
    /// What people call it.
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// How many events per second it may publish; 0 for any number.
    #[arg(long, value_name = "COUNT", conflicts_with = "default_rate")]
    events_per_second: Option<u32>,
    /// How many events at once before the rate holds.
    #[arg(long, value_name = "COUNT", requires = "events_per_second")]
    burst: Option<NonZeroU32>,
    /// Publish as fast as ingest lets every space.
    #[arg(long)]
    default_rate: bool,
}

/// Runs the command.
pub(crate) async fn run(args: SpaceArgs, client: &Client, output: Output) -> anyhow::Result<()> {
    let manage = client.manage();
    match args.action {
        Action::List => {
            let spaces = manage.spaces().await?;
            let mut table = Table::new(["SPACE"], "no spaces");
            for space in &spaces {
                table.row([space.to_string()]);
            }
            output.answer(&spaces, table)
        }
        Action::Get { space } => answer(&space, &manage.space(&space).await?, output),
        Action::Set(args) => {
            let kept = manage.space(&args.space).await?;
            let mut settings = kept.settings;
            settings.name = args.name.unwrap_or(settings.name);
            if args.default_rate {
                settings.ingest_rate = None;
            }
            if let Some(events_per_second) = args.events_per_second {
                settings.ingest_rate = Some(EventRate {
                    events_per_second,
                    burst: args.burst,
                });
            }
            let version = Some(kept.version);
            let put = manage.put_space(&client.actor, &args.space, settings, version);
            answer(&args.space, &put.await?, output)
        }
    }
}

fn answer(space: &Space, kept: &KeptSpace, output: Output) -> anyhow::Result<()> {
    let settings = &kept.settings;
    let mut document = json!(settings);
    document["id"] = json!(space);
    document["version"] = json!(kept.version);
    let mut fields = Fields::default();
    fields.add("space", space);
    fields.add_some("name", &settings.name);
    let rate = settings.ingest_rate.map_or_else(
        || String::from("(as ingest lets every space)"),
        |rate| format!("{} events per second", rate.events_per_second),
    );
    fields.add("rate", rate);
    let burst = settings.ingest_rate.and_then(|rate| rate.burst);
    let burst = burst.map_or_else(String::new, |burst| burst.to_string());
    fields.add_some("burst", &burst);
    output.answer(&document, fields)
}
