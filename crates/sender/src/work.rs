//! A sender at work: what it is made of, and its beginning and end.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use async_nats::jetstream::Context;
use async_nats::jetstream::kv::Store;
use tidings_core::pools::Pools;
use tidings_egress::EgressClient;
use tidings_nats::access::User;
use tidings_nats::connect::Who;
use tidings_nats::publish::{Bounds, Publisher};
use tidings_nats::topology::{
    Commit, ENDPOINT_STATE_BUCKET, Layout, MEMBERS_BUCKET, WEBHOOKS_BUCKET,
};
use tidings_nats::{connect, table};
use tidings_service::health::Health;
use tidings_service::lifecycle::Lifecycle;
use tidings_vault::KeyRing;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::args::SenderArgs;
use crate::hand::Hand;
use crate::herald::Herald;
use crate::hosts::Hosts;
use crate::members::Members;
use crate::metrics::{self, Metrics};
use crate::partitions::Partitions;
use crate::payloads::Payloads;
use crate::permits::Permits;
use crate::record::Recorder;
use crate::send::Sender;
use crate::settle::Settler;
use crate::take::Lanes;
use crate::webhooks::Webhooks;
use crate::{connection, member, sources};

const LOOK_AGAIN: Duration = Duration::from_secs(1);
const STREAMS_INTERVAL: Duration = Duration::from_secs(2);
/// So many are stored in a fraction of a millisecond, or with one sync of the disk.
const RETRIES_AT_ONCE: usize = 128;
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// Connects, loads, and sends until the process is asked to stop and nothing is in hand.
///
/// # Errors
/// NATS cannot be reached however long one waits, or there is no such pool.
pub(crate) async fn run(
    args: &SenderArgs,
    keys: KeyRing,
    egress: EgressClient,
    health: &Health,
    lifecycle: &Lifecycle,
) -> anyhow::Result<()> {
    let name = args.name.clone().unwrap_or_else(member::name);
    let who = Who::new(&User::Sender(args.pool.clone()), name.clone());
    let client = match connect::connect(&args.nats, who, &lifecycle.stop).await {
        Ok(client) => client,
        Err(connect::ConnectError::Stopped { .. }) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let connections = connection::follow(client.clone(), health.clone(), lifecycle);
    let context = connect::jetstream(&client);
    let Some(layout) = layout(args, &context, health, lifecycle).await? else {
        return Ok(());
    };
    let Some(buckets) = Buckets::open(&context, &lifecycle.stop).await else {
        return Ok(());
    };
    let webhooks = table(args, keys, buckets.webhooks, health);
    if !load(&context, &webhooks, lifecycle).await {
        return Ok(());
    }
    health.ready("webhooks");
    let count = webhooks.len();
    info!(sender.name = name, pool = %args.pool, webhooks = count, "sending to {count} webhooks");
    let metrics = Arc::new(Metrics::new());
    metrics::tell_paused(&webhooks, &args.pool);
    sources::keep_registered(args, &context, lifecycle);
    let members = Members::new(buckets.members, &args.pool, &name);
    let alive = join_fleet(members, &context, lifecycle);
    let hand = Hand::new(client.clone(), context.clone(), Arc::clone(&metrics));
    let publisher = |commit| Publisher::new(client.clone(), commit, Bounds::default());
    let sender = Arc::new(Sender {
        client: egress,
        webhooks,
        hosts: Hosts::new(args.host_slots),
        permits: Permits::new(args.concurrency),
        // The stream of attempts syncs when it likes, so gathering messages would gain nothing.
        recorder: Recorder::new(
            publisher(Commit::Single),
            name.clone(),
            Arc::clone(&metrics),
        ),
        settler: Settler {
            retries: Publisher::new(client.clone(), layout.commit, retries_bounds()),
            dead_letters: publisher(layout.commit),
            herald: Herald {
                states: buckets.states,
                events: publisher(layout.commit),
            },
            payloads: Payloads::new(&context).await?,
            pool: args.pool.clone(),
            metrics: Arc::clone(&metrics),
            abort: lifecycle.abort.clone(),
        },
        metrics: Arc::clone(&metrics),
    });
    let lanes = Lanes {
        sender,
        hand,
        metrics,
        client: client.clone(),
        connections,
        pool: args.pool.clone(),
        concurrency: args.concurrency,
        lifecycle: lifecycle.clone(),
        tasks: TaskTracker::new(),
    };
    let partitions = Partitions::new(lanes.clone(), &name, layout.partitions, health);
    take_all(lanes, partitions, alive).await;
    flush(&client).await;
    Ok(())
}

/// When many endpoints' pauses end together thousands of deliveries are put off at once. First attempts
/// and their acknowledgements go over the same connection, and must not wait behind all of them.
fn retries_bounds() -> Bounds {
    Bounds {
        messages_max: RETRIES_AT_ONCE,
        ..Bounds::default()
    }
}

/// What was acknowledged must have left this process before it ends.
async fn flush(client: &async_nats::Client) {
    if timeout(FLUSH_TIMEOUT, client.flush()).await.is_err() {
        warn!("could not flush; what was not acknowledged comes again");
    }
}

fn table(args: &SenderArgs, keys: KeyRing, bucket: Store, health: &Health) -> Arc<Webhooks> {
    let policy = args.egress.url_policy();
    Arc::new(Webhooks::new(policy, keys, bucket, health.clone()))
}

/// Becomes one of the senders of the pool; tells who they are.
fn join_fleet(
    members: Members,
    context: &Context,
    lifecycle: &Lifecycle,
) -> watch::Receiver<Vec<String>> {
    let (context, stop) = (context.clone(), lifecycle.stop.clone());
    let alive = members.alive();
    let living = async move { Box::pin(members.run(context, &stop)).await };
    lifecycle.tasks.spawn(living);
    alive
}

/// Works all partitions until the process is asked to stop, then waits for what is in hand.
async fn take_all(lanes: Lanes, partitions: Partitions, alive: watch::Receiver<Vec<String>>) {
    metrics::tell_connections(&lanes.sender);
    let in_hand = async {
        partitions.work(alive).await;
        lanes.tasks.close();
        lanes.tasks.wait().await;
    };
    tokio::select! {
        () = in_hand => {}
        () = lanes.hand.keep_alive() => {}
    }
    lanes.hand.close().await;
}

/// Waits for the layout, and keeps the check `streams` true from then on; `None` if the process is asked to stop meanwhile.
///
/// # Errors
/// The pool is no part of it.
async fn layout(
    args: &SenderArgs,
    context: &Context,
    health: &Health,
    lifecycle: &Lifecycle,
) -> anyhow::Result<Option<Layout>> {
    let Some(layout) = Layout::wait(context, &lifecycle.stop).await else {
        return Ok(None);
    };
    let pools = Pools::new(layout.pools.clone(), [args.pool.clone()]);
    pools.check(&args.pool).context("--pool")?;
    health.ready("streams");
    look_after(args, context, health, lifecycle);
    Ok(Some(layout))
}

/// Keeps the check `streams` true.
fn look_after(args: &SenderArgs, context: &Context, health: &Health, lifecycle: &Lifecycle) {
    let (context, health, stop) = (context.clone(), health.clone(), lifecycle.stop.clone());
    let pool = args.pool.clone();
    lifecycle.tasks.spawn(async move {
        let mut looks = interval(STREAMS_INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(looks.tick()).await.is_some() {
            let checking = Layout::check_for_sender(&context, &pool);
            match stop.run_until_cancelled(checking).await {
                None => {}
                Some(Ok(())) => health.ready("streams"),
                Some(Err(error)) => health.unready("streams", error.to_string()),
            }
        }
    });
}

/// Follows both buckets; `true` once everything that was in them is in the table.
async fn load(context: &Context, webhooks: &Arc<Webhooks>, lifecycle: &Lifecycle) -> bool {
    let (context, table, stop) = (
        context.clone(),
        Arc::clone(webhooks),
        lifecycle.stop.clone(),
    );
    let (loaded, definitions_loaded) = watch::channel(false);
    let (state_loaded, states_loaded) = watch::channel(false);
    lifecycle.tasks.spawn(async move {
        let (definitions, states) = (table.definitions(), table.states());
        tokio::join!(
            table::follow(
                context.clone(),
                WEBHOOKS_BUCKET,
                &definitions,
                &loaded,
                &stop
            ),
            table::follow(
                context,
                ENDPOINT_STATE_BUCKET,
                &states,
                &state_loaded,
                &stop
            ),
        );
    });
    for mut is_loaded in [definitions_loaded, states_loaded] {
        let loading = is_loaded.wait_for(|is_loaded| *is_loaded);
        let is_loaded = lifecycle.stop.run_until_cancelled(loading).await;
        if !matches!(is_loaded, Some(Ok(_))) {
            return false;
        }
    }
    true
}

/// The buckets that are read and written by key.
struct Buckets {
    webhooks: Store,
    states: Store,
    members: Store,
}

impl Buckets {
    /// Opens them, for as long as it takes; `None` once `stop` is cancelled.
    async fn open(context: &Context, stop: &CancellationToken) -> Option<Self> {
        Some(Self {
            webhooks: bucket(context, WEBHOOKS_BUCKET, stop).await?,
            states: bucket(context, ENDPOINT_STATE_BUCKET, stop).await?,
            members: bucket(context, MEMBERS_BUCKET, stop).await?,
        })
    }
}

async fn bucket(context: &Context, name: &str, stop: &CancellationToken) -> Option<Store> {
    loop {
        match stop
            .run_until_cancelled(context.get_key_value(name))
            .await?
        {
            Ok(bucket) => return Some(bucket),
            Err(error) => warn!(bucket = name, %error, "cannot open a bucket; trying again"),
        }
        stop.run_until_cancelled(sleep(LOOK_AGAIN)).await?;
    }
}
