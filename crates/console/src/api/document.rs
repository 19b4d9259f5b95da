//! The API's own description, OpenAPI 3.1.

use axum::Json;
use serde_json::{Value, json};
use utoipa::OpenApi;

use super::{deliveries, events, installation, replays, schema, secrets, webhooks};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tidings management API",
        description = "Webhooks, what became of events, and how things are put right.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(
        webhooks::list,
        webhooks::create,
        webhooks::show,
        webhooks::put,
        webhooks::patch,
        webhooks::delete,
        webhooks::test,
        webhooks::pause,
        webhooks::resume,
        webhooks::health,
        webhooks::dry_run,
        secrets::add,
        secrets::remove,
        deliveries::of_webhook,
        deliveries::list,
        deliveries::show,
        deliveries::redeliver,
        deliveries::dead_letters,
        replays::of_webhook,
        replays::of_space,
        replays::list,
        replays::show,
        replays::cancel,
        events::list,
        events::show,
        installation::egress,
        installation::tokens,
        installation::create_token,
        installation::revoke_token,
        installation::spaces,
        installation::show_space,
        installation::put_space,
        installation::audit,
        installation::audit_of_space,
        installation::status,
    ),
    components(schemas(schema::Problem))
)]
struct Api;

/// What stands in paths, and what it may consist of.
const WORDS: [(&str, u32); 7] = [
    ("space", 64),
    ("webhook", 64),
    ("secret", 64),
    ("delivery", 64),
    ("event", 128),
    ("replay", 64),
    ("token", 64),
];

/// The description.
#[must_use]
pub fn document() -> Value {
    let mut document = serde_json::to_value(Api::openapi()).unwrap_or_default();
    document["info"]["version"] = json!(env!("CARGO_PKG_VERSION"));
    document["servers"] = json!([{ "url": "/api/v1" }]);
    document["security"] = json!([{ "token": [] }]);
    document["components"]["securitySchemes"] = json!({
        "token": { "type": "http", "scheme": "bearer" }
    });
    let paths = document["paths"].as_object_mut().into_iter().flatten();
    for (_, path) in paths {
        for (_, operation) in path.as_object_mut().into_iter().flatten() {
            complete(operation);
        }
    }
    // The file in docs/ is compared with it.
    document.sort_all_objects();
    document
}

/// Every call may be refused with a problem, and every id has the same form.
fn complete(operation: &mut Value) {
    operation["responses"]["default"] = json!({
        "description": "Why it was not done.",
        "content": { "application/problem+json": {
            "schema": { "$ref": "#/components/schemas/Problem" }
        } }
    });
    let responses = operation["responses"].as_object_mut().into_iter().flatten();
    for (_, response) in responses {
        if response["description"]
            .as_str()
            .unwrap_or_default()
            .is_empty()
        {
            response["description"] = json!("Done.");
        }
    }
    let parameters = operation
        .get_mut("parameters")
        .and_then(Value::as_array_mut);
    let parameters = parameters.into_iter().flatten();
    for parameter in parameters.filter(|parameter| parameter["in"] == "path") {
        let name = parameter["name"].as_str().unwrap_or_default();
        let bytes_max = WORDS.iter().find(|(word, _)| *word == name);
        let bytes_max = bytes_max.map_or(64, |(_, bytes_max)| *bytes_max);
        parameter["schema"]["pattern"] = json!(format!("^[A-Za-z0-9_-]{{1,{bytes_max}}}$"));
    }
}

pub(super) async fn serve() -> Json<Value> {
    Json(document())
}
