//! Events as a CMS would publish them, in each form in which they come in.

use bytes::Bytes;
use prost::Message as _;
use serde_json::json;
use tidings_proto::v1;

/// When every event of these tests happened.
pub(crate) const OCCURRED_AT: &str = "2026-11-22T10:00:00Z";

/// An event to be published. Its payload is text, because bytes are promised to arrive untouched.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    id: Option<String>,
    space: String,
    environment: String,
    topic: String,
    content_type: String,
    payload: String,
}

/// An event of this topic, in the space `acme`.
pub(crate) fn event(topic: &str) -> Event {
    Event {
        id: None,
        space: "acme".to_owned(),
        environment: "master".to_owned(),
        topic: topic.to_owned(),
        content_type: String::new(),
        payload: r#"{"sys":{"id":"home"}}"#.to_owned(),
    }
}

impl Event {
    pub(crate) fn id(mut self, id: &str) -> Self {
        self.id = Some(id.to_owned());
        self
    }

    pub(crate) fn space(mut self, space: &str) -> Self {
        self.space = space.to_owned();
        self
    }

    pub(crate) fn content_type(mut self, content_type: &str) -> Self {
        self.content_type = content_type.to_owned();
        self
    }

    pub(crate) fn payload(mut self, json: impl Into<String>) -> Self {
        self.payload = json.into();
        self
    }

    /// Where it lies in the events stream.
    pub(crate) fn subject(&self) -> String {
        let Self {
            space,
            environment,
            topic,
            ..
        } = self;
        format!("tidings.event.{space}.{environment}.{topic}")
    }

    /// By which the stream knows it again.
    pub(crate) fn message_id(&self) -> String {
        let id = self
            .id
            .as_deref()
            .expect("an event that is published directly has an id");
        format!("{}.{}.{id}", self.space, self.environment)
    }

    /// As JSON, with the payload's own bytes in it.
    pub(crate) fn json(&self) -> String {
        let mut fields = json!({
            "space": self.space,
            "environment": self.environment,
            "topic": self.topic,
            "entity": { "id": "home", "contentType": self.content_type },
            "occurredAt": OCCURRED_AT,
        });
        if let Some(id) = &self.id {
            fields["id"] = json!(id);
        }
        let fields = fields.to_string();
        let open = fields
            .strip_suffix('}')
            .expect("an object ends with a brace");
        format!(r#"{open},"payload":{}}}"#, self.payload)
    }

    /// As protobuf.
    pub(crate) fn wire(&self) -> v1::Event {
        let occurred_at = OCCURRED_AT.parse().expect("a timestamp");
        v1::Event {
            id: self.id.clone().unwrap_or_default(),
            space: self.space.clone(),
            environment: self.environment.clone(),
            topic: self.topic.clone(),
            entity: Some(v1::Entity {
                id: "home".to_owned(),
                content_type: self.content_type.clone(),
                ..v1::Entity::default()
            }),
            occurred_at: Some(tidings_proto::timestamp_to_wire(occurred_at)),
            payload: Bytes::from(self.payload.clone()),
            ..v1::Event::default()
        }
    }

    /// As protobuf bytes.
    pub(crate) fn bytes(&self) -> Bytes {
        Bytes::from(self.wire().encode_to_vec())
    }

    /// What a receiver sees of it in the `standard` format.
    pub(crate) fn standard_body(&self) -> String {
        format!(
            r#"{{"type":"{}","timestamp":"{OCCURRED_AT}","data":{}}}"#,
            self.topic, self.payload
        )
    }
}
