//! The program behind `make bench`: measures Tidings end to end, beside a bare loop with the same
//! clients and none of our rules, on this machine and in one run.
//!
//! It starts a real nats-server and the real programs of its own build, and itself again as
//! [producer](load), [sink] and [stages of the floor](floor), each a process of its own.

mod broker;
mod cell;
mod clock;
mod compare;
mod console;
mod event;
mod farm;
mod fleet;
mod floor;
mod grounds;
mod http;
mod isolation;
mod load;
mod machine;
mod pipeline;
mod sink;
mod stack;
mod stats;

use std::process::ExitCode;

use anyhow::bail;
use clap::{Parser, Subcommand};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

use crate::compare::CompareArgs;
use crate::console::ConsoleArgs;
use crate::farm::FarmArgs;
use crate::fleet::FleetArgs;
use crate::floor::{RouterStageArgs, SenderStageArgs};
use crate::isolation::IsolationArgs;
use crate::load::LoadArgs;
use crate::pipeline::PipelineArgs;
use crate::sink::SinkArgs;

/// Measures Tidings on this machine. Build all programs first: `cargo build --release --bins`.
#[derive(Debug, Parser)]
#[command(
    name = "tidings-bench",
    version,
    args_conflicts_with_subcommands = true
)]
struct Program {
    #[command(subcommand)]
    measurement: Option<Measurement>,
    #[command(flatten)]
    pipeline: PipelineArgs,
}

#[derive(Debug, Subcommand)]
enum Measurement {
    /// The whole pipeline beside its floor: rates, latency, CPU time and memory (the default).
    Pipeline(PipelineArgs),
    /// What telemetry or replicas cost, each beside doing without.
    Compare(CompareArgs),
    /// The console's delivery log: indexing rate, file size, how long pages take.
    Console(ConsoleArgs),
    /// What bad endpoints cost the good ones.
    Isolation(IsolationArgs),
    /// How exactly a fleet keeps rate limits, and what one sender holds.
    Fleet(FleetArgs),
    /// A process of a measurement: the endpoints of a fleet.
    #[command(hide = true)]
    Farm(FarmArgs),
    /// A process of a measurement: answers deliveries.
    #[command(hide = true)]
    Sink(SinkArgs),
    /// A process of a measurement: publishes events.
    #[command(hide = true)]
    Load(LoadArgs),
    /// A process of a measurement: the floor's router.
    #[command(hide = true)]
    FloorRouter(RouterStageArgs),
    /// A process of a measurement: the floor's sender.
    #[command(hide = true)]
    FloorSender(SenderStageArgs),
}

fn main() -> ExitCode {
    let Program {
        measurement,
        pipeline,
    } = Program::parse();
    match run(measurement.unwrap_or(Measurement::Pipeline(pipeline))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Producer and sink are kept to one thread, to leave the cores to what is measured; the floor's
/// stages have the runtime of the programs that they stand for.
fn run(measurement: Measurement) -> anyhow::Result<()> {
    match measurement {
        Measurement::Pipeline(args) => one_thread()?.block_on(until_signal(pipeline::run(args))),
        Measurement::Compare(args) => one_thread()?.block_on(until_signal(compare::run(args))),
        Measurement::Console(args) => Runtime::new()?.block_on(until_signal(console::run(args))),
        Measurement::Isolation(args) => one_thread()?.block_on(until_signal(isolation::run(args))),
        Measurement::Fleet(args) => one_thread()?.block_on(until_signal(fleet::run(args))),
        Measurement::Farm(args) => one_thread()?.block_on(farm::run(args)),
        Measurement::Sink(args) => one_thread()?.block_on(sink::run(args)),
        Measurement::Load(args) => one_thread()?.block_on(load::run(args)),
        Measurement::FloorRouter(args) => Runtime::new()?.block_on(floor::run_router(args)),
        Measurement::FloorSender(args) => Runtime::new()?.block_on(floor::run_sender(args)),
    }
}

fn one_thread() -> std::io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// Dropping the measurement ends all its processes and removes their files.
async fn until_signal(measuring: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        measured = measuring => measured,
        _ = interrupt.recv() => bail!("interrupted"),
        _ = terminate.recv() => bail!("told to stop"),
    }
}
