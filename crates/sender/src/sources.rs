//! Tells everybody which addresses this sender's requests come from.

use std::net::IpAddr;
use std::time::Duration;

use async_nats::jetstream::Context;
use tidings_core::name::Pool;
use tidings_nats::egress::{Registry, RegistryError};
use tidings_service::clock;
use tidings_service::lifecycle::Lifecycle;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::{info, warn};

use crate::args::SenderArgs;

/// What was withdrawn while it is in use is published again after this time.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
const REGISTER_TIMEOUT: Duration = Duration::from_secs(10);

/// Keeps this sender's addresses registered until the process is asked to stop. They stay
/// registered then: the next sender of the pool uses them, and receivers must not lock it out.
pub(crate) fn keep_registered(args: &SenderArgs, context: &Context, lifecycle: &Lifecycle) {
    let addresses = args.egress.seen_addresses();
    if addresses.is_empty() {
        return;
    }
    let (context, pool, stop) = (context.clone(), args.pool.clone(), lifecycle.stop.clone());
    lifecycle.tasks.spawn(async move {
        let mut looks = interval(LOOK_AGAIN);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(looks.tick()).await.is_some() {
            let registering = timeout(REGISTER_TIMEOUT, register(&context, &pool, &addresses));
            match stop.run_until_cancelled(registering).await {
                None | Some(Ok(Ok(()))) => {}
                Some(Ok(Err(error))) => warn!(%error, "cannot register the egress addresses"),
                Some(Err(_)) => warn!("cannot register the egress addresses in time"),
            }
        }
    });
}

async fn register(
    context: &Context,
    pool: &Pool,
    addresses: &[IpAddr],
) -> Result<(), RegistryError> {
    let registry = Registry::open(context).await?;
    for address in addresses {
        if registry.register(pool, *address, clock::now()).await? {
            info!(%address, %pool, "registered an egress address");
        }
    }
    Ok(())
}
