//! The whole pipeline beside its floor: rates, latency, CPU time and memory.
//!
//! In each round every cell is measured once, the floor of a setting just before ours, so that
//! whatever else the machine does hits both. Figures are medians over the rounds; a ratio is the
//! median of the rounds' own ratios.

mod table;

use std::fmt;
use std::time::Duration;

use clap::builder::RangedU64ValueParser;
use tidings_testkit::SyncInterval;
use tokio::time::Instant;

use crate::cell::{Cell, Latency, Measured};
use crate::load::Way;
use crate::machine;
use crate::stack::Ground;

/// A steady trickle, far below any limit: what an editor's work looks like.
const LATENCY_PER_S: u32 = 50;

const EVENTS_QUICK: u64 = 2_000;
const LATENCY_S_QUICK: u64 = 2;

/// Options of `pipeline`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct PipelineArgs {
    /// How often each cell is measured; the tables show medians.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = RangedU64ValueParser::<usize>::new().range(1..=100))]
    rounds: usize,
    /// Deliveries of a cell: so many events without fan-out, a tenth of them with a fan-out of 10.
    /// Half as many where the broker syncs every write.
    #[arg(long, value_name = "N", default_value_t = 60_000, value_parser = clap::value_parser!(u64).range(1_000..=10_000_000))]
    events: u64,
    /// Into how many deliveries an event is fanned out.
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "1,10,100", value_parser = clap::value_parser!(u64).range(1..=1_000))]
    fan_out: Vec<u64>,
    /// The broker's `sync_interval`.
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "default,always"
    )]
    sync: Vec<BrokerSync>,
    /// How long latency is measured at 50 events a second, in seconds; 0 leaves it out.
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(..=3_600))]
    latency_seconds: u64,
    /// A look whether everything runs, in seconds: one round, few events.
    #[arg(long)]
    quick: bool,
}

impl PipelineArgs {
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

/// The broker's `sync_interval`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum BrokerSync {
    /// Every two minutes.
    Default,
    /// Before every acknowledgement.
    Always,
}

impl BrokerSync {
    pub(crate) fn interval(self) -> SyncInterval {
        match self {
            Self::Default => SyncInterval::Default,
            Self::Always => SyncInterval::Always,
        }
    }
}

impl fmt::Display for BrokerSync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Default => "default",
            Self::Always => "always",
        })
    }
}

/// One setting, measured once a round: the floor, and ours in each way in.
#[derive(Debug)]
struct Setting {
    sync: BrokerSync,
    fan_out: u64,
    events: u64,
    /// The floor first.
    ways: Vec<Measurements>,
}

/// All rounds of one way in.
#[derive(Debug)]
struct Measurements {
    way: Way,
    rounds: Vec<Measured>,
}

/// All events of one way in at a steady rate.
#[derive(Debug)]
struct Latencies {
    sync: BrokerSync,
    way: Way,
    all: Vec<Latency>,
}

/// Measures, with progress on standard error and tables on standard output.
///
/// # Errors
/// A part did not start, ended, stalled or failed.
pub(crate) async fn run(args: PipelineArgs) -> anyhow::Result<()> {
    let args = args.settled();
    let machine = machine::describe()?;
    let begun = Instant::now();
    let mut settings = settings(&args);
    for round in 1..=args.rounds {
        for setting in &mut settings {
            setting.measure(round, args.rounds).await?;
        }
    }
    let latencies = latencies(&args).await?;
    let command: Vec<String> = std::env::args().skip(1).collect();
    println!("- command: `tidings-bench {}`", command.join(" ").trim());
    println!("- took: {} s", begun.elapsed().as_secs());
    println!("{machine}\n");
    println!("{}", table::rates(&settings));
    println!("{}", table::costs(&settings));
    println!("{}", table::latencies(&latencies, LATENCY_PER_S));
    Ok(())
}

fn settings(args: &PipelineArgs) -> Vec<Setting> {
    let mut all = Vec::new();
    for sync in &args.sync {
        for fan_out in &args.fan_out {
            all.push(Setting::new(args, *sync, *fan_out));
        }
    }
    all
}

impl Setting {
    fn new(args: &PipelineArgs, sync: BrokerSync, fan_out: u64) -> Self {
        let deliveries = match sync {
            BrokerSync::Default => args.events,
            BrokerSync::Always => args.events / 2,
        };
        let ways: &[Way] = match fan_out {
            1 => &[Way::Floor, Way::Batch, Way::Single, Way::Direct],
            _ => &[Way::Floor, Way::Batch],
        };
        let measurements = |way: &Way| Measurements {
            way: *way,
            rounds: Vec::new(),
        };
        Self {
            sync,
            fan_out,
            events: deliveries.div_ceil(fan_out),
            ways: ways.iter().map(measurements).collect(),
        }
    }

    async fn measure(&mut self, round: usize, rounds: usize) -> anyhow::Result<()> {
        let Self {
            sync,
            fan_out,
            events,
            ..
        } = *self;
        for measurements in &mut self.ways {
            let way = measurements.way;
            eprint!("round {round}/{rounds}, sync {sync}, fan-out {fan_out}, {way}: ");
            let cell = Cell {
                way,
                sync: sync.interval(),
                fan_out,
                events,
                ground: Ground::default(),
            };
            let measured = cell.measure().await.inspect_err(|_| eprintln!("failed"))?;
            eprintln!(
                "{:.0} deliveries/s in {:.1} s over {} connections",
                measured.deliveries_per_s(),
                measured.took.as_secs_f64(),
                measured.connections,
            );
            measurements.rounds.push(measured);
        }
        Ok(())
    }

    fn floor(&self) -> Option<&Measurements> {
        self.ways.iter().find(|ways| ways.way == Way::Floor)
    }

    fn ours(&self) -> impl Iterator<Item = &Measurements> {
        self.ways.iter().filter(|ways| ways.way != Way::Floor)
    }
}

async fn latencies(args: &PipelineArgs) -> anyhow::Result<Vec<Latencies>> {
    let mut all = Vec::new();
    let events = args.latency_seconds * u64::from(LATENCY_PER_S);
    if events == 0 {
        return Ok(all);
    }
    let length = Duration::from_secs(args.latency_seconds);
    for sync in &args.sync {
        for way in [Way::Floor, Way::Single] {
            eprintln!("latency, sync {sync}, {way}: {length:?} at {LATENCY_PER_S} events/s");
            let cell = Cell {
                way,
                sync: sync.interval(),
                fan_out: 1,
                events,
                ground: Ground::default(),
            };
            all.push(Latencies {
                sync: *sync,
                way,
                all: cell.latencies(LATENCY_PER_S).await?,
            });
        }
    }
    Ok(all)
}
