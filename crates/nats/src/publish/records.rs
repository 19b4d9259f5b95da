//! Storing records of a log: many share one acknowledgement.
//!
//! A record stands for itself, nothing follows from it, and it may be there twice. So records carry
//! no id, and of those that wait together only the last is acknowledged: a stream takes the messages
//! of one connection in their order and answers the last after all others. A record on its own is
//! stored at once; a busy publisher has one round trip to the broker for many.

use async_nats::{Client, PublishErrorKind, Request};
use bytes::Bytes;
use futures_util::future::join_all;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};

use super::{PublishError, closed, single};
use crate::connect::ACK_TIMEOUT;
use crate::metrics::RoundTrips;

/// So many records share one acknowledgement at the most.
const TOGETHER_MAX: usize = 256;
/// So many wait at the most; who comes then waits for room.
const WAITING_MAX: usize = 1_024;

#[derive(Debug)]
struct Waiting {
    subject: String,
    payload: Bytes,
    answer: oneshot::Sender<Result<(), PublishError>>,
}

/// Publishes records into the stream of a log.
#[derive(Debug, Clone)]
pub struct RecordPublisher {
    queue: mpsc::Sender<Waiting>,
}

impl RecordPublisher {
    /// A publisher into a stream that may hold a record twice. All records must go to the same
    /// stream. Its task ends when the last clone is dropped.
    #[must_use]
    pub fn new(client: Client) -> Self {
        let (queue, waiting) = mpsc::channel(WAITING_MAX);
        tokio::spawn(store_all(client, waiting));
        Self { queue }
    }

    /// Stores a record, or fails after two tries. Whoever stops waiting before it was sent takes it
    /// back.
    ///
    /// # Errors
    /// The record is not known to be stored.
    pub async fn publish(&self, subject: String, payload: Bytes) -> Result<(), PublishError> {
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting {
            subject,
            payload,
            answer,
        };
        self.queue.send(waiting).await.map_err(closed)?;
        answered.await.map_err(closed)?
    }
}

async fn store_all(client: Client, mut queue: mpsc::Receiver<Waiting>) {
    let round_trips = RoundTrips::new();
    let mut waiting = Vec::with_capacity(TOGETHER_MAX);
    while queue.recv_many(&mut waiting, TOGETHER_MAX).await > 0 {
        waiting.retain(|record| !record.answer.is_closed());
        let Some((last, others)) = waiting.split_last() else {
            continue;
        };
        let begun = Instant::now();
        if store_together(&client, others, last).await.is_err() {
            join_all(waiting.drain(..).map(|record| store_alone(&client, record))).await;
            continue;
        }
        round_trips.stored(begun.elapsed());
        for record in waiting.drain(..) {
            // Nobody may wait any more.
            let _ = record.answer.send(Ok(()));
        }
    }
}

async fn store_together(
    client: &Client,
    others: &[Waiting],
    last: &Waiting,
) -> Result<(), PublishError> {
    let sending = async {
        for Waiting {
            subject, payload, ..
        } in others
        {
            let sent = client.publish(subject.clone(), payload.clone()).await;
            sent.map_err(|error| match error.kind() {
                PublishErrorKind::MaxPayloadExceeded => PublishError::TooLarge {
                    bytes: payload.len(),
                },
                _ => PublishError::Unavailable {
                    detail: error.to_string(),
                },
            })?;
        }
        Ok(())
    };
    // The client waits without limit for room in its own queue while it is disconnected.
    let sent = timeout(ACK_TIMEOUT * 2, sending).await;
    sent.unwrap_or_else(|_| {
        Err(PublishError::Unavailable {
            detail: String::from("not connected"),
        })
    })?;
    store(client, last).await
}

/// Some of them may be there already, and are there twice then.
async fn store_alone(client: &Client, record: Waiting) {
    let stored = store(client, &record).await;
    let _ = record.answer.send(stored);
}

async fn store(client: &Client, record: &Waiting) -> Result<(), PublishError> {
    let bytes = record.payload.len();
    let request = Request::new().payload(record.payload.clone());
    let answer = single::ask(client, record.subject.clone(), request, bytes).await?;
    answer.into_result(bytes).map(drop)
}
