//! Load, kills, restarts, and the time until everything has settled.

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tidings_core::webhook::Webhook;
use tidings_testkit::{Answers, Receiver};
use tokio::time::{Instant, sleep};

use super::ledger::{Kill, Ledger};
use super::report::Report;
use crate::load::Load;
use crate::platform::{Platform, Service};

/// How many attempts a sender may have under way: what a killed one may have to repeat.
const SLOTS: u64 = 64;
const ROUTERS: usize = 2;
const SENDERS: usize = 2;

/// How often the endpoint of each webhook fails before it takes a delivery.
const FAILURES: [usize; 6] = [0, 0, 0, 0, 1, 2];

/// Nothing is killed before the load has found its pace.
const QUIET: Duration = Duration::from_secs(1);
/// From one kill to the next, and from a kill to the restart.
const BETWEEN_KILLS_MS: std::ops::Range<u64> = 700..2_500;
const DOWN_MS: std::ops::Range<u64> = 0..500;
/// What a killed program had taken comes back after 15 s.
const SETTLED_WITHIN: Duration = Duration::from_secs(90);

/// JetStream writes the state of its consumers about ten times a second; what is acknowledged in
/// between is delivered again after a kill. Three times that, for a machine with other work.
const CONSUMER_STATE_MS: u64 = 300;

/// What is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Victim {
    Ingest,
    Router,
    Sender,
    Broker,
}

/// A load with kills.
#[derive(Debug)]
pub(super) struct Scenario {
    name: &'static str,
    victims: Vec<Victim>,
    kills: usize,
    events_per_second: u32,
    sync_always: bool,
}

impl Scenario {
    pub(super) fn new<const N: usize>(name: &'static str, victims: [Victim; N]) -> Self {
        Self {
            name,
            victims: victims.to_vec(),
            kills: 0,
            events_per_second: 200,
            sync_always: false,
        }
    }

    pub(super) fn kills(mut self, kills: usize) -> Self {
        self.kills = kills;
        self
    }

    pub(super) fn sync_always(mut self) -> Self {
        self.sync_always = true;
        self
    }

    /// Runs it, and asserts that nothing was lost, invented or changed, and that whatever came
    /// twice is explained.
    pub(super) async fn run(self) {
        let seed = seed();
        println!("{}: seed {seed}", self.name);
        let platform = self.platform().await;
        let ledger = Arc::new(Ledger::default());
        let receiver = receiver(&ledger).await;
        let webhooks = create_webhooks(&platform, &receiver).await;
        ledger.expect_webhooks(&webhooks, FAILURES);

        let load = Load::start(&platform, self.events_per_second).await;
        sleep(QUIET).await;
        let kills = self.kill_all(&platform, &load, seed).await;
        let published = load.finish().await;
        let settled = platform.until_settled(SETTLED_WITHIN).await;

        let report = Report {
            scenario: self.name,
            settled,
            seed,
            events: published.events,
            repeated: published.repeated,
            findings: ledger.findings(published.events, &kills),
            duplicates_max: self.duplicates_max(&kills, webhooks.len() as u64),
            kills,
        };
        report.write();
        report.assert_kept();
        platform.until_ready().await;
        platform.assert_settled().await;
    }

    async fn platform(&self) -> Platform {
        let slots = SLOTS.to_string();
        let platform = Platform::builder()
            .routers(ROUTERS)
            .senders(SENDERS)
            .sender_args(["--concurrency", &slots])
            .storage(2 << 30)
            .under_load();
        match self.sync_always {
            true => platform.sync_always().start().await,
            false => platform.start().await,
        }
    }

    /// Kills one victim after the other, each as often as the others, and starts it again.
    async fn kill_all(&self, platform: &Platform, load: &Load, seed: u64) -> Vec<Kill> {
        let mut random = StdRng::seed_from_u64(seed);
        let mut kills = Vec::new();
        for number in 0..self.kills {
            sleep(Duration::from_millis(random.random_range(BETWEEN_KILLS_MS))).await;
            let victim = self.victims[number % self.victims.len()];
            let down = Duration::from_millis(random.random_range(DOWN_MS));
            let at = Instant::now();
            kill_and_restart(platform, victim, down, &mut random).await;
            let back_at = Instant::now();
            kills.push(Kill {
                victim,
                at,
                back_at,
            });
            if victim == Victim::Ingest {
                load.ingest_is_at(&platform.ingest.url("/v1/events").await);
            }
        }
        kills
    }

    /// The bound of reliability.md section 5.2 on what may come twice: nothing for ingest and
    /// router, whose messages have ids; for a sender, what it had under way; for the broker, what
    /// all senders had under way and the acknowledgements it had not written yet.
    fn duplicates_max(&self, kills: &[Kill], webhooks: u64) -> u64 {
        let deliveries_per_second = u64::from(self.events_per_second) * webhooks;
        let not_written = deliveries_per_second * CONSUMER_STATE_MS / 1_000;
        let bound = |kill: &Kill| match kill.victim {
            Victim::Ingest | Victim::Router => 0,
            Victim::Sender => SLOTS,
            Victim::Broker => SENDERS as u64 * SLOTS + not_written,
        };
        kills.iter().map(bound).sum()
    }
}

async fn kill_and_restart(
    platform: &Platform,
    victim: Victim,
    down: Duration,
    random: &mut StdRng,
) {
    let mut one_of = |all: &'_ [Service]| random.random_range(0..all.len());
    let process = match victim {
        Victim::Broker => {
            platform.nats.kill().await;
            sleep(down).await;
            return platform.nats.restart().await;
        }
        Victim::Ingest => &platform.ingest.process,
        Victim::Router => &platform.routers[one_of(&platform.routers)].process,
        Victim::Sender => &platform.senders[one_of(&platform.senders)].process,
    };
    process.kill().await;
    sleep(down).await;
    process.restart().await;
}

async fn receiver(ledger: &Arc<Ledger>) -> Receiver {
    let ledger = Arc::clone(ledger);
    let rule = Answers::rule(move |request| ledger.enter(request).into());
    Receiver::builder()
        .answers(rule)
        .without_bodies()
        .start()
        .await
}

async fn create_webhooks(platform: &Platform, receiver: &Receiver) -> Vec<Webhook> {
    let record = |number| {
        let url = receiver.url(&format!("/{number}"));
        platform
            .webhook(url)
            .unlimited()
            .max_retries(9)
            .retry(["100ms", "500ms"])
            .record()
    };
    let webhooks: Vec<Webhook> = (0..FAILURES.len()).map(record).collect();
    platform.store_all(&webhooks).await;
    webhooks
}

fn seed() -> u64 {
    let given = std::env::var("TIDINGS_CRASH_SEED").ok();
    given.map_or_else(rand::random, |seed| {
        seed.parse().expect("a seed is a number")
    })
}
