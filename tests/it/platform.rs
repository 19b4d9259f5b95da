//! The whole product as it runs anywhere: a nats-server, the provisioned streams, and our programs
//! as child processes on free ports.

mod access;
mod publish;
mod service;
mod streams;
mod webhook;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::jetstream;
use futures_util::future::join_all;
use jiff::Timestamp;
use tidings_core::token::{self, Scope, TokenRecord};
use tidings_nats::connect::{NatsArgs, connect_within};
use tidings_nats::topology::{TOKENS_BUCKET, Topology, provision};
use tidings_testkit::{NatsCluster, NatsServer, NatsServerBuilder, SyncInterval, eventually};

use crate::client::Http;
pub(crate) use access::Access;
pub(crate) use service::Service;
pub(crate) use webhook::{SECRET, assert_signed};

/// The token of all tests; its hash lies in the bucket.
pub(crate) const TOKEN: &str = "tdg_only-for-tests-of-the-platform";

/// Long enough for a machine that builds and tests other things at the same time.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// Small, so that a hundred platforms fit one disk.
const STORAGE_BYTES: u64 = 256 << 20;

/// Receivers of tests are on loopback.
const EGRESS: [&str; 2] = ["--egress-allow", "127.0.0.0/8"];

/// What is logged: each step, and which webhooks a program knows.
const LOG: &str = "info,tidings_nats::table=debug";
/// The same without a line for each attempt.
const LOG_UNDER_LOAD: &str =
    "warn,tidings_ingest=info,tidings_service=info,tidings_nats::table=debug";

/// How a [`Platform`] is to be set up.
#[derive(Clone, Debug)]
pub(crate) struct Builder {
    nats: NatsServerBuilder,
    topology: Topology,
    is_provisioned: bool,
    routers: usize,
    senders: usize,
    log: &'static str,
    sender_args: Vec<String>,
    cms_spaces: Option<Vec<&'static str>>,
    nodes: usize,
    env: Vec<(String, String)>,
    sender_env: Vec<(&'static str, &'static str)>,
}

impl Builder {
    /// The broker gives each service a user with the least permissions, and each of `spaces` one
    /// for its CMS.
    pub(crate) fn least_privilege<const N: usize>(mut self, spaces: [&'static str; N]) -> Self {
        self.cms_spaces = Some(spaces.to_vec());
        self
    }

    /// The broker is a cluster of three nodes, and each stream has three replicas. Programs are told
    /// of the first node only. Each consumer of a partition is a group of its own that chooses a
    /// leader, so a few of them make the same test in half the time.
    pub(crate) fn cluster(mut self) -> Self {
        self.nodes = 3;
        self.topology.replicas = 3;
        self.topology.partitions = 4;
        self
    }

    /// How long events are kept after they were routed.
    pub(crate) fn event_age(mut self, age: Duration) -> Self {
        self.topology.event_age = age;
        self
    }

    /// How many routers share the work; 1 unless set.
    pub(crate) fn routers(mut self, count: usize) -> Self {
        self.routers = count;
        self
    }

    /// How many senders share the work; 1 unless set.
    pub(crate) fn senders(mut self, count: usize) -> Self {
        self.senders = count;
        self
    }

    /// The broker syncs before every acknowledgement.
    pub(crate) fn sync_always(mut self) -> Self {
        self.nats = self.nats.sync_interval(SyncInterval::Always);
        self.topology.sync_always = true;
        self
    }

    /// What all streams may use together.
    pub(crate) fn storage(mut self, bytes: u64) -> Self {
        self.topology.storage_bytes = bytes;
        self
    }

    /// A further pool is provisioned.
    pub(crate) fn pool(mut self, name: &str) -> Self {
        let pool = name.parse().expect("a pool's name is a word");
        self.topology.pools.insert(pool);
        self
    }

    /// Leaves provisioning, and storing the token, to the test.
    pub(crate) fn not_provisioned(mut self) -> Self {
        self.is_provisioned = false;
        self
    }

    /// Programs do not log each step.
    pub(crate) fn under_load(mut self) -> Self {
        self.log = LOG_UNDER_LOAD;
        self
    }

    /// Programs log everything they and their libraries have to say.
    pub(crate) fn talkative(mut self) -> Self {
        self.log = "trace,hyper=trace,h2=trace,async_nats=trace";
        self
    }

    /// A variable of the environment of every `tidings-sender`.
    pub(crate) fn sender_env(mut self, name: &'static str, value: &'static str) -> Self {
        self.sender_env.push((name, value));
        self
    }

    /// Further arguments of every `tidings-sender`.
    pub(crate) fn sender_args<const N: usize>(mut self, args: [&str; N]) -> Self {
        self.sender_args.extend(args.map(str::to_owned));
        self
    }

    /// Environment variables of every program.
    pub(crate) fn env(mut self, env: Vec<(String, String)>) -> Self {
        self.env = env;
        self
    }

    /// Starts everything and waits until every program is ready.
    pub(crate) async fn start(self) -> Platform {
        let ground = self.ground().await;
        let platform = ground.launch();
        platform.until_ready().await;
        platform
    }

    /// Starts the broker and provisions it, and nothing else yet.
    pub(crate) async fn ground(self) -> Ground {
        let access = match &self.cms_spaces {
            Some(spaces) => Some(Access::new(spaces).await),
            None => None,
        };
        let nats = match &access {
            Some(access) => self.nats.clone().config(access.configuration()),
            None => self.nats.clone(),
        };
        let (nats, peers) = match self.nodes {
            1 => (nats.start().await, Vec::new()),
            nodes => NatsCluster::start(&nats, nodes)
                .await
                .into_first_and_peers(),
        };
        let client = match &access {
            Some(access) => access.client(&nats.url(), "operator").await,
            None => client_of(&nats, &peers).await,
        };
        let context = jetstream::new(client.clone());
        if self.is_provisioned {
            // A cluster that chooses its leaders refuses; provisioning goes on where it stopped.
            eventually(SOON * 3, "the broker is provisioned", async || {
                provision(&context, &self.topology).await
            })
            .await;
            store_token(&context).await;
        }
        Ground {
            builder: self,
            access,
            nats,
            peers,
            client,
            context,
        }
    }
}

/// A broker with everything in place for our programs, which do not run yet.
#[derive(Debug)]
pub(crate) struct Ground {
    builder: Builder,
    access: Option<Access>,
    pub(crate) nats: NatsServer,
    peers: Vec<NatsServer>,
    client: async_nats::Client,
    context: jetstream::Context,
}

impl Ground {
    /// Starts our programs, without waiting until they are ready.
    pub(crate) fn launch(self) -> Platform {
        let Builder {
            routers,
            senders,
            sender_args,
            sender_env,
            log,
            env,
            ..
        } = &self.builder;
        let url = self.nats.url();
        let access = &self.access;
        let launch = |name: &str, args: &[String], more: &[(&'static str, &'static str)]| {
            let user = match name.trim_start_matches("tidings-") {
                "sender" => "sender-default",
                user => user,
            };
            let credentials = access.as_ref().map(|access| access.options(user));
            let args = [
                args,
                credentials
                    .iter()
                    .flatten()
                    .cloned()
                    .collect::<Vec<_>>()
                    .as_slice(),
            ]
            .concat();
            let more = more
                .iter()
                .map(|&(name, value)| (name.into(), value.into()));
            let env: Vec<_> = env.iter().cloned().chain(more).collect();
            Service::launch(name, &url, log, &args, &env)
        };
        Platform {
            ingest: launch("tidings-ingest", &[], &[]),
            routers: (0..*routers)
                .map(|_| launch("tidings-router", &[], &[]))
                .collect(),
            senders: (0..*senders)
                .map(|_| launch("tidings-sender", sender_args, sender_env))
                .collect(),
            access: self.access,
            nats: self.nats,
            peers: self.peers,
            client: self.client,
            context: self.context,
            http: Http::new(),
            names: AtomicU64::new(0),
            dead_letter_seen: AtomicU64::new(0),
        }
    }
}

/// Everything, running. Ends, with its files, when dropped.
#[derive(Debug)]
pub(crate) struct Platform {
    // Before the broker, so that programs go first.
    pub(crate) ingest: Service,
    pub(crate) routers: Vec<Service>,
    pub(crate) senders: Vec<Service>,
    access: Option<Access>,
    pub(crate) nats: NatsServer,
    /// The other nodes of a cluster.
    pub(crate) peers: Vec<NatsServer>,
    pub(crate) client: async_nats::Client,
    pub(crate) context: jetstream::Context,
    pub(crate) http: Http,
    names: AtomicU64,
    dead_letter_seen: AtomicU64,
}

impl Platform {
    /// One of each program.
    pub(crate) async fn start() -> Self {
        Self::builder().start().await
    }

    /// A platform to be set up and started.
    pub(crate) fn builder() -> Builder {
        Builder {
            nats: NatsServer::builder(),
            topology: Topology {
                storage_bytes: STORAGE_BYTES,
                ..Topology::default()
            },
            is_provisioned: true,
            routers: 1,
            senders: 1,
            log: LOG,
            sender_args: EGRESS.map(str::to_owned).to_vec(),
            cms_spaces: None,
            nodes: 1,
            sender_env: Vec::new(),
            env: Vec::new(),
        }
    }

    /// Starts a console; it is no part of the platform and ends when it is dropped.
    pub(crate) fn console(&self, args: &[&str]) -> Service {
        let credentials = self.access.as_ref().map(|access| access.options("console"));
        let credentials = credentials.iter().flatten().map(String::as_str);
        let args: Vec<&str> = args.iter().copied().chain(credentials).collect();
        Service::launch_console(&self.nats.url(), LOG, &args)
    }

    /// The users of a broker with the least permissions.
    pub(crate) fn access(&self) -> &Access {
        let access = self.access.as_ref();
        access.expect("the platform was built with least_privilege")
    }

    /// All our programs.
    pub(crate) fn services(&self) -> impl Iterator<Item = &Service> {
        std::iter::once(&self.ingest).chain(self.consumers())
    }

    /// The programs that know the webhooks.
    pub(crate) fn consumers(&self) -> impl Iterator<Item = &Service> {
        self.routers.iter().chain(&self.senders)
    }

    /// Waits until every program says that it is ready.
    pub(crate) async fn until_ready(&self) {
        join_all(
            self.services()
                .map(|service| service.until_ready(&self.http)),
        )
        .await;
    }

    /// Stores the token of all tests.
    pub(crate) async fn store_token(&self) {
        store_token(&self.context).await;
    }

    /// A word that this platform has not used before.
    fn unused_name(&self, prefix: &str) -> String {
        let number = self.names.fetch_add(1, Ordering::Relaxed) + 1;
        format!("{prefix}{number}")
    }
}

/// A connection that knows all nodes.
async fn client_of(nats: &NatsServer, peers: &[NatsServer]) -> async_nats::Client {
    if peers.is_empty() {
        return nats.client().await;
    }
    let urls: Vec<String> = [nats]
        .into_iter()
        .chain(peers)
        .map(NatsServer::url)
        .collect();
    let connected = connect_within(&NatsArgs::at(urls.join(",")), "tidings-test", SOON).await;
    connected.unwrap_or_else(|error| panic!("no NATS: {error}"))
}

async fn store_token(context: &jetstream::Context) {
    let record = TokenRecord {
        id: "tok_tests".to_owned(),
        name: "tests".to_owned(),
        space: None,
        scopes: vec![Scope::Admin],
        created_at: Timestamp::UNIX_EPOCH,
        expires_at: None,
    };
    let record = serde_json::to_vec(&record).expect("a record is JSON");
    let tokens = context
        .get_key_value(TOKENS_BUCKET)
        .await
        .expect("the bucket is provisioned");
    let stored = tokens.put(token::hash(TOKEN), record.into()).await;
    stored.expect("the token can be stored");
}
