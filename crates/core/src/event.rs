//! An event: one thing that happened to one entity, as the CMS published it.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;

use crate::id::EventId;
use crate::name::{Environment, Space};
use crate::topic::{TEST_TOPIC, Topic};

/// The longest entity id, content type, locale or actor, in bytes.
pub const TEXT_BYTES_MAX: usize = 256;
/// How many locales an entity, and how many entries a context may have.
pub const LIST_LENGTH_MAX: usize = 256;
/// The longest key or value of a context, in bytes.
pub const CONTEXT_BYTES_MAX: usize = 1_024;

/// A checked event. Its payload is never parsed into values and written again.
#[derive(Debug, Clone)]
pub struct Event {
    /// The producer's own id, or one made at the door.
    pub id: EventId,
    /// The tenant it belongs to.
    pub space: Space,
    /// The branch it happened on.
    pub environment: Environment,
    /// What happened.
    pub topic: Topic,
    /// The entity it happened to, as far as the producer told.
    pub entity: Entity,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// Who did it, empty when unknown.
    pub actor: String,
    /// Release, bulk action and other groupings.
    pub context: BTreeMap<String, String>,
    /// JSON text, byte for byte as the producer sent it.
    pub payload: Bytes,
}

impl Event {
    /// Whether it tests the webhook that it names as its entity.
    #[must_use]
    pub fn is_test(&self) -> bool {
        self.topic.as_str().eq_ignore_ascii_case(TEST_TOPIC)
    }
}

/// What an event happened to. Empty fields are unknown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entity {
    /// The CMS's own id.
    pub id: String,
    /// The entity type as the CMS names it; usually the topic's first part.
    pub kind: String,
    /// The content type, such as `article`.
    pub content_type: String,
    /// The revision, 0 when unknown.
    pub revision: u32,
    /// The locales it exists in or that changed.
    pub locales: Vec<String>,
}

/// A rule that an event's content breaks, with the JSON pointer of the field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct EventError {
    /// A stable word for the kind of fault, such as `bad_id`.
    pub code: &'static str,
    /// JSON pointer (RFC 6901) to the field in the event.
    pub pointer: String,
    /// What is wrong and what is allowed.
    pub detail: String,
}

impl EventError {
    /// A fault of the field at `pointer`.
    #[must_use]
    pub fn new(code: &'static str, pointer: &str, detail: impl Into<String>) -> Self {
        Self {
            code,
            pointer: pointer.to_owned(),
            detail: detail.into(),
        }
    }
}

/// Checks the free texts of an event against their bounds.
///
/// # Errors
/// The first text that is too long, or has a control character.
pub fn check_texts(
    entity: &Entity,
    actor: &str,
    context: &BTreeMap<String, String>,
) -> Result<(), EventError> {
    check_text("bad_entity", "/entity/id", &entity.id, TEXT_BYTES_MAX)?;
    check_text("bad_entity", "/entity/type", &entity.kind, TEXT_BYTES_MAX)?;
    check_text(
        "bad_entity",
        "/entity/contentType",
        &entity.content_type,
        TEXT_BYTES_MAX,
    )?;
    check_length("bad_entity", "/entity/locales", entity.locales.len())?;
    for (index, locale) in entity.locales.iter().enumerate() {
        check_text(
            "bad_entity",
            &format!("/entity/locales/{index}"),
            locale,
            TEXT_BYTES_MAX,
        )?;
    }
    check_text("bad_actor", "/actor", actor, TEXT_BYTES_MAX)?;
    check_length("bad_context", "/context", context.len())?;
    for (key, value) in context {
        check_text("bad_context", "/context", key, CONTEXT_BYTES_MAX)?;
        check_text(
            "bad_context",
            &format!("/context/{key}"),
            value,
            CONTEXT_BYTES_MAX,
        )?;
    }
    Ok(())
}

fn check_text(
    code: &'static str,
    pointer: &str,
    text: &str,
    bytes_max: usize,
) -> Result<(), EventError> {
    if text.len() > bytes_max {
        let detail = format!("it has {} bytes, the limit is {bytes_max}", text.len());
        return Err(EventError::new(code, pointer, detail));
    }
    if text.chars().any(char::is_control) {
        return Err(EventError::new(code, pointer, "it has a control character"));
    }
    Ok(())
}

fn check_length(code: &'static str, pointer: &str, length: usize) -> Result<(), EventError> {
    if length > LIST_LENGTH_MAX {
        let detail = format!("it has {length} items, the limit is {LIST_LENGTH_MAX}");
        return Err(EventError::new(code, pointer, detail));
    }
    Ok(())
}
