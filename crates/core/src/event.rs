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

/// How many faults of one event are told.
const FAULTS_MAX: usize = 32;

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
    /// What else is wrong with the same event.
    pub others: Vec<Self>,
}

impl EventError {
    /// A fault of the field at `pointer`.
    #[must_use]
    pub fn new(code: &'static str, pointer: &str, detail: impl Into<String>) -> Self {
        Self {
            code,
            pointer: pointer.to_owned(),
            detail: detail.into(),
            others: Vec::new(),
        }
    }

    /// This fault and the others.
    pub fn all(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(&self.others)
    }
}

/// The faults of one event, gathered so that its producer is told all of them at once.
#[derive(Debug, Default)]
pub struct Faults(Vec<EventError>);

impl Faults {
    /// What was read; `None` if that is a fault, which is kept.
    pub fn note<T>(&mut self, read: Result<T, EventError>) -> Option<T> {
        read.map_err(|fault| self.add(fault)).ok()
    }

    /// Keeps a fault with all that it has gathered itself.
    pub fn add(&mut self, mut fault: EventError) {
        let others = std::mem::take(&mut fault.others);
        let room = FAULTS_MAX.saturating_sub(self.0.len());
        self.0
            .extend(std::iter::once(fault).chain(others).take(room));
    }

    /// Fails if there is a fault.
    ///
    /// # Errors
    /// The first fault, and the others with it.
    pub fn finish(self) -> Result<(), EventError> {
        let mut faults = self.0.into_iter();
        match faults.next() {
            None => Ok(()),
            Some(first) => Err(EventError {
                others: faults.collect(),
                ..first
            }),
        }
    }
}

/// Checks the free texts of an event against their bounds.
///
/// # Errors
/// The texts that are too long, or have a control character.
pub fn check_texts(
    entity: &Entity,
    actor: &str,
    context: &BTreeMap<String, String>,
) -> Result<(), EventError> {
    let mut faults = Faults::default();
    for (pointer, text) in [
        ("/entity/id", &entity.id),
        ("/entity/type", &entity.kind),
        ("/entity/contentType", &entity.content_type),
    ] {
        faults.note(check_text("bad_entity", pointer, text, TEXT_BYTES_MAX));
    }
    let locales = &entity.locales;
    faults.note(check_length("bad_entity", "/entity/locales", locales.len()));
    for (index, locale) in locales.iter().enumerate() {
        let pointer = format!("/entity/locales/{index}");
        faults.note(check_text("bad_entity", &pointer, locale, TEXT_BYTES_MAX));
    }
    faults.note(check_text("bad_actor", "/actor", actor, TEXT_BYTES_MAX));
    faults.note(check_length("bad_context", "/context", context.len()));
    for (key, value) in context {
        let pointer = format!("/context/{key}");
        faults.note(check_text(
            "bad_context",
            "/context",
            key,
            CONTEXT_BYTES_MAX,
        ));
        faults.note(check_text(
            "bad_context",
            &pointer,
            value,
            CONTEXT_BYTES_MAX,
        ));
    }
    faults.finish()
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
