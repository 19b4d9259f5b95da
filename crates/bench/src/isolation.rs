//! What bad endpoints cost the good ones: 500 webhooks, each with an endpoint at a host of its own.
//!
//! First the 340 good ones alone, then all of them: 50 that never answer, 50 that fail, 50 that
//! answer one byte a second, and 10 with a backlog each that their rate limit works off slowly.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;
use tidings_nats::topology::DELIVERIES;

use crate::farm::{Arrival, Behaviour, FarmArgs};
use crate::grounds::{Grounds, Wanted, Window};
use crate::machine;
use crate::stats::{median, percentile};

const GOOD: u32 = 340;
const EACH_BAD: u32 = 50;
const FLOODED: u32 = 10;
const FLOOD_KIND: &str = "flood";
/// How much of the good ones' throughput may be lost, and how much longer their p99 may be.
const LOSS_MAX: f64 = 0.10;
const P99_RATIO_MAX: f64 = 1.5;
const WARM_UP: Duration = Duration::from_secs(3);
/// What was published last must have come.
const TAIL: Duration = Duration::from_secs(2);
const FLOODED_WITHIN: Duration = Duration::from_secs(300);

/// What isolation is measured with.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct IsolationArgs {
    /// Seconds instead of minutes: shows that everything runs.
    #[arg(long)]
    quick: bool,
    /// How often it is measured, each time from nothing.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// How long each part of a round takes.
    #[arg(long, default_value_t = 45)]
    seconds: u64,
    /// How many events a second each webhook gets.
    #[arg(long, default_value_t = 1.0)]
    per_second: f64,
    /// How many deliveries wait for each of the ten webhooks with a backlog.
    #[arg(long, default_value_t = 10_000)]
    backlog: u64,
    /// At how many a second for each that backlog comes in.
    #[arg(long, default_value_t = 250.0)]
    backlog_per_second: f64,
    /// Where every request that came in the last round is written to, as JSON, for a closer look.
    #[arg(long)]
    arrivals: Option<PathBuf>,
}

impl IsolationArgs {
    fn adjusted(mut self) -> Self {
        if self.quick {
            self.rounds = 1;
            self.seconds = 10;
            self.backlog = 500;
        }
        self
    }
}

/// What the good ones got.
#[derive(Debug, Clone)]
struct Seen {
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    lost: u64,
}

/// One round.
#[derive(Debug)]
struct Round {
    alone: Seen,
    while_flooded: Seen,
    together: Seen,
    bad_requests: [usize; 3],
    flooded_requests: usize,
}

/// One part of a round.
type Part = fn(&Round) -> &Seen;

/// Measures, and prints the table.
///
/// # Errors
/// A part does not start, or stops.
pub(crate) async fn run(args: IsolationArgs) -> anyhow::Result<()> {
    let args = args.adjusted();
    println!("{}\n", machine::describe()?);
    let mut rounds = Vec::new();
    for number in 1..=args.rounds {
        eprintln!("round {number} of {}", args.rounds);
        rounds.push(round(&args).await?);
    }
    println!("{}", table(&rounds));
    println!("{}", verdict(&rounds));
    Ok(())
}

async fn round(args: &IsolationArgs) -> anyhow::Result<Round> {
    let hosts = GOOD + 3 * EACH_BAD + FLOODED;
    let farm = FarmArgs {
        hosts,
        slow_ms: 0,
        hold: 0,
    };
    let mut grounds = Grounds::start(&farm).await?;
    grounds.store(webhooks()).await?;
    grounds.add_sender(&[]).await?;
    grounds.start_router().await?;
    let kinds = |numbers: std::ops::Range<u32>| numbers.map(kind).collect::<Vec<_>>();
    let (good, bad) = (kinds(0..GOOD), kinds(GOOD..GOOD + 3 * EACH_BAD));
    let during = Duration::from_secs(args.seconds);
    let rate = args.per_second;

    grounds.publish_steadily(&good, rate, WARM_UP).await?;
    let alone = grounds.publish_steadily(&good, rate, during).await?;
    tokio::time::sleep(TAIL).await;

    eprintln!("  the bad ones begin, and the backlog comes in");
    let flood_time = Duration::from_secs_f64(args.backlog as f64 / args.backlog_per_second);
    let flood = [FLOOD_KIND.to_owned()];
    let (while_flooded, _, _) = tokio::try_join!(
        grounds.publish_steadily(&good, rate, flood_time),
        grounds.publish_steadily(&bad, rate, flood_time),
        grounds.publish_steadily(&flood, args.backlog_per_second, flood_time),
    )?;
    let left = u64::from(GOOD);
    grounds.drained(DELIVERIES, left, FLOODED_WITHIN).await?;

    eprintln!("  all of them");
    let (together, _) = tokio::try_join!(
        grounds.publish_steadily(&good, rate, during),
        grounds.publish_steadily(&bad, rate, during),
    )?;
    tokio::time::sleep(TAIL).await;
    let arrivals = grounds.arrivals().await?;
    if let Some(file) = &args.arrivals {
        std::fs::write(file, serde_json::to_vec(&arrivals)?)
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    let is = |behaviour| move |arrival: &&Arrival| arrival.behaviour == behaviour;
    let bad = [Behaviour::Hang, Behaviour::Fail, Behaviour::Drip];
    Ok(Round {
        alone: seen(&arrivals, alone),
        while_flooded: seen(&arrivals, while_flooded),
        together: seen(&arrivals, together),
        bad_requests: bad.map(|behaviour| arrivals.iter().filter(is(behaviour)).count()),
        flooded_requests: arrivals
            .iter()
            .filter(|arrival| arrival.number >= GOOD + 3 * EACH_BAD)
            .count(),
    })
}

fn webhooks() -> Vec<Wanted> {
    let bad = [Behaviour::Hang, Behaviour::Fail, Behaviour::Drip];
    let usual = |number: u32, behaviour: Behaviour| Wanted {
        number,
        path: behaviour.path(number),
        kind: kind(number),
        delivery: json!({}),
    };
    let mut all: Vec<Wanted> = (0..GOOD)
        .map(|number| usual(number, Behaviour::Good))
        .collect();
    for (group, behaviour) in (0..).zip(bad) {
        let first = GOOD + group * EACH_BAD;
        all.extend((first..first + EACH_BAD).map(|number| usual(number, behaviour)));
    }
    let first = GOOD + 3 * EACH_BAD;
    all.extend((first..first + FLOODED).map(|number| Wanted {
        number,
        path: Behaviour::Good.path(number),
        kind: FLOOD_KIND.to_owned(),
        delivery: json!({ "rateLimit": { "requests": 10, "per": "1s", "burst": 10 } }),
    }));
    all
}

fn kind(number: u32) -> String {
    format!("kind-{number}")
}

fn seen(arrivals: &[Arrival], window: Window) -> Seen {
    let good = arrivals
        .iter()
        .filter(|arrival| arrival.number < GOOD && window.contains(arrival.published_ns));
    let mut latencies: Vec<i64> = good
        .clone()
        .map(|arrival| arrival.at_ns as i64 - arrival.published_ns as i64)
        .collect();
    latencies.sort_unstable();
    let ms = |percent| percentile(&latencies, percent).unwrap_or(0) as f64 / 1e6;
    let in_time = good
        .filter(|arrival| window.contains(arrival.at_ns))
        .count();
    Seen {
        per_second: in_time as f64 / window.seconds(),
        p50_ms: ms(50),
        p99_ms: ms(99),
        lost: window.published.saturating_sub(latencies.len() as u64),
    }
}

fn table(rounds: &[Round]) -> String {
    let mut table = String::from(
        "| the 340 good webhooks | deliveries/s | p50 ms | p99 ms | p99, each round | not there after 2 s |\n\
         |---|--:|--:|--:|---|--:|\n",
    );
    let rows: [(&str, Part); 3] = [
        ("alone", |round| &round.alone),
        ("while the backlog comes in", |round| &round.while_flooded),
        ("with the 160 bad ones", |round| &round.together),
    ];
    for (name, of) in rows {
        let middle = |value: fn(&Seen) -> f64| median(rounds.iter().map(|round| value(of(round))));
        let p99: Vec<String> = rounds
            .iter()
            .map(|round| format!("{:.2}", of(round).p99_ms))
            .collect();
        let lost: u64 = rounds.iter().map(|round| of(round).lost).sum();
        let _ = writeln!(
            table,
            "| {name} | {:.1} | {:.2} | {:.2} | {} | {lost} |",
            middle(|seen| seen.per_second),
            middle(|seen| seen.p50_ms),
            middle(|seen| seen.p99_ms),
            p99.join(" "),
        );
    }
    if let Some(last) = rounds.last() {
        let [hang, fail, drip] = last.bad_requests;
        let _ = writeln!(
            table,
            "\nIn the last round {hang} requests went to endpoints that never answer, {fail} to those \
             that fail, {drip} to those that drip, and {} were worked off the backlogs.",
            last.flooded_requests
        );
    }
    table
}

fn verdict(rounds: &[Round]) -> String {
    let loss = median(
        rounds
            .iter()
            .map(|round| 1.0 - round.together.per_second / round.alone.per_second),
    );
    let ratio = median(
        rounds
            .iter()
            .map(|round| round.together.p99_ms / round.alone.p99_ms),
    );
    let holds = |is_held| match is_held {
        true => "holds",
        false => "DOES NOT HOLD",
    };
    format!(
        "throughput lost: {:.1}% (at most {:.0}%): {}\np99: {ratio:.2} times (at most {P99_RATIO_MAX}): {}",
        loss * 100.0,
        LOSS_MAX * 100.0,
        holds(loss <= LOSS_MAX),
        holds(ratio <= P99_RATIO_MAX),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_five_hundred_webhooks_and_each_has_its_number() {
        let all = webhooks();
        assert_eq!(all.len(), 500);
        assert!(
            all.iter()
                .zip(0..)
                .all(|(wanted, number)| wanted.number == number)
        );
    }

    #[test]
    fn what_came_too_late_is_no_throughput_but_is_in_the_latency() {
        let window = Window {
            from_ns: 1_000_000_000,
            to_ns: 2_000_000_000,
            published: 3,
        };
        let arrival = |published_ns, at_ns| Arrival {
            behaviour: Behaviour::Good,
            number: 1,
            published_ns,
            at_ns,
        };
        let arrivals = [
            arrival(1_000_000_000, 1_001_000_000),
            arrival(1_900_000_000, 2_900_000_000),
            arrival(900_000_000, 1_500_000_000),
        ];
        let seen = seen(&arrivals, window);
        assert_eq!((seen.per_second, seen.p99_ms, seen.lost), (1.0, 1_000.0, 1));
    }
}
