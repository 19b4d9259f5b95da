//! Every page and form of the dashboard, as the router knows them, with who may use it. A new one
//! has to say so here, or the tests fail.

use http::Method;

/// Things that are there, for the places of ids in paths.
pub(crate) struct Ids {
    pub(crate) webhook: String,
    pub(crate) delivery: String,
    pub(crate) event: String,
    pub(crate) replay: String,
}

/// Who may use a page or form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Anybody.
    Nothing,
    /// Who has a session.
    Session,
    /// Who has this scope, in the space if it is of one.
    Scope(&'static str),
}

#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) need: Need,
}

impl Route {
    pub(crate) fn is_page(&self) -> bool {
        self.method == Method::GET
    }

    pub(crate) fn is_of_space(&self) -> bool {
        self.path.starts_with("/s/")
    }

    /// Whether the answer never ends.
    pub(crate) fn is_stream(&self) -> bool {
        self.path.ends_with("/live")
    }
}

/// All of them, in the space `acme`.
pub(crate) fn all(ids: &Ids) -> Vec<Route> {
    let table = tidings_console::pages::table();
    let filled = |(method, pattern): (Method, String)| Route {
        need: need(&method, &pattern),
        path: fill(&pattern, ids),
        method,
    };
    table.into_iter().map(filled).collect()
}

fn fill(pattern: &str, ids: &Ids) -> String {
    let path = pattern
        .replace("{space}", "acme")
        .replace("webhooks/{id}", &format!("webhooks/{}", ids.webhook))
        .replace("deliveries/{id}", &format!("deliveries/{}", ids.delivery))
        .replace("events/{id}", &format!("events/{}", ids.event))
        .replace("replays/{id}", &format!("replays/{}", ids.replay))
        .replace("tokens/{id}", "tokens/admin")
        .replace("{secret}", "sec_1")
        .replace("{name}", "app.css");
    assert!(!path.contains('{'), "an id is missing for {path}");
    path
}

fn need(method: &Method, pattern: &str) -> Need {
    if pattern.starts_with("/admin/") {
        return Need::Scope("admin");
    }
    let Some(page) = pattern.strip_prefix("/s/{space}/") else {
        return match pattern {
            "/" | "/theme" | "/sign-out" => Need::Session,
            "/sign-in" | "/egress" | "/assets/{name}" => Need::Nothing,
            other => panic!("say here who may use {method} {other}"),
        };
    };
    let is_page = *method == Method::GET;
    Need::Scope(match (is_page, page) {
        (true, "live" | "webhooks" | "webhooks/{id}") => "webhooks:read",
        (_, page) if page.starts_with("webhooks/{id}/replay") => "deliveries:write",
        (_, page) if page.starts_with("webhooks") => "webhooks:write",
        (true, "dead-letters/redeliver-all" | "replays/{id}/cancel") => "deliveries:write",
        (
            true,
            "deliveries" | "deliveries/{id}" | "events" | "events/{id}" | "dead-letters"
            | "replays" | "replays/{id}",
        ) => "deliveries:read",
        (
            false,
            "deliveries/{id}/redeliver"
            | "dead-letters/redeliver"
            | "dead-letters/redeliver-all"
            | "replays/{id}/cancel",
        ) => "deliveries:write",
        (_, "audit" | "settings") => "admin",
        (_, other) => panic!("say here who may use {method} {other}"),
    })
}
