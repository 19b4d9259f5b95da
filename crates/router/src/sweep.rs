//! Removing what a killed broker brought back.
//!
//! A nats-server that was killed may find messages in a work queue again that had been acknowledged
//! and removed. Their consumer is past them, so nobody gets them, and they take up room for ever
//! (seen with 2.15.1 and `sync_interval: always`; a restart does not help). What lies at or below a
//! consumer's acknowledgement floor was settled by a sender, and can go.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::stream::{DeleteMessageErrorKind, LastRawMessageErrorKind, Stream};
use futures_util::TryStreamExt as _;
use tidings_nats::subject;
use tidings_nats::topology::{DELIVERIES, DELIVERIES_CONSUMER, RETRIES, RETRIES_CONSUMER};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

const INTERVAL: Duration = Duration::from_secs(15);
/// How many messages of one subject go at a time.
const SWEPT_MAX: usize = 1_000;

/// The work queues: stream, subjects that consumers take from, and how these consumers are called.
const QUEUES: [(&str, &str, &str); 2] = [
    (DELIVERIES, subject::DELIVERIES, DELIVERIES_CONSUMER),
    (RETRIES, subject::RETRIES, RETRIES_CONSUMER),
];

/// Sweeps every few seconds until `stop` is cancelled.
pub async fn run(context: Context, stop: CancellationToken) {
    let mut interval = tokio::time::interval(INTERVAL);
    while stop.run_until_cancelled(interval.tick()).await.is_some() {
        match stop.run_until_cancelled(sweep(&context)).await {
            Some(Ok(0)) | None => {}
            Some(Ok(swept)) => info!(swept, "removed {swept} messages that were settled before"),
            Some(Err(error)) => warn!(%error, "could not sweep the queues"),
        }
    }
}

/// Removes from all work queues what is settled. Returns how many messages went.
///
/// # Errors
/// The broker did not answer.
pub async fn sweep(context: &Context) -> Result<u64, async_nats::Error> {
    let mut swept = 0;
    for (name, subjects, consumers) in QUEUES {
        let stream = context.get_stream(name).await?;
        let mut counts = stream.info_with_subjects(subjects).await?;
        let mut partitions: BTreeMap<String, (u64, Vec<String>)> = BTreeMap::new();
        while let Some((subject, count)) = counts.try_next().await? {
            let Some((pool, partition)) = subject::read_partition(&subject) else {
                continue;
            };
            let consumer = format!("{consumers}-{pool}-{partition}");
            let (all, subjects) = partitions.entry(consumer).or_default();
            *all += count as u64;
            subjects.push(subject);
        }
        for (consumer, (count, subjects)) in partitions {
            swept += sweep_partition(&stream, &consumer, count, &subjects).await?;
        }
    }
    Ok(swept)
}

/// Removes the messages of a partition that its consumer is past. `count` messages lie there.
async fn sweep_partition(
    stream: &Stream,
    consumer: &str,
    count: u64,
    subjects: &[String],
) -> Result<u64, async_nats::Error> {
    let consumer: PullConsumer = stream.get_consumer(consumer).await?;
    let info = consumer.cached_info();
    let floor = info.ack_floor.stream_sequence;
    if count <= info.num_pending + info.num_ack_pending as u64 {
        return Ok(0);
    }
    let mut swept = 0;
    for subject in subjects {
        swept += sweep_subject(stream, subject, floor).await?;
    }
    Ok(swept)
}

/// Removes the messages of `subject` up to `floor`.
async fn sweep_subject(
    stream: &Stream,
    subject: &str,
    floor: u64,
) -> Result<u64, async_nats::Error> {
    let mut swept = 0;
    for _ in 0..SWEPT_MAX {
        let first = match stream.get_first_raw_message_by_subject(subject, 1).await {
            Ok(first) if first.sequence <= floor => first,
            Ok(_) => break,
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => break,
            Err(error) => return Err(error.into()),
        };
        match stream.delete_message(first.sequence).await {
            Ok(_) => swept += 1,
            // Another router was faster.
            Err(error) if matches!(error.kind(), DeleteMessageErrorKind::JetStream(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(swept)
}
