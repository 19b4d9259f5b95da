//! Finding the broker and what lies there: connection, streams, tokens,
//! settings of spaces. Nothing here is given up;
//! the process is ready when all are there, and says what it waits for until then.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use async_nats::Client;
use async_nats::jetstream::Context;
use tidings_nats::connect::{self, ConnectError, is_connected};
use tidings_nats::publish::Bounds;
use tidings_nats::table::{self, Sink};
use tidings_nats::topology::{Layout, SPACES_BUCKET, TOKENS_BUCKET};
use tidings_service::health::Health;
use tidings_service::lifecycle::Lifecycle;
use tokio::sync::watch;
use tokio::time::interval;
use tracing::info;

use crate::accept::Ingest;
use crate::args::IngestArgs;
use crate::nats_service;
use crate::store::Store;

const NAME: &str = "tidings-ingest";
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// What the process needs before it is ready.
pub(crate) const CHECKS: [&str; 5] = [NATS, STREAMS, TOKENS, SPACES, SERVICE];
const NATS: &str = "nats";
const STREAMS: &str = "streams";
const TOKENS: &str = "tokens";
const SPACES: &str = "spaces";
/// The NATS service has subscribed.
pub(crate) const SERVICE: &str = "service";

/// Connects, waits until everything is there, and serves requests over NATS until the process is
/// asked to stop.
///
/// # Errors
/// NATS cannot be reached with these settings, however long one waits.
pub(crate) async fn work(
    args: &IngestArgs,
    ingest: Arc<Ingest>,
    health: Health,
    lifecycle: &Lifecycle,
) -> anyhow::Result<()> {
    let client = match connect::connect(&args.nats, NAME, &lifecycle.stop).await {
        Ok(client) => client,
        Err(ConnectError::Stopped { .. }) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let context = connect::jetstream(&client);
    let looking = look_after(
        client.clone(),
        context.clone(),
        health.clone(),
        lifecycle.clone(),
    );
    lifecycle.tasks.spawn(looking);
    let Some(layout) = Layout::wait(&context, &lifecycle.stop).await else {
        return Ok(());
    };
    let bounds = Bounds {
        messages_max: args.max_unacked,
        bytes_max: args.max_unacked_bytes.0,
    };
    let store = Store::open(client.clone(), &context, layout.commit, bounds).await;
    let store = store
        .map_err(anyhow::Error::from_boxed)
        .context("the stream cannot be opened")?;
    let load = |bucket, sink: fn(&Ingest) -> &dyn Sink| {
        load(
            context.clone(),
            bucket,
            Arc::clone(&ingest),
            sink,
            lifecycle,
        )
    };
    if !load(TOKENS_BUCKET, |ingest| &ingest.tokens).await {
        return Ok(());
    }
    health.ready(TOKENS);
    if !load(SPACES_BUCKET, |ingest| &ingest.rate).await {
        return Ok(());
    }
    ingest.open(store);
    health.ready(SPACES);
    info!("taking events");
    nats_service::serve(
        client.clone(),
        ingest,
        args.nats_concurrency,
        &health,
        lifecycle,
    )
    .await;
    // Replies must have left this process before it ends.
    let _ = tokio::time::timeout(LOOK_INTERVAL, client.flush()).await;
    Ok(())
}

/// Keeps what `sink` holds of `bucket` up to date; `true` once all that is there is in it.
async fn load(
    context: Context,
    bucket: &'static str,
    ingest: Arc<Ingest>,
    sink: fn(&Ingest) -> &dyn Sink,
    lifecycle: &Lifecycle,
) -> bool {
    let (loaded, mut is_loaded) = watch::channel(false);
    let stop = lifecycle.stop.clone();
    lifecycle.tasks.spawn(async move {
        table::follow(context, bucket, sink(&ingest), &loaded, &stop).await;
    });
    let loading = is_loaded.wait_for(|is_loaded| *is_loaded);
    matches!(
        lifecycle.stop.run_until_cancelled(loading).await,
        Some(Ok(_))
    )
}

/// Tells whether the broker and the streams are there, for as long as the process runs. The
/// streams are looked at after each connecting.
async fn look_after(client: Client, context: Context, health: Health, lifecycle: Lifecycle) {
    let mut looks = interval(LOOK_INTERVAL);
    let mut has_streams = false;
    while lifecycle
        .stop
        .run_until_cancelled(looks.tick())
        .await
        .is_some()
    {
        if !is_connected(&client) {
            health.unready(NATS, "not connected to NATS");
            has_streams = false;
            continue;
        }
        health.ready(NATS);
        if has_streams {
            continue;
        }
        match Layout::read(&context).await {
            Ok(_) => {
                health.ready(STREAMS);
                has_streams = true;
            }
            Err(error) => health.unready(STREAMS, error.to_string()),
        }
    }
}
