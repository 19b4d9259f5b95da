//! A webhook as matching needs it.

use std::sync::Arc;

use super::pin::Pins;
use super::posting::{Posting, Repeats};
use super::shared::Shared;
use crate::filter::{Condition, Doc, Patterns, Test};
use crate::filter::{Facts, Filters, Observer, Place, Seen, Truth, Unobserved, View, all};
use crate::id::WebhookId;
use crate::name::{Pool, Space};
use crate::partition::Slot;
use crate::topic::TopicPattern;
use crate::webhook::{Definition, FieldError, Webhook};

/// The fields of a definition that are conditions, beside its filters.
const FIELDS: [Field; 4] = [
    Field::Space,
    Field::Enabled,
    Field::Topics,
    Field::ContentTypes,
];

/// The same for a test event, which asks for nothing else.
const TEST_FIELDS: [Field; 3] = [Field::Space, Field::Enabled, Field::Id];

#[derive(Debug, Clone, Copy)]
enum Field {
    Id,
    Space,
    Enabled,
    Topics,
    ContentTypes,
}

/// One version of a webhook: what it wants, understood, and where its deliveries go. It holds no
/// secret and nothing else that a router has no use for.
#[derive(Debug)]
pub struct Subscriber {
    /// What lists hold of it.
    pub(super) posting: Posting,
    version: u64,
    pub(super) space: Arc<Space>,
    pub(super) is_enabled: bool,
    pub(super) topics: Arc<[TopicPattern]>,
    pub(super) wants: Arc<Wants>,
}

/// The conditions of a webhook on the event itself.
#[derive(Debug)]
pub(super) struct Wants {
    /// What `contentTypes` asks for, as a condition; `None` for all.
    content_types: Option<Condition>,
    filters: Filters,
}

impl Wants {
    /// Understands what `definition` asks for.
    pub(super) fn parse(
        definition: &Definition,
        patterns: &mut Patterns,
    ) -> Result<Self, Vec<FieldError>> {
        Ok(Self {
            content_types: wanted_content_types(&definition.content_types),
            filters: Filters::parse(&definition.filters, patterns)?,
        })
    }

    /// Those that must all hold.
    pub(super) fn conditions(&self) -> impl Iterator<Item = &Condition> {
        let content_types = self.content_types.iter();
        content_types.chain(self.filters.conditions())
    }

    fn judge_content_types<O: Observer>(&self, facts: &Facts<'_>, observer: &mut O) -> Truth {
        match &self.content_types {
            Some(wanted) => wanted.judge(Place::Field("contentTypes"), facts, observer),
            None => Truth::Yes,
        }
    }

    /// Whether all of them hold, judged as [`Subscriber::wants`] does.
    pub(super) fn hold(&self, facts: &Facts<'_>) -> bool {
        self.judge_content_types(facts, &mut Unobserved) == Truth::Yes
            && self.filters.judge(facts, &mut Unobserved) == Truth::Yes
    }
}

impl Subscriber {
    /// Understands a webhook. `shared` keeps what webhooks have in common.
    ///
    /// # Errors
    /// What of its filters is not understood. Nothing that `webhook::check` passes.
    pub fn compile(webhook: &Webhook, shared: &mut Shared) -> Result<Self, Vec<FieldError>> {
        let definition = &webhook.definition;
        let wants = shared.wants(definition)?;
        let pins = Pins::of(&wants);
        let posting = Posting {
            id: webhook.id.clone(),
            slot: Slot::of(&webhook.id),
            pool: shared.pool(&definition.delivery.pool),
            asks: (!pins.are_all).then(|| Arc::clone(&wants)),
            tags: pins.tags,
            repeats: Repeats {
                by_topic: may_choose_one_topic(&definition.topics),
                by_value: pins.best.is_some_and(|pin| pin.values.len() > 1),
            },
        };
        Ok(Self {
            posting,
            version: webhook.version,
            space: shared.space(&webhook.space),
            is_enabled: definition.enabled,
            topics: shared.topics(&definition.topics),
            wants,
        })
    }

    /// The webhook's id.
    #[must_use]
    pub fn id(&self) -> &WebhookId {
        &self.posting.id
    }

    /// The version of its definition.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The space it belongs to.
    #[must_use]
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// The fleet that sends its deliveries.
    #[must_use]
    pub fn pool(&self) -> &Pool {
        &self.posting.pool
    }

    /// Whether the webhook gets the event.
    #[must_use]
    pub fn wants(&self, facts: &Facts<'_>) -> bool {
        self.judge(facts, &mut Unobserved) == Truth::Yes
    }

    /// What all conditions together come to.
    pub(super) fn judge<O: Observer>(&self, facts: &Facts<'_>, observer: &mut O) -> Truth {
        if facts.event().is_test() {
            return all::<O>(
                TEST_FIELDS
                    .into_iter()
                    .map(|field| self.judge_field(field, facts, observer)),
            );
        }
        let fields = all::<O>(
            FIELDS
                .into_iter()
                .map(|field| self.judge_field(field, facts, observer)),
        );
        if fields == Truth::No && !O::IS_THOROUGH {
            return Truth::No;
        }
        fields.min(self.wants.filters.judge(facts, observer))
    }

    fn judge_field<O: Observer>(&self, field: Field, facts: &Facts<'_>, observer: &mut O) -> Truth {
        let event = facts.event();
        let (name, saw, holds) = match field {
            Field::Id => {
                let named = event.entity.id.as_str();
                ("id", View::Text(named), self.id().as_str() == named)
            }
            Field::Space => {
                let saw = View::Text(event.space.as_str());
                ("space", saw, *self.space == event.space)
            }
            Field::Enabled => ("enabled", View::Bool(self.is_enabled), self.is_enabled),
            Field::Topics => {
                let saw = View::Text(event.topic.as_str());
                let holds = self.topics.iter().any(|topic| topic.matches(&event.topic));
                ("topics", saw, holds)
            }
            Field::ContentTypes => {
                return self.wants.judge_content_types(facts, observer);
            }
        };
        observer.enter(Place::Field(name));
        observer.saw(Seen::Value(Some(saw.into())));
        observer.leave(Truth::from(holds));
        Truth::from(holds)
    }
}

fn wanted_content_types(content_types: &[String]) -> Option<Condition> {
    (!content_types.is_empty()).then(|| Condition::Value {
        doc: Doc::content_type(),
        test: Test::one_of(content_types),
    })
}

/// Whether two of these choose the same topic, if only one that no event has.
fn may_choose_one_topic(patterns: &[TopicPattern]) -> bool {
    let meet = |one: Option<&str>, other: Option<&str>| match (one, other) {
        (Some(one), Some(other)) => one.eq_ignore_ascii_case(other),
        _ => true,
    };
    let mut rest = patterns;
    while let Some((first, others)) = rest.split_first() {
        let meets = |other: &TopicPattern| {
            meet(first.entity(), other.entity()) && meet(first.action(), other.action())
        };
        if others.iter().any(meets) {
            return true;
        }
        rest = others;
    }
    false
}
