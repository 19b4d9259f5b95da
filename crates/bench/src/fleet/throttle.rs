//! How exactly a rate limit is kept, however many senders there are.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::json;
use tidings_nats::topology::{DELIVERIES, RETRIES};
use tokio::time::sleep;

use crate::farm::{Arrival, Behaviour, FarmArgs};
use crate::grounds::{Grounds, Wanted};
use crate::stats::median;

const WEBHOOKS: u32 = 32;
const LIMIT: u64 = 20;
/// So that no window of a second sees more than the limit and one.
const BURST: u64 = 1;
const KIND: &str = "limited";
const SECOND_NS: u64 = 1_000_000_000;
/// The beginning and the end are not looked at.
const EDGE_NS: u64 = 2 * SECOND_NS;
const DRAINED_WITHIN: Duration = Duration::from_secs(300);

/// Measures with 1 sender, with 4, and while 1 becomes 4.
///
/// # Errors
/// A part does not start, or stops.
pub(super) async fn measure(seconds: u64) -> anyhow::Result<String> {
    let mut table = format!(
        "{WEBHOOKS} webhooks with a limit of {LIMIT} a second (burst {BURST}), each with a backlog; \
         what the receivers saw:\n\n\
         | senders | requests/s, median | least | most | of the limit | most in a second | over \
         {} in a second |\n|---|--:|--:|--:|--:|--:|--:|\n",
        LIMIT + BURST
    );
    for (name, at_first, later) in [("1", 1, 0), ("4", 4, 0), ("1, then 4", 1, 3)] {
        eprintln!("throttle: {name} senders");
        let arrivals = watch(at_first, later, seconds).await?;
        table.push_str(&row(name, &arrivals, seconds));
    }
    Ok(table)
}

async fn watch(at_first: u32, later: u32, seconds: u64) -> anyhow::Result<Vec<Arrival>> {
    let farm = FarmArgs {
        hosts: WEBHOOKS,
        slow_ms: 0,
        hold: 0,
    };
    let mut grounds = Grounds::start(&farm).await?;
    let limit = json!({ "requests": LIMIT, "per": "1s", "burst": BURST });
    let wanted = |number| Wanted {
        number,
        path: Behaviour::Good.path(number),
        kind: KIND.to_owned(),
        delivery: json!({ "rateLimit": limit, "maxInFlight": 100 }),
    };
    grounds.store((0..WEBHOOKS).map(wanted)).await?;
    for _ in 0..at_first {
        grounds.add_sender(&[]).await?;
    }
    grounds.start_router().await?;
    grounds.publish(KIND, LIMIT * seconds).await?;
    sleep(Duration::from_secs(seconds / 2)).await;
    for _ in 0..later {
        grounds.add_sender(&[]).await?;
    }
    grounds.drained(DELIVERIES, 0, DRAINED_WITHIN).await?;
    grounds.drained(RETRIES, 0, DRAINED_WITHIN).await?;
    grounds.arrivals().await
}

fn row(name: &str, arrivals: &[Arrival], seconds: u64) -> String {
    let mut rates = Vec::new();
    let (mut most, mut over, mut windows) = (0, 0, 0);
    for number in 0..WEBHOOKS {
        let mut times: Vec<u64> = arrivals
            .iter()
            .filter(|arrival| arrival.number == number)
            .map(|arrival| arrival.at_ns)
            .collect();
        times.sort_unstable();
        let within = in_each_second(&times);
        most = within.iter().copied().max().unwrap_or(0).max(most);
        over += within
            .iter()
            .filter(|count| **count as u64 > LIMIT + BURST)
            .count();
        windows += within.len();
        rates.extend(rate(&times, seconds));
    }
    rates.sort_unstable_by(f64::total_cmp);
    let middle = median(rates.iter().copied());
    let (least, highest) = (
        rates.first().copied().unwrap_or(0.0),
        rates.last().copied().unwrap_or(0.0),
    );
    let mut row = String::new();
    let _ = writeln!(
        row,
        "| {name} | {middle:.2} | {least:.2} | {highest:.2} | {:.1}% | {most} | {:.2}% |",
        middle / LIMIT as f64 * 100.0,
        over as f64 / windows.max(1) as f64 * 100.0
    );
    row
}

/// How many came in the second that begins with each.
fn in_each_second(times: &[u64]) -> Vec<usize> {
    let count = |(first, from): (usize, &u64)| {
        let end = times.partition_point(|at| *at < from + SECOND_NS);
        end - first
    };
    times.iter().enumerate().map(count).collect()
}

/// The pace between the edges.
fn rate(times: &[u64], seconds: u64) -> Option<f64> {
    let from = times.first()? + EDGE_NS;
    let until = from + (seconds * SECOND_NS).checked_sub(2 * EDGE_NS)?;
    let count = times.partition_point(|at| *at < until) - times.partition_point(|at| *at < from);
    Some(count as f64 / Duration::from_nanos(until - from).as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_is_measured_between_the_edges() {
        let times: Vec<u64> = (0..200).map(|number| number * SECOND_NS / 20).collect();
        assert_eq!(rate(&times, 10), Some(20.0));
        assert_eq!(in_each_second(&times)[0], 20);
        assert_eq!(rate(&[], 10), None);
    }
}
