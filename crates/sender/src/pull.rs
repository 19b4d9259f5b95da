//! Asking a durable consumer for messages, for exactly as many as there is room.
//!
//! Whatever the broker sends has a place in this process from then on: nothing lingers in a buffer
//! where no sign of life is given for it. When the sender drains, the broker is told to send no
//! more and everything that was on its way is handed back. This is what the client library's own
//! stream of messages does not offer: it always asks ahead, whether or not there is room.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, Message, StatusCode, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::{debug, warn};

/// How long one request to the broker stays open.
const EXPIRES: Duration = Duration::from_secs(5);
/// How much later than it should a request's end may come before it is taken for lost.
const GRACE: Duration = Duration::from_secs(1);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// How many bytes of messages of one consumer wait for their attempts. With two lanes for each of
/// sixteen partitions that is 64 MiB.
const BYTES_MAX: u32 = 2 << 20;
/// What the broker says when the next message is larger than what is left of a request.
const NO_BYTES_LEFT: &str = "Message Size Exceeds MaxBytes";
/// What it says when a request's bytes are used up.
const COMPLETED: &str = "Batch Completed";

/// The room that one message takes until its attempt begins.
#[derive(Debug)]
pub struct Room {
    count: OwnedSemaphorePermit,
    bytes: OwnedSemaphorePermit,
}

/// Messages of one consumer, for as long as one asks.
#[derive(Debug)]
pub struct Pull {
    client: Client,
    consumer: String,
    inbox: String,
    subscriber: Subscriber,
    room: Arc<Semaphore>,
    room_max: usize,
    bytes: Arc<Semaphore>,
    /// The next message is larger than what was asked for: it takes all bytes, and comes alone.
    is_large_next: bool,
    open: Option<Request>,
    requests: u64,
    /// Changes when the client connects anew, which ends all requests.
    connections: watch::Receiver<u64>,
    backoff: Duration,
}

/// A request that the broker has not answered in full.
#[derive(Debug)]
struct Request {
    inbox: String,
    room: Room,
    until: Instant,
    /// Whether a message has come.
    is_begun: bool,
}

/// What came in.
enum Came {
    Message(Message),
    Lost,
    Closed,
}

impl Pull {
    /// Prepares to ask `consumer` on `stream` for at most `room_max` messages at once.
    ///
    /// # Errors
    /// The client was closed.
    pub async fn open(
        client: Client,
        (stream, consumer): (&str, &str),
        room_max: usize,
        connections: watch::Receiver<u64>,
    ) -> Result<Self, async_nats::SubscribeError> {
        let inbox = client.new_inbox();
        let subscriber = client.subscribe(format!("{inbox}.*")).await?;
        Ok(Self {
            client,
            consumer: format!("{stream}.{consumer}"),
            inbox,
            subscriber,
            room: Arc::new(Semaphore::new(room_max)),
            room_max,
            bytes: Arc::new(Semaphore::new(BYTES_MAX as usize)),
            is_large_next: false,
            open: None,
            requests: 0,
            connections,
            backoff: BACKOFF_MIN,
        })
    }

    /// The next message, with its room; `None` when the client was closed. Drop the future at any
    /// time: nothing is lost.
    pub async fn next(&mut self) -> Option<(Message, Option<Room>)> {
        loop {
            if self.open.is_none() {
                self.ask().await;
            }
            match self.come().await {
                Came::Message(message) if message.status.is_none() => {
                    self.backoff = BACKOFF_MIN;
                    let room = self.take_room(message.length);
                    return Some((message, room));
                }
                Came::Message(status) => self.hear(&status).await,
                Came::Lost => {
                    debug!(consumer = %self.consumer, "a request for work was lost; asking again");
                    self.open = None;
                }
                Came::Closed => return None,
            }
        }
    }

    /// Asks for no more, and returns what was still on its way.
    pub async fn close(mut self) -> Vec<Message> {
        let mut rest = Vec::new();
        let draining = async {
            self.subscriber.drain().await.ok();
            while let Some(message) = self.subscriber.next().await {
                rest.extend(message.status.is_none().then_some(message));
            }
        };
        if timeout(CLOSE_TIMEOUT, draining).await.is_err() {
            debug!(consumer = %self.consumer, "the broker is away; what it sent comes again");
        }
        rest
    }

    /// Waits for room, and asks for as much as there is.
    async fn ask(&mut self) {
        // Not for one message at a time, which would cost a request each.
        let least = u32::try_from(self.room_max.div_ceil(4)).unwrap_or(u32::MAX);
        let (least, least_bytes) = match self.is_large_next {
            true => (1, BYTES_MAX),
            false => (least, BYTES_MAX / 4),
        };
        let mut room = Room {
            count: acquire(&self.room, least).await,
            bytes: acquire(&self.bytes, least_bytes).await,
        };
        if !self.is_large_next {
            merge_free(&self.room, &mut room.count);
            merge_free(&self.bytes, &mut room.bytes);
        }
        self.requests += 1;
        let inbox = format!("{}.{}", self.inbox, self.requests);
        let max_bytes = match self.is_large_next {
            true => String::new(),
            false => format!(r#","max_bytes":{}"#, room.bytes.num_permits()),
        };
        let request = format!(
            r#"{{"batch":{},"expires":{}{max_bytes}}}"#,
            room.count.num_permits(),
            EXPIRES.as_nanos()
        );
        let until = Instant::now() + EXPIRES + GRACE;
        self.connections.mark_unchanged();
        self.open = Some(Request {
            inbox: inbox.clone(),
            room,
            until,
            is_begun: false,
        });
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{}", self.consumer);
        let asking = self
            .client
            .publish_with_reply(subject, inbox, Bytes::from(request));
        if let Ok(Err(error)) = timeout_at(until, asking).await {
            debug!(consumer = %self.consumer, %error, "could not ask for work");
        }
    }

    async fn come(&mut self) -> Came {
        let until = self
            .open
            .as_ref()
            .map_or_else(Instant::now, |open| open.until);
        tokio::select! {
            biased;
            message = timeout_at(until, self.subscriber.next()) => match message {
                Ok(Some(message)) => Came::Message(message),
                Ok(None) => Came::Closed,
                Err(_) => Came::Lost,
            },
            Ok(()) = self.connections.changed() => Came::Lost,
        }
    }

    /// The room of a message that has come. A late one, of a request that was taken for lost, takes
    /// what there is, or comes without.
    fn take_room(&mut self, length: usize) -> Option<Room> {
        self.is_large_next = false;
        let bytes_of = |free: usize| length.min(free);
        let Some(open) = &mut self.open else {
            let bytes = u32::try_from(bytes_of(self.bytes.available_permits())).ok()?;
            return Some(Room {
                count: Arc::clone(&self.room).try_acquire_owned().ok()?,
                bytes: Arc::clone(&self.bytes).try_acquire_many_owned(bytes).ok()?,
            });
        };
        open.is_begun = true;
        let bytes = bytes_of(open.room.bytes.num_permits());
        let count = open.room.count.split(1);
        let bytes = open.room.bytes.split(bytes);
        if open.room.count.num_permits() == 0 {
            self.open = None;
        }
        let (count, bytes) = count.zip(bytes)?;
        Some(Room { count, bytes })
    }

    /// Takes note of the end of a request. Anything but "no more messages in time" is trouble.
    async fn hear(&mut self, status: &Message) {
        let code = status.status.unwrap_or(StatusCode::OK);
        let is_open = |open: &Request| open.inbox == status.subject.as_str();
        if code == StatusCode::IDLE_HEARTBEAT || !self.open.as_ref().is_some_and(is_open) {
            return;
        }
        let is_begun = self.open.take().is_some_and(|open| open.is_begun);
        let description = status.description.as_deref().unwrap_or_default();
        let is_used_up = [NO_BYTES_LEFT, COMPLETED].contains(&description);
        self.is_large_next = description == NO_BYTES_LEFT && !is_begun;
        if is_used_up || matches!(code, StatusCode::TIMEOUT | StatusCode::NOT_FOUND) {
            self.backoff = BACKOFF_MIN;
            return;
        }
        if self.backoff == BACKOFF_MIN {
            let detail = status.description.as_deref().unwrap_or("nobody answers");
            warn!(consumer = %self.consumer, status = %code, "cannot take work: {detail}; trying again");
        }
        sleep(self.backoff).await;
        self.backoff = (self.backoff * 2).min(BACKOFF_MAX);
    }
}

async fn acquire(semaphore: &Arc<Semaphore>, count: u32) -> OwnedSemaphorePermit {
    let acquired = Arc::clone(semaphore).acquire_many_owned(count).await;
    acquired.expect("nobody closes this semaphore")
}

/// Adds what is free now.
fn merge_free(semaphore: &Arc<Semaphore>, permit: &mut OwnedSemaphorePermit) {
    let more = u32::try_from(semaphore.available_permits()).unwrap_or(u32::MAX);
    if let Ok(more) = Arc::clone(semaphore).try_acquire_many_owned(more) {
        permit.merge(more);
    }
}
