//! Taking work from a durable pull consumer.

use std::time::Duration;

use async_nats::jetstream::consumer::{PullConsumer, pull};
use async_nats::jetstream::{AckKind, Context, Message};
use futures_util::{FutureExt as _, StreamExt as _};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

const HEARTBEAT: Duration = Duration::from_secs(5);
const EXPIRES: Duration = Duration::from_secs(30);
const BACKOFF_MIN: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// A name for a consumer of who reads a stream and takes nothing out of it. Permissions let readers
/// make consumers by name only: a request without one could say in its body that it means the
/// consumer `router`, which would change that.
#[must_use]
pub fn reader_name() -> String {
    format!("reader-{:016x}", rand::random::<u64>())
}

/// Messages of one consumer, for as long as one asks. What goes wrong on the way is mended: a
/// stream of messages that ended, or missed its heartbeats, is opened again.
pub struct Work {
    context: Context,
    stream: String,
    consumer: String,
    prefetch: usize,
    open: Option<pull::Stream>,
    backoff: Duration,
}

impl std::fmt::Debug for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Work")
            .field("consumer", &self.consumer)
            .finish_non_exhaustive()
    }
}

impl Work {
    /// Work of the consumer `consumer` on `stream`, `prefetch` messages at the most held ready.
    #[must_use]
    pub fn new(context: Context, stream: &str, consumer: &str, prefetch: usize) -> Self {
        Self {
            context,
            stream: stream.to_owned(),
            consumer: consumer.to_owned(),
            prefetch: prefetch.max(1),
            open: None,
            backoff: BACKOFF_MIN,
        }
    }

    /// The next message; `None` once `stop` is cancelled.
    pub async fn next(&mut self, stop: &CancellationToken) -> Option<Message> {
        stop.run_until_cancelled(self.next_of_any_stream()).await
    }

    /// Hands back what is held ready, so that others get it at once.
    pub async fn hand_back(mut self) {
        let Some(mut open) = self.open.take() else {
            return;
        };
        while let Some(Some(Ok(message))) = open.next().now_or_never() {
            if let Err(error) = message.ack_with(AckKind::Nak(None)).await {
                debug!(%error, "could not hand back a message; it comes back after the ack wait");
            }
        }
    }

    async fn next_of_any_stream(&mut self) -> Message {
        loop {
            let Some(open) = &mut self.open else {
                self.reopen().await;
                continue;
            };
            match open.next().await {
                Some(Ok(message)) => {
                    self.backoff = BACKOFF_MIN;
                    return message;
                }
                Some(Err(error)) => {
                    debug!(consumer = %self.consumer, %error, "opening the consumer again");
                    self.open = None;
                }
                None => self.open = None,
            }
        }
    }

    async fn reopen(&mut self) {
        match self.messages().await {
            Ok(open) => self.open = Some(open),
            Err(error) => {
                if self.backoff == BACKOFF_MIN {
                    warn!(consumer = %self.consumer, %error, "cannot take work; trying again");
                }
                tokio::time::sleep(self.backoff).await;
                self.backoff = (self.backoff * 2).min(BACKOFF_MAX);
            }
        }
    }

    async fn messages(&self) -> Result<pull::Stream, async_nats::Error> {
        let consumer: PullConsumer = self
            .context
            .get_consumer_from_stream(&self.consumer, &self.stream)
            .await?;
        let messages = consumer
            .stream()
            .max_messages_per_batch(self.prefetch)
            .heartbeat(HEARTBEAT)
            .expires(EXPIRES)
            .messages()
            .await?;
        Ok(messages)
    }
}
