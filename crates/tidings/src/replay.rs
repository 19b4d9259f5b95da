//! `tidings replay`: sends many deliveries again. A console counts and sends; this asks for it and
//! shows how it goes on.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use tidings_core::id::WebhookId;
use tidings_core::name::Space;
use tidings_core::topic::TopicPattern;
use tidings_manage::Manage;
use tidings_manage::replay::{Range, Replay, Size, State};
use tidings_service::clock;
use tokio::time::{Instant, sleep};

use crate::client::Client;
use crate::output::{Fields, Output, Progress, Table, confirm, note, time};

const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// After this it is said that nobody works on it.
const NOBODY_AFTER: Duration = Duration::from_secs(15);

#[derive(Debug, clap::Args)]
pub(crate) struct ReplayArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Send deliveries again that began in a span of time. They are counted first.
    Start(StartArgs),
    /// List replays, the newest first.
    List {
        /// The space they belong to.
        #[arg(long, env = "TIDINGS_SPACE", value_name = "NAME")]
        space: Space,
    },
    /// Show how a replay stands.
    Show(Target),
    /// Follow a replay until it has ended.
    Follow(Target),
    /// Stop a replay. What was sent again stays so.
    Cancel(Target),
}

/// Which replay is meant.
#[derive(Debug, clap::Args)]
struct Target {
    /// The replay's id.
    #[arg(value_name = "ID")]
    id: String,
    /// The space it belongs to.
    #[arg(long, env = "TIDINGS_SPACE", value_name = "NAME")]
    space: Space,
}

#[derive(Debug, clap::Args)]
struct StartArgs {
    /// The space the deliveries belong to.
    #[arg(long, env = "TIDINGS_SPACE", value_name = "NAME")]
    space: Space,
    /// Only those to this webhook; those to all webhooks of the space if left out.
    #[arg(long, value_name = "ID")]
    webhook: Option<WebhookId>,
    /// Those that began then or later, such as 2026-11-22T10:00:00Z.
    #[arg(long, value_name = "TIME")]
    from: Timestamp,
    /// Those that began before; until now if left out.
    #[arg(long, value_name = "TIME")]
    to: Option<Timestamp>,
    /// Only those of events with this topic, such as Entry.*; repeat it for each.
    #[arg(long = "topic", value_name = "TOPIC")]
    topics: Vec<TopicPattern>,
    /// Only those that ended without success.
    #[arg(long)]
    failed: bool,
    /// How many per second at most. Fewer are sent while anything else waits.
    #[arg(long, value_name = "COUNT", default_value_t = 50,
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,
    /// Only count them.
    #[arg(long)]
    dry_run: bool,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
    /// Do not wait until it has ended.
    #[arg(long)]
    detach: bool,
}

/// Runs the command.
pub(crate) async fn run(args: ReplayArgs, client: &Client, output: Output) -> anyhow::Result<()> {
    let manage = client.manage();
    match args.action {
        Action::Start(args) => start(args, client, &manage, output).await,
        Action::List { space } => list(&space, &manage, output).await,
        Action::Show(Target { id, space }) => answer(&manage.replay(&space, &id).await?, output),
        Action::Follow(Target { id, space }) => {
            let replay = manage.replay(&space, &id).await?;
            answer(&follow(replay, &manage).await?, output)
        }
        Action::Cancel(Target { id, space }) => {
            let cancelled = manage.cancel_replay(&client.actor, &space, &id).await?;
            answer(&cancelled, output)
        }
    }
}

async fn start(
    args: StartArgs,
    client: &Client,
    manage: &Manage,
    output: Output,
) -> anyhow::Result<()> {
    let to = args.to.unwrap_or_else(clock::now);
    anyhow::ensure!(args.from < to, "--to: it is not after --from");
    if let Some(webhook) = &args.webhook {
        manage.webhook(&args.space, webhook).await?;
    }
    let range = Range {
        webhook: args.webhook,
        from: args.from,
        to,
        topics: args.topics,
        only_failed: args.failed,
    };
    let mut size = Size {
        rate: args.rate,
        total: None,
        only_count: true,
    };
    let counting = manage.create_replay(&client.actor, &args.space, range.clone(), size);
    let counted = follow(counting.await?, manage).await?;
    let count = counted.total.unwrap_or(0);
    if args.dry_run {
        let document = json!({ "dryRun": true, "count": count });
        let text = format!("{count} deliveries would be sent again");
        return output.answer(&document, text);
    }
    if !args.yes && count > 0 {
        confirm(&format!("Send {count} deliveries again?"))?;
    }
    size.only_count = false;
    size.total = Some(count);
    let begun = manage.create_replay(&client.actor, &args.space, range, size);
    let replay = begun.await?;
    if args.detach {
        return answer(&replay, output);
    }
    note(format_args!(
        "the replay {}; it goes on without this command, `tidings replay cancel` stops it",
        replay.id
    ));
    let ended = follow(replay, manage).await?;
    answer(&ended, output)?;
    anyhow::ensure!(ended.state == State::Done, "the replay did not end well");
    Ok(())
}

/// Shows how a replay goes on until it has ended.
async fn follow(mut replay: Replay, manage: &Manage) -> anyhow::Result<Replay> {
    let doing = match replay.only_count {
        true => "counting",
        false => "sending again",
    };
    let mut shown = Progress::of(doing, replay.total.unwrap_or(0));
    let (mut done, begun, mut is_told) = (0, Instant::now(), false);
    while replay.state == State::Running {
        let now = replay.sent + replay.skipped;
        shown.add(now.saturating_sub(done));
        done = now;
        let is_untouched = replay.updated_at == replay.created_at;
        if is_untouched && !is_told && begun.elapsed() > NOBODY_AFTER {
            note("nobody works on it yet; does a `tidings console` run?");
            is_told = true;
        }
        sleep(LOOK_AGAIN).await;
        replay = manage.replay(&replay.space, &replay.id).await?;
    }
    Ok(replay)
}

async fn list(space: &Space, manage: &Manage, output: Output) -> anyhow::Result<()> {
    let mut replays = manage.replays(Some(space)).await?;
    replays.retain(|replay| !replay.only_count);
    let headings = [
        "ID", "WEBHOOK", "FROM", "TO", "STATE", "SENT", "SKIPPED", "OF",
    ];
    let mut table = Table::new(headings, "no replays");
    let or = |text: Option<String>, none: &str| text.unwrap_or_else(|| none.to_owned());
    for replay in &replays {
        let webhook = replay.range.webhook.as_ref().map(ToString::to_string);
        table.row([
            replay.id.clone(),
            or(webhook, "(all)"),
            time(replay.range.from),
            time(replay.range.to),
            state(replay),
            replay.sent.to_string(),
            replay.skipped.to_string(),
            or(replay.total.map(|total| total.to_string()), "?"),
        ]);
    }
    output.answer(&replays, table)
}

fn answer(replay: &Replay, output: Output) -> anyhow::Result<()> {
    let mut fields = Fields::default();
    fields.add("id", &replay.id);
    fields.add("state", state(replay));
    fields.add_some("detail", &replay.detail);
    fields.add("sent again", replay.sent);
    fields.add("skipped", replay.skipped);
    fields.add_some("last skipped", &replay.last_skipped);
    fields.add("of", replay.total.unwrap_or(0));
    fields.add("begun", time(replay.created_at));
    fields.add_some("ended", &replay.ended_at.map(time).unwrap_or_default());
    output.answer(replay, fields)
}

fn state(replay: &Replay) -> String {
    let state = match replay.state {
        State::Running => "running",
        State::Done => "done",
        State::Cancelled => "cancelled",
        State::Failed => "failed",
    };
    state.to_owned()
}
