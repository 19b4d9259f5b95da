//! Serving HTTP until the process stops.

use std::net::SocketAddr;

use axum::Router;
use tidings_service::lifecycle::Lifecycle;
use tokio::net::TcpListener;
use tracing::{info, warn};

/// Serves `routes` until the process is asked to stop; requests under way are finished. Unlike
/// other programs' routes, these know who calls.
///
/// # Errors
/// The listener has no address.
pub(crate) fn serve(
    listener: TcpListener,
    routes: Router,
    lifecycle: &Lifecycle,
) -> anyhow::Result<()> {
    let address = listener.local_addr()?;
    info!(listen.address = %address, "console listening on http://{address}");
    let stop = lifecycle.stop.clone();
    let routes = routes.into_make_service_with_connect_info::<SocketAddr>();
    lifecycle.tasks.spawn(async move {
        let served = axum::serve(listener, routes).with_graceful_shutdown(stop.cancelled_owned());
        if let Err(error) = served.await {
            warn!(%error, "the console stopped serving");
        }
    });
    Ok(())
}
