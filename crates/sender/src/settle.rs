//! What follows is stored, and only then the message is done with (invariant O3).

mod letter;

use std::sync::Arc;
use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use jiff::Timestamp;
use prost::Message as _;
use tidings_core::attempt::Outcome;
use tidings_core::dead_letter::Reason;
use tidings_core::delivery::{Delivery, Progress};
use tidings_core::name::Pool;
use tidings_core::waiting::{Hindrance, Told};
use tidings_nats::publish::{Outgoing, PublishError, Publisher};
use tidings_nats::subject;
use tidings_proto::delivery_to_wire;
use tidings_service::clock;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::hand::{Place, Taken};
use crate::herald::Herald;
use crate::metrics::Metrics;
use crate::open::{OpenError, Opened};
use crate::payloads::{PayloadError, Payloads};
use crate::permits::{Lane, Permit};
use crate::spans;
use crate::webhooks::Entry;
use letter::Letter;

const SCHEDULE: &str = "Nats-Schedule";
const SCHEDULE_TARGET: &str = "Nats-Schedule-Target";
/// Says that a delivery waited for its turn, and this is it.
const TURN: &str = "Tidings-Turn";
/// What was recorded of a delivery that waits for its first attempt.
const WAITS: &str = subject::WAITS_HEADER;
const BURY_AGAIN_MIN: Duration = Duration::from_millis(100);
const BURY_AGAIN_MAX: Duration = Duration::from_secs(5);
/// How long a message is put off that got no attempt and finds no room among the dead letters.
const UNTIL_THERE_IS_ROOM: Duration = Duration::from_secs(30);
/// How long after its event was routed a delivery may leave its payload in the stream of events.
/// What waits longer takes it along, because an event that is needed keeps all younger ones.
const REFERENCE_MAX: Duration = Duration::from_secs(15 * 60);
/// The broker's own headers, which are of no use in another stream.
const BROKERS_HEADERS: &str = "nats-";

/// What follows for a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing: it was delivered.
    Done,
    /// The next attempt, not before `at`.
    Retry {
        /// When it is due.
        at: Timestamp,
    },
    /// The same attempt, not before `at`: it could not be made.
    PutOff {
        /// When it is due.
        at: Timestamp,
        /// Whether its webhook's rate allows it then.
        has_turn: bool,
        /// What keeps it, and until when as far as that is known; nothing if that is of no
        /// interest to anybody.
        hindrance: Option<(Hindrance, Option<Timestamp>)>,
    },
    /// A dead letter.
    Bury {
        /// Why.
        reason: Reason,
        /// Where the delivery stands, for a redelivery.
        progress: Progress,
    },
}

impl Step {
    /// A dead letter of a delivery that gets no further attempt.
    #[must_use]
    pub fn refuse(delivery: &Delivery, reason: Reason) -> Self {
        let progress = delivery.progress;
        Self::Bury { reason, progress }
    }

    /// The same attempt, `wait` later.
    #[must_use]
    pub fn put_off(now: Timestamp, wait: Duration) -> Self {
        Self::PutOff {
            at: later(now, wait),
            has_turn: false,
            hindrance: None,
        }
    }

    /// The same attempt, `wait` later, because of `hindrance`.
    #[must_use]
    pub fn hinder(now: Timestamp, wait: Duration, hindrance: Hindrance) -> Self {
        let at = later(now, wait);
        Self::PutOff {
            at,
            has_turn: false,
            hindrance: Some((hindrance, Some(at))),
        }
    }

    /// Whether a delivery that is put off instead of buried comes to the same end. One that is
    /// quarantined does not, because the broker counts anew.
    fn is_repeatable(self) -> bool {
        matches!(self, Self::Bury { reason, .. } if reason != Reason::Quarantined)
    }
}

/// The time `wait` after `now`.
#[must_use]
pub fn later(now: Timestamp, wait: Duration) -> Timestamp {
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}

/// Whether a message waited for its turn, and this is it.
#[must_use]
pub fn has_turn(taken: &Taken) -> bool {
    let headers = taken.headers.as_ref();
    headers.is_some_and(|headers| headers.get(TURN).is_some())
}

/// What was told of a delivery that waits for its first attempt.
fn told(taken: &Taken) -> Told {
    let headers = taken.headers.as_ref();
    let header = headers.and_then(|headers| headers.get(WAITS));
    header.map_or_else(Told::default, |told| Told::of(told.as_str()))
}

/// What is told once `hindrance` is, if that is worth telling: of a first attempt, once, and what is
/// usually over soon only if it comes again.
pub fn tell(taken: &Taken, delivery: &Delivery, hindrance: Option<Hindrance>) -> Option<Told> {
    let hindrance = hindrance.filter(|it| !it.is_brief() || taken.place.lane == Lane::Retry)?;
    let is_first = delivery.progress.attempt == 1;
    is_first.then(|| told(taken).with(hindrance)).flatten()
}

/// Stores what follows.
#[derive(Debug)]
pub struct Settler {
    pub(crate) retries: Publisher,
    pub(crate) dead_letters: Publisher,
    pub(crate) herald: Herald,
    pub(crate) payloads: Payloads,
    pub(crate) pool: Pool,
    pub(crate) metrics: Arc<Metrics>,
    /// Cancelled when everything is to be left where it is.
    pub(crate) abort: CancellationToken,
}

/// What an attempt says beyond its step.
#[derive(Debug)]
pub struct Attempted<'a> {
    /// How it came out.
    pub outcome: &'a Outcome,
    /// The webhook that was called.
    pub webhook: &'a Entry,
    /// The permit it was made with; taken out and given back before a dead letter is waited for.
    pub permit: &'a mut Option<Permit>,
}

/// When a message comes back, under which id, and as what it is counted.
#[derive(Debug)]
struct Due {
    at: Timestamp,
    id: String,
    kind: &'static str,
}

/// What is left to store of a step.
#[derive(Debug)]
enum Left {
    Nothing,
    Letter(Box<Letter>),
}

impl Settler {
    /// Stores `step` and settles the message, both at the end of `record`. What cannot be stored
    /// leaves the message unsettled: it comes again.
    pub async fn settle(
        &self,
        taken: Taken,
        opened: &Opened,
        step: Step,
        attempted: Option<Attempted<'_>>,
        record: impl Future<Output = ()>,
    ) {
        // Most are done, and need no room for what others store.
        let storing = async {
            match step {
                Step::Done => Ok(()),
                step => Box::pin(self.store(&taken, opened, step, attempted)).await,
            }
        };
        let (stored, ()) = tokio::join!(storing, record);
        self.finish(taken, stored).await;
    }

    async fn store(
        &self,
        taken: &Taken,
        opened: &Opened,
        step: Step,
        attempted: Option<Attempted<'_>>,
    ) -> Result<(), PublishError> {
        let left = match step {
            Step::Done => Left::Nothing,
            Step::Retry { at } => self.retry(taken, opened, at).await?,
            Step::PutOff {
                at,
                has_turn,
                hindrance,
            } => {
                let hindrance = hindrance.map(|(hindrance, _)| hindrance);
                self.put_off(taken, opened, at, (has_turn, hindrance))
                    .await?
            }
            Step::Bury { reason, progress } => {
                match (reason, &attempted) {
                    (Reason::Gone, Some(attempted)) => {
                        Box::pin(self.herald.disable(attempted.webhook, opened)).await;
                    }
                    (Reason::Exhausted, Some(attempted)) => {
                        Box::pin(self.herald.exhausted(attempted.webhook, opened)).await;
                    }
                    _ => {}
                }
                let outcome = attempted.as_ref().map(|attempted| attempted.outcome);
                // A letter is kept for longer than any event, so it has the payload with it.
                let whole = self.with_payload(opened).await?;
                let delivery = whole.as_ref().unwrap_or(&opened.delivery);
                let letter = (delivery, &opened.unknown);
                let letter = Letter::of(taken, letter, reason, outcome).at(progress);
                Left::Letter(Box::new(letter))
            }
        };
        let Left::Letter(letter) = left else {
            return Ok(());
        };
        // Full dead letters must not stop the attempts of others.
        if let Some(attempted) = attempted {
            drop(attempted.permit.take());
            return self.bury(*letter).await;
        }
        match self.bury_once(&letter).await {
            Err(PublishError::Full { .. }) if step.is_repeatable() => {
                let at = later(clock::now(), UNTIL_THERE_IS_ROOM);
                match self.put_off(taken, opened, at, (false, None)).await? {
                    Left::Nothing => Ok(()),
                    Left::Letter(letter) => self.bury(*letter).await,
                }
            }
            Err(error) if error.is_temporary() => self.bury(*letter).await,
            stored => stored,
        }
    }

    /// Stores a message that this sender cannot read as it is, to come again `wait` later. It is
    /// not handed back, because the broker would count that as one more delivery, as it does for a
    /// message that kills senders.
    pub async fn put_off_raw(&self, taken: Taken, wait: Duration) {
        let at = later(clock::now(), wait);
        let mut headers = HeaderMap::new();
        for (name, values) in taken.headers.iter().flat_map(HeaderMap::iter) {
            if !AsRef::<str>::as_ref(name)
                .to_ascii_lowercase()
                .starts_with(BROKERS_HEADERS)
            {
                for value in values {
                    headers.append(name.clone(), value.clone());
                }
            }
        }
        let id = format!("message.{}", tag(taken.place));
        let outgoing = self.scheduled(
            &taken,
            Due {
                at,
                id,
                kind: "put_off",
            },
            subject::read_reference(&taken.subject),
            headers,
            taken.payload.clone(),
        );
        match self
            .retries
            .publish_persistently(outgoing, &self.abort)
            .await
        {
            Ok(_) => {
                self.metrics.scheduled("put_off");
                taken.settle().await;
            }
            Err(error) => {
                warn!(%error, subject = %taken.subject, "a message that cannot be read stays where it is");
                taken.hand_back_for(wait).await;
            }
        }
    }

    /// Buries a message that is no delivery.
    pub async fn bury_unread(&self, taken: Taken, error: &OpenError) {
        warn!(subject = %taken.subject, sequence = taken.place.sequence, %error, "an invalid delivery");
        let letter = Letter::unread(&taken, error);
        let stored = match self.bury_once(&letter).await {
            Err(PublishError::Full { .. }) => {
                return self.put_off_raw(taken, UNTIL_THERE_IS_ROOM).await;
            }
            Err(error) if error.is_temporary() => self.bury(letter).await,
            stored => stored,
        };
        self.finish(taken, stored).await;
    }

    async fn finish(&self, taken: Taken, stored: Result<(), PublishError>) {
        match stored {
            Ok(()) => taken.settle().await,
            Err(error) => {
                error!(%error, subject = %taken.subject, sequence = taken.place.sequence,
                       "what follows a delivery cannot be stored; the delivery comes again");
                self.metrics.unsettled();
            }
        }
    }

    /// A retry is known by its attempt, so that storing it again stores it once.
    async fn retry(
        &self,
        taken: &Taken,
        opened: &Opened,
        at: Timestamp,
    ) -> Result<Left, PublishError> {
        let progress = opened.delivery.progress.next();
        let id = format!("{}.{}", opened.delivery.id, progress.attempt);
        self.schedule(
            taken,
            opened,
            progress,
            Due {
                at,
                id,
                kind: "retry",
            },
            HeaderMap::new(),
        )
        .await
    }

    /// The attempt that is put off may have been scheduled under its own id a moment ago, so this
    /// schedule is known by the message it stands for.
    async fn put_off(
        &self,
        taken: &Taken,
        opened: &Opened,
        at: Timestamp,
        (has_turn, hindrance): (bool, Option<Hindrance>),
    ) -> Result<Left, PublishError> {
        let progress = opened.delivery.progress;
        let mut headers = HeaderMap::new();
        if has_turn {
            headers.insert(TURN, "1");
        }
        let told = tell(taken, &opened.delivery, hindrance).unwrap_or_else(|| told(taken));
        if !told.as_str().is_empty() {
            headers.insert(WAITS, told.as_str());
        }
        let id = format!(
            "{}.{}.{}",
            opened.delivery.id,
            progress.attempt,
            tag(taken.place)
        );
        self.schedule(
            taken,
            opened,
            progress,
            Due {
                at,
                id,
                kind: "put_off",
            },
            headers,
        )
        .await
    }

    /// Stores a schedule; what is left of a delivery that does not fit is a letter.
    async fn schedule(
        &self,
        taken: &Taken,
        opened: &Opened,
        progress: Progress,
        due: Due,
        headers: HeaderMap,
    ) -> Result<Left, PublishError> {
        let delivery = match may_refer(&opened.delivery, due.at) {
            true => Some(opened.delivery.clone()),
            false => self.with_payload(opened).await?,
        };
        let Some(delivery) = delivery else {
            let letter = (&opened.delivery, &opened.unknown);
            let letter = Letter::of(taken, letter, Reason::PayloadMissing, None);
            return Ok(Left::Letter(Box::new(letter)));
        };
        let delivery = Delivery {
            progress,
            ..delivery
        };
        let mut payload = delivery_to_wire(&delivery).encode_to_vec();
        payload.extend_from_slice(&opened.unknown);
        let payload = Bytes::from(payload);
        let kind = due.kind;
        let reference = delivery.by_reference.then_some(delivery.event_sequence);
        let mut outgoing = self.scheduled(taken, due, reference, headers, payload);
        let span = spans::schedule(&mut outgoing, opened.trace.as_ref());
        let storing = self.retries.publish_persistently(outgoing, &self.abort);
        match span.cover(storing).await {
            Err(PublishError::TooLarge { bytes }) => {
                let letter =
                    Letter::of(taken, (&delivery, &opened.unknown), Reason::Oversized, None);
                Ok(Left::Letter(Box::new(letter.without_bytes(bytes))))
            }
            stored => {
                stored?;
                self.metrics.scheduled(kind);
                Ok(Left::Nothing)
            }
        }
    }

    /// The delivery with its payload; `None` if that is gone.
    async fn with_payload(&self, opened: &Opened) -> Result<Option<Delivery>, PublishError> {
        let delivery = &opened.delivery;
        if !delivery.by_reference {
            return Ok(Some(delivery.clone()));
        }
        let event = match &opened.whole {
            Some(event) => event.clone(),
            None => match self.payloads.get(delivery).await {
                Ok(whole) => whole.event,
                Err(PayloadError::Missing { .. }) => return Ok(None),
                Err(error) => {
                    let detail = error.to_string();
                    return Err(PublishError::Unavailable { detail });
                }
            },
        };
        Ok(Some(Delivery {
            event,
            by_reference: false,
            ..delivery.clone()
        }))
    }

    /// A message that comes back to this partition when it is due. Its subjects name the event that
    /// its payload is left in.
    fn scheduled(
        &self,
        taken: &Taken,
        Due { at, id, .. }: Due,
        reference: Option<u64>,
        mut headers: HeaderMap,
        payload: Bytes,
    ) -> Outgoing {
        let (pool, partition) = (&self.pool, taken.partition);
        let (subject, target) = match reference {
            None => (
                subject::later(pool, partition, &id),
                subject::retry(pool, partition),
            ),
            Some(event) => (
                subject::later_by_reference(pool, partition, event, &id),
                subject::retry_by_reference(pool, partition, event),
            ),
        };
        headers.insert(SCHEDULE, format!("@at {at}"));
        headers.insert(SCHEDULE_TARGET, target);
        Outgoing {
            subject,
            id,
            headers,
            payload,
        }
    }

    /// Stores a dead letter, however long it takes. Who waits here holds a message in hand, of
    /// which the consumer bounds the number, and nothing that another attempt needs.
    async fn bury(&self, letter: Letter) -> Result<(), PublishError> {
        let mut wait = BURY_AGAIN_MIN;
        loop {
            let error = match self.bury_once(&letter).await {
                Err(error) if error.is_temporary() => error,
                settled => return settled,
            };
            if wait == BURY_AGAIN_MIN {
                warn!(%error, reason = %letter.reason(), "could not store a dead letter; trying again");
            }
            if self.abort.run_until_cancelled(sleep(wait)).await.is_none() {
                return Err(error);
            }
            wait = (wait * 2).min(BURY_AGAIN_MAX);
        }
    }

    /// Stores a dead letter; without its bytes where they do not fit.
    async fn bury_once(&self, letter: &Letter) -> Result<(), PublishError> {
        let outgoing = letter.outgoing();
        let span = spans::store("publish tidings.dead", "tidings.dead", &outgoing);
        span.text("tidings.dead_letter.reason", letter.reason());
        let stored = span.cover(self.bury_traced(letter, outgoing)).await;
        if stored.is_err() {
            span.failed("not_stored");
        }
        stored
    }

    async fn bury_traced(&self, letter: &Letter, outgoing: Outgoing) -> Result<(), PublishError> {
        let (stored, reason) = match self.dead_letters.publish(outgoing).await {
            Err(PublishError::TooLarge { bytes }) => {
                let bare = letter.clone().without_bytes(bytes);
                let stored = self.dead_letters.publish(bare.outgoing()).await;
                (stored, bare.reason())
            }
            Err(PublishError::Full { .. }) => {
                let bare = letter.clone().without_event();
                let stored = self.dead_letters.publish(bare.outgoing()).await;
                (stored, bare.reason())
            }
            stored => (stored, letter.reason()),
        };
        stored?;
        self.metrics.dead_letter(reason);
        Ok(())
    }
}

/// Whether a delivery that comes back at `at` is stored as it is: with its payload, or by a
/// reference that is young enough.
fn may_refer(delivery: &Delivery, at: Timestamp) -> bool {
    !delivery.by_reference || at <= later(delivery.created_at, REFERENCE_MAX)
}

/// A word for the place of a message, unique in its pool.
pub fn tag(place: Place) -> String {
    let stream = match place.lane {
        Lane::First => 'd',
        Lane::Retry => 'r',
    };
    format!("{stream}{}", place.sequence)
}
