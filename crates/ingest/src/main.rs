//! The program `tidings-ingest`.

use std::process::ExitCode;

use clap::Parser;
use tidings_ingest::IngestArgs;
use tidings_service::health::Health;
use tidings_service::settings::ProgramArgs;
use tidings_service::{lifecycle, settings};

/// Takes events from CMSs over HTTP and NATS, checks them and stores them in JetStream. Answers 202
/// once the stream has acknowledged an event, and never before.
#[derive(Debug, Parser)]
#[command(name = "tidings-ingest", version)]
struct Program {
    #[command(flatten)]
    program: ProgramArgs,
    #[command(flatten)]
    ingest: IngestArgs,
}

fn main() -> ExitCode {
    let Program { program, ingest } = settings::parse();
    lifecycle::run("tidings-ingest", &program, async |lifecycle| {
        tidings_ingest::run(ingest, Health::new(), lifecycle).await
    })
}
