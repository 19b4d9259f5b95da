//! The management API (CONTRACT.md section 6), mounted at `/api/v1`.
//!
//! `guard` lets a request in: it knows the caller, holds them to their rate, and bounds time. Each
//! handler asks for the scope it needs in the space it is about, then hands on to the operations.

mod deliveries;
mod document;
mod events;
mod extract;
mod guard;
mod installation;
mod problem;
mod read_only;
mod replays;
mod schema;
mod secrets;
mod webhooks;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{delete, get, post};

use crate::App;

pub use document::document;
pub use problem::problem;

/// The largest body of a request.
const BODY_BYTES_MAX: usize = 1 << 20;

/// The routes.
pub fn routes(app: Arc<App>) -> Router {
    let guarded = of_webhooks()
        .merge(of_deliveries())
        .merge(of_installation())
        .route_layer(from_fn_with_state(Arc::clone(&app), guard::guard));
    Router::new()
        .merge(guarded)
        .route("/egress", get(installation::egress))
        .route("/openapi.json", get(document::serve))
        .fallback(guard::not_found)
        .method_not_allowed_fallback(guard::method_not_allowed)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(from_fn(guard::bound))
        .with_state(app)
}

fn of_webhooks() -> Router<Arc<App>> {
    let all = get(webhooks::list).post(webhooks::create);
    let one = get(webhooks::show)
        .put(webhooks::put)
        .patch(webhooks::patch)
        .delete(webhooks::delete);
    let at = |rest: &str| format!("/spaces/{{space}}/webhooks/{{webhook}}{rest}");
    Router::new()
        .route("/spaces/{space}/webhooks", all)
        .route("/spaces/{space}/match", post(webhooks::dry_run))
        .route(&at(""), one)
        .route(&at("/test"), post(webhooks::test))
        .route(&at("/pause"), post(webhooks::pause))
        .route(&at("/resume"), post(webhooks::resume))
        .route(&at("/health"), get(webhooks::health))
        .route(&at("/secrets"), post(secrets::add))
        .route(&at("/secrets/{secret}"), delete(secrets::remove))
        .route(&at("/deliveries"), get(deliveries::of_webhook))
        .route(&at("/replay"), post(replays::of_webhook))
}

fn of_deliveries() -> Router<Arc<App>> {
    let replays = get(replays::list).post(replays::of_space);
    let replay = get(replays::show).delete(replays::cancel);
    let at = |rest: &str| format!("/spaces/{{space}}/{rest}");
    Router::new()
        .route(&at("deliveries"), get(deliveries::list))
        .route(&at("deliveries/{delivery}"), get(deliveries::show))
        .route(
            &at("deliveries/{delivery}/redeliver"),
            post(deliveries::redeliver),
        )
        .route(&at("dead-letters"), get(deliveries::dead_letters))
        .route(&at("replays"), replays)
        .route(&at("replays/{replay}"), replay)
        .route(&at("events"), get(events::list))
        .route(&at("events/{event}"), get(events::show))
}

fn of_installation() -> Router<Arc<App>> {
    let tokens = get(installation::tokens).post(installation::create_token);
    let space = get(installation::show_space).put(installation::put_space);
    Router::new()
        .route("/spaces", get(installation::spaces))
        .route("/spaces/{space}", space)
        .route("/spaces/{space}/audit", get(installation::audit_of_space))
        .route("/tokens", tokens)
        .route("/tokens/{token}", delete(installation::revoke_token))
        .route("/audit", get(installation::audit))
        .route("/status", get(installation::status))
}
