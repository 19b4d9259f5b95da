//! Taking deliveries: for each partition one lane of first attempts and one of retries.
//!
//! A lane asks for as many messages as it has room for; each gets a task that brings it to its next
//! step. Room is given back when the attempt begins, so a lane holds few that wait, and the permits
//! say how many are under way.

use std::sync::Arc;

use async_nats::Client;
use tidings_core::name::Pool;
use tidings_nats::topology::{DELIVERIES, RETRIES, delivery_consumer, retry_consumer};
use tidings_service::lifecycle::Lifecycle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, warn};

use crate::hand::{Hand, Taken};
use crate::metrics::Metrics;
use crate::partitions::Tenure;
use crate::permits::Lane;
use crate::pull::{Pull, Room};
use crate::send::Sender;

const ROOM_MIN: usize = 4;
const ROOM_MAX: usize = 64;
/// The room of a lane is this part of all attempts that may be under way.
const ROOM_SHARE: usize = 8;
/// Retries have so many times the room: those that come back for their turn wait here a little.
const RETRY_ROOM: usize = 4;

/// What all lanes have in common.
#[derive(Debug, Clone)]
pub(crate) struct Lanes {
    pub(crate) sender: Arc<Sender>,
    pub(crate) hand: Arc<Hand>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) client: Client,
    pub(crate) connections: watch::Receiver<u64>,
    pub(crate) pool: Pool,
    pub(crate) concurrency: usize,
    pub(crate) lifecycle: Lifecycle,
    /// The tasks of messages in hand.
    pub(crate) tasks: TaskTracker,
}

impl Lanes {
    /// Takes from `lane` of `partition` until `leaving` is cancelled; then hands back what was on
    /// its way.
    pub(crate) async fn run(
        &self,
        lane: Lane,
        partition: u16,
        tenure: &Arc<Tenure>,
        leaving: &CancellationToken,
    ) {
        let (stream, consumer) = match lane {
            Lane::First => (DELIVERIES, delivery_consumer(&self.pool, partition)),
            Lane::Retry => (RETRIES, retry_consumer(&self.pool, partition)),
        };
        let from = (stream, consumer.as_str());
        let pull = Pull::open(
            self.client.clone(),
            from,
            self.room(lane),
            self.connections.clone(),
        );
        let mut pull = match pull.await {
            Ok(pull) => pull,
            Err(error) => return warn!(consumer, %error, "cannot take work"),
        };
        while let Some(Some((message, room))) = leaving.run_until_cancelled(pull.next()).await {
            if let Some(taken) = self.hand.take(lane, partition, message).await {
                self.start(taken, room, Arc::clone(tenure));
            }
        }
        for message in pull.close().await {
            // What is in hand already stays there.
            if let Some(taken) = self.hand.take(lane, partition, message).await {
                taken.hand_back().await;
            }
        }
    }

    fn room(&self, lane: Lane) -> usize {
        let room = (self.concurrency / ROOM_SHARE).clamp(ROOM_MIN, ROOM_MAX);
        match lane {
            Lane::First => room,
            Lane::Retry => room * RETRY_ROOM,
        }
    }

    fn start(&self, taken: Taken, room: Option<Room>, tenure: Arc<Tenure>) {
        let sender = Arc::clone(&self.sender);
        let abort = self.lifecycle.abort.clone();
        let watched = Watched::new(Arc::clone(&self.metrics), &taken);
        let (hand, holding) = (Arc::clone(&self.hand), taken.holding());
        self.tasks.spawn(async move {
            let _watched = watched;
            let mut sending = Box::pin(sender.send(taken, room, &tenure));
            if abort.run_until_cancelled(&mut sending).await.is_none() {
                // While the message is still held: who drops it forgets where to tell the broker.
                hand.leave(holding).await;
            }
        });
    }
}

/// Notices a panic in the task that holds it. The message of that task comes again.
struct Watched {
    metrics: Arc<Metrics>,
    subject: async_nats::Subject,
    sequence: u64,
}

impl Watched {
    fn new(metrics: Arc<Metrics>, taken: &Taken) -> Self {
        Self {
            metrics,
            subject: taken.subject.clone(),
            sequence: taken.place.sequence,
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.metrics.panic();
            error!(subject = %self.subject, sequence = self.sequence,
                   "the work on a delivery ended in a panic; the delivery comes again");
        }
    }
}
