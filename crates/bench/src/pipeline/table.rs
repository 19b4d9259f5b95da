//! The tables, in Markdown.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Latencies, Measurements, Setting};
use crate::cell::{Cost, Latency, Measured};
use crate::load::Way;
use crate::stack::Role;
use crate::stats::{median, percentile};

/// Connections that serve fewer deliveries than this are hardly kept.
const KEPT_CONNECTION_USES: u64 = 10;

/// Rates of ours beside the floor's.
pub(super) fn rates(settings: &[Setting]) -> String {
    let mut table = String::from(
        "| sync_interval | fan-out | events | published by | events/s | deliveries/s | floor: deliveries/s | ratio | rounds |\n\
         |---|--:|--:|---|--:|--:|--:|--:|---|\n",
    );
    for setting in settings {
        let floor = setting.floor();
        for ours in setting.ours() {
            table.push_str(&rate_row(setting, ours, floor));
        }
    }
    let remarks = remarks(settings);
    if !remarks.is_empty() {
        table.push('\n');
        table.push_str(&remarks);
    }
    table
}

fn rate_row(setting: &Setting, ours: &Measurements, floor: Option<&Measurements>) -> String {
    let Setting {
        sync,
        fan_out,
        events,
        ..
    } = setting;
    let way = ours.way;
    let floor_rounds = floor.map_or(&[][..], |floor| &floor.rounds);
    let events_per_s = median(ours.rounds.iter().map(Measured::events_per_s));
    let deliveries_per_s = median(ours.rounds.iter().map(Measured::deliveries_per_s));
    let floor_per_s = median(floor_rounds.iter().map(Measured::deliveries_per_s));
    let ratio = median(ratios(&ours.rounds, floor_rounds)) * 100.0;
    let rounds: Vec<String> = ratios(&ours.rounds, floor_rounds)
        .map(|ratio| format!("{:.0}%", ratio * 100.0))
        .collect();
    let rounds = rounds.join(" ");
    format!(
        "| {sync} | {fan_out} | {events} | {way} | {events_per_s:.0} | {deliveries_per_s:.0} | {floor_per_s:.0} | {ratio:.0}% | {rounds} |\n"
    )
}

fn ratios(ours: &[Measured], floor: &[Measured]) -> impl Iterator<Item = f64> {
    ours.iter()
        .zip(floor)
        .map(|(ours, floor)| ours.deliveries_per_s() / floor.deliveries_per_s())
}

/// What would make a reader doubt a row.
fn remarks(settings: &[Setting]) -> String {
    let mut text = String::new();
    for setting in settings {
        for Measurements { way, rounds } in &setting.ways {
            let Setting { sync, fan_out, .. } = setting;
            for doubt in doubts(rounds) {
                // Writing to a string cannot fail.
                let _ = writeln!(text, "- sync {sync}, fan-out {fan_out}, {way}: {doubt}");
            }
        }
    }
    text
}

/// Sums over the rounds of one way in.
fn doubts(rounds: &[Measured]) -> impl Iterator<Item = String> {
    let sum = |part: fn(&Measured) -> u64| rounds.iter().map(part).sum::<u64>();
    let deliveries = sum(|measured| measured.deliveries);
    let duplicates = sum(|measured| measured.duplicates);
    let retries = sum(|measured| measured.retries);
    let connections = sum(|measured| measured.connections);
    let is_kept = connections * KEPT_CONNECTION_USES < deliveries;
    [
        (duplicates > 0).then(|| format!("{duplicates} requests more than deliveries")),
        (retries > 0).then(|| format!("{retries} events published again after a refusal")),
        (!is_kept).then(|| format!("{connections} connections for {deliveries} deliveries")),
    ]
    .into_iter()
    .flatten()
}

/// CPU time and memory of each process, ours with batches over HTTP beside the floor.
pub(super) fn costs(settings: &[Setting]) -> String {
    let mut table = String::from(
        "| sync_interval | fan-out | process | CPU s per 1,000 deliveries | peak MiB | floor: CPU s | floor: peak MiB |\n\
         |---|--:|---|--:|--:|--:|--:|\n",
    );
    for setting in settings {
        let Setting { sync, fan_out, .. } = setting;
        let ours = setting.ours().find(|ours| ours.way == Way::Batch);
        let ours = ours.map(costs_of).unwrap_or_default();
        let floor = setting.floor().map(costs_of).unwrap_or_default();
        for (name, ours, floor) in cost_rows(&ours, &floor) {
            let (ours, floor) = (shown(ours), shown(floor));
            // Writing to a string cannot fail.
            let _ = writeln!(table, "| {sync} | {fan_out} | {name} | {ours} | {floor} |");
        }
    }
    table
}

fn cost_rows(
    ours: &BTreeMap<Role, Cost>,
    floor: &BTreeMap<Role, Cost>,
) -> Vec<(String, Option<Cost>, Option<Cost>)> {
    // The floor's producer does what ingest does: it stores events.
    let in_floor = |role: Role| match role {
        Role::Ingest => floor.get(&Role::Producer).copied(),
        Role::Producer => None,
        _ => floor.get(&role).copied(),
    };
    let product = [Role::Ingest, Role::Router, Role::Sender, Role::NatsServer];
    let mut rows: Vec<_> = product
        .iter()
        .map(|role| (role.to_string(), ours.get(role).copied(), in_floor(*role)))
        .collect();
    let all_ours = product.iter().filter_map(|role| ours.get(role).copied());
    let all_floor = product.iter().filter_map(|role| in_floor(*role));
    rows.push((
        String::from("**these together**"),
        sum(all_ours),
        sum(all_floor),
    ));
    for role in [Role::Producer, Role::Sink] {
        rows.push((role.to_string(), ours.get(&role).copied(), in_floor(role)));
    }
    rows
}

fn sum(costs: impl Iterator<Item = Cost>) -> Option<Cost> {
    costs.reduce(|one, other| Cost {
        cpu_s: one.cpu_s + other.cpu_s,
        rss_mib: one.rss_mib + other.rss_mib,
    })
}

fn shown(cost: Option<Cost>) -> String {
    cost.map_or_else(
        || String::from("– | –"),
        |Cost { cpu_s, rss_mib }| format!("{cpu_s:.3} | {rss_mib:.0}"),
    )
}

fn costs_of(measurements: &Measurements) -> BTreeMap<Role, Cost> {
    let rounds = &measurements.rounds;
    let roles = rounds.iter().flat_map(|measured| measured.costs.keys());
    let of = |role: &Role, part: fn(&Cost) -> f64| {
        median(
            rounds
                .iter()
                .filter_map(|measured| measured.costs.get(role).map(part)),
        )
    };
    roles
        .map(|role| {
            let cpu_s = of(role, |cost| cost.cpu_s);
            (
                *role,
                Cost {
                    cpu_s,
                    rss_mib: of(role, |cost| cost.rss_mib),
                },
            )
        })
        .collect()
}

/// Latency at a steady rate, in milliseconds.
pub(super) fn latencies(all: &[Latencies], per_second: u32) -> String {
    if all.is_empty() {
        return String::new();
    }
    let mut table = format!(
        "Latency at {per_second} events/s in ms, from the producer's answer (202, or PubAck) to the receiver, and from its request\n\n\
         | sync_interval | published by | events | p50 | p90 | p99 | max | from request: p50 | p99 |\n\
         |---|---|--:|--:|--:|--:|--:|--:|--:|\n"
    );
    for Latencies { sync, way, all } in all {
        let accepted = sorted(all, |latency| latency.from_accepted_ns);
        let sent = sorted(all, |latency| latency.from_sent_ns);
        let ms = |values: &[i64], percent| {
            percentile(values, percent)
                .map_or_else(String::new, |ns| format!("{:.2}", ns as f64 / 1_000_000.0))
        };
        let cells = [
            ms(&accepted, 50),
            ms(&accepted, 90),
            ms(&accepted, 99),
            ms(&accepted, 100),
            ms(&sent, 50),
            ms(&sent, 99),
        ];
        let cells = cells.join(" | ");
        // Writing to a string cannot fail.
        let _ = writeln!(table, "| {sync} | {way} | {} | {cells} |", all.len());
    }
    table
}

fn sorted(all: &[Latency], part: fn(&Latency) -> i64) -> Vec<i64> {
    let mut values: Vec<i64> = all.iter().map(part).collect();
    values.sort_unstable();
    values
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::BrokerSync;
    use super::*;

    fn measured(ms: u64, cost: Cost) -> Measured {
        Measured {
            took: Duration::from_millis(ms),
            events: 100,
            deliveries: 1_000,
            duplicates: 0,
            retries: 0,
            connections: 1,
            costs: BTreeMap::from([(Role::Router, cost), (Role::Producer, cost)]),
        }
    }

    fn setting() -> Setting {
        let cost = |cpu_s| Cost {
            cpu_s,
            rss_mib: 10.0,
        };
        Setting {
            sync: BrokerSync::Always,
            fan_out: 10,
            events: 100,
            ways: vec![
                Measurements {
                    way: Way::Floor,
                    rounds: vec![measured(100, cost(0.1)), measured(200, cost(0.1))],
                },
                Measurements {
                    way: Way::Batch,
                    rounds: vec![measured(200, cost(0.2)), measured(250, cost(0.4))],
                },
            ],
        }
    }

    #[test]
    fn a_ratio_compares_the_runs_of_one_round() {
        let row =
            "| always | 10 | 100 | HTTP, batches of 100 | 450 | 4500 | 7500 | 65% | 50% 80% |";
        let table = rates(&[setting()]);
        assert_eq!(table.lines().last(), Some(row));
    }

    #[test]
    fn what_makes_a_row_doubtful_is_said() {
        let doubtful = Measured {
            duplicates: 3,
            connections: 500,
            ..measured(
                1,
                Cost {
                    cpu_s: 0.0,
                    rss_mib: 0.0,
                },
            )
        };
        let said: Vec<String> = doubts(&[doubtful]).collect();
        assert_eq!(
            said,
            [
                "3 requests more than deliveries",
                "500 connections for 1000 deliveries"
            ]
        );
    }

    #[test]
    fn the_floors_producer_stands_beside_ingest() {
        let table = costs(&[setting()]);
        let row = |name: &str| table.lines().find(|line| line.contains(name)).unwrap();
        assert_eq!(
            row("ingest"),
            "| always | 10 | tidings-ingest | – | – | 0.100 | 10 |"
        );
        assert_eq!(
            row("router"),
            "| always | 10 | tidings-router | 0.300 | 10 | 0.100 | 10 |"
        );
        assert_eq!(
            row("together"),
            "| always | 10 | **these together** | 0.300 | 10 | 0.200 | 20 |"
        );
        assert_eq!(
            row("producer"),
            "| always | 10 | producer | 0.300 | 10 | – | – |"
        );
    }

    #[test]
    fn latencies_are_in_milliseconds() {
        let latency = |ms: i64| Latency {
            from_accepted_ns: ms * 1_000_000,
            from_sent_ns: 9_500_000,
        };
        let all = (1..=10).rev().map(latency).collect();
        let table = latencies(
            &[Latencies {
                sync: BrokerSync::Default,
                way: Way::Single,
                all,
            }],
            50,
        );
        let row =
            "| default | HTTP, single events | 10 | 5.00 | 9.00 | 10.00 | 10.00 | 9.50 | 9.50 |";
        assert_eq!(table.lines().last(), Some(row));
    }
}
