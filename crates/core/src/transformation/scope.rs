//! What pointers look into: one event, read no further than they lead.

use std::borrow::Cow;
use std::cell::OnceCell;

use serde_json::{Value, json};

use super::RenderError;
use super::pointer::{Pointer, Root};
use crate::event::Event;
use crate::filter::payload::{self, Node};
use crate::format::topic_for;
use crate::webhook::Format;

/// The step that leads from `/event` into the payload.
const PAYLOAD: &str = "payload";

/// One event as templates see it. Made for an attempt; reads nothing until a pointer asks.
#[derive(Debug)]
pub(crate) struct Scope<'a> {
    event: &'a Event,
    format: Format,
    payload: OnceCell<Option<Node<'a>>>,
    /// Everything but the payload.
    envelope: OnceCell<Value>,
}

/// What a pointer found.
#[derive(Debug)]
enum Found<'s, 'a> {
    Payload(&'s Node<'a>),
    Envelope(&'s Value),
    /// The whole event, payload included.
    Event,
}

impl<'a> Scope<'a> {
    /// What is known about `event`, for a request of `format`.
    pub(crate) fn new(event: &'a Event, format: Format) -> Self {
        Self {
            event,
            format,
            payload: OnceCell::new(),
            envelope: OnceCell::new(),
        }
    }

    /// What `pointer` finds, as JSON text; `None` if it finds nothing.
    ///
    /// # Errors
    /// The payload is no JSON.
    pub(crate) fn json(&self, pointer: &Pointer) -> Result<Option<Cow<'_, str>>, RenderError> {
        Ok(self.find(pointer)?.map(|found| match found {
            Found::Payload(node) => Cow::Borrowed(node.text()),
            Found::Envelope(value) => Cow::Owned(value.to_string()),
            Found::Event => Cow::Owned(self.whole_event()),
        }))
    }

    /// What `pointer` finds, as text: a text as it is, anything else as JSON, nothing as nothing.
    ///
    /// # Errors
    /// The payload is no JSON, or what was found stands for no Unicode text.
    pub(crate) fn text(&self, pointer: &Pointer) -> Result<Cow<'_, str>, RenderError> {
        Ok(match self.find(pointer)? {
            None => Cow::Borrowed(""),
            Some(Found::Payload(node)) => match node.value() {
                Some(payload::Value::Text(text)) => Cow::Borrowed(text.as_ref()),
                Some(_) => Cow::Borrowed(node.text()),
                None => {
                    let pointer = pointer.text.clone();
                    return Err(RenderError::Text { pointer });
                }
            },
            Some(Found::Envelope(Value::String(text))) => Cow::Borrowed(text),
            Some(Found::Envelope(value)) => Cow::Owned(value.to_string()),
            Some(Found::Event) => Cow::Owned(self.whole_event()),
        })
    }

    fn find(&self, pointer: &Pointer) -> Result<Option<Found<'_, 'a>>, RenderError> {
        let steps = &*pointer.steps;
        let name = match (pointer.root, steps) {
            (Root::Payload, steps) => return self.walk(steps),
            (Root::Event, []) => return Ok(Some(Found::Event)),
            (Root::Event, [first, rest @ ..]) if first == PAYLOAD => return self.walk(rest),
            (Root::Event, _) => "event",
            (Root::Topic, _) => "topic",
            (Root::User, _) => "user",
        };
        let root = self.envelope().get(name);
        let found = steps.iter().try_fold(root, |value, step| match value? {
            Value::Object(members) => Some(members.get(step)),
            Value::Array(elements) => Some(elements.get(payload::index(step)?)),
            _ => None,
        });
        Ok(found.flatten().map(Found::Envelope))
    }

    fn walk(&self, steps: &[String]) -> Result<Option<Found<'_, 'a>>, RenderError> {
        let payload = self
            .payload
            .get_or_init(|| Node::parse(&self.event.payload));
        let root = payload.as_ref().ok_or(RenderError::Payload)?;
        let mut steps = steps.iter();
        let found = steps.try_fold(root, |node, step| node.child(step));
        Ok(found.map(Found::Payload))
    }

    fn envelope(&self) -> &Value {
        self.envelope
            .get_or_init(|| envelope(self.event, self.format))
    }

    /// The event with its payload, whose bytes are not read.
    fn whole_event(&self) -> String {
        let mut text = self.envelope()["event"].to_string();
        // It is an object that is never empty.
        text.pop();
        text.push_str(",\"payload\":");
        text.push_str(&String::from_utf8_lossy(&self.event.payload));
        text.push('}');
        text
    }

    #[cfg(test)]
    pub(crate) fn has_read_the_payload(&self) -> bool {
        self.payload.get().is_some()
    }
}

/// Everything but the payload, as it is shown: what is unknown is left out.
fn envelope(event: &Event, format: Format) -> Value {
    let entity = &event.entity;
    let mut shown_entity = json!({});
    for (name, text) in [
        ("id", &entity.id),
        ("type", &entity.kind),
        ("contentType", &entity.content_type),
    ] {
        if !text.is_empty() {
            shown_entity[name] = json!(text);
        }
    }
    if entity.revision != 0 {
        shown_entity["revision"] = json!(entity.revision);
    }
    if !entity.locales.is_empty() {
        shown_entity["locales"] = json!(entity.locales);
    }
    let mut shown = json!({
        "id": event.id,
        "space": event.space,
        "environment": event.environment,
        "topic": event.topic.as_str(),
        "entity": shown_entity,
        "occurredAt": event.occurred_at,
        "context": event.context,
    });
    let mut roots = json!({ "topic": topic_for(format, &event.topic) });
    if !event.actor.is_empty() {
        shown["actor"] = json!(event.actor);
        let sys = json!({ "type": "Link", "linkType": "User", "id": event.actor });
        roots["user"] = json!({ "sys": sys });
    }
    roots["event"] = shown;
    roots
}
