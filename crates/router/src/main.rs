//! The program `tidings-router`.

use std::process::ExitCode;

use clap::Parser;
use tidings_router::RouterArgs;
use tidings_service::health::Health;
use tidings_service::settings::ProgramArgs;
use tidings_service::{lifecycle, settings};

/// Takes events from JetStream, finds the webhooks that want them and stores a delivery for each.
/// Run as many as needed: they share the work.
#[derive(Debug, Parser)]
#[command(name = "tidings-router", version)]
struct Program {
    #[command(flatten)]
    program: ProgramArgs,
    #[command(flatten)]
    router: RouterArgs,
}

fn main() -> ExitCode {
    let Program { program, router } = settings::parse();
    lifecycle::run("tidings-router", &program, async |lifecycle| {
        tidings_router::run(router, Health::new(), lifecycle).await
    })
}
