//! Serving HTTP until the process stops.

use axum::Router;
use tidings_service::admin;
use tidings_service::lifecycle::Lifecycle;
use tokio::net::TcpListener;

/// Serves `routes` until the process is asked to stop.
///
/// # Errors
/// The listener has no address.
pub(crate) fn serve(
    listener: TcpListener,
    routes: Router,
    lifecycle: &Lifecycle,
) -> anyhow::Result<()> {
    admin::serve(listener, routes, "console", lifecycle)
}
