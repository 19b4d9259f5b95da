//! `/healthz`, `/readyz` and `/metrics`, and serving HTTP until the process stops.

use std::net::SocketAddr;

use anyhow::Context as _;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tracing::{info, warn};

use crate::health::Health;
use crate::lifecycle::Lifecycle;
use crate::metrics;

/// Routes that every program answers (CONTRACT.md section 2).
pub fn routes(health: Health) -> Router {
    metrics::tell_ready(health.clone());
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics_text))
        .with_state(health)
}

/// Listens at `address`.
///
/// # Errors
/// The address cannot be listened at; the message names `option`, by which it was given.
pub async fn listen(address: SocketAddr, option: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen at {address}; give another --{option}"))
}

/// Serves `routes` until the process is asked to stop; requests under way are finished.
///
/// # Errors
/// The listener has no address.
pub fn serve(
    listener: TcpListener,
    routes: Router,
    what: &'static str,
    lifecycle: &Lifecycle,
) -> anyhow::Result<()> {
    let address = listener.local_addr()?;
    info!(listen.address = %address, "{what} listening on http://{address}");
    let stop = lifecycle.stop.clone();
    lifecycle.tasks.spawn(async move {
        let served = axum::serve(listener, routes).with_graceful_shutdown(stop.cancelled_owned());
        if let Err(error) = served.await {
            warn!(%error, "{what} stopped serving");
        }
    });
    Ok(())
}

async fn healthz() -> &'static str {
    "ok\n"
}

async fn readyz(State(health): State<Health>) -> Response {
    let checks = health.checks();
    let is_ready = health.is_ready();
    let shown: Map<String, Value> = checks
        .into_iter()
        .map(|(name, state)| {
            (
                name.to_owned(),
                state.map_or_else(Value::from, |()| json!("ok")),
            )
        })
        .collect();
    let (status, word) = match is_ready {
        true => (StatusCode::OK, "ready"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not ready"),
    };
    let mut answer = json!({ "status": word, "checks": shown });
    let warnings = health.warnings();
    if !warnings.is_empty() {
        answer["warnings"] = json!(warnings);
    }
    (status, Json(answer)).into_response()
}

async fn metrics_text() -> Response {
    (
        [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        metrics::text(),
    )
        .into_response()
}
