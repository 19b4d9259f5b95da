//! The program `tidings-sender`.

use std::process::ExitCode;

use clap::Parser;
use tidings_sender::SenderArgs;
use tidings_service::health::Health;
use tidings_service::settings::ProgramArgs;
use tidings_service::{lifecycle, settings};

/// Takes deliveries from JetStream, makes the HTTP requests, and sees to what follows: a retry, a
/// dead letter, or nothing more. Run as many as needed: they share the work.
#[derive(Debug, Parser)]
#[command(name = "tidings-sender", version)]
struct Program {
    #[command(flatten)]
    program: ProgramArgs,
    #[command(flatten)]
    sender: SenderArgs,
}

fn main() -> ExitCode {
    let Program { program, sender } = settings::parse();
    lifecycle::run("tidings-sender", &program, async |lifecycle| {
        tidings_sender::run(sender, Health::new(), lifecycle).await
    })
}
