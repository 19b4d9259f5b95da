//! Whether the sender is connected, and when it connected anew.

use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::Client;
use tidings_nats::connect::is_connected;
use tidings_service::health::Health;
use tidings_service::lifecycle::Lifecycle;
use tokio::sync::watch;

const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Keeps the check `nats` true to the connection. What it returns changes whenever the client has
/// connected anew: what it had asked the broker for is forgotten then.
pub(crate) fn follow(
    client: Client,
    health: Health,
    lifecycle: &Lifecycle,
) -> watch::Receiver<u64> {
    let statistics = client.statistics();
    let (connections, following) = watch::channel(statistics.connects.load(Ordering::Relaxed));
    let stop = lifecycle.stop.clone();
    lifecycle.tasks.spawn(async move {
        let mut looks = tokio::time::interval(LOOK_INTERVAL);
        while stop.run_until_cancelled(looks.tick()).await.is_some() {
            match is_connected(&client) {
                true => health.ready("nats"),
                false => health.unready("nats", "not connected to NATS"),
            }
            let count = statistics.connects.load(Ordering::Relaxed);
            connections.send_if_modified(|known| std::mem::replace(known, count) != count);
        }
    });
    following
}
