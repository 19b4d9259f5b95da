//! Group commit: what waits together is stored as one atomic batch (NATS ADR-50).
//!
//! One batch is under way at a time; what arrives meanwhile is the next one. So an idle publisher
//! adds no wait, and a busy one pays for one sync per batch instead of one per message.

use std::collections::HashSet;

use async_nats::{Client, Request};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::single::{self, ask};
use super::{MESSAGE_ID, Outgoing, PublishError, Stored};
use crate::connect::ACK_TIMEOUT;

/// The broker takes at most this many messages in one batch.
const BATCH_MESSAGES_MAX: usize = 1_000;
const BATCH_BYTES_MAX: usize = 4 << 20;

#[derive(Debug)]
struct Waiting {
    message: Outgoing,
    answer: oneshot::Sender<Result<Stored, PublishError>>,
}

/// The way to the task that commits. The task ends when the last clone is dropped.
#[derive(Debug, Clone)]
pub(super) struct Batches {
    queue: mpsc::Sender<Waiting>,
}

impl Batches {
    pub(super) fn start(client: Client, waiting_max: usize) -> Self {
        let (queue, waiting) = mpsc::channel(waiting_max.max(1));
        tokio::spawn(commit_all(client, waiting));
        Self { queue }
    }

    pub(super) async fn publish(&self, message: Outgoing) -> Result<Stored, PublishError> {
        let closed = || PublishError::Unavailable {
            detail: String::from("the publisher is closed"),
        };
        let (answer, answered) = oneshot::channel();
        self.queue
            .send(Waiting { message, answer })
            .await
            .map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }
}

async fn commit_all(client: Client, mut queue: mpsc::Receiver<Waiting>) {
    let mut waiting = Vec::with_capacity(BATCH_MESSAGES_MAX);
    loop {
        let room = BATCH_MESSAGES_MAX - waiting.len();
        if waiting.is_empty() {
            if queue.recv_many(&mut waiting, room).await == 0 {
                return;
            }
        } else {
            while waiting.len() < BATCH_MESSAGES_MAX {
                let Ok(more) = queue.try_recv() else { break };
                waiting.push(more);
            }
        }
        let rest = waiting.split_off(batch_length(&waiting));
        commit(&client, std::mem::replace(&mut waiting, rest)).await;
    }
}

/// How many of the first messages make a batch: bounded by bytes, each id once.
fn batch_length(waiting: &[Waiting]) -> usize {
    let mut ids = HashSet::with_capacity(waiting.len());
    let mut bytes = 0;
    for (length, Waiting { message, .. }) in waiting.iter().enumerate() {
        bytes += message.payload.len();
        if length > 0 && (bytes > BATCH_BYTES_MAX || ids.contains(message.id.as_str())) {
            return length;
        }
        ids.insert(message.id.as_str());
    }
    waiting.len()
}

async fn commit(client: &Client, batch: Vec<Waiting>) {
    let count = batch.len() as u64;
    if count > 1
        // The client waits without limit for room in its own queue while it is disconnected.
        && let Ok(Ok(last)) = timeout(ACK_TIMEOUT * 2, publish_atomically(client, &batch)).await
        && let Some(first) = (last.sequence + 1).checked_sub(count)
    {
        for (sequence, waiting) in (first..).zip(batch) {
            // Nobody may wait any more: the publisher gave up.
            let _ = waiting.answer.send(Ok(Stored {
                sequence,
                duplicate: false,
            }));
        }
        return;
    }
    publish_singly(client, batch).await;
}

/// Publishes each message by itself: the only way when there is one, and the remedy when a batch
/// was refused as a whole, as it is if a single message of it is a duplicate.
async fn publish_singly(client: &Client, batch: Vec<Waiting>) {
    let publishing = batch
        .into_iter()
        .map(|Waiting { message, answer }| async move {
            let _ = answer.send(single::publish(client, message).await);
        });
    futures_util::future::join_all(publishing).await;
}

async fn publish_atomically(client: &Client, batch: &[Waiting]) -> Result<Stored, PublishError> {
    let id = client.new_inbox();
    let id = &id[id.len().saturating_sub(22)..];
    let last = batch.len() - 1;
    let mut bytes = 0;
    for (index, Waiting { message, .. }) in batch.iter().enumerate() {
        bytes += message.payload.len();
        let mut headers = message.headers.clone();
        headers.insert(MESSAGE_ID, message.id.as_str());
        headers.insert("Nats-Batch-Id", id);
        headers.insert("Nats-Batch-Sequence", (index + 1).to_string());
        if index == last {
            headers.insert("Nats-Batch-Commit", "1");
            let request = Request::new()
                .headers(headers)
                .payload(message.payload.clone());
            return ask(client, message.subject.clone(), request, bytes)
                .await?
                .into_result(bytes);
        }
        client
            .publish_with_headers(message.subject.clone(), headers, message.payload.clone())
            .await
            .map_err(|error| PublishError::Unavailable {
                detail: error.to_string(),
            })?;
    }
    Err(PublishError::Unavailable {
        detail: String::from("the batch was empty"),
    })
}
