//! Why a webhook gets an event, or why not.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Shared, Subscriber};
use crate::event::Event;
use crate::filter::{Facts, Found, Observer, Place, Seen, Truth};
use crate::webhook::{FieldError, Webhook};

/// How much JSON of a value an explanation shows.
const SHOWN_BYTES_MAX: usize = 1_024;

/// Why a webhook gets an event, or why not: every condition, what it saw and what it came to.
///
/// It tells what the webhook's definition asks for. Whether its endpoint is paused or was disabled
/// is no part of it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// Whether the webhook gets the event.
    pub matches: bool,
    /// Its conditions, which must all hold, in the order in which they are judged.
    pub checks: Vec<Check>,
    /// What of its filters is not understood. Such a webhook gets nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<FieldError>,
}

/// One condition and what it came to.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// JSON pointer (RFC 6901) to the condition in the webhook, such as `/filters/0/any/1`.
    pub pointer: String,
    /// What is asked: a field of the webhook, such as `topics`, or a filter's operator.
    pub operator: String,
    /// The property that is looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub doc: Option<String>,
    /// What it is compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wanted: Option<Value>,
    /// What was there; absent where nothing was, and for conditions that consist of others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saw: Option<Saw>,
    /// What the condition came to. `unknown` counts as not fulfilled.
    pub verdict: Truth,
    /// The conditions inside this one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Check>,
}

/// A value that a condition saw, as it stands in the event.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase", untagged)]
pub enum Saw {
    /// The value.
    Value(Box<RawValue>),
    /// The beginning of the JSON text of a long value.
    Beginning {
        /// At most 1 KiB of text.
        beginning: String,
        /// How long the JSON text is, in bytes.
        bytes: usize,
    },
    /// What was, and what is, of a `changed`.
    Change {
        /// Absent where nothing was.
        #[serde(skip_serializing_if = "Option::is_none")]
        before: Option<Box<Saw>>,
        /// Absent where nothing is.
        #[serde(skip_serializing_if = "Option::is_none")]
        after: Option<Box<Saw>>,
    },
}

/// Tells of each condition of a webhook what it sees in an event and what it comes to. Decided by
/// the code that routes events.
#[must_use]
pub fn explain(webhook: &Webhook, event: &Event) -> Explanation {
    let subscriber = match Subscriber::compile(webhook, &mut Shared::default()) {
        Ok(subscriber) => subscriber,
        Err(faults) => {
            return Explanation {
                matches: false,
                checks: Vec::new(),
                faults,
            };
        }
    };
    let mut collector = Collector::new(webhook);
    let truth = subscriber.judge(&Facts::new(event), &mut collector);
    Explanation {
        matches: truth == Truth::Yes,
        checks: collector.done,
        faults: Vec::new(),
    }
}

/// Writes down what the evaluator tells.
struct Collector<'w> {
    webhook: &'w Webhook,
    /// The conditions that were entered and not left, the outermost first.
    open: Vec<Check>,
    /// The operators' arguments of those that are filters.
    arguments: Vec<Option<&'w Value>>,
    done: Vec<Check>,
}

impl<'w> Collector<'w> {
    fn new(webhook: &'w Webhook) -> Self {
        Self {
            webhook,
            open: Vec::new(),
            arguments: Vec::new(),
            done: Vec::new(),
        }
    }

    /// The JSON of a condition that is entered.
    fn source(&self, place: Place) -> Option<&'w Value> {
        let outer = self.arguments.last().copied().flatten();
        match place {
            Place::Field(_) => None,
            Place::Filter(index) => self.webhook.definition.filters.get(index),
            Place::Part(index) => outer?.get(index),
            Place::Denied => outer,
        }
    }

    fn pointer(&self, place: Place) -> String {
        let mut pointer = match self.open.last() {
            Some(outer) => format!("{}/{}", outer.pointer, outer.operator),
            None => String::new(),
        };
        let written = match place {
            Place::Field(name) => write!(pointer, "/{name}"),
            Place::Filter(index) => write!(pointer, "/filters/{index}"),
            Place::Part(index) => write!(pointer, "/{index}"),
            Place::Denied => Ok(()),
        };
        written.expect("a String takes everything");
        pointer
    }
}

impl Observer for Collector<'_> {
    const IS_THOROUGH: bool = true;

    fn enter(&mut self, place: Place) {
        let filter = self
            .source(place)
            .and_then(Value::as_object)
            .and_then(|object| object.iter().next());
        let (operator, doc, wanted) = match (place, filter) {
            (Place::Field(name), _) => (name, None, field(self.webhook, name)),
            (_, Some((operator, arguments))) => {
                let doc = arguments.pointer("/0/doc").and_then(Value::as_str);
                let wanted = doc.and_then(|_| arguments.get(1)).cloned();
                (operator.as_str(), doc, wanted)
            }
            (_, None) => ("", None, None),
        };
        let check = Check {
            pointer: self.pointer(place),
            operator: operator.to_owned(),
            doc: doc.map(str::to_owned),
            wanted,
            saw: None,
            verdict: Truth::Unknown,
            checks: Vec::new(),
        };
        self.arguments.push(filter.map(|(_, arguments)| arguments));
        self.open.push(check);
    }

    fn saw(&mut self, seen: Seen<'_, '_>) {
        if let Some(check) = self.open.last_mut() {
            check.saw = match seen {
                Seen::Value(value) => value.map(show),
                Seen::Change(before, after) => Some(Saw::Change {
                    before: before.map(show).map(Box::new),
                    after: after.map(show).map(Box::new),
                }),
            };
        }
    }

    fn leave(&mut self, truth: Truth) {
        self.arguments.pop();
        let Some(mut check) = self.open.pop() else {
            return;
        };
        check.verdict = truth;
        match self.open.last_mut() {
            Some(outer) => outer.checks.push(check),
            None => self.done.push(check),
        }
    }
}

/// What the webhook asks for in one of its fields.
fn field(webhook: &Webhook, name: &str) -> Option<Value> {
    let definition = &webhook.definition;
    match name {
        "id" => Some(webhook.id.as_str().into()),
        "space" => Some(webhook.space.as_str().into()),
        "enabled" => Some(true.into()),
        "topics" => Some(definition.topics.iter().map(ToString::to_string).collect()),
        "contentTypes" => Some(definition.content_types.clone().into()),
        _ => None,
    }
}

fn show(found: Found<'_, '_>) -> Saw {
    let json = found.to_json();
    if json.len() > SHOWN_BYTES_MAX {
        return Saw::Beginning {
            beginning: json[..json.floor_char_boundary(SHOWN_BYTES_MAX)].to_owned(),
            bytes: json.len(),
        };
    }
    let value = RawValue::from_string(json.into_owned());
    Saw::Value(value.expect("it stands in a JSON text, or was just written as one"))
}
