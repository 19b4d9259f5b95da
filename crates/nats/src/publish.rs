//! Storing messages: published, acknowledged by the stream, and repeated until then.
//!
//! Every message carries an id (`Nats-Msg-Id`), so publishing it again stores it once. Under load
//! and on a broker that syncs every write, messages that wait together are stored as one atomic
//! batch (group commit, DESIGN.md section 3); otherwise each is published at once.

mod batch;
mod single;

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, HeaderMap};
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::metrics::RoundTrips;
use crate::topology::Commit;

/// The header by which a stream knows a message again.
pub const MESSAGE_ID: &str = "Nats-Msg-Id";

const TRIES_MAX: u32 = 3;
const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(2);
/// Bytes are counted in blocks of this size, so that a permit count fits 32 bits.
const BLOCK_BYTES: usize = 1_024;

/// A message on its way into a stream.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Where it goes.
    pub subject: String,
    /// By which the stream knows it again.
    pub id: String,
    /// Further headers; nothing a tenant typed.
    pub headers: HeaderMap,
    /// Its content.
    pub payload: Bytes,
}

/// What the stream says about a stored message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// Its place in the stream; that of the first one, for a duplicate.
    pub sequence: u64,
    /// Whether the stream had it already.
    pub duplicate: bool,
}

/// Why a message was not stored, as far as anybody knows.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PublishError {
    /// More messages wait for their acknowledgement than this process may hold.
    #[error("too many messages wait to be stored")]
    Overloaded,
    /// The stream takes no more until something is taken out of it.
    #[error("the stream is full: {detail}")]
    Full {
        /// The broker's words.
        detail: String,
    },
    /// The message is larger than the broker or the stream takes.
    #[error("the message has {bytes} bytes, which is more than the broker takes")]
    TooLarge {
        /// The message's size in bytes.
        bytes: usize,
    },
    /// The broker could not be reached, or did not acknowledge in time.
    #[error("the broker did not acknowledge: {detail}")]
    Unavailable {
        /// What happened.
        detail: String,
    },
    /// The broker refuses this message for good.
    #[error("the broker refused the message: {detail} (error {code})")]
    Refused {
        /// JetStream's error code.
        code: u64,
        /// The broker's words.
        detail: String,
    },
}

impl PublishError {
    /// Whether the same message may be stored later.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(
            self,
            Self::Overloaded | Self::Full { .. } | Self::Unavailable { .. }
        )
    }
}

/// How much may wait for its acknowledgement at once.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Messages.
    pub messages_max: usize,
    /// Bytes of their payloads.
    pub bytes_max: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            messages_max: 4_096,
            bytes_max: 64 << 20,
        }
    }
}

/// Publishes into one stream. Cheap to clone; all clones share their bounds.
#[derive(Debug, Clone)]
pub struct Publisher {
    client: Client,
    messages: Arc<Semaphore>,
    blocks: Arc<Semaphore>,
    blocks_max: usize,
    batches: Option<batch::Batches>,
    round_trips: RoundTrips,
}

impl Publisher {
    /// A publisher into a stream whose broker wants `commit`. All messages of one publisher must
    /// go to the same stream.
    #[must_use]
    pub fn new(client: Client, commit: Commit, bounds: Bounds) -> Self {
        let batches = (commit == Commit::Batch)
            .then(|| batch::Batches::start(client.clone(), bounds.messages_max));
        let blocks_max = (bounds.bytes_max / BLOCK_BYTES).max(1);
        Self {
            client,
            messages: Arc::new(Semaphore::new(bounds.messages_max)),
            blocks: Arc::new(Semaphore::new(blocks_max)),
            blocks_max,
            batches,
            round_trips: RoundTrips::new(),
        }
    }

    /// Stores `message`, or fails after a few tries. Waits while too much is under way.
    ///
    /// # Errors
    /// The message is not known to be stored. It may be stored all the same: publish it again
    /// with the same id to find out.
    pub async fn publish(&self, message: Outgoing) -> Result<Stored, PublishError> {
        let blocks = self.blocks_of(&message);
        let _permits = (
            Arc::clone(&self.messages)
                .acquire_owned()
                .await
                .map_err(closed)?,
            Arc::clone(&self.blocks)
                .acquire_many_owned(blocks)
                .await
                .map_err(closed)?,
        );
        self.publish_with_tries(message).await
    }

    /// As [`Publisher::publish`], but refuses at once when too much is under way.
    ///
    /// # Errors
    /// [`PublishError::Overloaded`] beyond the bounds, otherwise as [`Publisher::publish`].
    pub async fn try_publish(&self, message: Outgoing) -> Result<Stored, PublishError> {
        if !crate::connect::is_connected(&self.client) {
            return Err(PublishError::Unavailable {
                detail: String::from("not connected"),
            });
        }
        let _permits = self.try_permits(&message)?;
        self.publish_with_tries(message).await
    }

    /// Stores `message`, however long it takes, unless the broker refuses it for good or `stop`
    /// is cancelled.
    ///
    /// # Errors
    /// A permanent error, or [`PublishError::Unavailable`] once stopped.
    pub async fn publish_persistently(
        &self,
        message: Outgoing,
        stop: &CancellationToken,
    ) -> Result<Stored, PublishError> {
        let mut backoff = BACKOFF_MIN;
        loop {
            let error = match self.publish(message.clone()).await {
                Err(error) if error.is_temporary() => error,
                settled => return settled,
            };
            if backoff == BACKOFF_MIN {
                warn!(subject = %message.subject, %error, "could not store a message; trying again");
            }
            let wait = tokio::time::sleep(backoff);
            if stop.run_until_cancelled(wait).await.is_none() {
                return Err(error);
            }
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }

    /// How many more messages may wait for their acknowledgement.
    #[must_use]
    pub fn free(&self) -> usize {
        self.messages.available_permits()
    }

    fn try_permits(
        &self,
        message: &Outgoing,
    ) -> Result<(OwnedSemaphorePermit, OwnedSemaphorePermit), PublishError> {
        let blocks = self.blocks_of(message);
        let overloaded = |_| PublishError::Overloaded;
        let one = Arc::clone(&self.messages)
            .try_acquire_owned()
            .map_err(overloaded)?;
        let all = Arc::clone(&self.blocks)
            .try_acquire_many_owned(blocks)
            .map_err(overloaded)?;
        Ok((one, all))
    }

    /// A message larger than the bound takes all of it, so that it passes alone.
    fn blocks_of(&self, message: &Outgoing) -> u32 {
        let blocks = message
            .payload
            .len()
            .div_ceil(BLOCK_BYTES)
            .clamp(1, self.blocks_max);
        u32::try_from(blocks).unwrap_or(u32::MAX)
    }

    async fn publish_with_tries(&self, message: Outgoing) -> Result<Stored, PublishError> {
        for _ in 1..TRIES_MAX {
            match self.publish_once(message.clone()).await {
                Err(PublishError::Unavailable { .. }) => {}
                settled => return settled,
            }
        }
        self.publish_once(message).await
    }

    async fn publish_once(&self, message: Outgoing) -> Result<Stored, PublishError> {
        let begun = Instant::now();
        let stored = match &self.batches {
            Some(batches) => batches.publish(message).await,
            None => single::publish(&self.client, message).await,
        };
        if stored.is_ok() {
            self.round_trips.stored(begun.elapsed());
        }
        stored
    }
}

fn closed<E>(_: E) -> PublishError {
    PublishError::Unavailable {
        detail: String::from("the publisher is closed"),
    }
}
