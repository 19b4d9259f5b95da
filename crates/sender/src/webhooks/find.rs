//! Finding the webhook of a delivery.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tidings_core::dead_letter::Reason;
use tidings_core::delivery::Delivery;
use tokio::time::{sleep, timeout};
use tracing::warn;

use super::{Entry, Webhooks};

/// How long the watch may lag behind the bucket before a delivery is put off.
const LAG_MAX: Duration = Duration::from_secs(1);
const ASK_TIMEOUT: Duration = Duration::from_secs(2);
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// What there is about a delivery's webhook.
#[derive(Debug)]
pub enum Found {
    /// Here it is.
    Known(Arc<Entry>),
    /// There is none, for this reason.
    Missing(Reason),
    /// It is there, but the watch has not brought it yet.
    NotYet,
}

impl Webhooks {
    /// Finds the webhook of `delivery`. A webhook that is not in the table is looked for in the
    /// bucket before it is called deleted, because a fresh one may be ahead of the watch. Waits
    /// while the broker is away; drop the future to leave.
    pub async fn find(&self, delivery: &Delivery) -> Found {
        match self.look_up(delivery) {
            Found::NotYet => self.make_sure(delivery).await,
            found => found,
        }
    }

    fn look_up(&self, delivery: &Delivery) -> Found {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let namesakes = known
            .get(&delivery.webhook_id)
            .map_or(&[][..], Vec::as_slice);
        let mut entries = namesakes.iter().filter(|known| known.entry.is_some());
        match entries.clone().find(|known| known.space == delivery.space) {
            Some(known) => known.entry.clone().map_or(Found::NotYet, Found::Known),
            None if entries.next().is_some() => Found::Missing(Reason::SpaceMismatch),
            None => Found::NotYet,
        }
    }

    async fn make_sure(&self, delivery: &Delivery) -> Found {
        let mut changes = self.changed.subscribe();
        let is_known_absent = self.absent.contains(delivery);
        if !self.is_in_bucket(delivery).await && is_known_absent {
            return Found::Missing(Reason::WebhookDeleted);
        }
        let arrives = async {
            loop {
                if let Found::Known(entry) = self.look_up(delivery) {
                    return entry;
                }
                if changes.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        if let Ok(entry) = timeout(LAG_MAX, arrives).await {
            return Found::Known(entry);
        }
        // Any replica answers, and one that lags behind knows nothing of a fresh webhook.
        if self.is_in_bucket(delivery).await {
            return Found::NotYet;
        }
        self.absent.insert(delivery);
        Found::Missing(Reason::WebhookDeleted)
    }

    /// Asks the bucket, for as long as it takes.
    async fn is_in_bucket(&self, delivery: &Delivery) -> bool {
        let key = format!("{}.{}", delivery.space, delivery.webhook_id);
        loop {
            match timeout(ASK_TIMEOUT, self.bucket.get(key.as_str())).await {
                Ok(Ok(value)) => return value.is_some(),
                Ok(Err(error)) => warn!(key, %error, "cannot ask for a webhook; trying again"),
                Err(_) => warn!(key, "cannot ask for a webhook in time; trying again"),
            }
            sleep(ASK_AGAIN).await;
        }
    }
}
