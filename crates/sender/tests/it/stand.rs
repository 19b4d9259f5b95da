//! A broker with the streams, senders in this process, webhooks and deliveries put straight into
//! their places.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::Context;
use async_nats::jetstream::kv::Store;
use bytes::Bytes;
use clap::Parser;
use jiff::Timestamp;
use prost::Message;
use serde_json::{Value, json};
use tidings_core::delivery::{Delivery, Progress};
use tidings_core::event::{Entity, Event};
use tidings_core::id::DeliveryId;
use tidings_core::name::{Environment, Pool, Space};
use tidings_core::partition::partition_of;
use tidings_core::webhook::{EndpointState, SCHEMA_VERSION, Status, Webhook};
use tidings_nats::connect::jetstream;
use tidings_nats::publish::{Bounds, Outgoing, Publisher};
use tidings_nats::subject;
use tidings_nats::topology::{
    ATTEMPTS, Commit, DEAD_LETTERS, DELIVERIES, ENDPOINT_STATE_BUCKET, EVENTS, RETRIES, Topology,
    WEBHOOKS_BUCKET, provision,
};
use tidings_proto::{delivery_to_wire, event_to_wire, v1};
use tidings_sender::SenderArgs;
use tidings_service::clock;
use tidings_service::health::Health;
use tidings_service::lifecycle::Lifecycle;
use tidings_testkit::{NatsServer, eventually};

/// Longer than anything here takes on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(15);
pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const PARTITIONS: u16 = 4;
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) struct Stand {
    pub(crate) server: NatsServer,
    pub(crate) context: Context,
    pub(crate) webhooks: Store,
    deliveries: Publisher,
    count: AtomicU64,
}

/// A sender in this process.
pub(crate) struct Running {
    pub(crate) lifecycle: Lifecycle,
    pub(crate) health: Health,
}

impl Running {
    /// Asks it to stop, and waits until it has.
    pub(crate) async fn stop(&self) -> ExitCode {
        self.lifecycle.stop.cancel();
        self.lifecycle.finish().await
    }

    /// Makes it leave everything where it is.
    pub(crate) async fn abort(&self) {
        self.lifecycle.abort.cancel();
        self.lifecycle.finish().await;
    }

    pub(crate) async fn ready(&self) {
        eventually(SOON, "the sender is ready", async || {
            let checks = self.health.checks();
            checks.into_values().collect::<Result<Vec<()>, String>>()
        })
        .await;
    }
}

impl Stand {
    pub(crate) async fn start() -> Self {
        Self::on(NatsServer::start().await, false).await
    }

    pub(crate) async fn on(server: NatsServer, sync_always: bool) -> Self {
        let client = server.client().await;
        let context = jetstream(&client);
        let topology = Topology {
            storage_bytes: 1 << 30,
            partitions: PARTITIONS,
            sync_always,
            ..Topology::default()
        };
        provision(&context, &topology).await.unwrap();
        let webhooks = context.get_key_value(WEBHOOKS_BUCKET).await.unwrap();
        let deliveries = Publisher::new(client, Commit::Single, Bounds::default());
        Self {
            server,
            context,
            webhooks,
            deliveries,
            count: AtomicU64::new(0),
        }
    }

    /// A stand with one sender that may call loopback.
    pub(crate) async fn with_sender() -> (Self, Running) {
        let stand = Self::start().await;
        let sender = stand.sender(&[]).await;
        (stand, sender)
    }

    /// Starts a sender with these further options, and waits until it is ready.
    pub(crate) async fn sender(&self, options: &[&str]) -> Running {
        let running = self.start_sender(options).await;
        running.ready().await;
        running
    }

    pub(crate) async fn start_sender(&self, options: &[&str]) -> Running {
        #[derive(Parser)]
        struct Program {
            #[command(flatten)]
            sender: SenderArgs,
        }
        let url = self.server.url();
        let all = ["sender", "--nats-url", &url, "--listen", "127.0.0.1:0"];
        let allow = ["--egress-allow", "127.0.0.0/8"];
        let arguments = all.iter().chain(&allow).chain(options);
        let args = Program::parse_from(arguments).sender;
        let running = Running {
            lifecycle: Lifecycle::new(DRAIN_TIMEOUT),
            health: Health::new(),
        };
        let started = tidings_sender::run(args, running.health.clone(), &running.lifecycle).await;
        started.unwrap();
        running
    }

    /// A webhook of space `acme` that calls `url`, its definition changed by `changes`.
    pub(crate) async fn webhook(&self, url: &str, changes: Value) -> Webhook {
        let webhook = self.new_webhook(url, changes);
        self.put(&webhook).await;
        webhook
    }

    pub(crate) fn new_webhook(&self, url: &str, changes: Value) -> Webhook {
        let mut definition = json!({
            "url": url,
            "topics": ["*.*"],
            "signing": { "secrets": [{ "id": "1", "key": SECRET }] },
            "delivery": {
                "retrySchedule": ["300ms"],
                "rateLimit": { "requests": 100_000, "per": "1s" },
            },
        });
        merge(&mut definition, changes);
        let number = self.next();
        Webhook {
            schema: SCHEMA_VERSION,
            id: format!("wh_{number}").parse().unwrap(),
            space: "acme".parse().unwrap(),
            definition: serde_json::from_value(definition).unwrap(),
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
            version: 1,
        }
    }

    pub(crate) async fn put(&self, webhook: &Webhook) {
        let value = Bytes::from(webhook.to_stored());
        self.webhooks.put(key(webhook), value).await.unwrap();
    }

    pub(crate) async fn delete(&self, webhook: &Webhook) {
        self.webhooks.delete(key(webhook)).await.unwrap();
    }

    /// Puts a delivery of a new event to `webhook` into its stream.
    pub(crate) async fn deliver(&self, webhook: &Webhook) -> DeliveryId {
        let delivery = self.delivery(webhook, b"{\"n\":1}");
        self.deliver_this(&delivery, HeaderMap::new()).await;
        delivery.id
    }

    pub(crate) fn delivery(&self, webhook: &Webhook, payload: &[u8]) -> Delivery {
        let event = Event {
            id: format!("evt_{}", self.next()).parse().unwrap(),
            space: webhook.space.clone(),
            environment: Environment::default(),
            topic: "Entry.publish".parse().unwrap(),
            entity: Entity::default(),
            occurred_at: "2026-11-22T10:00:00Z".parse().unwrap(),
            actor: String::new(),
            context: BTreeMap::new(),
            payload: Bytes::copy_from_slice(payload),
        };
        self.delivery_of(webhook, &event)
    }

    pub(crate) fn delivery_of(&self, webhook: &Webhook, event: &Event) -> Delivery {
        let now = clock::now();
        Delivery {
            id: DeliveryId::derive(&event.space, &event.environment, &event.id, &webhook.id),
            webhook_id: webhook.id.clone(),
            space: webhook.space.clone(),
            environment: Environment::default(),
            event_id: event.id.clone(),
            event_sequence: 7,
            event: Bytes::from(event_to_wire(event).encode_to_vec()),
            by_reference: false,
            created_at: now,
            progress: Progress::first(now),
        }
    }

    pub(crate) async fn deliver_this(&self, delivery: &Delivery, headers: HeaderMap) {
        let payload = delivery_to_wire(delivery).encode_to_vec();
        let partition = partition_of(&delivery.webhook_id, PARTITIONS);
        self.deliver_raw(partition, delivery.id.as_str(), payload, headers)
            .await;
    }

    /// Puts an event into its stream and a delivery of it that leaves the payload there into its
    /// own; returns the delivery as it lies there.
    pub(crate) async fn deliver_reference(&self, webhook: &Webhook, payload: &[u8]) -> Delivery {
        let whole = self.delivery(webhook, payload);
        let event = Outgoing {
            subject: String::from("tidings.event.acme.master.Entry.publish"),
            id: format!("acme.master.{}", whole.event_id),
            headers: HeaderMap::new(),
            payload: whole.event.clone(),
        };
        let place = self.deliveries.publish(event).await.unwrap().sequence;
        let head = v1::Event {
            payload: Bytes::new(),
            ..v1::Event::decode(whole.event.clone()).unwrap()
        };
        let delivery = Delivery {
            event: head.encode_to_vec().into(),
            by_reference: true,
            event_sequence: place,
            ..whole
        };
        self.deliver_head(&delivery).await;
        delivery
    }

    /// Puts a delivery by reference into its stream.
    pub(crate) async fn deliver_head(&self, delivery: &Delivery) {
        let partition = partition_of(&delivery.webhook_id, PARTITIONS);
        let place = delivery.event_sequence;
        let outgoing = Outgoing {
            subject: subject::delivery_by_reference(&Pool::default(), partition, place),
            id: delivery.id.to_string(),
            headers: HeaderMap::new(),
            payload: delivery_to_wire(delivery).encode_to_vec().into(),
        };
        self.deliveries.publish(outgoing).await.unwrap();
    }

    pub(crate) async fn deliver_raw(
        &self,
        partition: u16,
        id: &str,
        payload: Vec<u8>,
        headers: HeaderMap,
    ) {
        let outgoing = Outgoing {
            subject: subject::delivery(&Pool::default(), partition),
            id: id.to_owned(),
            headers,
            payload: Bytes::from(payload),
        };
        self.deliveries.publish(outgoing).await.unwrap();
    }

    /// Waits until this many attempts are recorded, and returns them.
    pub(crate) async fn attempts(&self, count: usize) -> Vec<v1::Attempt> {
        self.recorded(count, |record| record.waiting.is_none())
            .await
    }

    /// Waits until this many deliveries are recorded that wait for their first attempt, and returns
    /// what was recorded.
    pub(crate) async fn waiting(&self, count: usize) -> Vec<v1::Waiting> {
        let records = self.recorded(count, |record| record.waiting.is_some());
        let records = records.await.into_iter();
        records.filter_map(|record| record.waiting).collect()
    }

    async fn recorded(&self, count: usize, is_meant: fn(&v1::Attempt) -> bool) -> Vec<v1::Attempt> {
        eventually(SOON, "records", async || {
            let mut records: Vec<v1::Attempt> = self.read(ATTEMPTS, 0).await;
            records.retain(is_meant);
            match records.len() >= count {
                true => Ok(records),
                false => Err(format!("{} records", records.len())),
            }
        })
        .await
    }

    /// Waits until this many events were published, and returns them.
    pub(crate) async fn events(&self, count: usize) -> Vec<v1::Event> {
        self.read(EVENTS, count).await
    }

    /// What is recorded about the endpoint of `webhook`.
    pub(crate) async fn state(&self, webhook: &Webhook) -> Option<EndpointState> {
        let states = self.states().await;
        let recorded = states.get(key(webhook)).await.unwrap()?;
        Some(serde_json::from_slice(&recorded).unwrap())
    }

    /// A person records `state` for `webhook`.
    pub(crate) async fn put_state(&self, webhook: &Webhook, state: &EndpointState) {
        let value = Bytes::from(serde_json::to_vec(state).unwrap());
        self.states().await.put(key(webhook), value).await.unwrap();
    }

    /// Waits until the endpoint of `webhook` is recorded as `status`.
    pub(crate) async fn is_recorded(&self, webhook: &Webhook, status: Status) -> EndpointState {
        eventually(SOON, "the state is recorded", async || {
            match self.state(webhook).await {
                Some(state) if state.status == status => Ok(state),
                other => Err(format!("{other:?}")),
            }
        })
        .await
    }

    async fn states(&self) -> Store {
        let context = &self.context;
        context.get_key_value(ENDPOINT_STATE_BUCKET).await.unwrap()
    }

    /// Waits until there are this many dead letters, and returns them.
    pub(crate) async fn dead_letters(&self, count: usize) -> Vec<v1::DeadLetter> {
        self.read(DEAD_LETTERS, count).await
    }

    async fn read<M: Message + Default>(&self, stream: &'static str, count: usize) -> Vec<M> {
        eventually(SOON, stream, async || match self.count_in(stream).await? {
            messages if messages >= count as u64 => Ok(()),
            messages => Err(format!("{messages} messages")),
        })
        .await;
        let stream = self.context.get_stream(stream).await.unwrap();
        let mut all = Vec::new();
        for sequence in 1..=stream.cached_info().state.last_sequence {
            let message = stream.get_raw_message(sequence).await.unwrap();
            all.push(M::decode(message.payload).unwrap());
        }
        all
    }

    /// How many messages are in a stream.
    pub(crate) async fn messages(&self, stream: &str) -> u64 {
        self.count_in(stream).await.unwrap()
    }

    /// The same, where the broker may just have come back and not answer yet.
    async fn count_in(&self, stream: &str) -> Result<u64, String> {
        let found = self.context.get_stream(stream).await;
        let found = found.map_err(|error| error.to_string())?;
        Ok(found.cached_info().state.messages)
    }

    /// The place of the last message that was ever stored in a stream.
    pub(crate) async fn last_sequence(&self, stream: &str) -> u64 {
        let found = self.context.get_stream(stream).await.unwrap();
        found.cached_info().state.last_sequence
    }

    /// Waits until every delivery got its first look.
    pub(crate) async fn is_taken(&self) -> Result<(), String> {
        eventually(SOON, "every delivery was looked at", async || {
            match self.count_in(DELIVERIES).await? {
                0 => Ok(()),
                waiting => Err(format!("{waiting} deliveries")),
            }
        })
        .await;
        Ok(())
    }

    /// Waits until no delivery is under way any more.
    pub(crate) async fn assert_settled(&self) {
        eventually(SOON, "no delivery is under way", async || {
            let waiting = self.count_in(DELIVERIES).await?;
            let later = self.count_in(RETRIES).await?;
            match waiting + later {
                0 => Ok(()),
                _ => Err(format!("{waiting} in DELIVERIES, {later} in RETRIES")),
            }
        })
        .await;
    }

    fn next(&self) -> u64 {
        self.count.fetch_add(1, Ordering::Relaxed)
    }
}

pub(crate) fn key(webhook: &Webhook) -> String {
    format!("{}.{}", webhook.space, webhook.id)
}

pub(crate) fn space(name: &str) -> Space {
    name.parse().unwrap()
}

fn merge(into: &mut Value, changes: Value) {
    match (into, changes) {
        (Value::Object(into), Value::Object(changes)) => {
            for (key, change) in changes {
                merge(into.entry(key).or_insert(Value::Null), change);
            }
        }
        (into, change) => *into = change,
    }
}
