//! Finding the webhook of a delivery.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tidings_core::dead_letter::Reason;
use tidings_core::delivery::Delivery;
use tokio::time::{sleep, timeout};
use tracing::warn;

use super::entry::{Definition, Known};
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

/// What the table says at one moment.
enum Seen {
    Found(Found),
    /// It is there, and nobody has called it yet.
    Asleep(Arc<[u8]>),
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
        loop {
            match self.see(delivery) {
                Seen::Found(found) => return found,
                Seen::Asleep(stored) => self.wake(delivery, &stored),
            }
        }
    }

    fn see(&self, delivery: &Delivery) -> Seen {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let namesakes = known
            .get(&delivery.webhook_id)
            .map_or(&[][..], Vec::as_slice);
        let mut defined = namesakes.iter().filter(|known| known.stored.is_some());
        let own = defined.clone().find(|known| known.space == delivery.space);
        Seen::Found(match own {
            Some(Known {
                entry: Some(entry), ..
            }) => Found::Known(Arc::clone(entry)),
            Some(Known {
                stored: Some(stored),
                ..
            }) => return Seen::Asleep(Arc::clone(stored)),
            Some(_) => Found::NotYet,
            None if defined.next().is_some() => Found::Missing(Reason::SpaceMismatch),
            None => Found::NotYet,
        })
    }

    /// Makes a webhook ready that nobody has called yet. Not under the lock: opening its secrets
    /// takes a while.
    fn wake(&self, delivery: &Delivery, stored: &Arc<[u8]>) {
        let key = format!("{}.{}", delivery.space, delivery.webhook_id);
        let definition = Definition::read(&key, stored, &self.policy, &self.keys);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let namesakes = known.get_mut(&delivery.webhook_id);
        let own = namesakes
            .into_iter()
            .flatten()
            .find(|known| known.space == delivery.space);
        if let Some(own) = own {
            own.wake(stored, definition);
            own.refresh();
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
