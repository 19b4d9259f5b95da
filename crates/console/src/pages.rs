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
mod routes;
mod sign_in;
mod webhook;
mod webhooks;
mod words;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use http::Method;

use crate::App;
use desk::Desk;

/// The pages.
pub fn routes(app: Arc<App>) -> Router {
    let desk = Arc::new(Desk::new(app));
    routes::guarded()
        .router
        .fallback(answer::nothing_here)
        .layer(from_fn_with_state(Arc::clone(&desk), guard::enter))
        .merge(routes::open().router)
        .with_state(desk)
}

/// Every page and form: its method and its path, with `{…}` where an id stands.
#[must_use]
pub fn table() -> Vec<(Method, String)> {
    [routes::guarded().table, routes::open().table].concat()
}
