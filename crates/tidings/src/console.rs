//! `tidings console`: the management API and the dashboard.

use std::process::ExitCode;
use std::time::Duration;

use tidings_console::ConsoleArgs;
use tidings_core::duration;
use tidings_nats::connect::NatsArgs;
use tidings_service::health::Health;
use tidings_service::lifecycle::Lifecycle;

#[derive(Debug, clap::Args)]
pub(crate) struct ConsoleCommand {
    #[command(flatten)]
    console: ConsoleArgs,
    /// How long requests in hand may take after SIGTERM.
    #[arg(long, env = "TIDINGS_DRAIN_TIMEOUT", value_name = "DURATION", default_value = "25s",
          value_parser = duration::parse)]
    drain_timeout: Duration,
}

/// Runs the command.
pub(crate) async fn run(args: ConsoleCommand, nats: &NatsArgs) -> anyhow::Result<ExitCode> {
    let lifecycle = Lifecycle::start(args.drain_timeout)?;
    tidings_console::start(args.console, nats, Health::new(), &lifecycle).await?;
    Ok(lifecycle.finish().await)
}
