//! Events: what came in, and what became of it.

use std::collections::HashMap;

use serde_json::{Value, json};
use tidings_core::event::Event;
use tidings_core::id::{DeliveryId, EventId};
use tidings_core::matching::explain;
use tidings_core::name::Space;
use tidings_manage::webhook::Kept;
use tidings_manage::{Error, Result, StoredEvent};

use crate::App;
use crate::log::{DeliveryFilter, EventFilter};
use crate::view::{DeliveryView, EntityView, EventDetail, EventView, EventWebhook, StatusView};

/// Deliveries of one event that are looked up; a space with more webhooks shows the newest.
const DELIVERIES_MAX: usize = 200;

impl App {
    /// An event with what each webhook makes of it. Of several with the same id, in several
    /// environments, the newest.
    ///
    /// # Errors
    /// It is not known, or something does not answer.
    pub async fn event(&self, space: &Space, id: &EventId) -> Result<EventDetail> {
        let filter = EventFilter {
            id: Some(id.to_string()),
            ..EventFilter::default()
        };
        let found = self.log.events(space.as_str(), filter, None, 1).await;
        let found = found?.items.into_iter().next();
        let event = found.ok_or_else(|| Error::not_found("event", id))?;
        let stored = self.manage.event(space, event.sequence).await?;
        let filter = DeliveryFilter {
            event: Some(id.to_string()),
            ..DeliveryFilter::default()
        };
        let deliveries = self
            .log
            .deliveries(space.as_str(), filter, None, DELIVERIES_MAX)
            .await;
        let deliveries = deliveries?.items.into_iter();
        let mut deliveries: HashMap<String, DeliveryView> = deliveries
            .map(|delivery| (delivery.id.clone(), delivery.into()))
            .collect();
        let mut webhooks = Vec::new();
        for kept in self.manage.webhooks(Some(space)).await? {
            webhooks.push(judge(&kept, stored.as_ref(), id, &mut deliveries));
        }
        // Those of webhooks that are deleted.
        webhooks.extend(deliveries.into_values().map(of_deleted));
        let entity = stored.as_ref().map(|stored| &stored.event.entity);
        Ok(EventDetail {
            entity: entity.map(|entity| EntityView {
                id: entity.id.clone(),
                kind: entity.kind.clone(),
                content_type: entity.content_type.clone(),
                revision: entity.revision,
                locales: entity.locales.clone(),
            }),
            occurred_at: stored.as_ref().map(|stored| stored.event.occurred_at),
            actor: stored
                .as_ref()
                .map(|stored| stored.event.actor.clone())
                .unwrap_or_default(),
            context: stored
                .as_ref()
                .map(|stored| stored.event.context.clone())
                .unwrap_or_default(),
            payload: stored.as_ref().map(|stored| payload(&stored.event)),
            event: EventView::from(event),
            webhooks,
        })
    }
}

fn payload(event: &Event) -> Value {
    let text = || String::from_utf8_lossy(&event.payload).into_owned();
    serde_json::from_slice(&event.payload).unwrap_or_else(|_| Value::from(text()))
}

fn judge(
    kept: &Kept,
    stored: Option<&StoredEvent>,
    id: &EventId,
    deliveries: &mut HashMap<String, DeliveryView>,
) -> EventWebhook {
    let webhook = &kept.webhook;
    let explanation = stored.map(|stored| explain(webhook, &stored.event));
    let delivery = stored.and_then(|stored| {
        let environment = &stored.event.environment;
        let own = DeliveryId::derive(&webhook.space, environment, id, &webhook.id);
        deliveries.remove(own.as_str())
    });
    let matches = explanation.as_ref().is_some_and(|told| told.matches);
    let outcome = match &delivery {
        Some(delivery) => outcome(delivery),
        None if matches => "waiting",
        None => "not_matched",
    };
    EventWebhook {
        webhook_id: webhook.id.to_string(),
        name: webhook.definition.name.clone(),
        matches,
        changed_since: stored.is_some_and(|stored| webhook.updated_at > stored.stored_at),
        checks: explanation
            .iter()
            .flat_map(|told| told.checks.iter().map(|check| json!(check)))
            .collect(),
        faults: explanation
            .iter()
            .flat_map(|told| told.faults.iter().map(|fault| json!(fault)))
            .collect(),
        outcome: outcome.to_owned(),
        delivery,
    }
}

fn of_deleted(delivery: DeliveryView) -> EventWebhook {
    EventWebhook {
        webhook_id: delivery.webhook_id.clone(),
        name: String::new(),
        matches: true,
        changed_since: true,
        checks: Vec::new(),
        faults: Vec::new(),
        outcome: outcome(&delivery).to_owned(),
        delivery: Some(delivery),
    }
}

fn outcome(delivery: &DeliveryView) -> &'static str {
    match delivery.status {
        StatusView::Pending => "waiting",
        StatusView::Retrying => "retrying",
        StatusView::Delivered => "delivered",
        StatusView::Dead => "dead",
    }
}
