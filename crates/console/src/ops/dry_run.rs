//! What a webhook would have got, before it is saved.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::pull::OrderedConfig;
use futures_util::StreamExt as _;
use tidings_core::endpoint_url::UrlPolicy;
use tidings_core::filter::Facts;
use tidings_core::matching::{Shared, Subscriber};
use tidings_core::name::Space;
use tidings_core::webhook::{SCHEMA_VERSION, Webhook};
use tidings_manage::webhook::Draft;
use tidings_manage::{Error, Result};
use tidings_nats::consume::reader_name;
use tidings_nats::stored_event::{Place, open};
use tidings_nats::topology::EVENTS;
use tidings_service::clock;

use crate::App;
use crate::log::EventFilter;
use crate::view::{DryRunView, EventView};

/// How many events are looked at.
const EVENTS_MAX: u64 = 1_000;
const EXAMPLES_MAX: usize = 10;
const NEXT_WITHIN: Duration = Duration::from_secs(5);

impl App {
    /// Which of the newest events of the space a webhook with this definition would have got. Only
    /// what decides about that is looked at; the URL may be missing.
    ///
    /// # Errors
    /// Topics, content types or filters cannot be used, or something does not answer.
    pub async fn dry_run(&self, space: &Space, mut draft: Draft) -> Result<DryRunView> {
        let somewhere = serde_json::json!("https://example.com/");
        draft.set(&["url"], Some(somewhere));
        draft.set(&["enabled"], Some(serde_json::json!(true)));
        let definition = draft.finish()?;
        let mut faults = tidings_core::webhook::check(&definition, &UrlPolicy::default());
        faults.retain(|fault| {
            ["/topics", "/contentTypes", "/filters"]
                .iter()
                .any(|field| fault.pointer.starts_with(field))
        });
        if !faults.is_empty() {
            return Err(Error::Invalid(faults));
        }
        let now = clock::now();
        let webhook = Webhook {
            schema: SCHEMA_VERSION,
            id: "wh_draft".parse().map_err(|_| of("the draft has no id"))?,
            space: space.clone(),
            definition,
            created_at: now,
            updated_at: now,
            version: 1,
        };
        let subscriber = Subscriber::compile(&webhook, &mut Shared::default());
        let subscriber = Arc::new(subscriber.map_err(Error::Invalid)?);
        let Some(first) = self.first_of_newest(space).await? else {
            return Ok(DryRunView {
                checked: 0,
                matched: 0,
                examples: Vec::new(),
                since: None,
            });
        };
        self.judge_from(space, first, &subscriber).await
    }

    /// The place of the oldest of the newest events.
    async fn first_of_newest(&self, space: &Space) -> Result<Option<u64>> {
        let (mut first, mut cursor, mut count) = (None, None, 0);
        while count < EVENTS_MAX {
            let page = self
                .log
                .events(space.as_str(), EventFilter::default(), cursor, 200)
                .await?;
            count += page.items.len() as u64;
            first = page.items.last().map(|event| event.sequence).or(first);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        Ok(first)
    }

    async fn judge_from(
        &self,
        space: &Space,
        first: u64,
        subscriber: &Subscriber,
    ) -> Result<DryRunView> {
        let failed = |error: &dyn std::fmt::Display| of(&format!("{EVENTS}: {error}"));
        let mut found = DryRunView {
            checked: 0,
            matched: 0,
            examples: Vec::new(),
            since: None,
        };
        let stream = self.manage.context().get_stream(EVENTS).await;
        let stream = stream.map_err(|error| failed(&error))?;
        let config = OrderedConfig {
            name: Some(reader_name()),
            filter_subject: format!("tidings.event.{space}.>"),
            deliver_policy: DeliverPolicy::ByStartSequence {
                start_sequence: first,
            },
            ..OrderedConfig::default()
        };
        let consumer = stream.create_consumer(config).await;
        let consumer = consumer.map_err(|error| failed(&error))?;
        if consumer.cached_info().num_pending == 0 {
            return Ok(found);
        }
        let messages = consumer.messages().await;
        let mut messages = messages.map_err(|error| failed(&error))?;
        while found.checked < EVENTS_MAX + 200 {
            let next = tokio::time::timeout(NEXT_WITHIN, messages.next()).await;
            let next = next.map_err(|_| of("the next event does not come"))?;
            let Some(message) = next.transpose().map_err(|error| failed(&error))? else {
                break;
            };
            let pending = message.info().map_or(0, |info| info.pending);
            let place = Place::of(&message);
            if let Ok(opened) = open(&message, place) {
                found.checked += 1;
                found.since = found.since.or(Some(place.published_at));
                if subscriber.wants(&Facts::new(&opened.event)) {
                    found.matched += 1;
                    found.examples.insert(
                        0,
                        EventView {
                            id: opened.event.id.to_string(),
                            environment: opened.event.environment.to_string(),
                            topic: opened.event.topic.as_str().to_owned(),
                            sequence: place.sequence,
                            received_at: place.published_at,
                        },
                    );
                    found.examples.truncate(EXAMPLES_MAX);
                }
            }
            if pending == 0 {
                break;
            }
        }
        Ok(found)
    }
}

fn of(detail: &str) -> Error {
    Error::Unavailable(detail.to_owned())
}
