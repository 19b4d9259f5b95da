//! The request that a webhook would send for a sample event.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use http::HeaderMap;
use jiff::Timestamp;
use serde_json::{Value, json};
use tidings_core::endpoint_url::UrlPolicy;
use tidings_core::event::{Entity, Event};
use tidings_core::format::{Content, Template as RequestTemplate};
use tidings_core::id::{DeliveryId, EventId, WebhookId};
use tidings_core::name::{Environment, Space};
use tidings_core::webhook::{Definition, SCHEMA_VERSION, Webhook};

use super::super::layout::readable;
use crate::conceal::conceal;

const HIDDEN: &str = "•••";
const BODY_CHARS_MAX: usize = 4_000;

/// A request as it is shown.
#[derive(Debug, Clone)]
pub(crate) struct Preview {
    pub(crate) topic: String,
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

/// The preview alone, for a script that takes it over.
#[derive(Debug, Template)]
#[template(path = "preview_only.html")]
pub(crate) struct Only {
    pub(crate) preview: Option<Preview>,
    pub(crate) preview_problem: String,
}

/// Renders what `definition` would send. Secrets in it are replaced.
///
/// # Errors
/// It cannot be rendered; the message is for people.
pub(crate) fn render(
    space: &Space,
    mut definition: Definition,
    policy: &Arc<UrlPolicy>,
    now: Timestamp,
) -> Result<Preview, String> {
    conceal(&mut definition);
    let topic = sample_topic(&definition);
    let id: WebhookId = "wh_preview".parse().map_err(|_| String::from("–"))?;
    let webhook = Webhook {
        schema: SCHEMA_VERSION,
        id: id.clone(),
        space: space.clone(),
        definition,
        created_at: now,
        updated_at: now,
        version: 1,
    };
    let template = RequestTemplate::new(&webhook, policy).map_err(|error| error.to_string())?;
    let event: EventId = "sample".parse().map_err(|_| String::from("–"))?;
    let delivery = DeliveryId::derive(space, &Environment::default(), &event, &id);
    let event = sample_event(space, event, &topic, now)?;
    let content = Content {
        delivery: &delivery,
        attempt: 1,
        event: &event,
    };
    let rendered = template
        .render(content, now)
        .map_err(|error| error.to_string())?;
    Ok(Preview {
        topic,
        method: rendered.method.to_string(),
        url: rendered.url.as_str().to_owned(),
        headers: shown_headers(&rendered.headers),
        body: readable(&rendered.body, BODY_CHARS_MAX),
    })
}

/// A topic that the webhook wants.
fn sample_topic(definition: &Definition) -> String {
    let first = definition.topics.first().map(ToString::to_string);
    let first = first.unwrap_or_else(|| String::from("Entry.publish"));
    let (entity, action) = first.split_once('.').unwrap_or(("Entry", "publish"));
    let entity = if entity == "*" { "Entry" } else { entity };
    let action = if action == "*" { "publish" } else { action };
    format!("{entity}.{action}")
}

fn sample_event(space: &Space, id: EventId, topic: &str, now: Timestamp) -> Result<Event, String> {
    let kind = topic.split('.').next().unwrap_or_default();
    Ok(Event {
        id,
        space: space.clone(),
        environment: Environment::default(),
        topic: topic.parse().map_err(|_| String::from("–"))?,
        entity: Entity {
            id: String::from("5KsDBWseXY6QegucYAoacS"),
            kind: kind.to_owned(),
            content_type: String::from("article"),
            revision: 7,
            locales: vec![String::from("en-US")],
        },
        occurred_at: now,
        actor: String::from("user-42"),
        context: BTreeMap::new(),
        payload: sample_payload(topic).to_string().into(),
    })
}

fn sample_payload(topic: &str) -> Value {
    let kind = topic.split('.').next().unwrap_or_default();
    json!({
        "sys": {
            "id": "5KsDBWseXY6QegucYAoacS",
            "type": kind,
            "revision": 7,
            "contentType": { "sys": { "id": "article" } },
            "environment": { "sys": { "id": "master" } },
        },
        "fields": { "title": { "en-US": "Hello, world" } },
    })
}

fn shown_headers(headers: &HeaderMap) -> Vec<(String, String)> {
    let shown = headers.iter().map(|(name, value)| {
        let value = match (value.is_sensitive(), value.to_str()) {
            (true, _) => HIDDEN.to_owned(),
            (false, Ok(text)) => text.to_owned(),
            (false, Err(_)) => String::from_utf8_lossy(value.as_bytes()).into_owned(),
        };
        (name.to_string(), value)
    });
    shown.collect()
}
