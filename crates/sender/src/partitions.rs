//! Which partitions of the pool this sender works: those that it wins against the other senders
//! that live (DESIGN.md section 6).
//!
//! Nobody is asked. While a change spreads, two senders may work the same partition for a moment;
//! each message still goes to one of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tidings_core::rendezvous::partitions_of;
use tidings_service::health::Health;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::info;

use crate::metrics::Metrics;
use crate::permits::Lane;
use crate::take::Lanes;

/// How long a successor waits before it asks for work: longer than it takes until everybody knows
/// who is there. What the other sender has under way mostly ends in this time, too.
const HANDOVER: Duration = Duration::from_millis(500);

/// The time for which a sender works a partition.
#[derive(Debug)]
pub struct Tenure {
    /// Later ones have greater numbers.
    pub number: u64,
    /// Whether somebody else may have sent for the partition's webhooks a moment ago, so that their
    /// throttles start with nothing to spend.
    pub is_succession: bool,
    /// Cancelled once nothing more is taken: what has not begun is handed back.
    pub closing: CancellationToken,
}

/// The partitions that this sender works.
pub(crate) struct Partitions {
    lanes: Lanes,
    name: String,
    count: u16,
    health: Health,
    metrics: Arc<Metrics>,
    /// What ends the work on each.
    worked: HashMap<u16, CancellationToken>,
    running: TaskTracker,
    tenures: u64,
}

impl Partitions {
    /// None of `count` partitions yet; `name` is what this sender calls itself.
    pub(crate) fn new(lanes: Lanes, name: &str, count: u16, health: &Health) -> Self {
        Self {
            metrics: Arc::clone(&lanes.metrics),
            lanes,
            name: name.to_owned(),
            count,
            health: health.clone(),
            worked: HashMap::new(),
            running: TaskTracker::new(),
            tenures: 0,
        }
    }

    /// Works what the members that are `alive` leave to this sender, until the process is asked to
    /// stop and everything is handed back that was on its way.
    pub(crate) async fn work(mut self, mut alive: watch::Receiver<Vec<String>>) {
        let stop = self.lanes.lifecycle.stop.clone();
        let following = async {
            while alive.changed().await.is_ok() {
                let members = alive.borrow_and_update().clone();
                self.change(&members);
            }
        };
        stop.run_until_cancelled(following).await;
        self.worked.values().for_each(CancellationToken::cancel);
        self.metrics.owned(self.worked.len(), 0);
        self.running.close();
        self.running.wait().await;
    }

    fn change(&mut self, members: &[String]) {
        let mine = partitions_of(&self.name, members, self.count);
        let before = self.worked.len();
        self.worked.retain(|partition, leaving| {
            let stays = mine.binary_search(partition).is_ok();
            if !stays {
                leaving.cancel();
            }
            stays
        });
        // Whoever starts alone succeeds nobody.
        let is_succession = self.tenures > 0 || members.len() > 1;
        for partition in mine {
            if !self.worked.contains_key(&partition) {
                self.start(partition, is_succession);
            }
        }
        let (owned, senders) = (self.worked.len(), members.len());
        self.metrics.owned(before, owned);
        self.metrics.members(senders);
        self.health.ready("partitions");
        let count = self.count;
        info!("working {owned} of {count} partitions, as one of {senders} senders");
    }

    fn start(&mut self, partition: u16, is_succession: bool) {
        self.tenures += 1;
        let tenure = Arc::new(Tenure {
            number: self.tenures,
            is_succession,
            closing: CancellationToken::new(),
        });
        let leaving = self.lanes.lifecycle.stop.child_token();
        self.worked.insert(partition, leaving.clone());
        let lanes = self.lanes.clone();
        self.running.spawn(async move {
            if is_succession && leaving.run_until_cancelled(sleep(HANDOVER)).await.is_none() {
                return;
            }
            let lane = |lane| lanes.run(lane, partition, &tenure, &leaving);
            tokio::join!(lane(Lane::First), lane(Lane::Retry));
            // Only now: what is handed back while a lane still asks comes straight back to it.
            tenure.closing.cancel();
        });
    }
}
