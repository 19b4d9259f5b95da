//! One webhook, ready to be called: made once per version of its definition.

use std::sync::Arc;

use tidings_core::endpoint_url::UrlPolicy;
use tidings_core::format::{Template, TemplateError};
use tidings_core::name::{Pool, Space};
use tidings_core::webhook::{DeliveryPlan, EndpointState, Status, Webhook};
use tidings_service::clock;
use tidings_vault::{KeyRing, OpenError};

use crate::gate::Gate;

/// A webhook as its deliveries need it.
#[derive(Debug)]
pub struct Entry {
    /// What people call it; empty if it cannot be read.
    pub name: String,
    /// Retries, timeouts and limits; the defaults if the webhook cannot be read.
    pub plan: DeliveryPlan,
    /// The version of its definition.
    pub version: u64,
    /// Whether deliveries are sent.
    pub state: EndpointState,
    /// What is called, or why nothing can be.
    pub target: Arc<Result<Target, Unusable>>,
    /// What its attempts have to pass.
    pub gate: Arc<Gate>,
}

impl Entry {
    /// Whether its deliveries wait for a key that opens its secrets.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        let unusable = self.target.as_ref().as_ref().err();
        unusable.is_some_and(|unusable| unusable.missing_key.is_some())
    }

    /// Scheme, host and port of what is called.
    #[must_use]
    pub fn origin(&self) -> Option<String> {
        let target = self.target.as_ref().as_ref().ok()?;
        Some(target.template.url().origin().to_owned())
    }
}

/// What is called.
#[derive(Debug)]
pub struct Target {
    /// What makes the request.
    pub template: Template,
}

/// Why a webhook cannot be called, although it is there. Its deliveries fail, and are tried again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Unusable {
    /// The key that would open its secrets; its deliveries wait for it.
    pub missing_key: Option<String>,
    /// A stable word, as the outcomes of attempts have it.
    pub code: &'static str,
    /// For people.
    pub detail: String,
}

/// What lies in the bucket of definitions, made ready.
#[derive(Debug)]
pub(super) struct Definition {
    webhook: Option<Webhook>,
    target: Arc<Result<Target, Unusable>>,
}

impl Definition {
    /// Makes ready what lies under `key`.
    pub(super) fn read(key: &str, value: &[u8], policy: &Arc<UrlPolicy>, keys: &KeyRing) -> Self {
        let unreadable = |detail: String| Self {
            webhook: None,
            target: Arc::new(Err(config_error(detail))),
        };
        match Webhook::from_stored(value) {
            Ok(webhook) if key == format!("{}.{}", webhook.space, webhook.id) => Self {
                target: Arc::new(target_of(&webhook, policy, keys)),
                webhook: Some(webhook),
            },
            Ok(_) => unreadable(String::from("it lies under a key that is not its own")),
            Err(error) => unreadable(error.to_string()),
        }
    }

    /// The key that would open its secrets, if that is what is wrong with it.
    pub(super) fn missing_key(&self) -> Option<&str> {
        self.fault()?.missing_key.as_deref()
    }

    /// What is wrong with it.
    pub(super) fn fault(&self) -> Option<&Unusable> {
        self.target.as_ref().as_ref().err()
    }
}

fn target_of(
    webhook: &Webhook,
    policy: &Arc<UrlPolicy>,
    keys: &KeyRing,
) -> Result<Target, Unusable> {
    let mut opened = webhook.clone();
    keys.open(&mut opened).map_err(closed)?;
    Ok(Target {
        template: Template::new(&opened, policy).map_err(|error| unrenderable(&error))?,
    })
}

fn unrenderable(error: &TemplateError) -> Unusable {
    let code = match error {
        TemplateError::Url { is_blocked, .. } => match is_blocked {
            true => "blocked",
            false => "invalid_url",
        },
        _ => "config_error",
    };
    Unusable {
        code,
        ..config_error(error.to_string())
    }
}

fn closed(error: OpenError) -> Unusable {
    let detail = error.to_string();
    let missing_key = match error {
        OpenError::UnknownKey { id } => Some(id),
        OpenError::Closed { .. } => None,
    };
    Unusable {
        missing_key,
        ..config_error(detail)
    }
}

fn config_error(detail: String) -> Unusable {
    Unusable {
        missing_key: None,
        code: "config_error",
        detail,
    }
}

/// What both buckets say about one webhook. Most webhooks are not called for hours: of these only what
/// lies in the bucket is kept, and made ready when a delivery comes.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) space: Space,
    /// What lies in the bucket of definitions, without what goes without saying.
    pub(super) stored: Option<Arc<[u8]>>,
    pub(super) recorded: Option<Box<EndpointState>>,
    /// `None` while nobody has called it.
    definition: Option<Box<Definition>>,
    /// Made of all this, at the same time as `definition`.
    pub(super) entry: Option<Arc<Entry>>,
}

impl Known {
    pub(super) fn new(space: Space) -> Self {
        Self {
            space,
            stored: None,
            recorded: None,
            definition: None,
            entry: None,
        }
    }

    /// Takes in what lies in the bucket now, and was made ready to see what is wrong with it.
    pub(super) fn define(&mut self, stored: &[u8], definition: Definition) {
        let compact = definition.webhook.as_ref().and_then(compact);
        self.stored = Some(compact.map_or_else(|| Arc::from(stored), Arc::from));
        self.definition = self.entry.is_some().then(|| Box::new(definition));
    }

    /// There is no such webhook any more.
    pub(super) fn undefine(&mut self) {
        self.stored = None;
    }

    /// Takes in what was made ready of `stored`, unless that is outdated.
    pub(super) fn wake(&mut self, stored: &Arc<[u8]>, definition: Definition) {
        let is_same = |known: &Arc<[u8]>| Arc::ptr_eq(known, stored);
        if self.entry.is_none() && self.stored.as_ref().is_some_and(is_same) {
            self.definition = Some(Box::new(definition));
        }
    }

    /// Whether its endpoint is paused, as the sender of its pool recorded it, and the pool is `pool`.
    pub(super) fn is_paused_in(&self, pool: &Pool) -> bool {
        let is_paused = |state: &EndpointState| state.status == Status::Paused;
        if let Some(entry) = &self.entry {
            return is_paused(&entry.state) && entry.plan.pool == *pool;
        }
        // Few webhooks are paused, so that reading these anew costs little.
        let (Some(recorded), Some(stored)) = (self.recorded.as_deref(), &self.stored) else {
            return false;
        };
        is_paused(recorded)
            && Webhook::from_stored(stored).is_ok_and(|webhook| {
                webhook.definition.delivery.pool == *pool
                    && is_paused(&EndpointState::effective(&webhook, Some(recorded)))
            })
    }

    /// Makes the entry anew; `false` if nothing is known any more. The gate stays the same, so that
    /// what is under way still counts.
    pub(super) fn refresh(&mut self) -> bool {
        if self.stored.is_none() {
            (self.definition, self.entry) = (None, None);
            return self.recorded.is_some();
        }
        let Some(definition) = &self.definition else {
            return true;
        };
        let webhook = definition.webhook.as_ref();
        let plan = webhook
            .map(|webhook| webhook.definition.delivery.clone())
            .unwrap_or_default();
        let state =
            webhook.map(|webhook| EndpointState::effective(webhook, self.recorded.as_deref()));
        let gate = match &self.entry {
            Some(entry) => Arc::clone(&entry.gate),
            None => Gate::new(clock::now),
        };
        let name = webhook.map(|webhook| webhook.definition.name.clone());
        self.entry = Some(Arc::new(Entry {
            name: name.unwrap_or_default(),
            plan,
            version: webhook.map_or(0, |webhook| webhook.version),
            state: state.unwrap_or_default(),
            target: Arc::clone(&definition.target),
            gate,
        }));
        true
    }
}

/// The record without its defaults. A number in somebody's own JSON may lose its last digit when it is
/// written once more, so records with such are kept as they are.
fn compact(webhook: &Webhook) -> Option<Vec<u8>> {
    let definition = &webhook.definition;
    let is_plain = definition.filters.is_empty() && definition.transformation.is_none();
    is_plain.then(|| webhook.to_compact())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paused_endpoint_that_nobody_has_called_yet_counts_as_paused() {
        let webhook = serde_json::json!({
            "schema": 1, "id": "wh_1", "space": "acme", "version": 1,
            "definition": {"url": "https://build.example.com/1", "topics": ["Entry.publish"]},
            "createdAt": "2026-01-01T00:00:00Z", "updatedAt": "2026-01-01T00:00:00Z",
        })
        .to_string();
        let policy = Arc::new(UrlPolicy::default());
        let read = |value: &str| {
            Definition::read("acme.wh_1", value.as_bytes(), &policy, &KeyRing::default())
        };
        let mut known = Known::new("acme".parse().unwrap());
        known.define(webhook.as_bytes(), read(&webhook));
        assert!(!known.is_paused_in(&Pool::default()));
        known.recorded = Some(Box::new(EndpointState::paused_by_hand(None, 1)));
        known.refresh();
        assert!(known.entry.is_none(), "it is not made ready for that");
        assert!(known.is_paused_in(&Pool::default()));
        assert!(!known.is_paused_in(&"eu".parse().unwrap()));
    }
}
