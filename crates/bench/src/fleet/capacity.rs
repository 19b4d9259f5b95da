//! How many requests one sender has under way, how many webhooks it knows, and what memory that takes.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::ensure;
use serde_json::json;
use tidings_nats::topology::DELIVERIES;
use tokio::time::{Instant, sleep};

use crate::farm::{Behaviour, FarmArgs, Held};
use crate::grounds::{Grounds, Wanted};
use crate::stack::Role;

/// The webhooks that get something.
const CALLED: u32 = 200;
const KIND: &str = "held";
const HELD_WITHIN: Duration = Duration::from_secs(120);
const SETTLED_WITHIN: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(50);
const MEMORY_MIB_MAX: u64 = 512;
/// Longer than it takes until all are held on a slow machine.
const TIMEOUT: &str = "60s";

/// Measures, and tells.
///
/// # Errors
/// A part does not start, or stops.
pub(super) async fn measure(in_flight: u32, webhooks: u32) -> anyhow::Result<String> {
    eprintln!("capacity: {webhooks} webhooks, {in_flight} requests");
    let farm = FarmArgs {
        hosts: CALLED,
        slow_ms: 1_000,
        hold: in_flight.into(),
    };
    let mut grounds = Grounds::start(&farm).await?;
    let begun = Instant::now();
    grounds.store((0..webhooks.max(CALLED)).map(wanted)).await?;
    let stored = begun.elapsed();
    // Those that are not known to be quick leave some permits to others.
    let concurrency = in_flight + in_flight / 50 + 16;
    let options = [
        format!("--concurrency={concurrency}"),
        format!("--host-slots={}", in_flight / CALLED * 2 + 64),
    ];
    let ready = grounds.add_sender(&options).await?;
    let at_rest = peak_mib(&grounds, Role::Sender);
    grounds.start_router().await?;

    let events = u64::from(in_flight.div_ceil(CALLED));
    let begun = Instant::now();
    grounds.publish(KIND, events + events / 10).await?;
    let at_once = |held: Held| held.peak;
    let held_after = held(&mut grounds, at_once, in_flight.into(), begun).await?;
    let loaded = peak_mib(&grounds, Role::Sender);
    let in_all = |held: Held| held.all;
    let before = (events + events / 10) * u64::from(CALLED);
    held(&mut grounds, in_all, before, begun).await?;
    grounds.drained(DELIVERIES, 0, SETTLED_WITHIN).await?;

    // The same again, each answered after a second without regard to the others.
    let begun = Instant::now();
    let again = events * 3;
    grounds.publish(KIND, again).await?;
    let all = before + again * u64::from(CALLED);
    held(&mut grounds, in_all, all, begun).await?;
    grounds.drained(DELIVERIES, 0, SETTLED_WITHIN).await?;
    let per_second = (again * u64::from(CALLED)) as f64 / begun.elapsed().as_secs_f64();
    let at_the_end = peak_mib(&grounds, Role::Sender);
    let peak = grounds.held().await?.peak;

    Ok(tell(&Capacity {
        webhooks,
        stored,
        ready,
        held_after,
        peak,
        per_second,
        memory_mib: [at_rest, loaded, at_the_end],
        router_mib: peak_mib(&grounds, Role::Router),
    }))
}

/// What was measured.
struct Capacity {
    webhooks: u32,
    stored: Duration,
    ready: Duration,
    held_after: Duration,
    peak: u64,
    per_second: f64,
    /// At rest, with all requests under way, and at the end.
    memory_mib: [u64; 3],
    router_mib: u64,
}

fn tell(capacity: &Capacity) -> String {
    let Capacity {
        webhooks,
        stored,
        ready,
        held_after,
        peak,
        per_second,
        memory_mib: [at_rest, loaded, at_the_end],
        router_mib,
    } = capacity;
    let mut text = String::from("| one sender | |\n|---|--:|\n");
    for (what, value) in [
        ("webhooks known", webhooks.to_string()),
        (
            "stored in the bucket within",
            format!("{:.1} s", stored.as_secs_f64()),
        ),
        (
            "ready after its start",
            format!("{:.1} s", ready.as_secs_f64()),
        ),
        ("peak memory by then", format!("{at_rest} MiB")),
        ("requests under way at once", peak.to_string()),
        (
            "all of them after",
            format!("{:.1} s", held_after.as_secs_f64()),
        ),
        ("peak memory then", format!("{loaded} MiB")),
        (
            "deliveries/s to endpoints that answer after a second",
            format!("{per_second:.0}"),
        ),
        ("peak memory at the end", format!("{at_the_end} MiB")),
        ("the router's peak memory", format!("{router_mib} MiB")),
    ] {
        let _ = writeln!(text, "| {what} | {value} |");
    }
    let holds = match *at_the_end <= MEMORY_MIB_MAX {
        true => "holds",
        false => "DOES NOT HOLD",
    };
    let _ = writeln!(
        text,
        "\nmemory: {at_the_end} MiB (at most {MEMORY_MIB_MAX}): {holds}"
    );
    text
}

/// Waits until the endpoints have held so many requests, by what `counts` them.
async fn held(
    grounds: &mut Grounds,
    counts: fn(Held) -> u64,
    wanted: u64,
    begun: Instant,
) -> anyhow::Result<Duration> {
    loop {
        let count = counts(grounds.held().await?);
        if count >= wanted {
            return Ok(begun.elapsed());
        }
        ensure!(
            begun.elapsed() < HELD_WITHIN,
            "only {count} of {wanted} requests after {HELD_WITHIN:?}"
        );
        sleep(LOOK_EVERY).await;
    }
}

fn wanted(number: u32) -> Wanted {
    let kind = match number < CALLED {
        true => KIND.to_owned(),
        false => format!("never-{number}"),
    };
    Wanted {
        number,
        path: Behaviour::Slow.path(number),
        kind,
        delivery: json!({
            "rateLimit": { "requests": 100_000, "per": "1s" },
            "maxInFlight": 1_000,
            "timeout": TIMEOUT,
        }),
    }
}

fn peak_mib(grounds: &Grounds, role: Role) -> u64 {
    grounds
        .usage(role)
        .map_or(0, |usage| usage.rss_bytes_peak >> 20)
}
