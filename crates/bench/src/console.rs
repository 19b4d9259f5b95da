//! The console's delivery log: how fast it takes attempts in, how large its file becomes, and how
//! long a page takes with many of them.

use std::path::PathBuf;

use anyhow::Context as _;
use jiff::Timestamp;
use tidings_console::log::{
    Batch, Cursor, DeliveryFilter, Entry, EventFilter, Log, LogOptions, Status,
};
use tidings_proto::{timestamp_to_wire, v1};
use tokio::time::Instant;

/// As many as the log reads from its stream at once.
const BATCH: u64 = 256;
/// How often each page is asked for.
const ROUNDS: u32 = 200;
const SPACES: u64 = 20;
const WEBHOOKS: u64 = 25;
/// Attempts are spread over so many days, the newest at this time.
const DAYS: u64 = 7;
const NEWEST_AT: i64 = 1_760_000_000;

/// Measures the console's delivery log.
#[derive(Debug, clap::Args)]
pub(crate) struct ConsoleArgs {
    /// How many attempts the log holds.
    #[arg(long, value_name = "COUNT", default_value_t = 10_000_000)]
    attempts: u64,
    /// A smoke run with 100,000 attempts.
    #[arg(long)]
    quick: bool,
    /// Folder for the file; a temporary one if left out.
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// Measures and prints.
///
/// # Errors
/// The log does not work.
pub(crate) async fn run(args: ConsoleArgs) -> anyhow::Result<()> {
    let attempts = if args.quick { 100_000 } else { args.attempts };
    let temporary = match &args.folder {
        Some(folder) => tempfile::TempDir::new_in(folder),
        None => tempfile::TempDir::new(),
    };
    let temporary = temporary.context("--folder")?;
    let path = temporary.path().join("log.db");
    let log = Log::open(LogOptions::at(&path)).await?;
    let begun = Instant::now();
    fill(&log, attempts).await?;
    let seconds = begun.elapsed().as_secs_f64();
    let file = |suffix: &str| {
        let name = format!("{}{suffix}", path.display());
        std::fs::metadata(name).map_or(0, |file| file.len())
    };
    let bytes = file("") + file("-wal");
    say(&format!(
        "attempts {attempts}, indexed in {seconds:.0} s: {:.0}/s; file {} MiB, {} bytes an attempt",
        attempts as f64 / seconds,
        bytes >> 20,
        bytes / attempts.max(1)
    ));
    say("page of 50                                    p50 ms   p99 ms   max ms");
    for (name, filter) in filters() {
        measure_deliveries(&log, name, &filter).await?;
    }
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        log.events("space_3", EventFilter::default(), None, 50)
            .await?;
        times.push(begun.elapsed().as_secs_f64());
    }
    print_times("events of a space", times);
    let to = NEWEST_AT * 1_000_000;
    let from = to - 24 * 60 * 60 * 1_000_000;
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        log.health("space_3", "wh_3_7", from, to).await?;
        times.push(begun.elapsed().as_secs_f64());
    }
    print_times("health of a webhook over a day", times);
    Ok(())
}

async fn fill(log: &Log, attempts: u64) -> anyhow::Result<()> {
    let mut after = 0;
    while after < attempts {
        let upto = (after + BATCH).min(attempts);
        let entries = (after..upto)
            .map(|number| attempt(number, attempts))
            .collect();
        let batch = Batch {
            stream: String::from("ATTEMPTS"),
            after,
            upto,
            entries,
        };
        anyhow::ensure!(log.store(batch).await?, "the log is at another place");
        after = upto;
    }
    Ok(())
}

/// Of ten attempts nine are delivered at once, one fails and is retried.
fn attempt(number: u64, attempts: u64) -> Entry {
    let space = number % SPACES;
    let webhook = (number / SPACES) % WEBHOOKS;
    let span = DAYS * 24 * 60 * 60 * 1_000_000;
    let ago = span / attempts.max(1) * (attempts - number);
    let micros = NEWEST_AT * 1_000_000 - i64::try_from(ago).unwrap_or(0);
    let at = Timestamp::from_microsecond(micros).unwrap_or(Timestamp::UNIX_EPOCH);
    let is_failed = number % 10 == 7;
    let header = |name: &str, value: &str| v1::Header {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    let id = format!("dlv_{:026}", number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    Entry::Attempt(Box::new(v1::Attempt {
        webhook_id: format!("wh_{space}_{webhook}"),
        space: format!("space_{space}"),
        environment: String::from("master"),
        event_id: format!("evt_{number:026}"),
        event_sequence: number,
        topic: ["Entry.publish", "Asset.delete", "Entry.unpublish"][(number % 3) as usize].into(),
        number: 1,
        started_at: Some(timestamp_to_wire(at)),
        outcome: if is_failed { "http_500" } else { "delivered" }.into(),
        verdict: if is_failed { "retry" } else { "delivered" }.into(),
        request: Some(v1::Request {
            method: String::from("POST"),
            url: String::from("https://build.example.com/hooks/1"),
            headers: vec![
                header("content-type", "application/json"),
                header("webhook-id", &id),
                header("webhook-timestamp", "1760000000"),
                header("user-agent", "Tidings/0.1.0"),
            ],
            body_bytes: 1_024,
        }),
        response: Some(v1::Response {
            status: if is_failed { 500 } else { 204 },
            headers: vec![header("date", "Thu, 09 Oct 2025 08:53:20 GMT")],
            ..v1::Response::default()
        }),
        timings: Some(v1::Timings {
            total_us: 1_000 + number % 90_000,
            ..v1::Timings::default()
        }),
        remote_address: String::from("203.0.113.7:443"),
        sender: String::from("sender-1"),
        http_version: String::from("HTTP/2.0"),
        delivery_id: id,
        ..v1::Attempt::default()
    }))
}

fn filters() -> Vec<(&'static str, DeliveryFilter)> {
    let all = DeliveryFilter::default;
    let webhook = || Some(String::from("wh_3_7"));
    let status = Some(Status::Retrying);
    let middle = NEWEST_AT * 1_000_000 - 3 * 24 * 60 * 60 * 1_000_000;
    vec![
        ("deliveries of a space", all()),
        (
            "deliveries of a webhook",
            DeliveryFilter {
                webhook: webhook(),
                ..all()
            },
        ),
        (
            "retrying ones of a space",
            DeliveryFilter { status, ..all() },
        ),
        (
            "retrying ones of a webhook",
            DeliveryFilter {
                webhook: webhook(),
                status,
                ..all()
            },
        ),
        (
            "ones of a topic",
            DeliveryFilter {
                topic: Some(String::from("Asset.delete")),
                ..all()
            },
        ),
        (
            "ones of an event",
            DeliveryFilter {
                event: Some(format!("evt_{:026}", 63)),
                ..all()
            },
        ),
        (
            "ones of a webhook before three days ago",
            DeliveryFilter {
                webhook: webhook(),
                to: Some(middle),
                ..all()
            },
        ),
    ]
}

async fn measure_deliveries(log: &Log, name: &str, filter: &DeliveryFilter) -> anyhow::Result<()> {
    let (mut times, mut cursor): (Vec<f64>, Option<Cursor>) = (Vec::new(), None);
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let page = log
            .deliveries("space_3", filter.clone(), cursor.take(), 50)
            .await?;
        times.push(begun.elapsed().as_secs_f64());
        cursor = page.next;
    }
    print_times(name, times);
    Ok(())
}

fn print_times(name: &str, mut times: Vec<f64>) {
    times.sort_by(f64::total_cmp);
    let at = |percent: usize| times[(times.len() - 1) * percent / 100] * 1_000.0;
    say(&format!(
        "{name:<44} {:>8.2} {:>8.2} {:>8.2}",
        at(50),
        at(99),
        at(100)
    ));
}

#[expect(clippy::print_stdout, reason = "it is what a person asked for")]
fn say(line: &str) {
    println!("{line}");
}
