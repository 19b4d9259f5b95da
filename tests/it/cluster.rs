//! A cluster of three NATS nodes with three replicas of every stream: leaders are killed in turn, a
//! node stops answering, all are restarted one after the other, and one is lost for good. Whatever
//! was accepted arrives. Programs are told of one node and find the others by themselves.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tidings_core::webhook::Webhook;
use tidings_nats::topology::{DELIVERIES, EVENTS, RETRIES};
use tidings_testkit::{Answers, NatsServer, Receiver, eventually};
use tokio::time::sleep;

use crate::crash::ledger::Ledger;
use crate::load::Load;
use crate::platform::Platform;

const EVENTS_PER_SECOND: u32 = 60;
/// How often the endpoint of each webhook fails before it takes a delivery.
const FAILURES: [usize; 3] = [0, 0, 1];
/// How long the load goes on before a fault, between two, and after the last.
const QUIET: Duration = Duration::from_secs(1);
/// How long a node does not answer.
const SLOW: Duration = Duration::from_secs(4);
/// Choosing leaders and catching up, on a machine with other work.
const HEALED_WITHIN: Duration = Duration::from_secs(60);
/// What a program had taken comes back after 15 s.
const SETTLED_WITHIN: Duration = Duration::from_secs(90);
const FILE: &str = "cluster-table.txt";

/// The platform under load, and what is measured of it.
struct Stand {
    platform: Platform,
    receiver: Receiver,
    ledger: Arc<Ledger>,
    load: Load,
    rows: Vec<Row>,
}

/// A line of the table.
struct Row {
    fault: String,
    events: u32,
    duplicates: u64,
    unavailable: Duration,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_may_lose_any_node_and_nothing_accepted_is_lost() {
    let mut stand = Stand::start().await;
    for stream in [EVENTS, DELIVERIES, RETRIES] {
        let fault = format!("leader of {stream} killed");
        stand
            .fault(&fault, async |stand| {
                let leader = stand.leader(stream).await;
                stand.node(leader).kill().await;
                sleep(QUIET).await;
                stand.node(leader).restart().await;
            })
            .await;
    }
    let fault = format!("leader of {EVENTS} silent for {} s", SLOW.as_secs());
    stand
        .fault(&fault, async |stand| {
            let leader = stand.leader(EVENTS).await;
            stand.node(leader).suspend().await;
            sleep(SLOW).await;
            stand.node(leader).resume();
        })
        .await;
    stand
        .fault("rolling restart of all nodes", async |stand| {
            for number in 0..3 {
                stand.node(number).stop().await;
                stand.node(number).restart().await;
                stand.until_healed(3).await;
            }
        })
        .await;
    stand
        .fault("a node lost for good", async |stand| {
            // The one that programs were told of.
            stand.node(0).lose().await;
            sleep(QUIET).await;
        })
        .await;
    stand.finish().await;
}

impl Stand {
    async fn start() -> Self {
        let platform = Platform::builder()
            .cluster()
            .routers(2)
            .senders(2)
            .storage(1 << 30)
            .under_load()
            .start()
            .await;
        let ledger = Arc::new(Ledger::default());
        let receiver = receiver(&ledger).await;
        let record = |number| {
            let url = receiver.url(&format!("/{number}"));
            let webhook = platform.webhook(url).unlimited().max_retries(9);
            webhook.retry(["100ms", "500ms"]).record()
        };
        let webhooks: Vec<Webhook> = (0..FAILURES.len()).map(record).collect();
        platform.store_all(&webhooks).await;
        ledger.expect_webhooks(&webhooks, FAILURES);
        let load = Load::start(&platform, EVENTS_PER_SECOND).await;
        let stand = Self {
            platform,
            receiver,
            ledger,
            load,
            rows: Vec::new(),
        };
        sleep(QUIET).await;
        stand.until_healed(3).await;
        stand
    }

    fn node(&self, number: usize) -> &NatsServer {
        match number {
            0 => &self.platform.nats,
            _ => &self.platform.peers[number - 1],
        }
    }

    /// The number of the node that leads a stream.
    async fn leader(&self, stream: &str) -> usize {
        let what = format!("{stream} has a leader");
        eventually(HEALED_WITHIN, &what, async || {
            let stream = self.platform.context.get_stream(stream).await;
            let stream = stream.map_err(|error| error.to_string())?;
            let cluster = stream.cached_info().cluster.as_ref();
            let leader = cluster.and_then(|cluster| cluster.leader.as_deref());
            let number = leader.and_then(|name| name.strip_prefix("node-")?.parse().ok());
            number.ok_or_else(|| format!("{cluster:?}"))
        })
        .await
    }

    /// Lets something happen, waits until the cluster is whole again or does without, and writes a
    /// line about it.
    async fn fault(&mut self, fault: &str, happen: impl AsyncFnOnce(&Self)) {
        let (begun, duplicates) = (self.load.begun(), self.ledger.duplicates());
        self.load.take_longest_gap();
        happen(self).await;
        let is_lost = fault.contains("for good");
        self.until_healed(if is_lost { 2 } else { 3 }).await;
        sleep(QUIET).await;
        self.rows.push(Row {
            fault: fault.to_owned(),
            events: self.load.begun() - begun,
            duplicates: self.ledger.duplicates() - duplicates,
            unavailable: self.load.take_longest_gap(),
        });
    }

    /// Waits until every stream has a leader and `nodes - 1` followers that are up to date.
    async fn until_healed(&self, nodes: usize) {
        for stream in [EVENTS, DELIVERIES, RETRIES] {
            let what = format!("{stream} is held by {nodes} nodes");
            eventually(HEALED_WITHIN, &what, async || {
                let stream = self.platform.context.get_stream(stream).await;
                let stream = stream.map_err(|error| error.to_string())?;
                let cluster = stream.cached_info().cluster.clone().unwrap_or_default();
                let current = cluster
                    .replicas
                    .iter()
                    .filter(|peer| peer.current && !peer.offline);
                match cluster.leader.is_some() && current.count() + 1 >= nodes {
                    true => Ok(()),
                    false => Err(format!("{cluster:?}")),
                }
            })
            .await;
        }
    }

    async fn finish(self) {
        let published = self.load.finish().await;
        let settled = self.platform.until_settled(SETTLED_WITHIN).await;
        let findings = self.ledger.findings(published.events, &[]);
        let table = table(
            &self.rows,
            findings.lost,
            published.events,
            findings.duplicates,
        );
        println!("{table}");
        std::fs::write(file(), table).expect("the target folder can be written to");
        assert_eq!(settled, Ok(()), "left over");
        assert_eq!(
            (findings.lost, findings.phantom),
            (0, 0),
            "lost and phantom"
        );
        assert!(findings.faults.is_empty(), "{:#?}", findings.faults);
        assert!(published.events > 0 && findings.deliveries > 0);
        drop(self.receiver);
    }
}

/// Beside the table of the kill tests.
fn file() -> PathBuf {
    let program = tidings_testkit::target_bin("tidings");
    let profile = program.parent().expect("programs lie in target/PROFILE");
    profile.with_file_name(FILE)
}

fn table(rows: &[Row], lost: u64, events: u32, duplicates: u64) -> String {
    let mut text = String::from(
        "fault                                events   lost  duplicates  unavailable\n",
    );
    for row in rows {
        let Row {
            fault,
            events,
            duplicates,
            unavailable,
        } = row;
        let seconds = unavailable.as_secs_f64();
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{fault:<35} {events:>7}  {lost:>5}  {duplicates:>10}  {seconds:>9.1} s"
        );
    }
    let _ = writeln!(
        text,
        "{:<35} {events:>7}  {lost:>5}  {duplicates:>10}",
        "all"
    );
    text
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
