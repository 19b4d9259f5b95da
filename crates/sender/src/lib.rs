//! `tidings-sender`: takes deliveries, makes the HTTP requests, sees to what follows.
//!
//! The way of a delivery: `take` asks the broker for what there is room for, [`send`] is the recipe:
//! [`open`] the message, find its webhook in the local table ([`webhooks`]), pass the [`gate`],
//! get a slot of its [`hosts`] and one of the sender's [`permits`], make one [`attempt`], [`record`] it, and [`settle`]: store
//! what follows, then acknowledge. The [`herald`] tells what became of endpoints. [`hand`] keeps signs of life going for all that is in hand. Which
//! partitions are worked is [`partitions`]' to say, by who is among the [`members`].

pub mod args;
pub mod attempt;
mod connection;
mod files;
pub mod gate;
pub mod hand;
pub mod herald;
pub mod hosts;
mod log;
mod member;
pub mod members;
mod memory;
pub mod metrics;
pub mod open;
pub mod partitions;
pub mod payloads;
pub mod permits;
pub mod pull;
pub mod record;
pub mod send;
pub mod settle;
mod sources;
mod spans;
mod take;
pub mod webhooks;
mod work;

use anyhow::Context as _;
use tidings_service::admin;
use tidings_service::health::Health;
use tidings_service::lifecycle::Lifecycle;
use tracing::error;

pub use args::{EgressArgs, SenderArgs};

/// Starts a sender; it runs on `lifecycle` until that is stopped.
///
/// # Errors
/// The listener's address or the egress options cannot be used, or this process may not open enough
/// files.
pub async fn run(args: SenderArgs, health: Health, lifecycle: &Lifecycle) -> anyhow::Result<()> {
    for check in ["nats", "streams", "webhooks", "partitions"] {
        health.unready(check, "starting");
    }
    let keys = args.secrets.read()?;
    memory::economise(args.concurrency);
    let kept = files::secure(args.concurrency).context("--concurrency")?;
    let client = args.egress.client_that_keeps(args.concurrency, kept)?;
    if let Some(address) = args.listen {
        let listener = admin::listen(address, "listen").await?;
        let routes = admin::routes(health.clone());
        admin::serve(listener, routes, "tidings-sender", lifecycle)?;
    }
    let lifecycle_of_work = lifecycle.clone();
    lifecycle.tasks.spawn(async move {
        if let Err(error) = work::run(&args, keys, client, &health, &lifecycle_of_work).await {
            error!(error = format!("{error:#}"), "the sender cannot work");
            lifecycle_of_work.abort.cancel();
        }
    });
    Ok(())
}
