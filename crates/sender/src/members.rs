//! Who else sends for this pool (DESIGN.md section 6).
//!
//! Every sender puts a sign of life into the bucket `tidings_members` once a second and follows the
//! others' signs. Who has given none for [`SILENCE_MAX`] is taken for dead; who drains takes its
//! sign away, so that others take over at once. No lock and no leader: each sender computes from
//! the same signs which partitions are whose.

mod signs;

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::kv::Store;
use bytes::Bytes;
use tidings_core::name::Pool;
use tidings_nats::table::{self, Sink};
use tidings_nats::topology::MEMBERS_BUCKET;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use signs::Signs;

/// How long a sender may be silent before its partitions go to others.
pub const SILENCE_MAX: Duration = Duration::from_secs(5);

const BEAT: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(100);
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(1);

/// The senders of one pool, this one included.
#[derive(Debug)]
pub struct Members {
    bucket: Store,
    key: String,
    prefix: String,
    signs: Mutex<Signs>,
    alive: watch::Sender<Vec<String>>,
}

impl Members {
    /// The members of `pool`, of which this sender is `name`.
    #[must_use]
    pub fn new(bucket: Store, pool: &Pool, name: &str) -> Self {
        let prefix = format!("{pool}.");
        Self {
            bucket,
            key: format!("{prefix}{name}"),
            prefix,
            signs: Mutex::new(Signs::new(name)),
            alive: watch::Sender::default(),
        }
    }

    /// The names of those who live, sorted; empty until that is known.
    pub fn alive(&self) -> watch::Receiver<Vec<String>> {
        self.alive.subscribe()
    }

    /// Gives signs of life and hears those of others until `stop` is cancelled. Then says farewell.
    pub async fn run(&self, context: Context, stop: &CancellationToken) {
        self.beat().await;
        let (loaded, is_loaded) = watch::channel(false);
        let following = table::follow(context, MEMBERS_BUCKET, self, &loaded, stop);
        let living = async {
            tokio::join!(self.beats(), self.looks(is_loaded));
        };
        tokio::join!(following, stop.run_until_cancelled(living));
        let farewell = timeout(FAREWELL_TIMEOUT, self.bucket.delete(&self.key));
        if !matches!(farewell.await, Ok(Ok(()))) {
            debug!("could not say farewell; others notice after {SILENCE_MAX:?}");
        }
    }

    async fn beats(&self) {
        let mut beats = interval(BEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            beats.tick().await;
            self.beat().await;
        }
    }

    async fn looks(&self, mut is_loaded: watch::Receiver<bool>) {
        if is_loaded.wait_for(|is_loaded| *is_loaded).await.is_err() {
            return;
        }
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            self.tell();
        }
    }

    async fn beat(&self) {
        match timeout(BEAT, self.bucket.put(&self.key, Bytes::new())).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => debug!(%error, "could not give a sign of life"),
            Err(_) => debug!("could not give a sign of life in time"),
        }
    }

    fn tell(&self) {
        let Some(names) = self.signs().alive(Instant::now()) else {
            return;
        };
        self.alive.send_if_modified(|known| {
            let is_new = *known != names;
            *known = names;
            is_new
        });
    }

    fn signs(&self) -> MutexGuard<'_, Signs> {
        self.signs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for Members {
    fn put(&self, key: &str, _value: &[u8]) {
        if let Some(name) = key.strip_prefix(&self.prefix) {
            self.signs().hear(name, Instant::now());
        }
    }

    fn remove(&self, key: &str) {
        if let Some(name) = key.strip_prefix(&self.prefix) {
            self.signs().forget(name);
        }
    }

    fn retain(&self, keys: &HashSet<String>) {
        let names = keys.iter().filter_map(|key| key.strip_prefix(&self.prefix));
        self.signs().retain(&names.collect());
    }
}
