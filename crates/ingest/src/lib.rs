//! `tidings-ingest`: takes events in, checks them, and answers only after the stream's
//! acknowledgement (invariant O1).
//!
//! The way of an event: HTTP (`http`) or NATS (`nats_service`) brings bytes, [`decode`] reads them,
//! [`check`] holds them against the rules, `accept` publishes them by way of `store` and answers.
//! Whoever publishes is known by [`auth`] and held back by [`rate`]. Whatever is refused is refused
//! as a [`Problem`](tidings_service::problem::Problem), over both ways the same.

mod accept;
pub mod args;
pub mod auth;
mod broker;
pub mod check;
pub mod decode;
mod http;
mod metrics;
mod nats_service;
pub mod rate;
mod store;

use std::net::SocketAddr;
use std::sync::Arc;

use tidings_service::admin;
use tidings_service::health::Health;
use tidings_service::lifecycle::Lifecycle;
use tracing::{error, info};

use accept::Ingest;
pub use args::IngestArgs;

/// Starts ingest; it runs on `lifecycle` until that is stopped. It listens when this returns, and
/// answers 503 until the broker is there.
///
/// # Errors
/// The listener's address cannot be used.
pub async fn run(args: IngestArgs, health: Health, lifecycle: &Lifecycle) -> anyhow::Result<()> {
    start(args, health, lifecycle).await.map(drop)
}

/// As [`run`]; returns the address that is listened at, which the system chose if the port was 0.
///
/// # Errors
/// As [`run`].
pub async fn start(
    args: IngestArgs,
    health: Health,
    lifecycle: &Lifecycle,
) -> anyhow::Result<SocketAddr> {
    for check in broker::CHECKS {
        health.unready(check, "starting");
    }
    let listener = admin::listen(args.listen, "listen").await?;
    let address = listener.local_addr()?;
    let ingest = Arc::new(Ingest::new(&args));
    let routes = http::routes(Arc::clone(&ingest), &args).merge(admin::routes(health.clone()));
    info!(listen.address = %address, "tidings-ingest listening on http://{address}");
    http::serve(
        listener,
        routes,
        args.max_connections,
        Arc::clone(&ingest),
        lifecycle,
    );
    let (limited, stop) = (Arc::clone(&ingest), lifecycle.stop.clone());
    lifecycle
        .tasks
        .spawn(async move { limited.rate.forget_idle(&stop).await });
    let lifecycle_of_work = lifecycle.clone();
    lifecycle.tasks.spawn(async move {
        if let Err(error) = broker::work(&args, ingest, health, &lifecycle_of_work).await {
            error!(
                error = format!("{error:#}"),
                "ingest cannot work: {error:#}"
            );
            lifecycle_of_work.abort.cancel();
        }
    });
    Ok(address)
}
