//! How fast the index of webhooks is, and how large, beside the naive loop (docs/benchmarks.md).
//!
//! `cargo bench -p tidings-router --bench matching`; `-- --quick` leaves out the million.

#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]
#![expect(clippy::print_stdout, reason = "its figures go there")]

#[path = "matching/population.rs"]
mod population;
#[path = "matching/report.rs"]
mod report;

use std::hint::black_box;
use std::path::PathBuf;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion};
use tidings_core::event::Event;
use tidings_core::filter::Facts;
use tidings_core::matching::{Posting, Shared, Subscriber};
use tidings_core::partition::PARTITIONS_DEFAULT;
use tidings_core::webhook::Webhook;
use tidings_nats::table::Sink as _;
use tidings_router::index::Index;
use tokio::time::Instant;

use population::Population;
use report::Row;

const SIZES: [usize; 3] = [1_000, 100_000, 1_000_000];
/// How many changes take turns, each of another webhook.
const CHANGES: usize = 1_000;

fn main() {
    let is_quick = std::env::args().any(|argument| argument == "--quick");
    let sizes = &SIZES[..if is_quick { 2 } else { 3 }];
    let output = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("matching");
    let mut criterion = Criterion::default()
        .without_plots()
        .output_directory(&output)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(if is_quick { 1 } else { 5 }))
        .sample_size(if is_quick { 10 } else { 50 });
    let mut rows = Vec::new();
    // The largest first, whose memory is then measured in an empty process.
    for size in sizes.iter().rev() {
        rows.push(measure(&mut criterion, &output, *size));
    }
    rows.reverse();
    println!("\n{}", report::table(&rows));
}

fn measure(criterion: &mut Criterion, output: &std::path::Path, size: usize) -> Row {
    let population = Population::new(size);
    let mut row = Row::new(size);
    // Small indexes are loaded several times, so that their memory can be told from noise.
    let copies = (100_000 / size).max(1);
    let before = report::resident_bytes();
    let mut indexes = Vec::new();
    let mut loading = Duration::ZERO;
    for _ in 0..copies {
        let index = Index::default();
        for number in 0..size {
            let stored = population.stored(number);
            let begun = Instant::now();
            index.webhooks().put(&stored.key, &stored.value);
            loading += begun.elapsed();
        }
        indexes.push(index);
    }
    row.load = loading / u32::try_from(copies).unwrap();
    let grown = report::resident_bytes().saturating_sub(before);
    row.bytes_per_webhook = grown / (copies * size) as u64;
    let index = indexes.pop().unwrap();
    drop(indexes);
    assert_eq!(index.len(), size);

    let events = population.events();
    let snapshot = index.snapshot();
    let matched: usize = events
        .iter()
        .map(|event| snapshot.candidates(event).len())
        .sum();
    let counted = snapshot.candidates(&events[0]).len();
    drop(snapshot);
    row.matched = matched as f64 / events.len() as f64;
    let mut group = criterion.benchmark_group("match");
    let mut turn = events.iter().cycle();
    group.bench_function(BenchmarkId::new("index", size), |bench| {
        bench.iter(|| address_all(&index, black_box(turn.next().unwrap())));
    });
    let naive = naive(&population, size);
    assert_eq!(counted, naive_count(&naive, &events[0]));
    group.bench_function(BenchmarkId::new("naive", size), |bench| {
        bench.iter(|| naive_count(&naive, black_box(turn.next().unwrap())));
    });
    group.finish();
    drop(naive);

    let changes: Vec<_> = (0..CHANGES)
        .map(|turn| population.changed(turn * (size / CHANGES).max(1) % size, turn as u64 + 2))
        .collect();
    let mut turn = changes.iter().cycle();
    let mut group = criterion.benchmark_group("change");
    group.bench_function(BenchmarkId::new("index", size), |bench| {
        bench.iter(|| {
            let change = turn.next().unwrap();
            index.webhooks().put(&change.key, &change.value);
        });
    });
    group.finish();
    row.read_estimates(output);
    row
}

/// What a router needs to write the deliveries of an event: who gets it, the id of each, its pool
/// and its partition.
fn address_all(index: &Index, event: &Event) -> usize {
    let snapshot = index.snapshot();
    let webhooks = snapshot.candidates(event);
    let address = |webhook: &&Posting| {
        let partition = usize::from(webhook.slot.among(PARTITIONS_DEFAULT));
        webhook.id.as_str().len() + webhook.pool.as_str().len() + partition
    };
    webhooks.iter().map(address).sum()
}

/// All webhooks in one list, each of them asked.
fn naive(population: &Population, size: usize) -> Vec<Subscriber> {
    let mut shared = Shared::default();
    (0..size)
        .map(|number| {
            let webhook = Webhook::from_stored(&population.stored(number).value).unwrap();
            Subscriber::compile(&webhook, &mut shared).unwrap()
        })
        .collect()
}

fn naive_count(all: &[Subscriber], event: &Event) -> usize {
    let facts = Facts::new(event);
    all.iter().filter(|webhook| webhook.wants(&facts)).count()
}
