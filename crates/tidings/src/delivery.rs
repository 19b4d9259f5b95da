//! `tidings delivery`: what became of events on their way to webhooks, from the streams.

mod list;
mod redeliver;
mod show;
mod summary;
mod waiting;

use tidings_core::id::{DeliveryId, EventId, WebhookId};
use tidings_core::name::Space;
use tidings_core::topic::TopicPattern;

use crate::client::Client;
use crate::output::Output;
use summary::Status;

#[derive(Debug, clap::Args)]
pub(crate) struct DeliveryArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List deliveries, the newest first.
    List(ListArgs),
    /// Show a delivery with every attempt that is still recorded.
    Show(ShowArgs),
    /// Send a delivery again, under the same id and with a whole round of attempts, whatever became
    /// of it.
    Redeliver(ShowArgs),
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    /// The space they belong to.
    #[arg(long, env = "TIDINGS_SPACE", value_name = "NAME")]
    space: Space,
    /// Only those to this webhook.
    #[arg(long, value_name = "ID")]
    webhook: Option<WebhookId>,
    /// Only those that stand so.
    #[arg(long, value_enum)]
    status: Option<Status>,
    /// Only those of events with this topic, such as Entry.publish or Entry.*.
    #[arg(long, value_name = "TOPIC")]
    topic: Option<TopicPattern>,
    /// Only those of this event.
    #[arg(long, value_name = "ID")]
    event_id: Option<EventId>,
    /// How many at the most.
    #[arg(long, value_name = "COUNT", default_value = "50", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
}

#[derive(Debug, clap::Args)]
struct ShowArgs {
    /// The delivery's id, the receiver's `webhook-id`.
    #[arg(value_name = "ID")]
    id: DeliveryId,
    /// The space it belongs to.
    #[arg(long, env = "TIDINGS_SPACE", value_name = "NAME")]
    space: Space,
    /// The webhook it goes to; it is found faster then.
    #[arg(long, value_name = "ID")]
    webhook: Option<WebhookId>,
}

/// Runs the command.
pub(crate) async fn run(args: DeliveryArgs, client: &Client, output: Output) -> anyhow::Result<()> {
    match args.action {
        Action::List(args) => list::run(&args, client, output).await,
        Action::Show(args) => show::run(&args, client, output).await,
        Action::Redeliver(args) => redeliver::run(&args, client, output).await,
    }
}

/// The subject of a space, or of one webhook in it: of attempts, or of dead letters.
fn subject_of(kind: &str, space: &Space, webhook: Option<&WebhookId>) -> String {
    format!(
        "tidings.{kind}.{space}.{}",
        webhook.map_or("*", WebhookId::as_str)
    )
}
