//! What conditions look at: one event, its payload read at most once and only if somebody asks.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::HashMap;

use super::doc::{Doc, Field};
use super::number::Decimal;
use super::payload::{Node, Value};
use crate::event::Event;

/// The actions after which an entity's payload has `deletedBy` instead of `updatedBy`.
const REMOVALS: [&str; 2] = ["delete", "unpublish"];

/// One event as conditions see it. Made once for an event, shared by all its webhooks.
#[derive(Debug)]
pub struct Facts<'a> {
    event: &'a Event,
    payload: OnceCell<Option<Node<'a>>>,
    revision: OnceCell<(String, Decimal<'static>)>,
}

/// A property's value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found<'v, 'a> {
    pub(crate) view: View<'v, 'a>,
    /// Its JSON where it was written as such, so that numbers can be shown as they were sent.
    json: Option<&'v str>,
}

/// A value, for comparing.
#[derive(Debug, Clone, Copy)]
pub(crate) enum View<'v, 'a> {
    Null,
    Bool(bool),
    Number(&'v Decimal<'a>),
    Text(&'v str),
    /// The locales of the envelope.
    Texts(&'v [String]),
    List(&'v [Node<'a>]),
    Object(&'v HashMap<Cow<'a, str>, Node<'a>>),
}

impl<'v, 'a> Found<'v, 'a> {
    /// A value of the payload.
    pub(crate) fn of(node: &'v Node<'a>) -> Option<Self> {
        Some(Self {
            view: View::of(node)?,
            json: Some(node.text()),
        })
    }

    /// A text of the event's envelope, empty where it is unknown.
    fn text(text: &'v str) -> Option<Self> {
        (!text.is_empty()).then_some(Self::from(View::Text(text)))
    }

    /// The value as JSON.
    pub(crate) fn to_json(self) -> Cow<'v, str> {
        let json = match (self.json, self.view) {
            (Some(json), _) => return Cow::Borrowed(json),
            (None, View::Bool(value)) => serde_json::to_string(&value),
            (None, View::Text(text)) => serde_json::to_string(text),
            (None, View::Texts(texts)) => serde_json::to_string(texts),
            (None, View::Null | View::Number(_) | View::List(_) | View::Object(_)) => {
                return Cow::Borrowed("null");
            }
        };
        Cow::Owned(json.expect("texts and booleans are JSON"))
    }
}

impl<'v, 'a> From<View<'v, 'a>> for Found<'v, 'a> {
    fn from(view: View<'v, 'a>) -> Self {
        Self { view, json: None }
    }
}

impl<'v, 'a> View<'v, 'a> {
    /// The value of a payload's node.
    pub(crate) fn of(node: &'v Node<'a>) -> Option<Self> {
        Some(match node.value()? {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => Self::Number(number),
            Value::Text(text) => Self::Text(text),
            Value::List(elements) => Self::List(elements),
            Value::Object(members) => Self::Object(members),
        })
    }

    /// The elements of a list; any other value by itself.
    pub(crate) fn elements(self) -> Elements<'v, 'a> {
        match self {
            Self::Texts(texts) => Elements::Texts(texts.iter()),
            Self::List(nodes) => Elements::Nodes(nodes.iter()),
            other => Elements::One(Some(other)),
        }
    }

    /// How many elements there are.
    pub(crate) fn count(self) -> usize {
        match self {
            Self::Texts(texts) => texts.len(),
            Self::List(nodes) => nodes.len(),
            _ => 1,
        }
    }
}

/// See [`View::elements`].
#[derive(Debug)]
pub(crate) enum Elements<'v, 'a> {
    One(Option<View<'v, 'a>>),
    Texts(std::slice::Iter<'v, String>),
    Nodes(std::slice::Iter<'v, Node<'a>>),
}

impl<'v, 'a> Iterator for Elements<'v, 'a> {
    type Item = View<'v, 'a>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::One(view) => view.take(),
            Self::Texts(texts) => texts.next().map(|text| View::Text(text)),
            Self::Nodes(nodes) => nodes.find_map(View::of),
        }
    }
}

impl<'a> Facts<'a> {
    /// What is known about `event`. Reads nothing yet.
    #[must_use]
    pub fn new(event: &'a Event) -> Self {
        Self {
            event,
            payload: OnceCell::new(),
            revision: OnceCell::new(),
        }
    }

    /// The event itself.
    #[must_use]
    pub fn event(&self) -> &'a Event {
        self.event
    }

    /// The value of a property, `None` where it is missing.
    ///
    /// What the envelope says goes before the payload: it is what the event was accepted and
    /// stored under. Only who created, changed or deleted something is asked of the payload first,
    /// since the envelope just knows an actor.
    pub(crate) fn look(&self, doc: &Doc) -> Option<Found<'_, 'a>> {
        let inside = || Found::of(doc.walk(self.payload()?)?);
        match doc.field {
            None => inside(),
            Some(Field::CreatedBy | Field::UpdatedBy | Field::DeletedBy) => {
                inside().or_else(|| self.envelope(doc))
            }
            Some(Field::Type) => self
                .envelope(doc)
                .or_else(inside)
                .or_else(|| Found::text(self.event.topic.entity())),
            Some(_) => self.envelope(doc).or_else(inside),
        }
    }

    /// The root of the payload.
    pub(crate) fn payload(&self) -> Option<&Node<'a>> {
        self.payload
            .get_or_init(|| Node::parse(&self.event.payload))
            .as_ref()
    }

    #[cfg(test)]
    pub(crate) fn has_read_the_payload(&self) -> bool {
        self.payload.get().is_some()
    }

    fn envelope(&self, doc: &Doc) -> Option<Found<'_, 'a>> {
        let event = self.event;
        let entity = &event.entity;
        match doc.field? {
            Field::Id => Found::text(&entity.id),
            Field::Type => Found::text(&entity.kind),
            Field::Space => Found::text(event.space.as_str()),
            Field::Environment => Found::text(event.environment.as_str()),
            Field::ContentType => Found::text(&entity.content_type),
            Field::Revision => (entity.revision != 0).then(|| self.revision()),
            Field::CreatedBy => is_action(event, &["create"])
                .then(|| Found::text(&event.actor))
                .flatten(),
            Field::UpdatedBy => (!is_action(event, &REMOVALS))
                .then(|| Found::text(&event.actor))
                .flatten(),
            Field::DeletedBy => is_action(event, &REMOVALS)
                .then(|| Found::text(&event.actor))
                .flatten(),
            Field::Locales => {
                (!entity.locales.is_empty()).then_some(Found::from(View::Texts(&entity.locales)))
            }
            Field::Locale(index) => Found::text(entity.locales.get(index)?),
            Field::Context => {
                let key = doc.as_str().strip_prefix("context.")?;
                event.context.get(key).map(|value| View::Text(value).into())
            }
        }
    }

    fn revision(&self) -> Found<'_, 'a> {
        let (text, number) = self.revision.get_or_init(|| {
            let text = self.event.entity.revision.to_string();
            let number = Decimal::parse(&text).into_owned();
            (text, number)
        });
        Found {
            view: View::Number(number),
            json: Some(text),
        }
    }
}

/// Whether the event's action is one of these, such as `delete`, or ends with it, such as
/// `ContentDelete`.
fn is_action(event: &Event, endings: &[&str]) -> bool {
    let action = event.topic.action().to_ascii_lowercase();
    endings.iter().any(|ending| action.ends_with(ending))
}
