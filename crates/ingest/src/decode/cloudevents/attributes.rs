//! The attributes of a CloudEvent, and the field that each of them is for.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use tidings_core::event::{EventError, Faults};
use tidings_nats::trace_context::{TRACEPARENT, TRACESTATE, TraceContext};
use tidings_proto::{timestamp_to_wire, v1};

use crate::decode::object::pointer_to;
use crate::decode::{Candidate, Names, value};

/// Whether `media` (type and subtype in small letters) is JSON.
pub(crate) fn is_json(media: &str) -> bool {
    matches!(media, "application/json" | "text/json") || media.ends_with("+json")
}

/// The attributes that CloudEvents itself has, which are all of them texts.
const SPECIFIED: [&str; 8] = [
    "specversion",
    "id",
    "source",
    "type",
    "subject",
    "time",
    "datacontenttype",
    "dataschema",
];

/// Whether the attribute is one of CloudEvents itself, and no extension.
pub(super) fn is_of_the_specification(name: &str) -> bool {
    SPECIFIED.contains(&name)
}

/// The context attributes of a CloudEvent, each as text.
#[derive(Debug, Default)]
pub(super) struct Attributes(BTreeMap<String, String>);

impl Attributes {
    pub(super) fn insert(&mut self, name: &str, text: String) -> Result<(), EventError> {
        let is_attribute = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
        if name.is_empty() || !name.bytes().all(is_attribute) {
            let detail = "a CloudEvents attribute has only small letters and digits in its name";
            return Err(EventError::new(
                "unknown_field",
                &pointer_to("", name),
                detail,
            ));
        }
        match self.0.insert(name.to_owned(), text) {
            None => Ok(()),
            Some(_) => {
                let detail = "it is there twice";
                Err(EventError::new(
                    "duplicate_field",
                    &pointer_to("", name),
                    detail,
                ))
            }
        }
    }

    fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    fn take_or_empty(&mut self, name: &str) -> String {
        self.take(name).unwrap_or_default()
    }

    /// Takes an attribute that must not be empty.
    fn take_name(&mut self, name: &str, code: &'static str) -> Result<Option<String>, EventError> {
        match self.take(name) {
            Some(text) if text.is_empty() => {
                Err(EventError::new(code, &pointer_to("", name), "it is empty"))
            }
            text => Ok(text),
        }
    }

    fn take_required(&mut self, name: &str, code: &'static str) -> Result<String, EventError> {
        self.take_name(name, code)?.ok_or_else(|| {
            let detail = "it is missing; a CloudEvent has specversion, id, source and type";
            EventError::new("missing_field", &pointer_to("", name), detail)
        })
    }

    pub(super) fn into_candidate(mut self, payload: Bytes) -> Result<Candidate, EventError> {
        let mut faults = Faults::default();
        faults.note(self.check_version());
        faults.note(self.check_content_type());
        let id = faults.note(self.take_required("id", "bad_id"));
        let source = faults.note(self.take_source()).unwrap_or_default();
        if let Some(schema) = self.0.get("dataschema") {
            faults.note(check_uri("dataschema", schema));
        }
        let topic = faults.note(self.take_required("type", "bad_topic"));
        let trace = TraceContext::new(
            self.take(TRACEPARENT).as_deref(),
            self.take(TRACESTATE).as_deref(),
        );
        let event = v1::Event {
            id: id.unwrap_or_default(),
            space: faults
                .note(self.take_name("space", "bad_space"))
                .flatten()
                .unwrap_or_default(),
            environment: faults
                .note(self.take_name("environment", "bad_environment"))
                .flatten()
                .unwrap_or_default(),
            topic: topic_of(&topic.unwrap_or_default()),
            entity: faults.note(self.take_entity()),
            occurred_at: faults.note(self.take_time()).flatten(),
            actor: self.take_or_empty("actor"),
            payload,
            context: self.into_context(source),
            schema_version: 0,
        };
        faults.finish()?;
        Ok(Candidate {
            event,
            original: None,
            trace,
            names: Names::CloudEvents,
        })
    }

    fn take_source(&mut self) -> Result<String, EventError> {
        let source = self.take_required("source", "bad_attribute")?;
        check_uri("source", &source)?;
        Ok(source)
    }

    fn check_version(&mut self) -> Result<(), EventError> {
        match self
            .take_required("specversion", "bad_specversion")?
            .as_str()
        {
            "1.0" => Ok(()),
            other => {
                let other: String = other.chars().take(20).collect();
                let detail = format!("it is {other:?}; only 1.0 is taken");
                Err(EventError::new("bad_specversion", "/specversion", detail))
            }
        }
    }

    fn check_content_type(&mut self) -> Result<(), EventError> {
        let Some(media) = self.take("datacontenttype") else {
            return Ok(());
        };
        let essence = media.split(';').next().unwrap_or_default().trim();
        match is_json(&essence.to_ascii_lowercase()) {
            true => Ok(()),
            false => {
                let detail = "an event's payload is JSON, other data is not taken";
                Err(EventError::new("bad_data", "/datacontenttype", detail))
            }
        }
    }

    fn take_entity(&mut self) -> Result<v1::Entity, EventError> {
        let subject = self.take_name("subject", "bad_attribute")?;
        let revision = match self.take("revision") {
            None => 0,
            Some(text) => text
                .parse()
                .map_err(|_| bad_attribute("revision", "it must be a whole number"))?,
        };
        let locales = self.take_or_empty("locales");
        let locales = locales
            .split(',')
            .map(str::trim)
            .filter(|locale| !locale.is_empty());
        Ok(v1::Entity {
            id: self.take("entityid").or(subject).unwrap_or_default(),
            r#type: self.take_or_empty("entitytype"),
            content_type: self.take_or_empty("contenttype"),
            revision,
            locales: locales.map(str::to_owned).collect(),
        })
    }

    fn take_time(&mut self) -> Result<Option<prost_types::Timestamp>, EventError> {
        let Some(time) = self.take("time") else {
            return Ok(None);
        };
        let time = value::timestamp(&time)
            .map_err(|detail| EventError::new("bad_timestamp", "/time", detail))?;
        Ok(Some(timestamp_to_wire(time)))
    }

    /// What is left: nothing of a CloudEvent is dropped.
    fn into_context(self, source: String) -> HashMap<String, String> {
        let renamed = self.0.into_iter().map(|(name, text)| match name.as_str() {
            "releaseid" => (String::from("releaseId"), text),
            "bulkactionid" => (String::from("bulkActionId"), text),
            _ => (name, text),
        });
        renamed.chain([(String::from("source"), source)]).collect()
    }
}

/// Refuses what cannot be a URI or a reference to one, without judging its parts.
fn check_uri(name: &str, text: &str) -> Result<(), EventError> {
    let is_never_in_one =
        |c: char| c.is_whitespace() || c.is_control() || "\"<>\\^`{|}".contains(c);
    match text.is_empty() || text.contains(is_never_in_one) {
        true => Err(bad_attribute(name, "it must be a URI")),
        false => Ok(()),
    }
}

/// The last two parts of a type. A type of one part stays as it is and is refused as a topic.
fn topic_of(kind: &str) -> String {
    let mut dots = kind.rmatch_indices('.').map(|(at, _)| at);
    match dots.nth(1) {
        Some(at) => kind[at + 1..].to_owned(),
        None => kind.to_owned(),
    }
}

/// An attribute has a value that it cannot have.
pub(super) fn bad_attribute(name: &str, detail: impl Into<String>) -> EventError {
    EventError::new("bad_attribute", &pointer_to("", name), detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reverse_dns_type_ends_in_the_topic() {
        for (kind, topic) in [
            ("Entry.publish", "Entry.publish"),
            ("com.example.cms.Entry.publish", "Entry.publish"),
            ("ContentManagement.Entry.publish", "Entry.publish"),
            ("publish", "publish"),
            ("a..b", ".b"),
        ] {
            assert_eq!(topic_of(kind), topic);
        }
    }
}
