//! Forgetting old events.
//!
//! The events stream never drops anything by itself (invariant O4), because its broker cannot know
//! what is not routed yet. So the router, who owns the consumer, purges what is both settled and
//! old, or, when the stream is nearly full, what is settled and oldest; but never an event that a
//! delivery has left its payload in (docs/adr/0009).

use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::stream::{Info, RawMessageErrorKind, Stream};
use futures_util::TryStreamExt as _;
use jiff::Timestamp;
use tidings_nats::subject;
use tidings_nats::topology::{DELIVERIES, EVENTS, RETRIES, ROUTER_CONSUMER};
use tidings_service::clock;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

/// Producers that a full stream turns away wait for this, so it is short.
const INTERVAL: Duration = Duration::from_secs(5);
/// Above this share of the stream's size, settled events go whatever their age.
const FULL_PERCENT: u64 = 80;
/// The share that is left of the stream then.
const TRIMMED_PERCENT: u64 = 60;

/// Looks after the events stream every few seconds until `stop` is cancelled.
pub async fn run(context: Context, event_age: Duration, stop: CancellationToken) {
    let mut interval = tokio::time::interval(INTERVAL);
    while stop.run_until_cancelled(interval.tick()).await.is_some() {
        let oldest = clock::now()
            .checked_sub(event_age)
            .unwrap_or(Timestamp::MIN);
        match stop.run_until_cancelled(tidy(&context, oldest)).await {
            Some(Ok(0)) | None => {}
            Some(Ok(purged)) => info!(purged, "forgot {purged} routed events"),
            Some(Err(error)) => warn!(%error, "could not look after the events stream"),
        }
    }
}

/// Purges what is settled, older than `oldest` and needed by no delivery. Returns how many events
/// went.
///
/// # Errors
/// The broker did not answer.
pub async fn tidy(context: &Context, oldest: Timestamp) -> Result<u64, async_nats::Error> {
    let stream = context.get_stream(EVENTS).await?;
    let info = stream.cached_info().clone();
    if info.state.messages == 0 {
        return Ok(0);
    }
    let consumer: PullConsumer = stream.get_consumer(ROUTER_CONSUMER).await?;
    let settled = consumer.cached_info().ack_floor.stream_sequence;
    let wanted = match first_younger(&stream, &info, oldest).await {
        Ok(first) => first.max(trim_to(&info)),
        Err(error) => {
            warn!(%error, "could not find the old events; only a full stream is trimmed");
            trim_to(&info)
        }
    };
    let first_kept = wanted.min(settled + 1);
    if first_kept <= info.state.first_sequence {
        return Ok(0);
    }
    // Looked for after the floor was read: whatever lies below that is stored by now.
    let first_kept = match first_reference(context).await? {
        Some(needed) if needed < first_kept => {
            warn_if_nearly_full(&info, needed);
            needed
        }
        _ => first_kept,
    };
    if first_kept <= info.state.first_sequence {
        return Ok(0);
    }
    debug!(first_kept, settled, "purging the events stream");
    Ok(stream.purge().sequence(first_kept).await?.purged)
}

/// The first event that a delivery has left its payload in. Both queues are looked at in the order
/// in which deliveries go: what has left the first one by the time of the look was stored in the
/// second one, or ended, before.
async fn first_reference(context: &Context) -> Result<Option<u64>, async_nats::Error> {
    let mut first: Option<u64> = None;
    for queue in [DELIVERIES, RETRIES] {
        let stream = context.get_stream_no_info(queue).await?;
        let mut subjects = stream.info_with_subjects(subject::REFERENCES).await?;
        while let Some((subject, _)) = subjects.try_next().await? {
            let needed = subject::read_reference(&subject);
            first = needed.into_iter().chain(first).min();
        }
    }
    Ok(first)
}

fn warn_if_nearly_full(info: &Info, needed: u64) {
    if trim_to(info) > needed {
        warn!(
            needed,
            "the events stream is nearly full, and events from {needed} on stay because deliveries \
             of them wait; is a pool without senders?"
        );
    }
}

/// The sequence of the first event that is younger than `oldest`, by halving.
async fn first_younger(
    stream: &Stream,
    info: &Info,
    oldest: Timestamp,
) -> Result<u64, async_nats::Error> {
    let (mut low, mut high) = (info.state.first_sequence, info.state.last_sequence + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        // Somebody may have removed some by hand: the next one there is tells the time as well.
        match stream
            .get_first_raw_message_by_subject(subject::EVENTS, middle)
            .await
        {
            Ok(next) if next.time.unix_timestamp_nanos() < oldest.as_nanosecond() => {
                low = next.sequence + 1;
            }
            Ok(_) => high = middle,
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => high = middle,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(low)
}

/// The first sequence to keep when the stream is nearly full, taking events to be equally large.
fn trim_to(info: &Info) -> u64 {
    let limit = u64::try_from(info.config.max_bytes).unwrap_or(u64::MAX);
    let bytes = info.state.bytes;
    if bytes <= limit / 100 * FULL_PERCENT {
        return 0;
    }
    let keep = limit / 100 * TRIMMED_PERCENT;
    let events = info
        .state
        .last_sequence
        .saturating_sub(info.state.first_sequence)
        + 1;
    let kept = u128::from(events) * u128::from(keep) / u128::from(bytes.max(1));
    info.state.last_sequence + 1 - u64::try_from(kept).unwrap_or(events).min(events)
}
