//! One cell of the tables: a stack of its own, warmed up, measured once.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tidings_testkit::{SyncInterval, Usage};

use crate::load::Way;
use crate::stack::{Ground, Load, Role, Spec, Stack, System};

/// Enough that every webhook has been delivered to, and that connections are open.
const WARM_DELIVERIES: u64 = 640;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cell {
    pub(crate) way: Way,
    pub(crate) sync: SyncInterval,
    pub(crate) fan_out: u64,
    pub(crate) events: u64,
    pub(crate) ground: Ground,
}

/// What one process used, per 1,000 deliveries and at its peak.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cost {
    pub(crate) cpu_s: f64,
    pub(crate) rss_mib: f64,
}

/// What was measured.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Measured {
    /// From the first publish until the sink had all deliveries.
    pub(crate) took: Duration,
    pub(crate) events: u64,
    pub(crate) deliveries: u64,
    /// Requests beyond one a delivery.
    pub(crate) duplicates: u64,
    /// How often an event had to be published again.
    pub(crate) retries: u64,
    /// Connections that the sink accepted.
    pub(crate) connections: u64,
    pub(crate) costs: BTreeMap<Role, Cost>,
}

impl Measured {
    pub(crate) fn events_per_s(&self) -> f64 {
        self.events as f64 / self.took.as_secs_f64()
    }

    pub(crate) fn deliveries_per_s(&self) -> f64 {
        self.deliveries as f64 / self.took.as_secs_f64()
    }
}

/// How long one event took, in nanoseconds. Negative if it arrived before its producer held the
/// answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Latency {
    pub(crate) from_accepted_ns: i64,
    pub(crate) from_sent_ns: i64,
}

impl Cell {
    pub(crate) fn system(&self) -> System {
        match self.way {
            Way::Floor => System::Floor,
            Way::Batch | Way::Single | Way::Direct => System::Ours,
        }
    }

    /// Measures at full speed.
    ///
    /// # Errors
    /// Something ended, stalled or failed.
    pub(crate) async fn measure(&self) -> anyhow::Result<Measured> {
        let (mut stack, warm) = self.warm_stack().await?;
        let before = stack.usage();
        let load = Load {
            way: self.way,
            first: warm,
            events: self.events,
            per_second: None,
        };
        let (loaded, received) = stack.publish(&load).await?;
        let after = stack.usage();
        let deliveries = self.events * self.fan_out;
        let took_ns = received.last_ns.checked_sub(loaded.first_ns);
        Ok(Measured {
            took: Duration::from_nanos(took_ns.context("the clock was set back")?),
            events: self.events,
            deliveries,
            duplicates: received.duplicates,
            retries: loaded.retries,
            connections: received.connections,
            costs: costs(&before, &after, deliveries),
        })
    }

    /// Measures each event at a steady rate.
    ///
    /// # Errors
    /// Something ended, stalled or failed.
    pub(crate) async fn latencies(&self, per_second: u32) -> anyhow::Result<Vec<Latency>> {
        ensure!(self.fan_out == 1, "latency is measured without fan-out");
        let (mut stack, warm) = self.warm_stack().await?;
        let per_second = Some(per_second);
        let load = Load {
            way: self.way,
            first: warm,
            events: self.events,
            per_second,
        };
        let (loaded, _) = stack.publish(&load).await?;
        let arrivals_ns = stack.arrivals_ns().await?;
        let latency = |event: &crate::load::Accepted| {
            let arrived_ns = *arrivals_ns.get(usize::try_from(event.number).ok()?)?;
            Some(Latency {
                from_accepted_ns: difference(arrived_ns, event.accepted_ns)?,
                from_sent_ns: difference(arrived_ns, event.sent_ns)?,
            })
        };
        let all: Option<Vec<Latency>> = loaded.accepted.iter().map(latency).collect();
        all.context("an event that was accepted did not arrive")
    }

    /// A stack that has delivered something, and how many events that were. The producer's own
    /// start is not in the usage that follows: it is another process each time.
    async fn warm_stack(&self) -> anyhow::Result<(Stack, u64)> {
        let warm = WARM_DELIVERIES
            .div_ceil(self.fan_out)
            .max(crate::event::CONTENT_TYPES);
        let spec = Spec {
            system: self.system(),
            sync: self.sync,
            fan_out: self.fan_out,
            events: warm + self.events,
            ground: self.ground,
        };
        let mut stack = Stack::start(spec).await?;
        let load = Load {
            way: self.way,
            first: 0,
            events: warm,
            per_second: None,
        };
        stack.publish(&load).await?;
        stack.end_producer();
        Ok((stack, warm))
    }
}

fn difference(later_ns: u64, earlier_ns: u64) -> Option<i64> {
    i64::try_from(i128::from(later_ns) - i128::from(earlier_ns)).ok()
}

fn costs(
    before: &BTreeMap<Role, Usage>,
    after: &BTreeMap<Role, Usage>,
    deliveries: u64,
) -> BTreeMap<Role, Cost> {
    let cost = |(role, usage): (&Role, &Usage)| {
        let cpu_before = before.get(role).map_or(Duration::ZERO, |usage| usage.cpu);
        let cpu = usage.cpu.saturating_sub(cpu_before);
        let cost = Cost {
            cpu_s: cpu.as_secs_f64() * 1_000.0 / deliveries as f64,
            rss_mib: usage.rss_bytes_peak as f64 / f64::from(1 << 20),
        };
        (*role, cost)
    };
    after.iter().map(cost).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_what_was_used_meanwhile_per_thousand_deliveries() {
        let used = |cpu_ms, rss_bytes_peak| Usage {
            cpu: Duration::from_millis(cpu_ms),
            rss_bytes_peak,
        };
        let before = BTreeMap::from([(Role::Router, used(100, 1))]);
        let after = BTreeMap::from([
            (Role::Router, used(600, 3 << 20)),
            (Role::Sink, used(50, 0)),
        ]);
        let costs = costs(&before, &after, 2_000);
        assert_eq!(
            costs[&Role::Router],
            Cost {
                cpu_s: 0.25,
                rss_mib: 3.0
            }
        );
        assert_eq!(costs[&Role::Sink].cpu_s, 0.025);
    }

    #[test]
    fn an_event_may_arrive_before_its_producer_has_the_answer() {
        assert_eq!(difference(5, 8), Some(-3));
    }
}
