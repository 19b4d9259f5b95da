//! Whether somebody sends what this router stores: the warning `pools` of `GET /readyz`, and a
//! metric.
//!
//! Only a warning: deliveries of a pool without senders wait in their stream, and the router works
//! on for all others.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::Context;
use opentelemetry::KeyValue;
use tidings_core::name::Pool;
use tidings_core::pools::Pools;
use tidings_nats::pools::read_pools;
use tidings_service::health::Health;
use tidings_service::metrics::meter;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::index::Index;

const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// Watches until `stop` is cancelled.
pub(crate) async fn watch(
    context: Context,
    index: Arc<Index>,
    health: Health,
    stop: CancellationToken,
) {
    let senders = meter()
        .u64_gauge("tidings_pool_senders")
        .with_description("Senders that are alive, of each pool that webhooks name")
        .build();
    let mut said: Option<String> = None;
    let mut was_unserved = false;
    let mut looks = interval(LOOK_INTERVAL);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(looks.tick()).await.is_some() {
        let pools = match stop.run_until_cancelled(read_pools(&context)).await {
            None => return,
            Some(Ok(pools)) => pools,
            // The checks `nats` and `streams` say so.
            Some(Err(error)) => {
                debug!(%error, "cannot read the pools");
                continue;
            }
        };
        let named = index.pools();
        for pool in named.keys() {
            let count = u64::try_from(pools.senders(pool)).unwrap_or(u64::MAX);
            senders.record(count, &[KeyValue::new("pool", pool.to_string())]);
        }
        let found = warning(&named, &pools);
        // A sender that is starting, or is replaced by another one, is nothing to warn of.
        let warning = found.clone().filter(|_| was_unserved);
        was_unserved = found.is_some();
        if warning != said {
            match &warning {
                Some(warning) => warn!("{warning}"),
                None => info!("every pool that webhooks name has a sender"),
            }
            health.warn("pools", warning.clone());
            said = warning;
        }
    }
}

/// What is wrong with the pools that webhooks name.
fn warning(named: &BTreeMap<Pool, usize>, pools: &Pools) -> Option<String> {
    let unserved: Vec<String> = named
        .iter()
        .filter(|(pool, _)| !pools.is_served(pool))
        .map(|(pool, count)| match count {
            1 => format!("`{pool}` (1 webhook)"),
            _ => format!("`{pool}` ({count} webhooks)"),
        })
        .collect();
    (!unserved.is_empty()).then(|| {
        format!(
            "no sender is alive of the pool {}: deliveries wait",
            unserved.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn pools_without_a_sender_are_named() {
        let [eu, us] = ["eu", "us"].map(|name| name.parse::<Pool>().unwrap());
        let named = BTreeMap::from([(eu.clone(), 3), (us.clone(), 1)]);
        let both = BTreeSet::from([eu.clone(), us.clone()]);
        let of = |alive: &[Pool]| warning(&named, &Pools::new(both.clone(), alive.to_vec()));
        assert_eq!(of(&[eu.clone(), us]), None);
        let said = of(&[eu]).unwrap();
        assert!(
            said.contains("`us` (1 webhook)") && !said.contains("`eu`"),
            "{said}"
        );
    }
}
