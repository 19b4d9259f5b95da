//! Webhooks as people read them. Made of the same view that `--json` answers, which has no secrets.

use serde_json::Value;

use crate::output::{Fields, Table};

/// Many webhooks, one a line.
pub(super) fn table(views: &[Value]) -> Table {
    let headings = ["ID", "SPACE", "NAME", "STATE", "TOPICS", "URL", "UPDATED"];
    let mut table = Table::new(headings, "no webhooks");
    for view in views {
        let text = |pointer: &str| text(view.pointer(pointer));
        table.row([
            text("/id"),
            text("/space"),
            text("/name"),
            text("/state/status"),
            text("/topics"),
            text("/url"),
            time(view.pointer("/updatedAt")),
        ]);
    }
    table
}

/// One webhook, one field a line.
pub(super) fn fields(view: &Value) -> Fields {
    let mut fields = Fields::default();
    for (name, pointer) in [
        ("id", "/id"),
        ("space", "/space"),
        ("name", "/name"),
        ("description", "/description"),
        ("url", "/url"),
        ("enabled", "/enabled"),
        ("state", "/state/status"),
        ("state reason", "/state/reason"),
        ("topics", "/topics"),
        ("content types", "/contentTypes"),
        ("filters", "/filters"),
    ] {
        fields.add_some(name, &text(view.pointer(pointer)));
    }
    fields.add_some("state until", &time(view.pointer("/state/until")));
    for header in list(view.pointer("/headers")) {
        let value = header
            .get("value")
            .map_or_else(|| String::from("***"), |value| text(Some(value)));
        fields.add(
            "header",
            format_args!("{}: {value}", text(header.get("key"))),
        );
    }
    if let Some(username) = view.pointer("/basicAuth/username") {
        fields.add("basic auth", format_args!("{}:***", text(Some(username))));
    }
    for (name, pointer) in [
        ("format", "/format"),
        ("transformation", "/transformation"),
        ("signing schemes", "/signing/schemes"),
        ("standard headers", "/signing/standardHeaders"),
    ] {
        fields.add_some(name, &text(view.pointer(pointer)));
    }
    for secret in list(view.pointer("/signing/secrets")) {
        let [id, hint, end] = ["id", "hint", "expiresAt"].map(|field| text(secret.get(field)));
        let until = if end.is_empty() {
            String::new()
        } else {
            format!(", until {end}")
        };
        fields.add("signing key", format_args!("{id} ({hint}{until})"));
        fields.add_some("public key", &text(secret.get("publicKey")));
    }
    add_plan(&mut fields, view);
    fields
}

fn add_plan(fields: &mut Fields, view: &Value) {
    for (name, pointer) in [
        ("max retries", "/delivery/maxRetries"),
        ("retry schedule", "/delivery/retrySchedule"),
        ("timeout", "/delivery/timeout"),
        ("max age", "/delivery/maxAge"),
    ] {
        fields.add_some(name, &text(view.pointer(pointer)));
    }
    let rate = |field| text(view.pointer(&format!("/delivery/rateLimit/{field}")));
    fields.add(
        "rate limit",
        format_args!("{}/{}", rate("requests"), rate("per")),
    );
    for (name, pointer) in [
        ("max in flight", "/delivery/maxInFlight"),
        ("pool", "/delivery/pool"),
        ("version", "/version"),
    ] {
        fields.add_some(name, &text(view.pointer(pointer)));
    }
    fields.add("created", time(view.pointer("/createdAt")));
    fields.add("updated", time(view.pointer("/updatedAt")));
}

fn list(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) => items.iter().map(text_of).collect::<Vec<_>>().join(", "),
        Some(other) => other.to_string(),
    }
}

fn time(value: Option<&Value>) -> String {
    let text = text(value);
    text.parse().map_or(text, crate::output::time)
}

fn text_of(value: &Value) -> String {
    text(Some(value))
}
