//! The commands, and the options that all of them have.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Arg, Command, CommandFactory, Parser, Subcommand};
use tidings_nats::connect::NatsArgs;
use tidings_service::settings::{self, ConfigArgs};
use tidings_service::telemetry::{self, TelemetryArgs};

use crate::client::Client;
use crate::output::{Closed, Output, note};
use crate::{
    console, dead_letter, delivery, dev, egress, event, healthcheck, listen, nats_users, provision,
    replay, secrets, space, status, token, webhook,
};

/// Programs that run until they are stopped, rather than ask the broker something.
const LONG_RUNNING: [&str; 3] = ["dev", "listen", "console"];
/// Those of them that are told where NATS is.
const ON_NATS: [&str; 1] = ["console"];
/// How long a name lookup or a read that cannot be cancelled may hold up the end.
const LEAVE_WITHIN: Duration = Duration::from_millis(100);
/// How long the last telemetry may hold up the end.
const FLUSH_WITHIN: Duration = Duration::from_secs(2);

// What was asked for.
#[derive(Debug, clap::Args)]
struct Program {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    action: Action,
}

// Options of every command, before or after its name.
#[derive(Debug, Clone, clap::Args)]
struct Common {
    /// Answer with one JSON document instead of a table.
    #[arg(long, env = "TIDINGS_JSON")]
    json: bool,
    /// Who makes a change, for its record [default: the system's user, by number].
    #[arg(long, env = "TIDINGS_ACTOR", value_name = "NAME")]
    actor: Option<String>,
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    telemetry: TelemetryArgs,
    #[command(flatten)]
    nats: NatsArgs,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Run everything on this machine, with a nats-server of its own.
    Dev(dev::DevArgs),
    /// Serve the management API and the dashboard.
    Console(Box<console::ConsoleCommand>),
    /// Receive webhooks and print them, their signatures verified.
    Listen(listen::ListenArgs),
    /// Create or upgrade the streams, consumers and buckets on the broker.
    Provision(provision::ProvisionArgs),
    /// Write the users of the broker for nats-server: a key and the least permissions for each.
    NatsUsers(nats_users::NatsUsersArgs),
    /// Ask a service whether it is healthy; ends with code 0 if it is. For containers.
    Healthcheck(healthcheck::HealthcheckArgs),
    /// Create, show and change webhooks.
    Webhook(Box<webhook::WebhookArgs>),
    /// Publish events.
    Event(event::EventArgs),
    /// See what became of events on their way to webhooks.
    Delivery(delivery::DeliveryArgs),
    /// See what ended without success, and redeliver it.
    DeadLetter(dead_letter::DeadLetterArgs),
    /// Send many deliveries again.
    Replay(replay::ReplayArgs),
    /// See what waits in each stream, and which senders are alive.
    Status,
    /// See and change what is set for spaces.
    Space(space::SpaceArgs),
    /// See and announce the addresses that requests come from.
    Egress(egress::EgressArgs),
    /// Create, list and revoke tokens.
    Token(token::TokenArgs),
    /// Keep the keys that secrets of webhooks are encrypted with.
    Secrets(secrets::SecretsArgs),
    /// Print the completions of a shell; put them where the shell looks for them.
    Completions {
        /// The shell.
        #[arg(value_name = "SHELL")]
        shell: clap_complete::Shell,
    },
}

impl CommandFactory for Program {
    fn command() -> Command {
        let program = Command::new("tidings")
            .about("Webhooks for content management systems, delivered at least once")
            .version(env!("CARGO_PKG_VERSION"));
        let program = <Self as clap::Args>::augment_args(program)
            .mut_args(|arg| arg.global(true))
            .mut_arg("log", |arg| arg.default_value("warn"));
        let own: Vec<Arg> = program
            .get_arguments()
            .filter_map(for_long_running)
            .collect();
        LONG_RUNNING.into_iter().fold(program, |program, name| {
            let is_meant = |arg: &&Arg| {
                let is_of_nats = arg.get_id().as_str().starts_with("nats_");
                !is_of_nats || !ON_NATS.contains(&name)
            };
            program.mut_subcommand(name, |command| command.args(own.iter().filter(is_meant)))
        })
    }

    fn command_for_update() -> Command {
        Self::command()
    }
}

impl Parser for Program {}

/// A common option that programs which run until they are stopped have otherwise, or not at all.
fn for_long_running(arg: &Arg) -> Option<Arg> {
    let arg = arg.clone();
    match arg.get_id().as_str() {
        "log" => Some(arg.default_value("info")),
        "actor" => Some(arg.hide(true)),
        id if id.starts_with("nats_") => Some(arg.hide(true)),
        _ => None,
    }
}

/// Runs the program and says with which code it ends.
#[must_use]
pub fn main() -> ExitCode {
    let program = settings::parse::<Program>();
    match start(program) {
        Ok(code) => code,
        Err(error) if error.is::<Closed>() => ExitCode::SUCCESS,
        Err(error) => {
            note(format_args!("error: {error:#}{}", hint(&error)));
            ExitCode::FAILURE
        }
    }
}

/// Where what is not there could be looked for.
fn hint(error: &anyhow::Error) -> &'static str {
    match error.downcast_ref() {
        Some(tidings_manage::Error::NotFound { what, .. }) => match *what {
            "webhook" => "; see `tidings webhook list`",
            "token" => "; see `tidings token list`",
            "signing secret" => "; see `tidings webhook get`",
            _ => "",
        },
        _ => "",
    }
}

fn start(program: Program) -> anyhow::Result<ExitCode> {
    let settings = &program.common.telemetry;
    let telemetry = match program.action {
        Action::Dev(_) => Some(telemetry::start("tidings", settings)?),
        Action::Console(_) => Some(telemetry::start("tidings-console", settings)?),
        _ => {
            telemetry::start_logging(settings)?;
            None
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let ended = runtime.block_on(run(program));
    runtime.shutdown_timeout(LEAVE_WITHIN);
    if let Some(telemetry) = telemetry {
        telemetry.end(FLUSH_WITHIN);
    }
    ended
}

async fn run(program: Program) -> anyhow::Result<ExitCode> {
    let Program { common, action } = program;
    let output = Output::new(common.json);
    let connect = async || {
        let client = Client::connect(&common.nats).await?;
        anyhow::Ok(client.made_by(common.actor.as_deref()))
    };
    match action {
        Action::Dev(args) => return dev::run(args).await,
        Action::Console(args) => return Box::pin(console::run(*args, &common.nats)).await,
        Action::Listen(args) => return listen::run(args, common.json).await,
        Action::Provision(args) => {
            let client = Client::connect_as(&common.nats, provision::NAME).await?;
            provision::run(args, &client, output).await?;
        }
        Action::NatsUsers(args) => nats_users::run(&args, output)?,
        Action::Healthcheck(args) => healthcheck::run(&args).await?,
        Action::Delivery(args) => delivery::run(args, &connect().await?, output).await?,
        Action::DeadLetter(args) => dead_letter::run(args, &connect().await?, output).await?,
        Action::Replay(args) => replay::run(args, &connect().await?, output).await?,
        Action::Status => status::run(&connect().await?, output).await?,
        Action::Space(args) => space::run(args, &connect().await?, output).await?,
        Action::Completions { shell } => {
            clap_complete::generate(shell, &mut Program::command(), "tidings", &mut io::stdout());
        }
        Action::Egress(args) => egress::run(args, &connect().await?, output).await?,
        Action::Token(args) => token::run(args, &connect().await?, output).await?,
        Action::Secrets(args) => secrets::run(args, connect, output).await?,
        Action::Event(args) => event::run(args, &common.nats, output).await?,
        Action::Webhook(args) => webhook::run(*args, &connect().await?, output).await?,
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_options_are_declared_without_contradiction() {
        Program::command().debug_assert();
    }
}
