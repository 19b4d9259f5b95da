//! Tidings' console: what people see of events and deliveries, and where they put things right.
//!
//! The management API ([`api`]) and the dashboard ([`pages`]) are two faces of the same [`App`]:
//! it changes things through `tidings-manage` and reads what happened from the delivery [`log`].
//! Nothing of the data plane knows of it or waits for it.

pub mod api;
pub mod app;
mod args;
pub mod auth;
mod broker;
mod conceal;
pub mod log;
pub mod ops;
pub mod pages;
mod serve;
mod session;
pub mod view;

use std::net::SocketAddr;
use std::sync::Arc;

use tidings_nats::connect::{self, NatsArgs};
use tidings_service::admin;
use tidings_service::health::Health;
use tidings_service::lifecycle::Lifecycle;

pub use app::App;
pub use args::ConsoleArgs;

/// By which NATS knows the console.
const NAME: &str = "tidings-console";

/// Starts the console; it runs on `lifecycle` until that is stopped. It listens when this returns,
/// at the address that is returned, and answers 503 until the broker is there.
///
/// # Errors
/// A setting cannot be used, or the delivery log cannot be opened.
pub async fn start(
    args: ConsoleArgs,
    nats: &NatsArgs,
    health: Health,
    lifecycle: &Lifecycle,
) -> anyhow::Result<SocketAddr> {
    for check in broker::CHECKS {
        health.unready(check, "starting");
    }
    let listen = args.listen;
    let client = connect::start(nats, NAME).await?;
    let app = Arc::new(App::open(args, client, lifecycle).await?);
    let listener = admin::listen(listen, "listen").await?;
    let address = listener.local_addr()?;
    let routes = axum::Router::new()
        .merge(admin::routes(health.clone()))
        .nest("/api/v1", api::routes(Arc::clone(&app)))
        .merge(pages::routes(Arc::clone(&app)));
    serve::serve(listener, routes, lifecycle)?;
    broker::start(&app, health, lifecycle);
    Ok(address)
}
