//! Reading the streams: ephemeral consumers of the console's own, without acknowledgements, a
//! bounded batch at a time. Work queues are not touched, and nothing waits for the log.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use async_nats::jetstream::{Context, Message};
use futures_util::StreamExt as _;
use prost::Message as _;
use tidings_nats::consume::reader_name;
use tidings_nats::publish::MESSAGE_ID;
use tidings_nats::subject::read_event;
use tidings_nats::topology::{ATTEMPTS, DEAD_LETTERS, EVENTS};
use tidings_proto::v1;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{Batch, Entry, EventEntry, Log};

const STREAMS: [&str; 3] = [EVENTS, ATTEMPTS, DEAD_LETTERS];
/// Messages asked for at once: a bound of memory, and of a transaction.
const BATCH: usize = 256;
/// How long a request for messages stays open.
const EXPIRES: Duration = Duration::from_secs(1);
/// A consumer that nobody asks is removed by the broker.
const IDLE: Duration = Duration::from_secs(60);
const RETRY: Duration = Duration::from_secs(1);
const FORGET_EVERY: Duration = Duration::from_secs(10);

/// How far the log is behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lag {
    /// Messages that wait in the streams, when last heard.
    pub messages: u64,
    /// Seconds since the log was last up with every stream; 0 while it is.
    pub seconds: u64,
}

/// Of each stream: messages that wait, and since when it is behind.
#[derive(Debug)]
pub(super) struct Lags(Mutex<[(u64, Option<Instant>); 3]>);

impl Default for Lags {
    /// Behind, until a stream was read to its end.
    fn default() -> Self {
        Self(Mutex::new([(0, Some(Instant::now())); 3]))
    }
}

impl Lags {
    fn note(&self, index: usize, messages: Option<u64>) {
        let lag = &mut self.0.lock().unwrap_or_else(PoisonError::into_inner)[index];
        lag.0 = messages.unwrap_or(lag.0);
        lag.1 = match messages {
            Some(0) => None,
            _ => lag.1.or_else(|| Some(Instant::now())),
        };
    }

    pub(super) fn total(&self) -> Lag {
        let lags = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let since = lags.iter().filter_map(|lag| lag.1).min();
        Lag {
            messages: lags.iter().map(|lag| lag.0).sum(),
            seconds: since.map_or(0, |since| since.elapsed().as_secs().max(1)),
        }
    }
}

/// Keeps the log up with the streams, and in its bounds, until `stop`. Faults are logged and tried
/// again; [`Log::lag`] tells meanwhile.
pub async fn follow(log: Log, context: Context, stop: CancellationToken) {
    let all = futures_util::future::join_all(
        (0..STREAMS.len()).map(|index| Box::pin(stream(&log, &context, index))),
    );
    tokio::select! {
        () = stop.cancelled() => {}
        _ = all => {}
        () = forget(&log) => {}
    }
}

async fn forget(log: &Log) {
    loop {
        let now = tidings_service::clock::now().as_microsecond();
        match log.forget(now).await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) => warn!(%error, "the delivery log cannot forget"),
        }
        tokio::time::sleep(FORGET_EVERY).await;
    }
}

async fn stream(log: &Log, context: &Context, index: usize) {
    loop {
        if let Err(error) = read(log, context, index).await {
            let stream = STREAMS[index];
            warn!("the delivery log lags behind {stream}: {error:#}");
        }
        log.inner.lags.note(index, None);
        tokio::time::sleep(RETRY).await;
    }
}

/// Reads on from the log's place until something is wrong.
async fn read(log: &Log, context: &Context, index: usize) -> anyhow::Result<()> {
    let name = STREAMS[index];
    let mut stream = context.get_stream(name).await?;
    let last = stream.info().await?.state.last_sequence;
    let mut position = log.position(name).await?;
    if position > last {
        // Made again, or its broker lost the end: the same numbers will mean other messages.
        log.clear().await?;
        position = 0;
    }
    let config = pull::Config {
        name: Some(reader_name()),
        ack_policy: AckPolicy::None,
        deliver_policy: DeliverPolicy::ByStartSequence {
            start_sequence: position + 1,
        },
        // Payloads of events stay where they are.
        headers_only: name == EVENTS,
        inactive_threshold: IDLE,
        memory_storage: true,
        num_replicas: 1,
        ..pull::Config::default()
    };
    let mut consumer: PullConsumer = stream.create_consumer(config).await?;
    let mut delivered = 0;
    loop {
        let mut messages = consumer
            .fetch()
            .max_messages(BATCH)
            .expires(EXPIRES)
            .messages()
            .await?;
        let mut entries = Vec::new();
        let (mut upto, mut pending) = (position, None);
        while let Some(message) = messages.next().await {
            let message = message.map_err(|error| anyhow::anyhow!(error))?;
            let info = message.info().map_err(|error| anyhow::anyhow!(error))?;
            delivered += 1;
            // Without acknowledgements, what was lost on the way shows as a gap.
            anyhow::ensure!(info.consumer_sequence == delivered, "a message was lost");
            upto = info.stream_sequence;
            pending = Some(info.pending);
            let at = i64::try_from(info.published.unix_timestamp_nanos() / 1_000)?;
            entries.extend(entry(name, &message, upto, at));
        }
        let Some(pending) = pending else {
            let info = consumer.info().await.context("the consumer is gone")?;
            anyhow::ensure!(
                info.delivered.consumer_sequence == delivered,
                "messages were lost"
            );
            log.inner.lags.note(index, Some(info.num_pending));
            continue;
        };
        let batch = Batch {
            stream: name.to_owned(),
            after: position,
            upto,
            entries,
        };
        if !log.store(batch).await? {
            return Ok(());
        }
        position = upto;
        log.inner.lags.note(index, Some(pending));
    }
}

/// What cannot be read is left out.
fn entry(stream: &str, message: &Message, sequence: u64, at: i64) -> Option<Entry> {
    match stream {
        EVENTS => event(message, sequence, at).map(Entry::Event),
        ATTEMPTS => attempt(v1::Attempt::decode(message.payload.clone()).ok()?),
        _ => v1::DeadLetter::decode(message.payload.clone())
            .ok()
            .map(|letter| Entry::DeadLetter(sequence, Box::new(letter))),
    }
}

/// A record is of an attempt, or tells that the first one is put off.
fn attempt(mut record: v1::Attempt) -> Option<Entry> {
    if let Some(waiting) = record.waiting.take() {
        return (!waiting.space.is_empty()).then(|| Entry::Waiting(Box::new(waiting)));
    }
    (!record.space.is_empty()).then(|| Entry::Attempt(Box::new(record)))
}

/// The message id of an event is `<space>.<environment>.<event id>`.
fn event(message: &Message, sequence: u64, at: i64) -> Option<EventEntry> {
    let subject = read_event(&message.subject)?;
    let id = message.headers.as_ref()?.get(MESSAGE_ID)?.as_str();
    Some(EventEntry {
        sequence,
        space: subject.space.to_owned(),
        environment: subject.environment.to_owned(),
        id: id.rsplit('.').next()?.to_owned(),
        topic: subject.topic.to_owned(),
        at,
    })
}
