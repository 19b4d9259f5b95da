//! How much waits in the streams, as metrics. Routers measure it for everybody, because a pool whose
//! senders are all gone has nobody else to tell of it.
//!
//! Each router tells the same: take the greatest (`max by (stream, pool)`).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::jetstream::Context;
use jiff::Timestamp;
use opentelemetry::KeyValue;
use opentelemetry::metrics::AsyncInstrument;
use tidings_nats::metrics::RoundTrips;
use tidings_nats::queues::{Backlog, Queue};
use tidings_service::clock;
use tidings_service::metrics::meter;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tracing::debug;

const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// What is older than this is told no more.
const STALE_AFTER: Duration = Duration::from_secs(30);
/// Pools beyond this many are told together, as `other`.
const POOLS_MAX: usize = 64;

/// What was seen last, and when.
type Seen = Arc<Mutex<Option<(Backlog, Instant)>>>;

/// Looks every few seconds until `stop` is cancelled.
pub(crate) async fn watch(context: Context, stop: CancellationToken) {
    let seen = Seen::default();
    tell_queues(&seen);
    tell_streams(&seen);
    let round_trips = RoundTrips::new();
    let mut looks = interval(LOOK_INTERVAL);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(looks.tick()).await.is_some() {
        let begun = Instant::now();
        let reading = timeout(STALE_AFTER, Backlog::read(&context));
        match stop.run_until_cancelled(reading).await {
            None => return,
            Some(Ok(Ok(backlog))) => {
                let requests = u32::try_from(backlog.streams.len()).unwrap_or(1).max(1);
                round_trips.told(begun.elapsed() / (2 * requests));
                let now = Some((backlog, Instant::now()));
                *seen.lock().unwrap_or_else(PoisonError::into_inner) = now;
            }
            // The checks `nats` and `streams` say so.
            Some(Ok(Err(error))) => debug!(%error, "cannot look at the streams"),
            Some(Err(_)) => debug!("cannot look at the streams in time"),
        }
    }
}

fn tell_queues(seen: &Seen) {
    let meter = meter();
    let told = Arc::clone(seen);
    let _ = meter
        .u64_observable_gauge("tidings_queue_messages")
        .with_description("Messages that wait or are worked on, by stream and pool")
        .with_callback(move |gauge| {
            with(&told, |backlog| {
                for (labels, queues) in by_labels(&backlog.queues) {
                    let messages = queues.iter().map(|queue| queue.messages).sum();
                    gauge.observe(messages, &labels);
                }
            });
        })
        .build();
    let told = Arc::clone(seen);
    let _ = meter
        .f64_observable_gauge("tidings_queue_oldest_age")
        .with_unit("s")
        .with_description("How long the oldest message of a queue has waited, 0 if none does")
        .with_callback(move |gauge| {
            let now = clock::now();
            with(&told, |backlog| {
                for (labels, queues) in by_labels(&backlog.queues) {
                    let oldest = queues.iter().filter_map(|queue| queue.oldest).min();
                    gauge.observe(age(oldest, now), &labels);
                }
            });
        })
        .build();
    let told = Arc::clone(seen);
    let _ = meter
        .u64_observable_gauge("tidings_retries_waiting")
        .with_description("Retries and put-off attempts that are not due yet")
        .with_callback(move |gauge| with(&told, |backlog| gauge.observe(backlog.later, &[])))
        .build();
}

fn tell_streams(seen: &Seen) {
    let meter = meter();
    for (name, text, value) in [
        (
            "tidings_stream_messages",
            "Messages that a stream holds",
            (|held| Some(held.messages)) as fn(&tidings_nats::queues::Held) -> Option<u64>,
        ),
        (
            "tidings_stream_bytes",
            "Bytes that a stream holds",
            |held| Some(held.bytes),
        ),
        (
            "tidings_stream_bytes_max",
            "Bytes that a stream may hold; absent without a limit of its own",
            |held| held.bytes_max,
        ),
    ] {
        let told = Arc::clone(seen);
        let _ = meter
            .u64_observable_gauge(name)
            .with_description(text)
            .with_callback(move |gauge| {
                with(&told, |backlog| observe_streams(backlog, value, gauge));
            })
            .build();
    }
    let told = Arc::clone(seen);
    let _ = meter
        .u64_observable_gauge("tidings_storage_bytes_max")
        .with_description("Bytes that all streams may hold together, as provisioned")
        .with_callback(move |gauge| {
            with(&told, |backlog| {
                gauge.observe(backlog.storage_bytes_max, &[]);
            });
        })
        .build();
}

fn observe_streams(
    backlog: &Backlog,
    value: fn(&tidings_nats::queues::Held) -> Option<u64>,
    gauge: &dyn AsyncInstrument<u64>,
) {
    for held in &backlog.streams {
        if let Some(value) = value(held) {
            gauge.observe(value, &[KeyValue::new("stream", held.stream)]);
        }
    }
}

fn with(seen: &Seen, tell: impl FnOnce(&Backlog)) {
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((backlog, at)) = &*seen
        && at.elapsed() < STALE_AFTER
    {
        tell(backlog);
    }
}

/// The queues by what they are told as: a bounded number, however many pools there are.
fn by_labels(queues: &[Queue]) -> Vec<([KeyValue; 2], Vec<&Queue>)> {
    let mut told: Vec<(&'static str, String, Vec<&Queue>)> = Vec::new();
    for queue in queues {
        let pools = told.iter().filter(|(stream, ..)| *stream == queue.stream);
        let pool = match &queue.pool {
            None => String::new(),
            Some(pool) if pools.count() < POOLS_MAX => pool.to_string(),
            Some(_) => String::from("other"),
        };
        let same =
            |(stream, known, _): &&mut (&str, String, _)| *stream == queue.stream && *known == pool;
        match told.iter_mut().find(same) {
            Some((.., queues)) => queues.push(queue),
            None => told.push((queue.stream, pool, vec![queue])),
        }
    }
    let labelled = told.into_iter().map(|(stream, pool, queues)| {
        let labels = [KeyValue::new("stream", stream), KeyValue::new("pool", pool)];
        (labels, queues)
    });
    labelled.collect()
}

/// In seconds. The broker's clock and ours may differ a little.
fn age(oldest: Option<Timestamp>, now: Timestamp) -> f64 {
    oldest.map_or(0.0, |oldest| {
        now.duration_since(oldest).as_secs_f64().max(0.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_beyond_a_number_are_told_together() {
        let queue = |number: usize| Queue {
            stream: "DELIVERIES",
            pool: format!("p{number}").parse().ok(),
            messages: 1,
            oldest: None,
        };
        let queues: Vec<Queue> = (0..POOLS_MAX + 10).map(queue).collect();
        let told = by_labels(&queues);
        assert_eq!(told.len(), POOLS_MAX + 1);
        let (labels, others) = &told[POOLS_MAX];
        assert_eq!(labels[1].value.as_str(), "other");
        assert_eq!(others.len(), 10);
    }

    #[test]
    fn an_age_is_never_negative() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let later = now.checked_add(Duration::from_secs(1)).unwrap();
        assert_eq!(age(Some(later), now), 0.0);
        assert_eq!(age(None, now), 0.0);
        assert_eq!(age(Some(now), later), 1.0);
    }
}
