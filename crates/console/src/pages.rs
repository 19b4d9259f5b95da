//! The dashboard: pages made on the server, which work without a script.
//!
//! Every request passes `guard::enter`, which knows the session, refuses forged forms and sets
//! the security headers. Handlers read like the API's: they check the scope, ask `tidings-manage`
//! or the delivery log, and fill a template.

mod admin;
mod answer;
pub(crate) mod assets;
mod audit;
mod chart;
mod dead_letters;
mod deliveries;
mod delivery;
mod desk;
mod egress;
mod event;
mod events;
mod fields;
mod frame;
mod guard;
mod layout;
mod live;
mod replays;
mod sign_in;
mod webhook;
mod webhooks;
mod words;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

use crate::App;
use desk::Desk;

/// The pages.
pub fn routes(app: Arc<App>) -> Router {
    let desk = Arc::new(Desk::new(app));
    Router::new()
        .route("/", get(sign_in::home))
        .route("/sign-in", get(sign_in::show).post(sign_in::sign_in))
        .route("/sign-out", post(sign_in::sign_out))
        .route("/theme", post(sign_in::theme))
        .route("/egress", get(egress::show))
        .merge(admin_routes())
        .nest("/s/{space}", space_routes())
        .fallback(answer::nothing_here)
        .layer(from_fn_with_state(Arc::clone(&desk), guard::enter))
        .route("/assets/{name}", get(assets::serve))
        .with_state(desk)
}

fn admin_routes() -> Router<Arc<Desk>> {
    Router::new()
        .route("/admin/spaces", get(admin::spaces).post(admin::open_space))
        .route("/admin/tokens", get(admin::tokens).post(admin::make_token))
        .route(
            "/admin/tokens/{id}/revoke",
            get(admin::ask_revoke).post(admin::revoke),
        )
        .route("/admin/status", get(admin::status))
        .route("/admin/audit", get(audit::list_all))
}

fn space_routes() -> Router<Arc<Desk>> {
    Router::new()
        .route("/live", get(live::follow))
        .route("/webhooks", get(webhooks::list).post(webhook::edit::create))
        .route("/webhooks/new", get(webhook::edit::new))
        .route("/webhooks/form", post(webhook::edit::reshape))
        .route("/webhooks/check", post(webhook::edit::check))
        .route("/webhooks/dry-run", post(webhook::edit::dry_run))
        .nest("/webhooks/{id}", webhook_routes())
        .route("/deliveries", get(deliveries::list))
        .route("/deliveries/{id}", get(delivery::show))
        .route("/deliveries/{id}/redeliver", post(delivery::redeliver))
        .route("/events", get(events::list))
        .route("/events/{id}", get(event::show))
        .route("/dead-letters", get(dead_letters::list))
        .route("/dead-letters/redeliver", post(dead_letters::redeliver))
        .route(
            "/dead-letters/redeliver-all",
            get(dead_letters::ask_all).post(dead_letters::redeliver_all),
        )
        .route("/replays", get(replays::list))
        .route("/replays/{id}", get(replays::show))
        .route(
            "/replays/{id}/cancel",
            get(replays::ask_cancel).post(replays::cancel),
        )
        .route("/audit", get(audit::list))
        .route(
            "/settings",
            get(admin::space_settings).post(admin::save_space),
        )
}

fn webhook_routes() -> Router<Arc<Desk>> {
    use webhook::act;
    Router::new()
        .route("/", get(webhook::show))
        .route("/edit", get(webhook::edit::edit).post(webhook::edit::save))
        .route("/enable", post(act::enable))
        .route("/disable", get(act::ask_disable).post(act::disable))
        .route("/pause", get(act::ask_pause).post(act::pause))
        .route("/resume", post(act::resume))
        .route("/delete", get(act::ask_delete).post(act::delete))
        .route("/rotate", get(act::ask_rotate).post(act::rotate))
        .route(
            "/secrets/{secret}/remove",
            get(act::ask_remove_secret).post(act::remove_secret),
        )
        .route("/test", post(act::test))
        .route("/replay", get(replays::new).post(replays::start))
}
