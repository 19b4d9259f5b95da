//! `tidings event`: publishes events over each of the three ways in (CONTRACT.md section 3).

mod broker;
mod compose;
mod http;
mod read;

use std::fmt;
use std::path::PathBuf;

use bytes::Bytes;
use clap::ValueEnum;
use serde::Serialize;
use serde_json::json;
use tidings_core::name::{Environment, Space};
use tidings_nats::connect::NatsArgs;

use crate::client::Client;
use crate::input;
use crate::output::{Output, Progress, Table};
use compose::EventFields;
use http::HttpArgs;

#[derive(Debug, clap::Args)]
pub(crate) struct EventArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Publish one event from options, or one or many from a file.
    Send(Box<SendArgs>),
}

#[derive(Debug, clap::Args)]
struct SendArgs {
    /// File with events in JSON, or - for standard input: one object, an array, or one after the
    /// other.
    #[arg(long, value_name = "FILE|-", conflicts_with_all = ["topic", "payload"])]
    file: Option<PathBuf>,
    /// The space, for events that do not name theirs.
    #[arg(long, env = "TIDINGS_SPACE", value_name = "NAME")]
    space: Option<Space>,
    /// The environment, for events that do not name theirs; master if nobody does.
    #[arg(long, env = "TIDINGS_ENVIRONMENT", value_name = "NAME")]
    environment: Option<Environment>,
    /// Which way in: HTTP, the NATS service of tidings-ingest, or straight into the stream.
    #[arg(long, env = "TIDINGS_VIA", value_enum, default_value = "http")]
    via: Via,
    #[command(flatten)]
    fields: EventFields,
    #[command(flatten)]
    http: HttpArgs,
}

/// A way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Via {
    /// POST to tidings-ingest, many in batches.
    Http,
    /// NATS request to tidings-ingest.
    Nats,
    /// JetStream publish, as trusted producers do.
    Jetstream,
}

/// What became of an event.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Outcome {
    /// The stream has it.
    Accepted(Accepted),
    /// It was not taken.
    Refused {
        /// Why not.
        error: Refusal,
    },
}

/// The receipt for a stored event.
#[derive(Debug, Serialize, serde::Deserialize)]
struct Accepted {
    id: String,
    sequence: u64,
    duplicate: bool,
}

/// Why an event was not taken.
#[derive(Debug, Serialize, serde::Deserialize)]
struct Refusal {
    /// HTTP's word for it, 0 if it is of no use.
    #[serde(default)]
    status: u16,
    /// A stable word for it.
    #[serde(default)]
    code: String,
    /// What is wrong, and where.
    #[serde(default)]
    detail: String,
}

impl Refusal {
    fn new(status: u16, code: &str, detail: impl Into<String>) -> Self {
        Self {
            status,
            code: code.to_owned(),
            detail: detail.into(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [self.code.as_str(), self.detail.as_str()];
        let parts = parts.into_iter().filter(|part| !part.is_empty());
        f.write_str(&parts.collect::<Vec<_>>().join(": "))
    }
}

/// Runs the command.
pub(crate) async fn run(args: EventArgs, nats: &NatsArgs, output: Output) -> anyhow::Result<()> {
    let Action::Send(args) = args.action;
    let events = events(&args).await?;
    let mut progress = Progress::of("publishing", events.len() as u64);
    let outcomes = match args.via {
        Via::Http => http::send(&args.http, &events, &mut progress).await?,
        Via::Nats => broker::request(&Client::connect(nats).await?, &events, &mut progress).await?,
        Via::Jetstream => {
            broker::publish(&Client::connect(nats).await?, &events, &mut progress).await?
        }
    };
    drop(progress);
    answer(&outcomes, output)
}

async fn events(args: &SendArgs) -> anyhow::Result<Vec<Bytes>> {
    let text = match &args.file {
        Some(path) => Bytes::from(input::read(path).await?),
        None => args.fields.compose().await?,
    };
    let fill = [
        ("space", args.space.as_ref().map(Space::as_str)),
        (
            "environment",
            args.environment.as_ref().map(Environment::as_str),
        ),
    ];
    let events = read::split(&text)?;
    Ok(events
        .into_iter()
        .map(|event| read::fill(event, &fill))
        .collect())
}

fn answer(outcomes: &[Outcome], output: Output) -> anyhow::Result<()> {
    let mut table = Table::new(["ID", "SEQUENCE", "RESULT"], "no events");
    let mut refusals = Vec::new();
    for (index, outcome) in outcomes.iter().enumerate() {
        match outcome {
            Outcome::Accepted(Accepted {
                id,
                sequence,
                duplicate,
            }) => {
                let result = if *duplicate { "duplicate" } else { "accepted" };
                table.row([id.clone(), sequence.to_string(), result.to_owned()]);
            }
            Outcome::Refused { error } => {
                let place = format!("(event {})", index + 1);
                table.row([place, String::from("-"), format!("refused: {error}")]);
                refusals.push(error);
            }
        }
    }
    let document = json!({
        "accepted": outcomes.len() - refusals.len(),
        "refused": refusals.len(),
        "events": outcomes,
    });
    output.answer(&document, table)?;
    match refusals.as_slice() {
        [] => Ok(()),
        [refusal] if outcomes.len() == 1 => anyhow::bail!("the event was refused: {refusal}"),
        some => anyhow::bail!("{} of {} events were refused", some.len(), outcomes.len()),
    }
}
