//! The figures, as a table.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

/// The aims: what an event may cost at the most, and what for each webhook that gets it.
const EVENT_NS_MAX: f64 = 5_000.0;
const MATCH_NS_MAX: f64 = 100.0;

/// What was measured with so many webhooks. Times in nanoseconds, medians.
#[derive(Debug)]
pub(crate) struct Row {
    size: usize,
    /// How many webhooks get an event, on average.
    pub(crate) matched: f64,
    index_ns: f64,
    naive_ns: f64,
    change_ns: f64,
    pub(crate) load: Duration,
    pub(crate) bytes_per_webhook: u64,
}

impl Row {
    pub(crate) fn new(size: usize) -> Self {
        Self {
            size,
            matched: 0.0,
            index_ns: 0.0,
            naive_ns: 0.0,
            change_ns: 0.0,
            load: Duration::ZERO,
            bytes_per_webhook: 0,
        }
    }

    /// Takes the medians that criterion has written.
    pub(crate) fn read_estimates(&mut self, output: &Path) {
        let median = |group: &str, function: &str| {
            let size = self.size.to_string();
            let path = output.join(group).join(function).join(size);
            let text = std::fs::read(path.join("new/estimates.json")).expect("criterion wrote it");
            let estimates: Value = serde_json::from_slice(&text).expect("it is JSON");
            estimates["median"]["point_estimate"]
                .as_f64()
                .expect("it is a number")
        };
        self.index_ns = median("match", "index");
        self.naive_ns = median("match", "naive");
        self.change_ns = median("change", "index");
    }
}

/// Markdown.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| Webhooks | match one event | aim | webhooks that get it | naive loop | apply one change \
         | load all | memory per webhook |\n|--:|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    for row in rows {
        writeln!(
            text,
            "| {} | {} | {} | {:.1} | {} | {} | {:.2?} | {} B |",
            row.size,
            time(row.index_ns),
            time(EVENT_NS_MAX + MATCH_NS_MAX * row.matched),
            row.matched,
            time(row.naive_ns),
            time(row.change_ns),
            row.load,
            row.bytes_per_webhook,
        )
        .expect("a String takes everything");
    }
    text
}

fn time(nanoseconds: f64) -> String {
    match nanoseconds {
        ns if ns < 1e6 => format!("{:.2} µs", ns / 1e3),
        ns => format!("{:.2} ms", ns / 1e6),
    }
}

/// The memory of this process that is in RAM.
pub(crate) fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    kib.unwrap_or_default() * 1_024
}
