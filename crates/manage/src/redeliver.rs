//! Sending deliveries again, under the same ids and with a whole round of attempts.
//!
//! The delivery is stored first; what says that it ended or still waits is removed only then. So a
//! crash repeats work and loses none.

use async_nats::HeaderMap;
use async_nats::jetstream::stream::{DirectGetErrorKind, Stream};
use bytes::Bytes;
use jiff::Timestamp;
use prost::Message as _;
use tidings_core::delivery::{Delivery, Progress};
use tidings_core::id::{DeliveryId, EventId, WebhookId};
use tidings_core::name::{Environment, Space};
use tidings_core::partition::partition_of;
use tidings_core::webhook::{Status, Webhook};
use tidings_nats::publish::{Outgoing, Publisher};
use tidings_nats::stored_event::open_stored;
use tidings_nats::subject;
use tidings_nats::topology::{DEAD_LETTERS, EVENTS, Layout, RETRIES};
use tidings_nats::trace_context;
use tidings_proto::{
    delivery_from_wire, delivery_of_letter, delivery_to_wire, unknown_of_delivery, v1,
};
use tidings_service::clock;

use crate::{Error, Manage, Result};

/// A delivery that is to be sent again, as far as it is known from records of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Its id.
    pub delivery: DeliveryId,
    /// Its space.
    pub space: Space,
    /// Whom it goes to.
    pub webhook: WebhookId,
    /// Its event's environment.
    pub environment: Environment,
    /// Its event.
    pub event: EventId,
    /// The event's place in its stream.
    pub event_sequence: u64,
    /// How many attempts were made.
    pub attempts: u32,
    /// The places of its dead letters, the newest last.
    pub letters: Vec<u64>,
    /// Whether it waits for a retry, or was put off, which the new round replaces.
    pub is_waiting: bool,
}

/// What redelivering needs. Reads the layout once, so it is for one errand, not for ever.
#[derive(Debug)]
pub struct Redelivery {
    manage: Manage,
    layout: Layout,
    letters: Stream<()>,
    events: Stream<()>,
    publisher: Publisher,
}

/// A delivery at the beginning of another round.
struct Again<'a> {
    delivery: Delivery,
    /// Of the message that it was read from.
    headers: HeaderMap,
    /// What a newer version wrote into the delivery: it goes with it.
    unknown: Bytes,
    letters: &'a [u64],
    is_waiting: bool,
}

impl Manage {
    /// Prepares to send deliveries again.
    ///
    /// # Errors
    /// The broker does not answer.
    pub async fn redelivery(&self) -> Result<Redelivery> {
        let (publisher, layout) = self.publisher().await?;
        let stream = async |name: &'static str| {
            let stream = self.context().get_stream_no_info(name).await;
            stream.map_err(|error| Error::broker(name, error))
        };
        Ok(Redelivery {
            manage: self.clone(),
            layout,
            letters: stream(DEAD_LETTERS).await?,
            events: stream(EVENTS).await?,
            publisher,
        })
    }
}

impl Redelivery {
    /// How the broker was provisioned.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The webhook of a delivery, if it can be sent to.
    ///
    /// # Errors
    /// It is deleted or disabled, or the broker does not answer.
    pub async fn webhook(&self, space: &Space, id: &WebhookId) -> Result<Webhook> {
        let Some(kept) = self.manage.find_webhook(space, id).await? else {
            let detail = format!("the webhook {id} is deleted");
            return Err(Error::conflict("webhook_deleted", detail));
        };
        let state = kept.effective();
        if state.status == Status::Disabled {
            let detail = format!(
                "the webhook is disabled ({}); enable it first",
                state.reason
            );
            return Err(Error::conflict("webhook_disabled", detail));
        }
        Ok(kept.webhook)
    }

    /// Sends a delivery again. Returns the number of its next attempt. Doing it twice before that
    /// attempt is made sends once.
    ///
    /// # Errors
    /// Its webhook cannot be sent to, its event is no longer kept, or the broker does not answer.
    pub async fn send(&self, known: &Known) -> Result<u32> {
        let webhook = self.webhook(&known.space, &known.webhook).await?;
        self.send_to(&webhook, known).await
    }

    /// The same for a webhook that was looked at just now.
    ///
    /// # Errors
    /// The event is no longer kept, or the broker does not answer.
    pub async fn send_to(&self, webhook: &Webhook, known: &Known) -> Result<u32> {
        let now = clock::now();
        let (delivery, headers, unknown) = match known.letters.last() {
            Some(place) => match self.read_letter(*place).await? {
                Some(found) => found,
                None => self.made_of_event(known, now).await?,
            },
            None => self.made_of_event(known, now).await?,
        };
        let attempt = delivery
            .progress
            .attempt
            .max(known.attempts.saturating_add(1));
        let progress = Progress::redelivery(attempt, now);
        let again = Again {
            delivery: Delivery {
                progress,
                ..delivery
            },
            headers,
            unknown,
            letters: &known.letters,
            is_waiting: known.is_waiting,
        };
        self.store(webhook, again).await
    }

    /// Sends a delivery again that is known by its dead letters, the newest last.
    ///
    /// # Errors
    /// Its webhook cannot be sent to, its event was not kept, or the broker does not answer.
    pub async fn send_buried(&self, letters: &[u64]) -> Result<u32> {
        let newest = letters.last().copied().unwrap_or_default();
        let Some((delivery, headers, unknown)) = self.read_letter(newest).await? else {
            return Err(Error::not_found("dead letter", newest));
        };
        let webhook = self.webhook(&delivery.space, &delivery.webhook_id).await?;
        let progress = Progress::redelivery(delivery.progress.attempt, clock::now());
        let again = Again {
            delivery: Delivery {
                progress,
                ..delivery
            },
            headers,
            unknown,
            letters,
            is_waiting: false,
        };
        self.store(&webhook, again).await
    }

    /// Publishes an event again that became a dead letter, as it was, for routers that can read it
    /// now. Doing it twice publishes once.
    ///
    /// # Errors
    /// The letter is gone or of no event, or the broker does not answer.
    pub async fn publish_again(&self, place: u64) -> Result<()> {
        let letter = match self.letters.direct_get(place).await {
            Ok(letter) => letter,
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => {
                return Err(Error::not_found("dead letter", place));
            }
            Err(error) => return Err(Error::broker(DEAD_LETTERS, error)),
        };
        let read = v1::DeadLetter::decode(letter.payload)
            .map_err(|error| Error::broker("the dead letter cannot be read", error))?;
        if read.raw.is_empty() || subject::read_event(&read.subject).is_none() {
            let detail = "its event was not kept; publish it again";
            return Err(Error::conflict("event_gone", detail));
        }
        let mut headers = HeaderMap::new();
        if let Some(trace) = trace_context::read(Some(&letter.headers)) {
            trace_context::write(&trace, &mut headers);
        }
        let outgoing = Outgoing {
            subject: read.subject,
            id: format!("event.{}.again.{place}", read.sequence),
            headers,
            payload: read.raw,
        };
        self.publisher.publish(outgoing).await?;
        self.forget_letter(place).await
    }

    async fn store(&self, webhook: &Webhook, again: Again<'_>) -> Result<u32> {
        // What is put off from now on is the new round itself, which a paused webhook sends back to
        // RETRIES at once.
        let waiting_until = match again.is_waiting {
            true => Some(self.end_of_retries().await?),
            false => None,
        };
        let stored = self
            .publisher
            .publish(self.outgoing(webhook, &again))
            .await?;
        for place in again.letters {
            self.forget_letter(*place).await?;
        }
        // A round that was stored before may be the very one that waits.
        if let Some(end) = waiting_until.filter(|_| !stored.duplicate) {
            self.forget_wait(&again.delivery.id, end).await?;
        }
        Ok(again.delivery.progress.attempt)
    }

    fn outgoing(&self, webhook: &Webhook, again: &Again<'_>) -> Outgoing {
        let Again { delivery, .. } = again;
        let mut headers = HeaderMap::new();
        if let Some(trace) = trace_context::read(Some(&again.headers)) {
            trace_context::write(&trace, &mut headers);
        }
        let pool = &webhook.definition.delivery.pool;
        let partition = partition_of(&webhook.id, self.layout.partitions);
        let attempt = delivery.progress.attempt;
        // Known by its letter: doing this again after a crash stores it once, and a delivery that
        // died again meanwhile is stored anew.
        let tag = again.letters.last().copied().unwrap_or_default();
        let mut payload = delivery_to_wire(delivery).encode_to_vec();
        payload.extend_from_slice(&again.unknown);
        Outgoing {
            // A sender knows it by its attempt's number, and lets everything else go first.
            subject: subject::delivery(pool, partition),
            id: format!("{}.{attempt}.{tag}", delivery.id),
            headers,
            payload: payload.into(),
        }
    }

    /// The delivery in a letter with the letter's headers; `None` if it is no longer there.
    async fn read_letter(&self, place: u64) -> Result<Option<(Delivery, HeaderMap, Bytes)>> {
        let letter = match self.letters.direct_get(place).await {
            Ok(letter) => letter,
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::broker(DEAD_LETTERS, error)),
        };
        let failed = |error| Error::broker("the dead letter cannot be read", error);
        let read = v1::DeadLetter::decode(letter.payload.clone()).map_err(failed)?;
        let unknown = delivery_of_letter(&letter.payload);
        let unknown = unknown.and_then(|delivery| unknown_of_delivery(&delivery));
        let unknown = unknown.map_err(failed)?;
        let delivery = delivery_from_wire(read.delivery.unwrap_or_default());
        let delivery = delivery.map_err(|error| {
            Error::conflict(
                "unreadable",
                format!("its delivery cannot be read: {error}"),
            )
        })?;
        if delivery.event.is_empty() || delivery.by_reference {
            let detail = "its event was too large to be kept, there was no room for it, or its \
                          payload is gone; publish the event again";
            return Err(Error::conflict("event_gone", detail));
        }
        Ok(Some((delivery, letter.headers, unknown)))
    }

    /// The delivery made anew of its event.
    async fn made_of_event(
        &self,
        known: &Known,
        now: Timestamp,
    ) -> Result<(Delivery, HeaderMap, Bytes)> {
        let message = match self.events.direct_get(known.event_sequence).await {
            Ok(message) => message,
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => {
                let detail = format!("its event {} is no longer kept", known.event);
                return Err(Error::conflict("event_gone", detail));
            }
            Err(error) => return Err(Error::broker(EVENTS, error)),
        };
        let opened = open_stored(&message).map_err(|fault| {
            let detail = format!("its event {} cannot be read: {fault}", known.event);
            Error::conflict("unreadable", detail)
        })?;
        let delivery = Delivery {
            id: known.delivery.clone(),
            webhook_id: known.webhook.clone(),
            space: known.space.clone(),
            environment: known.environment.clone(),
            event_id: known.event.clone(),
            event_sequence: known.event_sequence,
            event: opened.bytes,
            by_reference: false,
            created_at: now,
            progress: Progress::first(now),
        };
        Ok((delivery, message.headers, Bytes::new()))
    }

    async fn forget_letter(&self, place: u64) -> Result<()> {
        // Somebody else may have removed it, or its time may have come.
        match self.letters.direct_get(place).await {
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => return Ok(()),
            _ => {}
        }
        let deleted = self.letters.delete_message(place).await;
        deleted.map_err(|error| Error::broker(DEAD_LETTERS, error))?;
        Ok(())
    }

    /// The place that the next message of RETRIES gets.
    async fn end_of_retries(&self) -> Result<u64> {
        let retries = self.manage.context().get_stream(RETRIES).await;
        let retries = retries.map_err(|error| Error::broker(RETRIES, error))?;
        Ok(retries.cached_info().state.last_sequence + 1)
    }

    /// Takes back the retry that a delivery waits for: the new round has it now.
    async fn forget_wait(&self, id: &DeliveryId, end: u64) -> Result<()> {
        let context = self.manage.context();
        let retries = context.get_stream_no_info(RETRIES).await;
        let retries = retries.map_err(|error| Error::broker(RETRIES, error))?;
        for subject in [
            format!("tidings.later.*.*.{id}.>"),
            format!("tidings.later.*.*.ref.*.{id}.>"),
        ] {
            let purged = retries.purge().filter(subject).sequence(end).await;
            purged.map_err(|error| Error::broker(RETRIES, error))?;
        }
        Ok(())
    }
}
