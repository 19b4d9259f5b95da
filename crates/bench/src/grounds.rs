//! What measurements of the fleet stand on: a nats-server, a router, any number of senders, and a
//! [farm](crate::farm) of endpoints, each a process of its own.

use std::time::Duration;

use anyhow::ensure;
use async_nats::HeaderMap;
use async_nats::jetstream::Context;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http::StatusCode;
use jiff::Timestamp;
use prost::Message as _;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tidings_core::webhook::{SCHEMA_VERSION, Webhook};
use tidings_nats::connect;
use tidings_nats::publish::{Bounds, Outgoing, Publisher};
use tidings_nats::topology::{Commit, Topology, WEBHOOKS_BUCKET, provision};
use tidings_proto::v1;
use tidings_testkit::{NatsServer, Process, Usage};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::clock::now_ns;
use crate::farm::{ARRIVALS_PATH, Arrival, FarmArgs, HELD_PATH, Held, host};
use crate::http::Http;
use crate::stack::{Role, programs};
use crate::{broker, event};

const STORAGE_BYTES: u64 = 4 << 30;
const PUTS_AT_ONCE: usize = 256;
const TICK: Duration = Duration::from_millis(1);
/// How many events wait for their acknowledgement at most.
const PUBLISHING_MAX: usize = 4_096;
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A running fleet with its endpoints.
#[derive(Debug)]
pub(crate) struct Grounds {
    pub(crate) senders: Vec<Process>,
    router: Option<Process>,
    farm: Process,
    port: u16,
    reports: Http,
    context: Context,
    publisher: Publisher,
    // Last, so that the programs end before their broker.
    nats: NatsServer,
}

/// A webhook to be made.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// Its number, which is also that of its host.
    pub(crate) number: u32,
    /// What it calls there.
    pub(crate) path: String,
    /// The content type of the events it gets.
    pub(crate) kind: String,
    /// Its `delivery`.
    pub(crate) delivery: Value,
}

impl Grounds {
    /// Starts broker and farm.
    ///
    /// # Errors
    /// A part cannot be started or set up.
    pub(crate) async fn start(farm: &FarmArgs) -> anyhow::Result<Self> {
        let nats = NatsServer::start().await;
        let client = broker::open(&nats.url()).await?;
        let context = connect::jetstream(&client);
        let topology = Topology {
            storage_bytes: STORAGE_BYTES,
            ..Topology::default()
        };
        provision(&context, &topology).await?;
        let (farm, url) = programs::start_farm(farm).await?;
        let port = url.rsplit(':').next().and_then(|port| port.parse().ok());
        Ok(Self {
            senders: Vec::new(),
            router: None,
            farm,
            port: port.unwrap_or_default(),
            reports: Http::new(&url)?,
            context,
            publisher: Publisher::new(client, Commit::Single, Bounds::default()),
            nats,
        })
    }

    /// Starts a sender, and waits until it is ready.
    ///
    /// # Errors
    /// It is not in time.
    pub(crate) async fn add_sender(&mut self, options: &[String]) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        let sender = programs::start_service_with(Role::Sender, &self.nats.url(), options)?;
        programs::until_ready(&sender).await?;
        self.senders.push(sender);
        Ok(begun.elapsed())
    }

    /// Starts the router, and waits until it is ready.
    ///
    /// # Errors
    /// It is not in time.
    pub(crate) async fn start_router(&mut self) -> anyhow::Result<()> {
        let router = programs::start_service_with(Role::Router, &self.nats.url(), &[])?;
        programs::until_ready(&router).await?;
        self.router = Some(router);
        Ok(())
    }

    /// Stores webhooks.
    ///
    /// # Errors
    /// One is not of a form that this version takes, or cannot be stored.
    pub(crate) async fn store(
        &self,
        wanted: impl IntoIterator<Item = Wanted>,
    ) -> anyhow::Result<()> {
        let bucket = self.context.get_key_value(WEBHOOKS_BUCKET).await?;
        let (bucket, port) = (&bucket, self.port);
        stream::iter(wanted)
            .map(|wanted| async move {
                let webhook = webhook(&wanted, port)?;
                let key = format!("{}.{}", webhook.space, webhook.id);
                bucket.put(key, Bytes::from(webhook.to_stored())).await?;
                anyhow::Ok(())
            })
            .buffer_unordered(PUTS_AT_ONCE)
            .try_collect::<()>()
            .await
    }

    /// Publishes events of each of `kinds` at `per_second` each, evenly, for as long as `during`.
    /// Returns when it began and ended, in nanoseconds since 1970.
    ///
    /// # Errors
    /// The broker is away.
    pub(crate) async fn publish_steadily(
        &self,
        kinds: &[String],
        per_second: f64,
        during: Duration,
    ) -> anyhow::Result<Window> {
        let begun = Instant::now();
        let from_ns = now_ns();
        let rate = per_second * kinds.len() as f64;
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut publishing = JoinSet::new();
        let mut turns = kinds.iter().cycle();
        let mut published = 0_u64;
        while begun.elapsed() < during {
            ticks.tick().await;
            let due = (begun.elapsed().as_secs_f64() * rate) as u64;
            for kind in turns.by_ref().take(usize::try_from(due - published)?) {
                self.publish_in(&mut publishing, kind);
            }
            published = due;
            while let Some(done) = publishing.try_join_next() {
                done??;
            }
            ensure!(
                publishing.len() < PUBLISHING_MAX,
                "the broker does not keep up"
            );
        }
        let to_ns = now_ns();
        while let Some(done) = publishing.join_next().await {
            done??;
        }
        Ok(Window {
            from_ns,
            to_ns,
            published,
        })
    }

    /// Publishes `count` events of a kind as fast as they are taken.
    ///
    /// # Errors
    /// The broker is away.
    pub(crate) async fn publish(&self, kind: &str, count: u64) -> anyhow::Result<()> {
        let mut publishing = JoinSet::new();
        for _ in 0..count {
            self.publish_in(&mut publishing, kind);
            while publishing.len() >= PUBLISHING_MAX / 4 {
                if let Some(done) = publishing.join_next().await {
                    done??;
                }
            }
        }
        while let Some(done) = publishing.join_next().await {
            done??;
        }
        Ok(())
    }

    fn publish_in(&self, publishing: &mut JoinSet<anyhow::Result<()>>, kind: &str) {
        let outgoing = outgoing(kind);
        let publisher = self.publisher.clone();
        publishing.spawn(async move {
            publisher.publish(outgoing).await?;
            Ok(())
        });
    }

    /// Waits until no more than `left` messages are in a stream.
    ///
    /// # Errors
    /// The broker is away, or there are more after `within`.
    pub(crate) async fn drained(
        &self,
        stream: &str,
        left: u64,
        within: Duration,
    ) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        loop {
            let found = self.context.get_stream(stream).await?;
            let messages = found.cached_info().state.messages;
            if messages <= left {
                return Ok(begun.elapsed());
            }
            ensure!(
                begun.elapsed() < within,
                "{messages} messages are in {stream} after {within:?}"
            );
            sleep(LOOK_EVERY).await;
        }
    }

    /// Everything that came so far.
    ///
    /// # Errors
    /// The farm does not answer.
    pub(crate) async fn arrivals(&mut self) -> anyhow::Result<Vec<Arrival>> {
        self.ask(ARRIVALS_PATH).await
    }

    /// What slow endpoints hold.
    ///
    /// # Errors
    /// The farm does not answer.
    pub(crate) async fn held(&mut self) -> anyhow::Result<Held> {
        self.ask(HELD_PATH).await
    }

    async fn ask<T: DeserializeOwned>(&mut self, path: &str) -> anyhow::Result<T> {
        let answer = self.reports.get(path).await?;
        ensure!(answer.status == StatusCode::OK, "the farm does not answer");
        Ok(serde_json::from_slice(&answer.body)?)
    }

    /// What a process has used: the router, or the farm.
    pub(crate) fn usage(&self, role: Role) -> Option<Usage> {
        match role {
            Role::Router => self.router.as_ref().map(Process::usage),
            Role::Sink => Some(self.farm.usage()),
            Role::NatsServer => Some(self.nats.usage()),
            Role::Sender => self.senders.first().map(Process::usage),
            Role::Ingest | Role::Producer | Role::Collector => None,
        }
    }
}

/// A span of time in which events were published.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    pub(crate) from_ns: u64,
    pub(crate) to_ns: u64,
    pub(crate) published: u64,
}

impl Window {
    pub(crate) fn seconds(&self) -> f64 {
        Duration::from_nanos(self.to_ns - self.from_ns).as_secs_f64()
    }

    pub(crate) fn contains(&self, at_ns: u64) -> bool {
        (self.from_ns..self.to_ns).contains(&at_ns)
    }
}

/// An event whose number is the time at which it is published.
fn outgoing(kind: &str) -> Outgoing {
    let published_ns = now_ns();
    let id = format!("{published_ns}-{:08x}", fresh());
    let event = v1::Event {
        id: id.clone(),
        space: event::SPACE.to_owned(),
        environment: event::ENVIRONMENT.to_owned(),
        topic: event::TOPIC.to_owned(),
        entity: Some(v1::Entity {
            id: format!("entry-{kind}"),
            content_type: kind.to_owned(),
            ..v1::Entity::default()
        }),
        payload: Bytes::from(event::payload(published_ns)),
        ..v1::Event::default()
    };
    Outgoing {
        subject: event::subject(),
        id: format!("{}.{}.{id}", event::SPACE, event::ENVIRONMENT),
        headers: HeaderMap::new(),
        payload: Bytes::from(event.encode_to_vec()),
    }
}

/// Several events may be published within one tick of the clock.
fn fresh() -> u32 {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    COUNT.fetch_add(1, Ordering::Relaxed)
}

fn webhook(wanted: &Wanted, port: u16) -> anyhow::Result<Webhook> {
    let Wanted {
        number,
        path,
        kind,
        delivery,
    } = wanted;
    let definition = json!({
        "name": "bench",
        "url": format!("http://{}:{port}{path}", host(number % event::HOSTS_MAX)),
        "topics": [event::TOPIC],
        "contentTypes": [kind],
        "signing": { "secrets": [{ "id": "1", "key": event::SIGNING_KEY }] },
        "delivery": delivery,
    });
    Ok(Webhook {
        schema: SCHEMA_VERSION,
        id: format!("wh_fleet_{number}").parse()?,
        space: event::SPACE.parse()?,
        definition: serde_json::from_value(definition)?,
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
        version: 1,
    })
}
