//! A webhook as matching needs it.

use std::sync::Arc;

use super::shared::Shared;
use crate::filter::{Condition, Doc, Test};
use crate::filter::{Facts, Filters, Observer, Place, Seen, Truth, Unobserved, View, all};
use crate::id::WebhookId;
use crate::name::{Pool, Space};
use crate::topic::TopicPattern;
use crate::webhook::{FieldError, Webhook};

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
    /// The webhook's id.
    pub id: WebhookId,
    /// The space it belongs to.
    pub space: Arc<Space>,
    /// The version of its definition.
    pub version: u64,
    /// The fleet that sends its deliveries.
    pub pool: Arc<Pool>,
    pub(super) is_enabled: bool,
    pub(super) topics: Arc<[TopicPattern]>,
    /// What `contentTypes` asks for, as a condition; `None` for all.
    pub(super) content_types: Option<Condition>,
    pub(super) filters: Filters,
}

impl Subscriber {
    /// Understands a webhook. `shared` keeps what webhooks have in common.
    ///
    /// # Errors
    /// What of its filters is not understood. Nothing that `webhook::check` passes.
    pub fn compile(webhook: &Webhook, shared: &mut Shared) -> Result<Self, Vec<FieldError>> {
        let definition = &webhook.definition;
        Ok(Self {
            id: webhook.id.clone(),
            space: shared.space(&webhook.space),
            version: webhook.version,
            pool: shared.pool(&definition.delivery.pool),
            is_enabled: definition.enabled,
            topics: shared.topics(&definition.topics),
            content_types: wanted_content_types(&definition.content_types),
            filters: Filters::parse(&definition.filters, shared.patterns())?,
        })
    }

    /// Whether the webhook gets the event.
    #[must_use]
    pub fn wants(&self, facts: &Facts<'_>) -> bool {
        self.judge(facts, &mut Unobserved) == Truth::Yes
    }

    /// Whether the webhook gets an event of its space by which it was found: it is enabled, and one
    /// of its topics is the event's. The same conditions are judged by the same code, without those
    /// that are known to hold.
    pub(super) fn wants_found(&self, facts: &Facts<'_>) -> bool {
        let content_types = self.judge_field(Field::ContentTypes, facts, &mut Unobserved);
        content_types == Truth::Yes && self.filters.judge(facts, &mut Unobserved) == Truth::Yes
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
        fields.min(self.filters.judge(facts, observer))
    }

    fn judge_field<O: Observer>(&self, field: Field, facts: &Facts<'_>, observer: &mut O) -> Truth {
        let event = facts.event();
        let (name, saw, holds) = match field {
            Field::Id => {
                let named = event.entity.id.as_str();
                ("id", View::Text(named), self.id.as_str() == named)
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
                return match &self.content_types {
                    Some(wanted) => wanted.judge(Place::Field("contentTypes"), facts, observer),
                    None => Truth::Yes,
                };
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
