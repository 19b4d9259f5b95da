//! What goes on behind the scenes: the log follows the streams, tokens their bucket.

use std::sync::Arc;
use std::time::Duration;

use tidings_nats::connect::is_connected;
use tidings_nats::table;
use tidings_nats::topology::{Layout, TOKENS_BUCKET};
use tidings_service::health::Health;
use tidings_service::lifecycle::Lifecycle;
use tidings_service::metrics;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::App;
use crate::log;
use crate::ops::lead_replays;

/// What the console needs before it is ready.
pub(crate) const CHECKS: [&str; 3] = ["nats", "streams", "tokens"];

const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// A log that is further behind than this is worth a warning.
const LAG_TOLERATED: Duration = Duration::from_secs(10);

/// Starts it all on `lifecycle`.
pub(crate) fn start(app: &Arc<App>, health: Health, lifecycle: &Lifecycle) {
    let (loaded, is_loaded) = watch::channel(false);
    let tasks = &lifecycle.tasks;
    tasks.spawn({
        let (tokens, context) = (Arc::clone(&app.tokens), app.manage.context().clone());
        let stop = lifecycle.stop.clone();
        async move { table::follow(context, TOKENS_BUCKET, &*tokens, &loaded, &stop).await }
    });
    tasks.spawn({
        let (log, context) = (app.log.clone(), app.manage.context().clone());
        let stop = lifecycle.stop.clone();
        async move {
            if Layout::wait(&context, &stop).await.is_some() {
                log::follow(log, context, stop).await;
            }
        }
    });
    tasks.spawn(lead_replays(Arc::clone(app), lifecycle.stop.clone()));
    tasks.spawn({
        let (app, stop) = (Arc::clone(app), lifecycle.stop.clone());
        async move {
            stop.run_until_cancelled(look_after(&app, &health, &is_loaded))
                .await;
        }
    });
}

async fn look_after(app: &App, health: &Health, tokens: &watch::Receiver<bool>) {
    let messages = metrics::meter()
        .u64_gauge("tidings_console_log_lag_messages")
        .with_description("Messages that the delivery log has not read yet")
        .build();
    loop {
        match is_connected(app.manage.nats()) {
            true => health.ready("nats"),
            false => health.unready("nats", "not connected to NATS"),
        }
        match Layout::read(app.manage.context()).await {
            Ok(_) => health.ready("streams"),
            Err(error) => health.unready("streams", error.to_string()),
        }
        match *tokens.borrow() {
            true => health.ready("tokens"),
            false => health.unready("tokens", "not read yet"),
        }
        let lag = app.log.lag();
        messages.record(lag.messages, &[]);
        let is_late = Duration::from_secs(lag.seconds) > LAG_TOLERATED;
        let text = || format!("{} messages, {} s behind", lag.messages, lag.seconds);
        health.warn("delivery log", is_late.then(text));
        app.limits.forget_idle();
        sleep(LOOK_AGAIN).await;
    }
}
