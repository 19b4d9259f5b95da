//! `tidings-router`: takes events, finds the webhooks that want them, stores a delivery for each.
//!
//! The way of an event: [`route`] decodes it, asks the [`index`], stores one delivery per matching
//! webhook and acknowledges the event only after all of them are stored (invariant O2). Several
//! routers share one consumer. The [`janitor`] forgets old events, since the broker never does;
//! [`sweep`] removes what a killed broker brought back.

pub mod args;
mod backlog;
mod carry;
pub mod index;
pub mod janitor;
mod metrics;
mod pools;
pub mod route;
pub mod sweep;
pub mod waiting;

use std::sync::Arc;
use std::time::Duration;

use async_nats::Client;
use async_nats::jetstream::Context;
use tidings_nats::connect::{self, is_connected};
use tidings_nats::consume::Work;
use tidings_nats::table;
use tidings_nats::topology::{
    ENDPOINT_STATE_BUCKET, EVENTS, Layout, ROUTER_CONSUMER, WEBHOOKS_BUCKET,
};
use tidings_service::admin;
use tidings_service::health::Health;
use tidings_service::lifecycle::Lifecycle;
use tokio::sync::{Semaphore, watch};
use tracing::{error, info};

pub use args::RouterArgs;
use index::Index;
use route::Router;

const HEALTH_INTERVAL: Duration = Duration::from_secs(2);
/// Few, because nobody gives signs of life for what is only held ready.
const PREFETCH_MAX: usize = 32;

/// Starts the router; it runs on `lifecycle` until that is stopped.
///
/// # Errors
/// The listener's address cannot be used.
pub async fn run(args: RouterArgs, health: Health, lifecycle: &Lifecycle) -> anyhow::Result<()> {
    for check in ["nats", "streams", "webhooks"] {
        health.unready(check, "starting");
    }
    if let Some(address) = args.listen {
        let listener = admin::listen(address, "listen").await?;
        admin::serve(
            listener,
            admin::routes(health.clone()),
            "tidings-router",
            lifecycle,
        )?;
    }
    let lifecycle_of_work = lifecycle.clone();
    lifecycle.tasks.spawn(async move {
        if let Err(error) = work(&args, &health, &lifecycle_of_work).await {
            error!(error = format!("{error:#}"), "the router cannot work");
            lifecycle_of_work.abort.cancel();
        }
    });
    Ok(())
}

async fn work(args: &RouterArgs, health: &Health, lifecycle: &Lifecycle) -> anyhow::Result<()> {
    let client = match connect::connect(&args.nats, "tidings-router", &lifecycle.stop).await {
        Ok(client) => client,
        Err(connect::ConnectError::Stopped { .. }) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    health.ready("nats");
    let context = connect::jetstream(&client);
    let Some(layout) = Layout::wait(&context, &lifecycle.stop).await else {
        return Ok(());
    };
    health.ready("streams");
    let index = Arc::new(Index::default());
    if !load(&context, &index, lifecycle).await {
        return Ok(());
    }
    health.ready("webhooks");
    info!(
        webhooks = index.len(),
        "routing events to {} webhooks",
        index.len()
    );
    lifecycle.tasks.spawn(look_after(
        client.clone(),
        context.clone(),
        health.clone(),
        lifecycle.clone(),
    ));
    lifecycle.tasks.spawn(pools::watch(
        context.clone(),
        Arc::clone(&index),
        health.clone(),
        lifecycle.stop.clone(),
    ));
    lifecycle
        .tasks
        .spawn(backlog::watch(context.clone(), lifecycle.stop.clone()));
    lifecycle.tasks.spawn(janitor::run(
        context.clone(),
        layout.event_age,
        lifecycle.stop.clone(),
    ));
    lifecycle
        .tasks
        .spawn(sweep::run(context.clone(), lifecycle.stop.clone()));
    let router = Arc::new(Router::new(
        client.clone(),
        &layout,
        Arc::clone(&index),
        lifecycle,
    ));
    let watching = router
        .waiting_room()
        .watch(context.clone(), lifecycle.stop.clone());
    lifecycle.tasks.spawn(watching);
    take(args, context, router, lifecycle).await;
    // What was acknowledged must have left this process before it ends.
    if let Err(error) = client.flush().await {
        tracing::debug!(%error, "could not flush");
    }
    Ok(())
}

/// Follows both buckets; `true` once everything that was in them is in the index.
async fn load(context: &Context, index: &Arc<Index>, lifecycle: &Lifecycle) -> bool {
    let mut all_loaded = Vec::new();
    for bucket in [WEBHOOKS_BUCKET, ENDPOINT_STATE_BUCKET] {
        let (loaded, is_loaded) = watch::channel(false);
        all_loaded.push(is_loaded);
        let (context, index) = (context.clone(), Arc::clone(index));
        let stop = lifecycle.stop.clone();
        lifecycle.tasks.spawn(async move {
            match bucket {
                WEBHOOKS_BUCKET => {
                    table::follow(context, bucket, &index.webhooks(), &loaded, &stop).await;
                }
                _ => table::follow(context, bucket, &index.states(), &loaded, &stop).await,
            }
        });
    }
    for mut is_loaded in all_loaded {
        let loading = is_loaded.wait_for(|is_loaded| *is_loaded);
        if !matches!(
            lifecycle.stop.run_until_cancelled(loading).await,
            Some(Ok(_))
        ) {
            return false;
        }
    }
    true
}

/// Takes events until the process is asked to stop, then waits for those in hand.
async fn take(args: &RouterArgs, context: Context, router: Arc<Router>, lifecycle: &Lifecycle) {
    let slots = Arc::new(Semaphore::new(args.concurrency));
    let prefetch = args.concurrency.min(PREFETCH_MAX);
    let mut work = Work::new(context, EVENTS, ROUTER_CONSUMER, prefetch);
    loop {
        let slot = lifecycle
            .stop
            .run_until_cancelled(Arc::clone(&slots).acquire_owned())
            .await;
        let Some(Ok(slot)) = slot else { break };
        let Some(message) = work.next(&lifecycle.stop).await else {
            break;
        };
        let router = Arc::clone(&router);
        lifecycle.tasks.spawn(async move {
            router.handle(message).await;
            drop(slot);
        });
    }
    work.hand_back().await;
    let all = u32::try_from(args.concurrency).unwrap_or(u32::MAX);
    // All slots are free again when every event in hand is settled or left.
    let _ = lifecycle
        .abort
        .run_until_cancelled(slots.acquire_many(all))
        .await;
}

/// Keeps the checks `nats` and `streams` true.
async fn look_after(client: Client, context: Context, health: Health, lifecycle: Lifecycle) {
    let mut interval = tokio::time::interval(HEALTH_INTERVAL);
    while lifecycle
        .stop
        .run_until_cancelled(interval.tick())
        .await
        .is_some()
    {
        if !is_connected(&client) {
            health.unready("nats", "not connected to NATS");
            continue;
        }
        health.ready("nats");
        match Layout::check_for_router(&context).await {
            Ok(()) => health.ready("streams"),
            Err(error) => health.unready("streams", error.to_string()),
        }
    }
}
