//! Telling others what happened to endpoints and deliveries: the state is recorded for whoever
//! sends next, and an operational event goes to whoever subscribed (CONTRACT.md section 5.8).

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::kv::Store;
use bytes::Bytes;
use jiff::Timestamp;
use prost::Message as _;
use serde_json::{Value, json};
use tidings_core::delivery::Delivery;
use tidings_core::event::{Entity, Event};
use tidings_core::name::Environment;
use tidings_core::pause::Change;
use tidings_core::topic::Topic;
use tidings_core::webhook::{EndpointState, Status};
use tidings_nats::publish::{Outgoing, Publisher};
use tidings_nats::{subject, trace_context};
use tidings_proto::event_to_wire;
use tidings_service::clock;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use crate::open::Opened;
use crate::spans;
use crate::webhooks::Entry;

const TRIES: u32 = 5;
const TIMEOUT: Duration = Duration::from_secs(2);
const AGAIN: Duration = Duration::from_millis(200);

/// Records states and publishes operational events.
#[derive(Debug)]
pub struct Herald {
    /// The bucket of endpoint states.
    pub(crate) states: Store,
    /// Into the stream of events.
    pub(crate) events: Publisher,
}

impl Herald {
    /// Records and publishes what changed at the gate of `opened`'s webhook.
    pub async fn tell_news(&self, webhook: &Entry, opened: &Opened) {
        let news = webhook.gate.take_news();
        if !news.is_empty() {
            Box::pin(self.tell(news, webhook, opened)).await;
        }
    }

    async fn tell(&self, news: Vec<Change>, webhook: &Entry, opened: &Opened) {
        let delivery = &opened.delivery;
        let recorded = |recorded: Option<&EndpointState>| webhook.gate.record(recorded);
        self.record(delivery, recorded).await;
        for change in news {
            say(webhook, delivery, change);
            if let Some(((action, tag), facts)) = event_of(change) {
                let action = (action, format!("op_{}_{tag}", delivery.webhook_id));
                self.publish_of_webhook(webhook, opened, action, facts)
                    .await;
            }
        }
    }

    /// Records that the endpoint is gone, and publishes it. If that fails, the next delivery finds
    /// out again.
    pub async fn disable(&self, webhook: &Entry, opened: &Opened) {
        let state = EndpointState {
            status: Status::Disabled,
            reason: String::from("gone: the endpoint answered 410"),
            until: None,
            webhook_version: webhook.version,
            pause: None,
        };
        let is_newer = |recorded: &EndpointState| recorded.webhook_version > state.webhook_version;
        let record = |recorded: Option<&EndpointState>| {
            (!recorded.is_some_and(is_newer)).then(|| state.clone())
        };
        self.record(&opened.delivery, record).await;
        let id = format!(
            "op_{}_disabled_{}",
            opened.delivery.webhook_id, webhook.version
        );
        let facts = json!({ "cause": "gone" });
        self.publish_of_webhook(webhook, opened, ("disabled", id), facts)
            .await;
    }

    /// Publishes that every retry of a delivery was used up.
    pub async fn exhausted(&self, webhook: &Entry, opened: &Opened) {
        let delivery = &opened.delivery;
        let attempts = delivery.progress.attempt;
        let payload = json!({
            "delivery": {
                "id": delivery.id,
                "eventId": delivery.event_id,
                "topic": opened.event.topic.as_str(),
                "attempts": attempts,
            },
            "webhook": webhook_facts(webhook, delivery),
        });
        let id = format!("op_{}_exhausted_{attempts}", delivery.id);
        let environment = delivery.environment.clone();
        let entity = ("Delivery", delivery.id.as_str());
        self.publish(opened, environment, entity, ("exhausted", id), payload)
            .await;
    }

    async fn publish_of_webhook(
        &self,
        webhook: &Entry,
        opened: &Opened,
        action: (&str, String),
        facts: Value,
    ) {
        let mut payload = facts;
        payload["webhook"] = webhook_facts(webhook, &opened.delivery);
        let entity = ("Webhook", opened.delivery.webhook_id.as_str());
        self.publish(opened, Environment::default(), entity, action, payload)
            .await;
    }

    /// What deliveries of operational events meet raises none.
    async fn publish(
        &self,
        opened: &Opened,
        environment: Environment,
        (kind, id): (&str, &str),
        (action, event_id): (&str, String),
        payload: Value,
    ) {
        if is_operational(&opened.event.topic) {
            return;
        }
        let topic = Topic::try_from(format!("{kind}.{action}")).expect("both are plain words");
        let event = Event {
            id: event_id.try_into().expect("ids are words, and short"),
            space: opened.delivery.space.clone(),
            environment,
            topic,
            entity: Entity {
                id: id.to_owned(),
                kind: kind.to_owned(),
                ..Entity::default()
            },
            occurred_at: clock::now(),
            actor: String::new(),
            context: BTreeMap::new(),
            payload: Bytes::from(payload.to_string()),
        };
        let mut outgoing = Outgoing {
            subject: subject::event(&event.space, &event.environment, &event.topic),
            id: format!("{}.{}.{}", event.space, event.environment, event.id),
            headers: HeaderMap::new(),
            payload: Bytes::from(event_to_wire(&event).encode_to_vec()),
        };
        let span = spans::store("publish tidings.event", "tidings.event", &outgoing);
        if let Some(trace) = span.onward(None) {
            trace_context::write(&trace, &mut outgoing.headers);
        }
        if let Err(error) = span.cover(self.events.publish(outgoing)).await {
            span.failed("not_stored");
            warn!(event.id = %event.id, topic = %event.topic, %error,
                  "cannot publish an operational event");
        }
    }

    /// Replaces what is recorded about the endpoint of `delivery`, unless `change` lets it stand.
    /// What somebody else records in between is seen.
    async fn record(
        &self,
        delivery: &Delivery,
        change: impl Fn(Option<&EndpointState>) -> Option<EndpointState>,
    ) {
        let key = format!("{}.{}", delivery.space, delivery.webhook_id);
        for _ in 0..TRIES {
            match timeout(TIMEOUT, self.try_record(&key, &change)).await {
                Ok(Ok(())) => return,
                Ok(Err(error)) => warn!(key, %error, "cannot record the state of an endpoint yet"),
                Err(_) => warn!(key, "cannot record the state of an endpoint in time"),
            }
            sleep(AGAIN).await;
        }
    }

    async fn try_record(
        &self,
        key: &str,
        change: impl Fn(Option<&EndpointState>) -> Option<EndpointState>,
    ) -> Result<(), async_nats::Error> {
        let entry = self.states.entry(key).await?;
        let recorded = entry
            .as_ref()
            .and_then(|entry| serde_json::from_slice(&entry.value).ok());
        let Some(state) = change(recorded.as_ref()) else {
            return Ok(());
        };
        let value = Bytes::from(serde_json::to_vec(&state)?);
        match entry {
            Some(entry) => self.states.update(key, value, entry.revision).await?,
            None => self.states.create(key, value).await?,
        };
        Ok(())
    }
}

fn is_operational(topic: &Topic) -> bool {
    matches!(topic.entity(), "Webhook" | "Delivery")
}

/// The event of a change, with an id that tells it from other changes of the same webhook.
fn event_of(change: Change) -> Option<((&'static str, String), Value)> {
    Some(match change {
        Change::Paused { cause, until } => (
            ("paused", format!("paused_{}", millis(until))),
            json!({ "cause": cause.as_str(), "until": until }),
        ),
        Change::Resumed => (
            ("resumed", format!("resumed_{}", millis(Some(clock::now())))),
            json!({}),
        ),
        // It was told already that it is paused.
        Change::Prolonged { .. } => return None,
    })
}

fn millis(at: Option<Timestamp>) -> i64 {
    at.unwrap_or_else(clock::now).as_millisecond()
}

/// The webhook as events show it: of its URL only the origin, since the rest may be secret.
fn webhook_facts(webhook: &Entry, delivery: &Delivery) -> Value {
    json!({
        "id": delivery.webhook_id,
        "name": webhook.name,
        "origin": webhook.origin(),
    })
}

fn say(webhook: &Entry, delivery: &Delivery, change: Change) {
    let id = &delivery.webhook_id;
    let (name, space) = (&webhook.name, &delivery.space);
    let change = match change {
        Change::Paused { cause, until: None } => format!("paused, {}", cause.as_str()),
        Change::Paused {
            cause,
            until: Some(until),
        } => format!("paused, {}, until {until:.3}", cause.as_str()),
        Change::Prolonged { cause, until } => {
            format!("paused for longer, {}, until {until:.3}", cause.as_str())
        }
        Change::Resumed => String::from("resumed"),
    };
    info!(webhook.id = %id, webhook.name = name, %space, "endpoint of {id}: {change}");
}
