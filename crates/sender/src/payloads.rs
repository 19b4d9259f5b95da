//! Payloads that deliveries have left in the stream of events (docs/adr/0009).
//!
//! Deliveries of one event come together, so what was fetched once is kept for a while, in a bounded
//! number of bytes, and who asks for what is being fetched waits for that and for what it comes to.
//! Few are fetched at once, so that a backlog of large payloads never makes the broker take this
//! sender for one that reads too slowly, which would cost it its connection.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::context::GetStreamError;
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{DirectGetErrorKind, Stream};
use bytes::Bytes;
use tidings_core::delivery::Delivery;
use tidings_core::id::EventId;
use tidings_core::name::{Environment, Space};
use tidings_nats::stored_event::open_stored;
use tidings_nats::topology::EVENTS;
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::timeout;

/// How many bytes of events are kept. What attempts under way hold comes on top of it.
const KEPT_BYTES_MAX: usize = 64 << 20;
/// How many events are fetched at once. All of them at their largest are far below the 64 MiB that
/// a broker lets wait for a connection before it closes it.
const FETCHES_MAX: usize = 16;
/// How long one answer is waited for. One that was lost with a connection is not waited for long,
/// since an attempt's slot is held meanwhile.
const FETCH_TIMEOUT: Duration = Duration::from_secs(2);
/// How often an event is asked for until it counts as unavailable.
const TRIES_MAX: usize = 2;

/// An event with its payload.
#[derive(Debug, Clone)]
pub struct Whole {
    /// The event, as deliveries carry it.
    pub event: Bytes,
    /// Its payload.
    pub payload: Bytes,
    space: Space,
    environment: Environment,
    id: EventId,
}

/// Why there is no payload.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PayloadError {
    /// It is not there any more, for good.
    #[error("the event {sequence} is not in its stream any more{detail}")]
    Missing {
        /// Where it should lie.
        sequence: u64,
        /// What lies there instead, empty if nothing does.
        detail: String,
    },
    /// The broker did not answer.
    #[error("the event {sequence} cannot be fetched: {detail}")]
    Unavailable {
        /// Where it should lie.
        sequence: u64,
        /// What happened.
        detail: String,
    },
}

/// Fetches events and keeps what was fetched lately.
#[derive(Debug)]
pub struct Payloads {
    events: Stream<()>,
    kept: Mutex<Kept>,
    fetches: Semaphore,
}

/// What a fetch comes to, for all who wait for it.
type Fetch = Arc<OnceCell<Result<Whole, PayloadError>>>;

#[derive(Debug, Default)]
struct Kept {
    /// By sequence; those that are being fetched, too.
    events: HashMap<u64, Fetch>,
    /// Those that were fetched, the oldest first.
    order: VecDeque<(u64, usize)>,
    bytes: usize,
}

impl Payloads {
    /// Over the stream of events of `context`. Asks nobody yet.
    ///
    /// # Errors
    /// The stream's name is none.
    pub async fn new(context: &Context) -> Result<Self, GetStreamError> {
        Ok(Self {
            events: context.get_stream_no_info(EVENTS).await?,
            kept: Mutex::default(),
            fetches: Semaphore::new(FETCHES_MAX),
        })
    }

    /// The event of `delivery`, whole.
    ///
    /// # Errors
    /// It is gone, or cannot be fetched now.
    pub async fn get(&self, delivery: &Delivery) -> Result<Whole, PayloadError> {
        let sequence = delivery.event_sequence;
        let fetch = Arc::clone(self.kept().events.entry(sequence).or_default());
        let fetched = fetch.get_or_init(|| self.fetch(sequence)).await;
        match fetched {
            // Another event, as after somebody has made the stream anew.
            Ok(whole) if !whole.is_of(delivery) => Err(PayloadError::Missing {
                sequence,
                detail: format!(", but another one, {}", whole.id),
            }),
            Ok(whole) => Ok(whole.clone()),
            // Who comes later fetches anew; who waited with this one does not, one after the other.
            Err(error) => {
                self.kept().forget(sequence, &fetch);
                Err(error.clone())
            }
        }
    }

    async fn fetch(&self, sequence: u64) -> Result<Whole, PayloadError> {
        let missing = |detail| PayloadError::Missing { sequence, detail };
        let message = match self.ask(sequence).await {
            Ok(message) => message,
            Err(None) => return Err(missing(String::new())),
            Err(Some(detail)) => return Err(PayloadError::Unavailable { sequence, detail }),
        };
        let opened = open_stored(&message);
        let opened = opened.map_err(|fault| missing(format!(", but something else: {fault}")))?;
        let whole = Whole {
            event: opened.bytes,
            payload: opened.event.payload,
            space: opened.event.space,
            environment: opened.event.environment,
            id: opened.event.id,
        };
        self.kept().keep(sequence, whole.event.len());
        Ok(whole)
    }

    /// Asks the broker; why it has no answer, or nothing if the event is not there.
    async fn ask(&self, sequence: u64) -> Result<StreamMessage, Option<String>> {
        let permit = self.fetches.acquire().await;
        let _fetching = permit.expect("nobody closes this semaphore");
        let mut trouble = None;
        for _ in 0..TRIES_MAX {
            let asking = self.events.direct_get(sequence);
            trouble = match timeout(FETCH_TIMEOUT, asking).await {
                Ok(Ok(message)) => return Ok(message),
                Ok(Err(error)) if error.kind() == DirectGetErrorKind::NotFound => return Err(None),
                Ok(Err(error)) => return Err(Some(error.to_string())),
                Err(_) => Some(format!("no answer within {} s", FETCH_TIMEOUT.as_secs())),
            };
        }
        Err(trouble)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Whole {
    fn is_of(&self, delivery: &Delivery) -> bool {
        self.space == delivery.space
            && self.environment == delivery.environment
            && self.id == delivery.event_id
    }
}

impl Kept {
    /// Takes note of an event that was fetched, and forgets the oldest that do not fit beside it.
    fn keep(&mut self, sequence: u64, bytes: usize) {
        self.order.push_back((sequence, bytes));
        self.bytes += bytes;
        while self.bytes > KEPT_BYTES_MAX {
            let Some((oldest, bytes)) = self.order.pop_front() else {
                break;
            };
            self.bytes -= bytes;
            self.events.remove(&oldest);
        }
    }

    /// Lets the next one fetch what could not be fetched.
    fn forget(&mut self, sequence: u64, failed: &Fetch) {
        let is_same = |own: &Fetch| Arc::ptr_eq(own, failed);
        if self.events.get(&sequence).is_some_and(is_same) {
            self.events.remove(&sequence);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_many_bytes_are_kept() {
        let mut kept = Kept::default();
        for sequence in 0..1_000 {
            kept.events.entry(sequence).or_default();
            kept.keep(sequence, 400 << 10);
            assert!(kept.bytes <= KEPT_BYTES_MAX);
        }
        assert_eq!(kept.events.len(), kept.order.len());
        assert!(kept.events.contains_key(&999) && !kept.events.contains_key(&0));
        assert_eq!(kept.events.len(), KEPT_BYTES_MAX / (400 << 10));
    }

    #[test]
    fn what_failed_is_fetched_anew() {
        let mut kept = Kept::default();
        let failed = Arc::clone(kept.events.entry(7).or_default());
        kept.forget(7, &failed);
        assert!(kept.events.is_empty());
        let other = Arc::clone(kept.events.entry(7).or_default());
        kept.forget(7, &failed);
        assert!(Arc::ptr_eq(&other, &kept.events[&7]));
    }
}
