//! How much waits in the streams, and for how long.

use std::collections::BTreeMap;

use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::stream::{LastRawMessageErrorKind, Stream};
use futures_util::TryStreamExt as _;
use jiff::Timestamp;
use tidings_core::name::Pool;

use crate::subject;
use crate::topology::{
    ATTEMPTS, DEAD_LETTERS, DELIVERIES, EVENTS, Layout, LayoutError, RETRIES, ROUTER_CONSUMER,
    storage_bytes,
};

/// What waits for one kind of worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// The stream it lies in.
    pub stream: &'static str,
    /// The pool whose senders work on it; `None` for routers.
    pub pool: Option<Pool>,
    /// How many messages wait or are worked on.
    pub messages: u64,
    /// Since when the oldest of them has been there.
    pub oldest: Option<Timestamp>,
}

/// What one stream holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The stream.
    pub stream: &'static str,
    /// Messages in it.
    pub messages: u64,
    /// Bytes that they take.
    pub bytes: u64,
    /// Bytes that it may take; `None` without a limit of its own.
    pub bytes_max: Option<u64>,
}

/// All of it, as it is at one moment or nearly so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Backlog {
    /// What waits: events for routers, first attempts and due retries for the senders of each pool.
    pub queues: Vec<Queue>,
    /// Retries and put-off attempts that are not due yet.
    pub later: u64,
    /// What the streams hold.
    pub streams: Vec<Held>,
    /// Bytes that all streams may take together, as provisioned.
    pub storage_bytes_max: u64,
}

impl Backlog {
    /// Looks at all streams: a request for each, and one for each queue that is not empty.
    ///
    /// # Errors
    /// A stream is missing, or the broker does not answer.
    pub async fn read(context: &Context) -> Result<Self, LayoutError> {
        let layout = Layout::read(context).await?;
        let read = Self::read_all(context, &layout).await;
        read.map_err(|error| LayoutError::Unavailable {
            detail: error.to_string(),
        })
    }

    async fn read_all(context: &Context, layout: &Layout) -> Result<Self, async_nats::Error> {
        let mut backlog = Self::default();
        for name in [EVENTS, DELIVERIES, RETRIES, ATTEMPTS, DEAD_LETTERS] {
            let stream = context.get_stream(name).await?;
            let info = stream.cached_info();
            backlog.streams.push(Held {
                stream: name,
                messages: info.state.messages,
                bytes: info.state.bytes,
                bytes_max: u64::try_from(info.config.max_bytes)
                    .ok()
                    .filter(|max| *max > 0),
            });
            backlog.storage_bytes_max = storage_bytes(&info.config).unwrap_or_default();
            match name {
                EVENTS => backlog.queues.push(events(&stream).await?),
                DELIVERIES | RETRIES => {
                    let of_pools = of_pools(&stream, name, layout).await?;
                    if name == RETRIES {
                        let due: u64 = of_pools.iter().map(|queue| queue.messages).sum();
                        backlog.later = info.state.messages.saturating_sub(due);
                    }
                    backlog.queues.extend(of_pools);
                }
                _ => {}
            }
        }
        Ok(backlog)
    }
}

/// Events that are not routed yet.
async fn events(stream: &Stream) -> Result<Queue, async_nats::Error> {
    let router: PullConsumer = stream.get_consumer(ROUTER_CONSUMER).await?;
    let info = router.cached_info();
    let messages = info.num_pending + info.num_ack_pending as u64;
    let next = info.ack_floor.stream_sequence + 1;
    let oldest = match messages {
        0 => None,
        _ => first(stream, subject::EVENTS, next).await?,
    };
    Ok(Queue {
        stream: EVENTS,
        pool: None,
        messages,
        oldest,
    })
}

/// Deliveries of each pool that can be worked on now.
async fn of_pools(
    stream: &Stream,
    name: &'static str,
    layout: &Layout,
) -> Result<Vec<Queue>, async_nats::Error> {
    let all = match name {
        DELIVERIES => subject::DELIVERIES,
        _ => subject::RETRIES,
    };
    let prefix = all.trim_end_matches('>');
    let mut messages: BTreeMap<String, u64> = BTreeMap::new();
    let mut counts = stream.info_with_subjects(all).await?;
    while let Some((subject, count)) = counts.try_next().await? {
        let rest = subject.strip_prefix(prefix).unwrap_or_default();
        let (pool, _) = rest.split_once('.').unwrap_or_default();
        *messages.entry(pool.to_owned()).or_default() += count as u64;
    }
    let mut queues = Vec::with_capacity(layout.pools.len());
    for pool in &layout.pools {
        let messages = messages.get(pool.as_str()).copied().unwrap_or_default();
        let oldest = match messages {
            0 => None,
            _ => first(stream, &format!("{prefix}{pool}.*"), 1).await?,
        };
        queues.push(Queue {
            stream: name,
            pool: Some(pool.clone()),
            messages,
            oldest,
        });
    }
    Ok(queues)
}

/// When the first message from `sequence` on was stored that matches `subject`.
async fn first(
    stream: &Stream,
    subject: &str,
    sequence: u64,
) -> Result<Option<Timestamp>, async_nats::Error> {
    match stream
        .get_first_raw_message_by_subject(subject, sequence)
        .await
    {
        Ok(message) => Ok(Timestamp::from_nanosecond(message.time.unix_timestamp_nanos()).ok()),
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}
