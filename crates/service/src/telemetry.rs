//! What a process tells: logs on standard error, metrics, and with a collector traces.

mod export;
mod guarded;
mod lines;
mod otlp;
mod tls;

use std::io::IsTerminal as _;
use std::time::Duration;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{JsonFields, format};

use export::Export;
use lines::Correlated;
use otlp::Otlp;

// How a process tells what it does. No doc comment: clap would make it the program's description.
#[derive(Debug, Clone, clap::Args)]
#[command(
    next_help_heading = "Telemetry",
    after_help = "Traces and metrics go to an OpenTelemetry collector when \
    OTEL_EXPORTER_OTLP_ENDPOINT is set, as the other OTEL_* variables say: docs/telemetry.md."
)]
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
/// NATS client every try to connect, of which we tell the first. What goes wrong on the way to the
/// collector is told by `guarded`, now and then.
const QUIET: &str =
    "rustls_platform_verifier=off,async_nats=warn,opentelemetry=off,h2=warn,hyper=warn,tonic=off";

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// What tells while a process runs. [`Telemetry::end`] it, so that the last is told, too.
#[derive(Debug)]
#[must_use]
pub struct Telemetry {
    export: Option<Export>,
}

impl Telemetry {
    /// Sends what was not sent yet, for at most `within`.
    pub fn end(self, within: Duration) {
        if let Some(export) = self.export {
            export.end(within);
        }
    }
}

/// Starts logging, counting, and sending to a collector if the environment names one; once a
/// process, which `service` names.
///
/// # Errors
/// The filter or a variable `OTEL_*` cannot be used; the message names it.
pub fn start(service: &'static str, args: &TelemetryArgs) -> anyhow::Result<Telemetry> {
    let otlp = Otlp::of_environment()?;
    start_logging(args)?;
    let export = Export::start(service, otlp)?;
    Ok(Telemetry { export })
}

/// Starts logging alone, for a process that ends by itself.
///
/// # Errors
/// The filter cannot be read.
pub fn start_logging(args: &TelemetryArgs) -> anyhow::Result<()> {
    let filter = EnvFilter::builder()
        .parse(format!("{QUIET},{}", args.log))
        .map_err(|error| anyhow::anyhow!("--log {:?} cannot be read: {error}", args.log))?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match args.log_format {
        LogFormat::Human => {
            let colours = std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
            let ansi = std::io::stderr().is_terminal() && colours;
            let line = format().compact().with_target(false).with_ansi(ansi);
            lines.event_format(Correlated::human(line)).init();
        }
        LogFormat::Json => {
            let line = format().json().flatten_event(true);
            lines
                .fmt_fields(JsonFields::new())
                .event_format(Correlated::json(line))
                .init();
        }
    }
    Ok(())
}
