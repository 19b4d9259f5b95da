//! Deliveries: seen and sent again.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tidings_core::id::DeliveryId;
use tidings_core::name::Space;
use tidings_core::webhook::EndpointState;
use tidings_manage::audit::Change;
use tidings_manage::redeliver::Known;
use tidings_manage::{Actor, Error, Result};
use tidings_service::clock;
use tokio::time::{Instant, sleep};

use crate::App;
use crate::log::{Delivery, Status};
use crate::view::{AttemptView, DeliveryDetail, DeliveryView, time};

/// How long an answer may wait for the log to read what happened just now.
const CATCH_UP: Duration = Duration::from_secs(2);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What keeps a delivery from its first attempt, as it is now.
#[derive(Debug, Default)]
pub(crate) struct Waits {
    /// Until when at the least, as far as it is known.
    pub(crate) until: Option<Timestamp>,
    /// The state of its webhook, unless that is deleted.
    pub(crate) endpoint: Option<EndpointState>,
}

impl App {
    /// A delivery with every attempt.
    ///
    /// # Errors
    /// It is not known, or something does not answer.
    pub async fn delivery(&self, space: &Space, id: &DeliveryId) -> Result<DeliveryDetail> {
        let found = self.log.delivery(space.as_str(), id.as_str()).await;
        let found = found?;
        let (delivery, attempts) = found.ok_or_else(|| Error::not_found("delivery", id))?;
        let event = self.manage.event(space, delivery.event_sequence).await?;
        let event = event.map(|stored| stored.event);
        let bodies = self.bodies(space, &delivery, event.as_ref(), &attempts);
        let bodies = bodies.await?;
        let payload = event.map(|event| {
            let text = || String::from_utf8_lossy(&event.payload).into_owned();
            serde_json::from_slice(&event.payload).unwrap_or_else(|_| Value::from(text()))
        });
        let attempts = attempts.into_iter().zip(bodies);
        let attempts = attempts.map(|(attempt, body)| AttemptView::from(attempt).with_body(body));
        let attempts: Vec<AttemptView> = attempts.collect();
        let next = match delivery.status {
            Status::Retrying => attempts.last().and_then(|last| last.next_attempt_at),
            Status::Pending => self.waits(space, &delivery).await?.until,
            Status::Delivered | Status::Dead => None,
        };
        Ok(DeliveryDetail {
            next_attempt_at: next,
            delivery: DeliveryView::from(delivery),
            attempt_list: attempts,
            payload,
        })
    }

    /// What a delivery waits for that was not attempted yet: its webhook may be in another state by
    /// now than it was when that was recorded.
    ///
    /// # Errors
    /// The log holds something that is no id, or the broker does not answer.
    pub(crate) async fn waits(&self, space: &Space, delivery: &Delivery) -> Result<Waits> {
        let webhook = delivery.webhook.parse().map_err(|error| {
            Error::Unavailable(format!("the log holds a broken delivery: {error}"))
        })?;
        let found = self.manage.find_webhook(space, &webhook).await?;
        let endpoint = found.map(|kept| kept.effective());
        let paused = endpoint
            .as_ref()
            .filter(|state| state.status == tidings_core::webhook::Status::Paused);
        let until = match paused {
            Some(state) => state.until,
            None => Some(time(delivery.waits_until)),
        };
        Ok(Waits {
            until: until.filter(|until| *until > clock::now()),
            endpoint,
        })
    }

    /// Sends a delivery again, under the same id and with a whole round of attempts. Returns the
    /// number of its next attempt.
    ///
    /// # Errors
    /// It is not known, its webhook is deleted or disabled, its event is no longer kept, or
    /// something does not answer.
    pub async fn redeliver(&self, actor: &Actor, space: &Space, id: &DeliveryId) -> Result<u32> {
        self.catch_up().await;
        let found = self.log.delivery(space.as_str(), id.as_str()).await;
        let found = found?;
        let (delivery, _) = found.ok_or_else(|| Error::not_found("delivery", id))?;
        let known = self.known(space, &delivery).await?;
        let attempt = self.manage.redelivery().await?.send(&known).await?;
        self.note_redelivery(space, &delivery, attempt).await?;
        self.manage
            .record(Change {
                actor,
                space: Some(space),
                action: "delivery.redeliver",
                target: id.as_str(),
                old: json!({ "attempts": delivery.attempts, "reason": delivery.reason }),
                new: json!({ "nextAttempt": attempt }),
            })
            .await;
        Ok(attempt)
    }

    /// What sending a delivery again needs to know of it.
    ///
    /// # Errors
    /// The log does not answer, or holds something that is no id.
    pub(crate) async fn known(&self, space: &Space, delivery: &Delivery) -> Result<Known> {
        let letters = self.log.letters_of(space.as_str(), &delivery.id).await;
        let bad = |error: &dyn std::fmt::Display| {
            Error::Unavailable(format!("the log holds a broken delivery: {error}"))
        };
        Ok(Known {
            delivery: delivery.id.parse().map_err(|error| bad(&error))?,
            space: space.clone(),
            webhook: delivery.webhook.parse().map_err(|error| bad(&error))?,
            environment: delivery.environment.parse().map_err(|error| bad(&error))?,
            event: delivery.event.parse().map_err(|error| bad(&error))?,
            event_sequence: delivery.event_sequence,
            attempts: delivery.attempts,
            letters: letters?,
            is_waiting: matches!(delivery.status, Status::Retrying | Status::Pending),
        })
    }

    pub(crate) async fn note_redelivery(
        &self,
        space: &Space,
        delivery: &Delivery,
        next_attempt: u32,
    ) -> Result<()> {
        let (space, id) = (space.as_str(), &delivery.id);
        Ok(self.log.note_redelivery(space, id, next_attempt).await?)
    }

    /// Gives the log a moment to read what happened just now; nobody waits for it longer.
    pub(crate) async fn catch_up(&self) {
        let until = Instant::now() + CATCH_UP;
        while self.log.lag().messages > 0 && Instant::now() < until {
            sleep(LOOK_AGAIN).await;
        }
    }
}
