//! What something costs that can be left out: telemetry, or replicas of the streams.
//!
//! In each round every variant is measured once, one right after the other, so that whatever else
//! the machine does hits all. The first variant does without; a ratio is the median of the rounds'
//! own ratios to it.

use std::fmt::Write as _;
use std::time::Duration;

use clap::builder::RangedU64ValueParser;

use crate::cell::{Cell, Latency, Measured};
use crate::load::Way;
use crate::machine;
use crate::pipeline::BrokerSync;
use crate::stack::{Ground, Role};
use crate::stats::{median, percentile};

const LATENCY_PER_S: u32 = 50;
const EVENTS_QUICK: u64 = 1_000;
const LATENCY_S_QUICK: u64 = 2;

/// Options of `compare`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct CompareArgs {
    /// What is compared.
    #[arg(value_enum, value_name = "WHAT")]
    what: What,
    /// How often each variant is measured; the tables show medians.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = RangedU64ValueParser::<usize>::new().range(1..=100))]
    rounds: usize,
    /// Deliveries of a variant in a round; half as many where the broker syncs every write.
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1_000..=10_000_000))]
    events: u64,
    /// Into how many deliveries an event is fanned out.
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "1,10", value_parser = clap::value_parser!(u64).range(1..=1_000))]
    fan_out: Vec<u64>,
    /// The broker's `sync_interval`.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "default")]
    sync: Vec<BrokerSync>,
    /// How long latency is measured at 50 events a second, in seconds; 0 leaves it out.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(..=3_600))]
    latency_seconds: u64,
    /// A look whether everything runs, in seconds: one round, few events.
    #[arg(long)]
    quick: bool,
}

/// What can be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum What {
    /// Nothing, a tenth of all traces, and all of them to a collector on loopback, with metrics.
    Telemetry,
    /// One node; a cluster of three with one replica of each stream, and with three.
    Replicas,
}

impl What {
    /// The first does without.
    fn variants(self) -> [(&'static str, Ground); 3] {
        let ground = Ground::default();
        let traced = |part| Ground {
            traced: Some(part),
            ..ground
        };
        let cluster = |replicas| Ground {
            nodes: 3,
            replicas,
            ..ground
        };
        match self {
            Self::Telemetry => [
                ("no collector", ground),
                ("a tenth of all traces", traced(0.1)),
                ("all traces", traced(1.0)),
            ],
            Self::Replicas => [
                ("one node", ground),
                ("three nodes, one replica", cluster(1)),
                ("three nodes, three replicas", cluster(3)),
            ],
        }
    }
}

impl CompareArgs {
    fn settled(self) -> Self {
        if !self.quick {
            return self;
        }
        Self {
            rounds: 1,
            events: self.events.min(EVENTS_QUICK),
            latency_seconds: self.latency_seconds.min(LATENCY_S_QUICK),
            ..self
        }
    }
}

/// All rounds of one variant.
#[derive(Debug)]
struct Variant {
    name: &'static str,
    ground: Ground,
    rounds: Vec<Measured>,
    latencies: Vec<Latency>,
}

/// Measures, with progress on standard error and tables on standard output.
///
/// # Errors
/// A part did not start, ended, stalled or failed.
pub(crate) async fn run(args: CompareArgs) -> anyhow::Result<()> {
    let args = args.settled();
    let command: Vec<String> = std::env::args().skip(1).collect();
    println!("- command: `tidings-bench {}`", command.join(" "));
    println!("{}\n", machine::describe()?);
    for sync in &args.sync {
        for fan_out in &args.fan_out {
            let variants = measure(&args, *sync, *fan_out).await?;
            println!("`sync_interval` {sync}, fan-out {fan_out}:\n");
            println!("{}", table(&variants));
        }
    }
    Ok(())
}

async fn measure(
    args: &CompareArgs,
    sync: BrokerSync,
    fan_out: u64,
) -> anyhow::Result<Vec<Variant>> {
    let deliveries = match sync {
        BrokerSync::Default => args.events,
        BrokerSync::Always => args.events / 2,
    };
    let cell = |ground| Cell {
        way: Way::Batch,
        sync: sync.interval(),
        fan_out,
        events: deliveries.div_ceil(fan_out),
        ground,
    };
    let variant = |(name, ground)| Variant {
        name,
        ground,
        rounds: Vec::new(),
        latencies: Vec::new(),
    };
    let mut variants: Vec<Variant> = args.what.variants().map(variant).into();
    for round in 1..=args.rounds {
        for variant in &mut variants {
            let Variant { name, ground, .. } = *variant;
            eprint!(
                "round {round}/{}, sync {sync}, fan-out {fan_out}, {name}: ",
                args.rounds
            );
            let measured = cell(ground).measure().await;
            let measured = measured.inspect_err(|_| eprintln!("failed"))?;
            eprintln!("{:.0} deliveries/s", measured.deliveries_per_s());
            variant.rounds.push(measured);
        }
    }
    if fan_out == 1 && args.latency_seconds > 0 {
        for variant in &mut variants {
            let length = Duration::from_secs(args.latency_seconds);
            eprintln!(
                "latency, sync {sync}, {}: {length:?} at {LATENCY_PER_S} events/s",
                variant.name
            );
            let cell = Cell {
                way: Way::Single,
                events: args.latency_seconds * u64::from(LATENCY_PER_S),
                ..cell(variant.ground)
            };
            variant.latencies = cell.latencies(LATENCY_PER_S).await?;
        }
    }
    Ok(variants)
}

fn table(variants: &[Variant]) -> String {
    let mut table = String::from(
        "| | deliveries/s | ratio | CPU s per 1,000: ingest | router | sender | nats-server | peak MiB, all | 202 to receiver: median ms | p99 ms |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    let first: Vec<f64> = variants
        .first()
        .map(|first| {
            first
                .rounds
                .iter()
                .map(Measured::deliveries_per_s)
                .collect()
        })
        .unwrap_or_default();
    for variant in variants {
        let Variant { name, rounds, .. } = variant;
        let rate = median(rounds.iter().map(Measured::deliveries_per_s));
        let ratios = rounds.iter().zip(&first);
        let ratio = median(ratios.map(|(round, first)| round.deliveries_per_s() / first)) * 100.0;
        let cpu = [Role::Ingest, Role::Router, Role::Sender, Role::NatsServer]
            .map(|role| format!("{:.3}", median(costs(rounds, role, |cost| cost.cpu_s))))
            .join(" | ");
        let memory: f64 = [Role::Ingest, Role::Router, Role::Sender, Role::NatsServer]
            .map(|role| median(costs(rounds, role, |cost| cost.rss_mib)))
            .iter()
            .sum();
        let [middle, slowest] = [50, 99].map(|percent| latency_ms(&variant.latencies, percent));
        // Writing to a string cannot fail.
        let _ = writeln!(
            table,
            "| {name} | {rate:.0} | {ratio:.0}% | {cpu} | {memory:.0} | {middle} | {slowest} |"
        );
    }
    table
}

fn costs(
    rounds: &[Measured],
    role: Role,
    part: fn(&crate::cell::Cost) -> f64,
) -> impl Iterator<Item = f64> {
    rounds
        .iter()
        .filter_map(move |round| round.costs.get(&role).map(part))
}

fn latency_ms(latencies: &[Latency], percent: usize) -> String {
    let mut all: Vec<i64> = latencies.iter().map(|one| one.from_accepted_ns).collect();
    all.sort_unstable();
    match percentile(&all, percent) {
        Some(ns) => format!("{:.1}", ns as f64 / 1e6),
        None => String::from("-"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn each_round_is_held_against_its_own_neighbour() {
        let round = |seconds| Measured {
            took: Duration::from_secs(seconds),
            events: 1_000,
            deliveries: 1_000,
            duplicates: 0,
            retries: 0,
            connections: 1,
            costs: BTreeMap::new(),
        };
        let variant = |name, seconds: [u64; 3]| Variant {
            name,
            ground: Ground::default(),
            rounds: seconds.map(round).into(),
            latencies: Vec::new(),
        };
        // The machine became slower from round to round.
        let table = table(&[variant("without", [1, 2, 4]), variant("with", [2, 4, 8])]);
        assert!(table.contains("| without | 500 | 100% |"), "{table}");
        assert!(table.contains("| with | 250 | 50% |"), "{table}");
    }
}
