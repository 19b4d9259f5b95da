//! Logs on standard error, for people or for machines.

use std::io::IsTerminal as _;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

// How a process tells what it does. No doc comment: clap would make it the program's description.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Telemetry")]
pub struct TelemetryArgs {
    /// What is logged: a level, or levels by module such as `info,tidings_sender=debug`.
    #[arg(
        long,
        env = "TIDINGS_LOG",
        value_name = "FILTER",
        default_value = "info"
    )]
    pub log: String,
    /// How log lines look.
    #[arg(
        long,
        env = "TIDINGS_LOG_FORMAT",
        value_name = "FORMAT",
        value_enum,
        default_value = "human"
    )]
    pub log_format: LogFormat,
}

/// The verifier logs every bad certificate as an error, which the attempt says already, and the
/// NATS client every try to connect, of which we tell the first.
const QUIET: &str = "rustls_platform_verifier=off,async_nats=warn,opentelemetry=warn";

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// Starts logging and counting; once a process.
///
/// # Errors
/// The filter cannot be read.
pub fn start(args: &TelemetryArgs) -> anyhow::Result<()> {
    let filter = EnvFilter::builder()
        .parse(format!("{QUIET},{}", args.log))
        .map_err(|error| anyhow::anyhow!("--log {:?} cannot be read: {error}", args.log))?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match args.log_format {
        LogFormat::Human => lines.with_target(false).compact().init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
    crate::metrics::start()
}
