//! The producer of a measurement: publishes numbered events, as fast as they are taken or at a
//! steady rate, and says when.

mod door;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::clock::now_ns;
use crate::load::door::Door;

/// What the load generator writes before its [`Loaded`] as JSON.
pub(crate) const RESULT: &str = "result ";

/// Events in one `POST /v1/events:batch`.
pub(crate) const BATCH_EVENTS: u64 = 100;

/// Producers at a steady rate: more than are ever busy, so that none is late for its turn.
const PACED_DOORS: u64 = 16;

/// How events are published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Way {
    /// `POST /v1/events:batch`.
    Batch,
    /// `POST /v1/events`.
    Single,
    /// JetStream, as a trusted producer.
    Direct,
    /// JetStream, bare payloads for the floor's loop.
    Floor,
}

impl Way {
    /// How many publish at once: HTTP connections, or messages that wait for their acknowledgement.
    fn doors(self) -> u64 {
        match self {
            Self::Batch => 8,
            Self::Single => 64,
            Self::Direct | Self::Floor => 1_000,
        }
    }

    fn events_at_once(self) -> u64 {
        match self {
            Self::Batch => BATCH_EVENTS,
            Self::Single | Self::Direct | Self::Floor => 1,
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Batch => "HTTP, batches of 100",
            Self::Single => "HTTP, single events",
            Self::Direct => "JetStream directly",
            Self::Floor => "floor",
        })
    }
}

/// What the load generator is told.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct LoadArgs {
    /// How events are published.
    #[arg(long, value_enum)]
    pub(crate) way: Way,
    /// Ingest's address, or NATS'.
    #[arg(long)]
    pub(crate) url: String,
    /// The bearer token for ingest.
    #[arg(long, default_value = "")]
    pub(crate) token: String,
    /// The first event's number.
    #[arg(long)]
    pub(crate) first: u64,
    /// How many events.
    #[arg(long)]
    pub(crate) events: u64,
    /// A steady rate instead of full speed.
    #[arg(long)]
    pub(crate) per_second: Option<u32>,
}

/// What was published, and when. Times are nanoseconds since 1970.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Loaded {
    /// Just before the first event was published.
    pub(crate) first_ns: u64,
    /// When the last event was accepted.
    pub(crate) last_ns: u64,
    /// How often an event had to be published again, because it was refused for the moment.
    pub(crate) retries: u64,
    /// Each event, if they were published at a steady rate.
    pub(crate) accepted: Vec<Accepted>,
}

/// One event at a steady rate.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Accepted {
    pub(crate) number: u64,
    pub(crate) sent_ns: u64,
    /// When the producer held the answer: ingest's 202, or the stream's acknowledgement.
    pub(crate) accepted_ns: u64,
}

/// Publishes, writes what was done to standard output, and stays until it is killed, so that its
/// usage can be read.
///
/// # Errors
/// An event was refused for good, or could not be published for too long.
pub(crate) async fn run(args: LoadArgs) -> anyhow::Result<()> {
    let loaded = match args.per_second {
        Some(per_second) => paced(&args, per_second).await,
        None => at_full_speed(&args).await,
    };
    println!("{RESULT}{}", serde_json::to_string(&loaded?)?);
    std::future::pending().await
}

async fn at_full_speed(args: &LoadArgs) -> anyhow::Result<Loaded> {
    let doors = Door::open_many(args, args.way.doors()).await?;
    let next = Arc::new(AtomicU64::new(args.first));
    let end = args.first + args.events;
    let step = args.way.events_at_once();
    let occurred_at = now()?;
    let first_ns = now_ns();
    let mut workers = JoinSet::new();
    for mut door in doors {
        let next = Arc::clone(&next);
        workers.spawn(async move {
            let mut retries = 0;
            loop {
                let start = next.fetch_add(step, Ordering::Relaxed);
                if start >= end {
                    return anyhow::Ok(retries);
                }
                let numbers = (start..end.min(start + step)).collect();
                retries += door.publish(numbers, occurred_at).await?;
            }
        });
    }
    let mut retries = 0;
    while let Some(worker) = workers.join_next().await {
        retries += worker??;
    }
    Ok(Loaded {
        first_ns,
        last_ns: now_ns(),
        retries,
        accepted: Vec::new(),
    })
}

/// Producers take turns, so that one that waits for its answer makes no other late.
async fn paced(args: &LoadArgs, per_second: u32) -> anyhow::Result<Loaded> {
    ensure!(per_second > 0, "--per-second must be at least 1");
    let doors = Door::open_many(args, PACED_DOORS).await?;
    let interval = Duration::from_secs(1) / per_second;
    let occurred_at = now()?;
    let (begun, first_ns) = (Instant::now(), now_ns());
    let mut producers = JoinSet::new();
    for (turn, mut door) in (0_u32..).zip(doors) {
        let turns = (turn..u32::try_from(args.events)?).step_by(usize::try_from(PACED_DOORS)?);
        let first = args.first;
        producers.spawn(async move {
            let mut accepted = Vec::new();
            let mut retries = 0;
            for turn in turns {
                sleep_until(begun + interval * turn).await;
                let number = first + u64::from(turn);
                let sent_ns = now_ns();
                retries += door.publish(vec![number], occurred_at).await?;
                accepted.push(Accepted {
                    number,
                    sent_ns,
                    accepted_ns: now_ns(),
                });
            }
            anyhow::Ok((accepted, retries))
        });
    }
    let mut loaded = Loaded {
        first_ns,
        last_ns: first_ns,
        retries: 0,
        accepted: Vec::new(),
    };
    while let Some(producer) = producers.join_next().await {
        let (accepted, retries) = producer??;
        loaded.accepted.extend(accepted);
        loaded.retries += retries;
    }
    loaded.last_ns = now_ns();
    Ok(loaded)
}

fn now() -> anyhow::Result<Timestamp> {
    let seconds = i64::try_from(now_ns() / 1_000_000_000)?;
    Timestamp::from_second(seconds).context("the time now is a timestamp")
}
