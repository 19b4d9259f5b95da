//! `tidings provision`: creates or upgrades streams, consumers and buckets.

use std::time::Duration;

use clap::ValueEnum;
use serde_json::json;
use tidings_core::duration;
use tidings_core::name::Pool;
use tidings_nats::topology::{self, Change, Done, LayoutError, Topology};

use crate::client::Client;
use crate::output::{Output, Table};

/// As whom it connects, so that a user who may do nothing else can run it.
pub(crate) const NAME: &str = "tidings-provision";

const PARTITIONS_MAX: i64 = 1_024;

// Each option that is left out keeps what was provisioned before.
#[derive(Debug, clap::Args)]
pub(crate) struct ProvisionArgs {
    /// How many nodes of the cluster hold each stream: 1, 3 or 5 [default: as provisioned, or 1].
    #[arg(long, env = "TIDINGS_STREAM_REPLICAS", value_name = "COUNT", value_parser = clap::value_parser!(u8).range(1..=5))]
    stream_replicas: Option<u8>,
    /// What the server's own `sync_interval` is set to. With `always` one node survives a power
    /// failure, and messages are stored in batches, because each write costs a sync. With
    /// `interval` a power failure loses what was not synced yet, unless replicas hold it. This
    /// option describes the server; it does not change it [default: as provisioned, or interval].
    #[arg(long, env = "TIDINGS_SYNC", value_enum)]
    sync: Option<Sync>,
    /// Bytes on disk that all streams may use together, such as 500MB or 16GiB [default: as
    /// provisioned, or 16GiB].
    #[arg(long, env = "TIDINGS_STORAGE", value_name = "BYTES", value_parser = parse_bytes)]
    storage: Option<u64>,
    /// How long events are kept after they were routed, such as 168h [default: as provisioned, or
    /// 168h].
    #[arg(long, env = "TIDINGS_EVENT_AGE", value_name = "DURATION", value_parser = duration::parse)]
    event_age: Option<Duration>,
    /// How many partitions each pool has; no more senders of a pool work at once. Restart routers
    /// and senders after changing it [default: as provisioned, or 16].
    #[arg(long, env = "TIDINGS_PARTITIONS", value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=PARTITIONS_MAX))]
    partitions: Option<u16>,
    /// A pool of senders; repeat it for each. Restart routers and senders after changing it
    /// [default: as provisioned, or default].
    #[arg(
        long = "pool",
        env = "TIDINGS_POOLS",
        value_name = "NAME",
        value_delimiter = ','
    )]
    pools: Vec<Pool>,
}

/// When the broker makes sure that what it stored is on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Sync {
    /// Before it acknowledges.
    Always,
    /// Every two minutes, or as configured.
    Interval,
}

/// Runs the command.
pub(crate) async fn run(
    args: ProvisionArgs,
    client: &Client,
    output: Output,
) -> anyhow::Result<()> {
    let current = match Topology::read(&client.jetstream).await {
        // What lies there is not ours; provisioning says so.
        Err(LayoutError::Metadata { .. }) => None,
        read => read?,
    };
    let topology = args.over(current.clone().unwrap_or_default());
    let changes = topology::provision(&client.jetstream, &topology).await?;
    let table = table(&changes);
    output.answer(&document(&topology, &changes), table)?;
    if current.is_some_and(|old| is_relaid(&old, &topology)) {
        crate::output::note("restart routers and senders, so that they read the new layout");
    }
    Ok(())
}

impl ProvisionArgs {
    /// What was asked for, over what is there.
    fn over(self, current: Topology) -> Topology {
        let pools = match self.pools.is_empty() {
            true => current.pools,
            false => self.pools.into_iter().collect(),
        };
        Topology {
            replicas: self.stream_replicas.map_or(current.replicas, usize::from),
            sync_always: self
                .sync
                .map_or(current.sync_always, |sync| sync == Sync::Always),
            storage_bytes: self.storage.unwrap_or(current.storage_bytes),
            event_age: self.event_age.unwrap_or(current.event_age),
            partitions: self.partitions.unwrap_or(current.partitions),
            pools,
        }
    }
}

fn is_relaid(old: &Topology, new: &Topology) -> bool {
    old.partitions != new.partitions || old.pools != new.pools || old.commit() != new.commit()
}

/// Consumers of partitions are many and alike: they are counted.
fn table(changes: &[Change]) -> Table {
    let mut table = Table::new(["WHAT", "DONE"], "nothing to do");
    for done in [Done::Created, Done::Updated, Done::Kept] {
        let all = changes.iter().filter(|change| change.done == done);
        let (consumers, others): (Vec<_>, Vec<_>) =
            all.partition(|change| change.what.starts_with("consumer"));
        for change in others {
            table.row([change.what.clone(), done.to_string()]);
        }
        if !consumers.is_empty() {
            table.row([format!("{} consumers", consumers.len()), done.to_string()]);
        }
    }
    table
}

fn document(topology: &Topology, changes: &[Change]) -> serde_json::Value {
    let changes: Vec<_> = changes
        .iter()
        .map(|change| json!({ "what": change.what, "done": change.done.to_string() }))
        .collect();
    json!({
        "layout": {
            "replicas": topology.replicas,
            "sync": if topology.sync_always { "always" } else { "interval" },
            "storageBytes": topology.storage_bytes,
            "eventAge": duration::print(topology.event_age),
            "partitions": topology.partitions,
            "pools": topology.pools,
        },
        "changes": changes,
    })
}

/// Reads bytes as people write them: `1048576`, `500MB`, `16GiB`.
fn parse_bytes(text: &str) -> Result<u64, String> {
    let error = || format!("{text:?} is no size; write it like 1048576, 500MB or 16GiB");
    let text = text.trim();
    let unit_at = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let factor = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        _ => return Err(error()),
    };
    let number: u64 = number.parse().map_err(|_| error())?;
    let bytes = number
        .checked_mul(factor)
        .filter(|bytes| i64::try_from(*bytes).is_ok());
    bytes
        .filter(|bytes| *bytes >= STORAGE_MIN)
        .ok_or_else(|| format!("{text:?} is out of range; give from 1MiB to 8000000TB"))
}

const STORAGE_MIN: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("1048576", 1 << 20),
            ("16GiB", 16 << 30),
            ("500 MB", 500_000_000),
            ("2tib", 2 << 40),
        ] {
            assert_eq!(parse_bytes(text), Ok(bytes));
        }
        for bad in ["", "GiB", "16XB", "-1GB", "1.5GB", "1", "99999999999TiB"] {
            assert!(parse_bytes(bad).is_err(), "{bad}");
        }
    }
}
