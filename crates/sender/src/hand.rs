//! The messages that this sender has in hand: taken, and not settled yet.
//!
//! One task gives signs of life for all of them, so that a message costs no timer. A message that
//! the broker delivers again while it is in hand, or shortly after it was settled, as it does when
//! it was restarted and forgot an acknowledgement, is known again and makes no second request.

mod last;
mod settled;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::jetstream::{self, AckKind, Context};
use async_nats::{Client, HeaderMap, Message, Subject};
use bytes::Bytes;
use tidings_nats::topology::ACK_WAIT;
use tokio::time::{Instant, timeout};
use tracing::{debug, warn};

use crate::metrics::Metrics;
use crate::permits::Lane;
use last::{KEPT_BACK, Last};
use settled::Settled;

/// How old a message's last sign of life may become.
const SIGN_AGE_MAX: Duration = Duration::from_secs(ACK_WAIT.as_secs() / 3);
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How long a process that leaves tries to hand a message back.
const LEAVE_TIMEOUT: Duration = Duration::from_millis(300);

/// Where a message lies in its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place {
    /// Which stream it came from.
    pub lane: Lane,
    /// Its sequence there.
    pub sequence: u64,
}

/// All messages in hand.
#[derive(Debug)]
pub struct Hand {
    context: Context,
    client: Client,
    held: Mutex<Held>,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct Held {
    messages: HashMap<Place, Entry>,
    settled: Settled,
    last: Last,
    tokens: u64,
}

#[derive(Debug)]
struct Entry {
    /// Where the broker hears about the message; that of its latest delivery.
    reply: Subject,
    payload: Bytes,
    signed: Instant,
    /// Tells this holding from a later one of another message at the same place.
    token: u64,
}

/// A message in hand. Settle it; one that is dropped comes again after the broker's ack wait.
#[derive(Debug)]
pub struct Taken {
    /// Its subject.
    pub subject: Subject,
    /// Its content.
    pub payload: Bytes,
    /// Its headers.
    pub headers: Option<HeaderMap>,
    /// Where it lies.
    pub place: Place,
    /// The partition it came from.
    pub partition: u16,
    /// How often the broker has delivered it, this time included.
    pub delivered: i64,
    hand: Arc<Hand>,
    token: u64,
}

/// Names a message in hand, so that it can be handed back by somebody else than its [`Taken`].
#[derive(Debug, Clone, Copy)]
pub struct Holding {
    place: Place,
    token: u64,
}

impl Hand {
    /// An empty hand.
    #[must_use]
    pub fn new(client: Client, context: Context, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            context,
            client,
            held: Mutex::default(),
            metrics,
        })
    }

    /// Takes a message; `None` if it is in hand already, or was settled before.
    pub async fn take(
        self: &Arc<Self>,
        lane: Lane,
        partition: u16,
        message: Message,
    ) -> Option<Taken> {
        let message = jetstream::Message {
            message,
            context: self.context.clone(),
        };
        let (sequence, delivered) = match message.info() {
            Ok(info) => (info.stream_sequence, info.delivered),
            Err(error) => {
                warn!(subject = %message.subject, %error, "a message is not from a stream");
                return None;
            }
        };
        let place = Place { lane, sequence };
        let Message {
            subject,
            payload,
            headers,
            reply,
            ..
        } = message.message;
        let reply = reply?;
        match self.hold(place, &reply, &payload) {
            Known::New(token) => Some(Taken {
                subject,
                payload,
                headers,
                place,
                partition,
                delivered,
                hand: Arc::clone(self),
                token,
            }),
            Known::InHand => {
                self.metrics.known_again("in_hand");
                None
            }
            Known::Settled => {
                self.metrics.known_again("settled");
                self.tell(reply, AckKind::Ack).await;
                None
            }
        }
    }

    /// Hands back a message whose work is cut off, so that another sender need not wait for the
    /// broker's ack wait. Tries for a short time only.
    pub async fn leave(&self, holding: Holding) {
        if let Some(entry) = self.release(holding.place, holding.token) {
            let telling = self.tell(entry.reply, AckKind::Nak(None));
            if timeout(LEAVE_TIMEOUT, telling).await.is_err() {
                debug!(place = ?holding.place, "could not hand back in time; it comes again later");
            }
        }
    }

    /// Gives signs of life for what is in hand, and acknowledges what was kept back, for as long as it
    /// is polled.
    pub async fn keep_alive(&self) {
        let mut looks = tokio::time::interval(LOOK_INTERVAL);
        let mut dues = tokio::time::interval(KEPT_BACK / 5);
        loop {
            tokio::select! {
                _ = looks.tick() => {
                    for reply in self.unsigned() {
                        self.tell(reply, AckKind::Progress).await;
                    }
                }
                now = dues.tick() => {
                    let due = self.held().last.due(now);
                    self.acknowledge(due).await;
                }
            }
        }
    }

    /// Acknowledges what is kept back, because nothing follows.
    pub async fn close(&self) {
        let rest = self.held().last.all();
        self.acknowledge(rest).await;
    }

    async fn acknowledge(&self, replies: impl IntoIterator<Item = Subject>) {
        for reply in replies {
            self.tell(reply, AckKind::Ack).await;
        }
    }

    fn hold(&self, place: Place, reply: &Subject, payload: &Bytes) -> Known {
        let mut held = self.held();
        if let Some(entry) = held.messages.get_mut(&place)
            && entry.payload == payload
        {
            entry.reply = reply.clone();
            entry.signed = Instant::now();
            return Known::InHand;
        }
        if held.settled.contains(place, payload) {
            return Known::Settled;
        }
        held.tokens += 1;
        let token = held.tokens;
        let entry = Entry {
            reply: reply.clone(),
            payload: payload.clone(),
            signed: Instant::now(),
            token,
        };
        held.messages.insert(place, entry);
        Known::New(token)
    }

    fn release(&self, place: Place, token: u64) -> Option<Entry> {
        let mut held = self.held();
        match held.messages.get(&place) {
            Some(entry) if entry.token == token => held.messages.remove(&place),
            _ => None,
        }
    }

    fn unsigned(&self) -> Vec<Subject> {
        let now = Instant::now();
        let mut held = self.held();
        let entries = held.messages.values_mut();
        let old = entries.filter(|entry| now.duration_since(entry.signed) >= SIGN_AGE_MAX);
        old.map(|entry| {
            entry.signed = now;
            entry.reply.clone()
        })
        .collect()
    }

    /// What gets lost here costs a repetition, never a message.
    async fn tell(&self, reply: Subject, kind: AckKind) {
        if let Err(error) = self.client.publish(reply, kind.into()).await {
            debug!(%error, "could not tell the broker; the message comes again");
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Known {
    New(u64),
    InHand,
    Settled,
}

impl Taken {
    /// What names this message in hand.
    #[must_use]
    pub fn holding(&self) -> Holding {
        Holding {
            place: self.place,
            token: self.token,
        }
    }

    /// The message is done with: its outcome and what follows are stored.
    pub async fn settle(self) {
        let Some(entry) = self.hand.release(self.place, self.token) else {
            return;
        };
        let due = {
            let mut held = self.hand.held();
            held.settled.insert(self.place, &entry.payload);
            held.last.settled(self.place, entry.reply, Instant::now())
        };
        self.hand.acknowledge(due).await;
    }

    /// The message is for another sender, at once.
    pub async fn hand_back(self) {
        self.nak(None).await;
    }

    /// The message is for another sender, or for this one `wait` later.
    pub async fn hand_back_for(self, wait: Duration) {
        self.nak(Some(wait)).await;
    }

    async fn nak(self, wait: Option<Duration>) {
        if let Some(entry) = self.hand.release(self.place, self.token) {
            self.hand.tell(entry.reply, AckKind::Nak(wait)).await;
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.hand.release(self.place, self.token);
    }
}
