//! The pages with their paths. They are written down while they are routed, so that tests can ask
//! for every one and none is forgotten.

use std::sync::Arc;

use axum::Router;
use axum::handler::Handler;
use axum::routing::{get, post};
use http::Method;

use super::desk::Desk;
use super::{
    admin, assets, audit, dead_letters, deliveries, delivery, egress, event, events, live, replays,
    sign_in, webhook, webhooks,
};

/// Handlers by method and path.
#[derive(Debug, Default)]
pub(super) struct Routes {
    pub(super) router: Router<Arc<Desk>>,
    /// Methods and paths, with `{…}` where an id stands.
    pub(super) table: Vec<(Method, String)>,
}

impl Routes {
    fn get<T: 'static>(self, path: &str, handler: impl Handler<T, Arc<Desk>>) -> Self {
        self.note(Method::GET, path, |router| router.route(path, get(handler)))
    }

    fn post<T: 'static>(self, path: &str, handler: impl Handler<T, Arc<Desk>>) -> Self {
        self.note(Method::POST, path, |router| {
            router.route(path, post(handler))
        })
    }

    fn note(
        mut self,
        method: Method,
        path: &str,
        add: impl FnOnce(Router<Arc<Desk>>) -> Router<Arc<Desk>>,
    ) -> Self {
        self.table.push((method, path.to_owned()));
        Self {
            router: add(self.router),
            table: self.table,
        }
    }

    fn nest(mut self, prefix: &str, inner: Self) -> Self {
        let paths = inner.table.into_iter();
        self.table.extend(paths.map(|(method, path)| {
            let rest = if path == "/" { "" } else { path.as_str() };
            (method, format!("{prefix}{rest}"))
        }));
        Self {
            router: self.router.nest(prefix, inner.router),
            table: self.table,
        }
    }
}

/// What every visitor passes the door for.
pub(super) fn guarded() -> Routes {
    Routes::default()
        .get("/", sign_in::home)
        .get("/sign-in", sign_in::show)
        .post("/sign-in", sign_in::sign_in)
        .post("/sign-out", sign_in::sign_out)
        .post("/theme", sign_in::theme)
        .get("/egress", egress::show)
        .nest("/admin", of_admins())
        .nest("/s/{space}", of_space())
}

/// What is the same for everybody.
pub(super) fn open() -> Routes {
    Routes::default().get("/assets/{name}", assets::serve)
}

fn of_admins() -> Routes {
    Routes::default()
        .get("/spaces", admin::spaces)
        .post("/spaces", admin::open_space)
        .get("/tokens", admin::tokens)
        .post("/tokens", admin::make_token)
        .get("/tokens/{id}/revoke", admin::ask_revoke)
        .post("/tokens/{id}/revoke", admin::revoke)
        .get("/status", admin::status)
        .get("/audit", audit::list_all)
}

fn of_space() -> Routes {
    Routes::default()
        .get("/live", live::follow)
        .get("/webhooks", webhooks::list)
        .post("/webhooks", webhook::edit::create)
        .get("/webhooks/new", webhook::edit::new)
        .post("/webhooks/form", webhook::edit::reshape)
        .post("/webhooks/check", webhook::edit::check)
        .post("/webhooks/dry-run", webhook::edit::dry_run)
        .nest("/webhooks/{id}", of_webhook())
        .get("/deliveries", deliveries::list)
        .get("/deliveries/{id}", delivery::show)
        .post("/deliveries/{id}/redeliver", delivery::redeliver)
        .get("/events", events::list)
        .get("/events/{id}", event::show)
        .get("/dead-letters", dead_letters::list)
        .post("/dead-letters/redeliver", dead_letters::redeliver)
        .get("/dead-letters/redeliver-all", dead_letters::ask_all)
        .post("/dead-letters/redeliver-all", dead_letters::redeliver_all)
        .get("/replays", replays::list)
        .get("/replays/{id}", replays::show)
        .get("/replays/{id}/cancel", replays::ask_cancel)
        .post("/replays/{id}/cancel", replays::cancel)
        .get("/audit", audit::list)
        .get("/settings", admin::space_settings)
        .post("/settings", admin::save_space)
}

fn of_webhook() -> Routes {
    use webhook::act;
    Routes::default()
        .get("/", webhook::show)
        .get("/edit", webhook::edit::edit)
        .post("/edit", webhook::edit::save)
        .post("/enable", act::enable)
        .get("/disable", act::ask_disable)
        .post("/disable", act::disable)
        .get("/pause", act::ask_pause)
        .post("/pause", act::pause)
        .post("/resume", act::resume)
        .get("/delete", act::ask_delete)
        .post("/delete", act::delete)
        .get("/rotate", act::ask_rotate)
        .post("/rotate", act::rotate)
        .get("/secrets/{secret}/remove", act::ask_remove_secret)
        .post("/secrets/{secret}/remove", act::remove_secret)
        .post("/test", act::test)
        .get("/replay", replays::new)
        .post("/replay", replays::start)
}
