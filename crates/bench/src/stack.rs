//! Everything one measurement stands on: a nats-server, the programs between producer and sink,
//! and the sink, each a process of its own. All end when the stack is dropped, or this process.

pub(crate) mod programs;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use anyhow::{bail, ensure};
use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::PullConsumer;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http::StatusCode;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use tidings_core::token::{self, Scope, TokenRecord};
use tidings_nats::connect;
use tidings_nats::topology::{
    DEAD_LETTERS, DELIVERIES, EVENTS, RETRIES, ROUTER_CONSUMER, TOKENS_BUCKET, Topology,
    WEBHOOKS_BUCKET, provision,
};
use tidings_testkit::{NatsCluster, NatsServer, Process, SyncInterval, Usage};
use tokio::time::{Instant, sleep};

use crate::http::Http;
use crate::load::{LoadArgs, Loaded, Way};
use crate::sink::{ARRIVALS_PATH, RECEIVED_PATH, Received};
use crate::{broker, event};

/// The bearer token of the load generator.
const TOKEN: &str = "tdg_bench_bench_bench_bench";

/// Plenty for every measurement, and little enough for a small disk.
const STORAGE_BYTES: u64 = 4 << 30;

const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Without a new delivery for so long, something is broken. Longer than the broker's ack wait.
const STALLED_AFTER: Duration = Duration::from_secs(40);
/// A cell is made to take seconds.
const RECEIVED_WITHIN: Duration = Duration::from_secs(900);
const SETTLED_WITHIN: Duration = Duration::from_secs(60);
const PUTS_AT_ONCE: usize = 256;

/// What stands between the producer and the sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum System {
    /// The product's own programs.
    Ours,
    /// The bare loop.
    Floor,
}

/// A process of a measurement, by what it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    Ingest,
    Router,
    Sender,
    NatsServer,
    Producer,
    Sink,
    Collector,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ingest => "tidings-ingest",
            Self::Router => "tidings-router",
            Self::Sender => "tidings-sender",
            Self::NatsServer => "nats-server",
            Self::Producer => "producer",
            Self::Sink => "sink",
            Self::Collector => "collector",
        })
    }
}

/// What a stack stands on: unless said otherwise a broker of one node, and no collector.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ground {
    /// Nodes of the broker: one, or three of a cluster.
    pub(crate) nodes: usize,
    /// Replicas of each stream.
    pub(crate) replicas: usize,
    /// Which part of all traces is told to a collector, with all metrics; `None` without one.
    pub(crate) traced: Option<f64>,
}

impl Default for Ground {
    fn default() -> Self {
        Self {
            nodes: 1,
            replicas: 1,
            traced: None,
        }
    }
}

/// How a stack is to be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spec {
    pub(crate) system: System,
    pub(crate) sync: SyncInterval,
    pub(crate) fan_out: u64,
    /// How many events there will be, numbered from 0.
    pub(crate) events: u64,
    pub(crate) ground: Ground,
}

/// A running stack.
#[derive(Debug)]
pub(crate) struct Stack {
    programs: BTreeMap<Role, Process>,
    ingest_url: String,
    sink: Http,
    context: Context,
    fan_out: u64,
    /// What programs are told of the collector.
    telemetry: Vec<(&'static str, String)>,
    // Last, so that the programs end before their broker.
    nats: NatsServer,
    /// The other nodes of its cluster.
    peers: Vec<NatsServer>,
}

impl Stack {
    /// Starts everything, each program with its own defaults, and waits until it is ready.
    ///
    /// # Errors
    /// A part cannot be started or set up.
    pub(crate) async fn start(spec: Spec) -> anyhow::Result<Self> {
        let builder = NatsServer::builder().sync_interval(spec.sync);
        let (nats, peers) = match spec.ground.nodes {
            1 => (builder.start().await, Vec::new()),
            nodes => NatsCluster::start(&builder, nodes)
                .await
                .into_first_and_peers(),
        };
        let client = broker::open(&nats.url()).await?;
        let context = connect::jetstream(&client);
        let topology = Topology {
            sync_always: spec.sync == SyncInterval::Always,
            storage_bytes: STORAGE_BYTES,
            replicas: spec.ground.replicas,
            ..Topology::default()
        };
        match peers.is_empty() {
            true => drop(provision(&context, &topology).await?),
            false => provision_patiently(&context, &topology).await?,
        }
        let (sink, sink_url) = programs::start_sink(spec.events, spec.fan_out).await?;
        let mut stack = Self {
            programs: BTreeMap::from([(Role::Sink, sink)]),
            ingest_url: String::new(),
            sink: Http::new(&sink_url)?,
            context,
            fan_out: spec.fan_out,
            telemetry: Vec::new(),
            nats,
            peers,
        };
        if let Some(part) = spec.ground.traced {
            let (collector, url) = programs::start_sink(1, 1).await?;
            stack.programs.insert(Role::Collector, collector);
            stack.telemetry = programs::telemetry(&url, part);
        }
        let started = match spec.system {
            System::Ours => stack.start_ours(&sink_url).await,
            System::Floor => stack.start_floor(&sink_url).await,
        };
        started.inspect_err(|_| stack.show_logs())?;
        Ok(stack)
    }

    async fn start_ours(&mut self, sink_url: &str) -> anyhow::Result<()> {
        store_webhooks(&self.context, sink_url, self.fan_out).await?;
        store_token(&self.context).await?;
        let mut all = Vec::new();
        for role in [Role::Ingest, Role::Router, Role::Sender] {
            let process = programs::start_service(role, &self.nats.url(), &self.telemetry)?;
            self.programs.insert(role, process);
        }
        for role in [Role::Ingest, Role::Router, Role::Sender] {
            all.push(programs::until_ready(&self.programs[&role]).await?);
        }
        self.ingest_url = all.swap_remove(0);
        Ok(())
    }

    async fn start_floor(&mut self, sink_url: &str) -> anyhow::Result<()> {
        let nats = self.nats.url();
        let router = programs::start_floor_router(&nats, self.fan_out).await?;
        let sender = programs::start_floor_sender(&nats, sink_url).await?;
        self.programs.insert(Role::Router, router);
        self.programs.insert(Role::Sender, sender);
        Ok(())
    }

    /// Publishes events and waits until every delivery has arrived and is settled. The producer
    /// stays, so that its usage can be read, until the next call.
    ///
    /// # Errors
    /// A process ended, deliveries stopped coming, or some ended badly; the logs are shown.
    pub(crate) async fn publish(&mut self, load: &Load) -> anyhow::Result<(Loaded, Received)> {
        let published = self.publish_and_wait(load).await;
        published.inspect_err(|_| self.show_logs())
    }

    /// Ends the producer of the last call.
    pub(crate) fn end_producer(&mut self) {
        self.programs.remove(&Role::Producer);
    }

    async fn publish_and_wait(&mut self, load: &Load) -> anyhow::Result<(Loaded, Received)> {
        let url = match load.way {
            Way::Batch | Way::Single => self.ingest_url.clone(),
            Way::Direct | Way::Floor => self.nats.url(),
        };
        self.end_producer();
        let producer = programs::start_producer(&LoadArgs {
            way: load.way,
            url,
            token: TOKEN.to_owned(),
            first: load.first,
            events: load.events,
            per_second: load.per_second,
        })?;
        self.programs.insert(Role::Producer, producer);
        let deliveries = (load.first + load.events) * self.fan_out;
        let received = self.received(deliveries).await?;
        let loaded = programs::loaded(&self.programs[&Role::Producer]).await?;
        self.settled().await?;
        Ok((loaded, received))
    }

    /// When each delivery arrived, in nanoseconds since 1970.
    ///
    /// # Errors
    /// The sink does not answer.
    pub(crate) async fn arrivals_ns(&mut self) -> anyhow::Result<Vec<u64>> {
        self.ask_sink(ARRIVALS_PATH).await
    }

    /// What every process has used since it started.
    pub(crate) fn usage(&self) -> BTreeMap<Role, Usage> {
        let programs = self.programs.iter();
        let mut usage: BTreeMap<Role, Usage> = programs
            .map(|(role, process)| (*role, process.usage()))
            .collect();
        let nodes = std::iter::once(&self.nats).chain(&self.peers);
        let all = nodes.map(NatsServer::usage).reduce(|all, node| Usage {
            cpu: all.cpu + node.cpu,
            rss_bytes_peak: all.rss_bytes_peak + node.rss_bytes_peak,
        });
        usage.extend(all.map(|all| (Role::NatsServer, all)));
        usage
    }

    async fn received(&mut self, deliveries: u64) -> anyhow::Result<Received> {
        let begun = Instant::now();
        let mut last_new = begun;
        let mut seen = 0;
        loop {
            let received: Received = self.ask_sink(RECEIVED_PATH).await?;
            ensure!(
                received.strangers == 0,
                "the sink got requests that are no deliveries"
            );
            if received.deliveries >= deliveries {
                return Ok(received);
            }
            if received.deliveries > seen {
                (seen, last_new) = (received.deliveries, Instant::now());
            }
            self.check_alive()?;
            if last_new.elapsed() > STALLED_AFTER {
                bail!("{seen} of {deliveries} deliveries, and no more for {STALLED_AFTER:?}");
            }
            if begun.elapsed() > RECEIVED_WITHIN {
                bail!("{seen} of {deliveries} deliveries within {RECEIVED_WITHIN:?}: too slow");
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until no work is left anywhere, so that all of it is in the usage.
    async fn settled(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + SETTLED_WITHIN;
        loop {
            let left = self.left().await?;
            if left.is_none() {
                return self.check_outcome().await;
            }
            if let Some(left) = left.filter(|_| Instant::now() > deadline) {
                bail!("{left} still there {SETTLED_WITHIN:?} after the last delivery");
            }
            sleep(LOOK_EVERY).await;
        }
    }

    async fn left(&self) -> anyhow::Result<Option<String>> {
        let router: PullConsumer = self
            .context
            .get_consumer_from_stream(ROUTER_CONSUMER, EVENTS)
            .await?;
        let info = router.cached_info();
        let events = info.num_pending + u64::try_from(info.num_ack_pending)?;
        if events > 0 {
            return Ok(Some(format!("{events} events")));
        }
        // The last acknowledgement of each is kept back for a moment (ADR 14).
        let deliveries = self.messages_in(DELIVERIES).await? + self.messages_in(RETRIES).await?;
        Ok((deliveries > 0).then(|| format!("{deliveries} deliveries")))
    }

    /// A failed attempt would make a figure of something else than delivering.
    async fn check_outcome(&self) -> anyhow::Result<()> {
        let letters = self.messages_in(DEAD_LETTERS).await?;
        ensure!(letters == 0, "there are {letters} dead letters");
        Ok(())
    }

    async fn messages_in(&self, stream: &str) -> anyhow::Result<u64> {
        Ok(self
            .context
            .get_stream(stream)
            .await?
            .cached_info()
            .state
            .messages)
    }

    fn check_alive(&self) -> anyhow::Result<()> {
        for (role, process) in &self.programs {
            if let Some(status) = process.exited() {
                bail!("the {role} ended: {status}");
            }
        }
        Ok(())
    }

    async fn ask_sink<T: DeserializeOwned>(&mut self, path: &str) -> anyhow::Result<T> {
        let answer = self.sink.get(path).await?;
        ensure!(
            answer.status == StatusCode::OK,
            "the sink answered {}",
            answer.status
        );
        Ok(serde_json::from_slice(&answer.body)?)
    }

    fn show_logs(&self) {
        for (role, process) in &self.programs {
            if let Some(tail) = programs::log_tail(&process.log()) {
                eprintln!("--- the end of the log of the {role}:\n{tail}");
            }
        }
    }
}

/// What is to be published.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) way: Way,
    pub(crate) first: u64,
    pub(crate) events: u64,
    /// A steady rate instead of full speed.
    pub(crate) per_second: Option<u32>,
}

/// A cluster that chooses its leaders refuses; provisioning goes on where it stopped.
async fn provision_patiently(context: &Context, topology: &Topology) -> anyhow::Result<()> {
    let deadline = Instant::now() + SETTLED_WITHIN;
    loop {
        match provision(context, topology).await {
            Ok(_) => return Ok(()),
            Err(_) if Instant::now() < deadline => {
                sleep(LOOK_EVERY).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

async fn store_webhooks(context: &Context, sink_url: &str, fan_out: u64) -> anyhow::Result<()> {
    let bucket = context.get_key_value(WEBHOOKS_BUCKET).await?;
    let bucket = &bucket;
    stream::iter(event::webhooks(sink_url, fan_out)?)
        .map(|webhook| async move {
            let key = format!("{}.{}", webhook.space, webhook.id);
            bucket.put(key, Bytes::from(webhook.to_stored())).await
        })
        .buffer_unordered(PUTS_AT_ONCE)
        .try_for_each(|_| async { Ok(()) })
        .await?;
    Ok(())
}

async fn store_token(context: &Context) -> anyhow::Result<()> {
    let record = TokenRecord {
        id: String::from("tok_bench"),
        name: String::from("bench"),
        space: None,
        scopes: vec![Scope::EventsWrite],
        created_at: Timestamp::UNIX_EPOCH,
        expires_at: None,
    };
    let bucket = context.get_key_value(TOKENS_BUCKET).await?;
    let value = Bytes::from(serde_json::to_vec(&record)?);
    bucket.put(token::hash(TOKEN), value).await?;
    Ok(())
}
