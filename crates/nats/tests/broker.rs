//! The JetStream edge against a real nats-server.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "broker/connect.rs"]
mod connect;

use std::collections::{BTreeMap, HashSet};
use std::sync::Mutex;
use std::time::Duration;

use async_nats::{Client, HeaderMap};
use bytes::Bytes;
use tidings_nats::connect::jetstream;
use tidings_nats::consume::Work;
use tidings_nats::publish::{Bounds, Outgoing, PublishError, Publisher};
use tidings_nats::table::{self, Sink};
use tidings_nats::topology::{
    Commit, DELIVERIES, EVENTS, Layout, ROUTER_CONSUMER, Topology, WEBHOOKS_BUCKET, provision,
};
use tidings_testkit::{NatsServer, eventually};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

const SOON: Duration = Duration::from_secs(10);

fn small(sync_always: bool) -> Topology {
    Topology {
        storage_bytes: 256 << 20,
        sync_always,
        partitions: 4,
        ..Topology::default()
    }
}

async fn provisioned(topology: &Topology) -> (NatsServer, Client) {
    let server = NatsServer::start().await;
    let client = server.client().await;
    provision(&jetstream(&client), topology).await.unwrap();
    (server, client)
}

fn event(id: &str) -> Outgoing {
    Outgoing {
        subject: String::from("tidings.event.acme.master.Entry.publish"),
        id: format!("acme.master.{id}"),
        headers: HeaderMap::new(),
        payload: Bytes::from(id.to_owned()),
    }
}

#[tokio::test]
async fn provisioning_again_changes_nothing() {
    let (_server, client) = provisioned(&small(true)).await;
    let again = provision(&jetstream(&client), &small(true)).await.unwrap();
    let changed: Vec<_> = again
        .iter()
        .filter(|change| change.done.to_string() != "unchanged")
        .collect();
    assert!(changed.is_empty(), "{changed:?}");
    let layout = Layout::read(&jetstream(&client)).await.unwrap();
    assert_eq!((layout.commit, layout.partitions), (Commit::Batch, 4));
}

#[tokio::test]
async fn provisioning_refuses_to_send_deliveries_astray() {
    let (_server, client) = provisioned(&small(false)).await;
    let context = jetstream(&client);
    context
        .publish("tidings.delivery.default.0", "x".into())
        .await
        .unwrap()
        .await
        .unwrap();
    let other = Topology {
        partitions: 8,
        ..small(false)
    };
    let error = provision(&context, &other).await.unwrap_err().to_string();
    assert!(
        error.contains("DELIVERIES") && error.contains("partitions"),
        "{error}"
    );
}

#[tokio::test]
async fn a_message_published_again_is_stored_once() {
    for commit in [Commit::Single, Commit::Batch] {
        let (_server, client) = provisioned(&small(commit == Commit::Batch)).await;
        let publisher = Publisher::new(client, commit, Bounds::default());
        let first = publisher.publish(event("a")).await.unwrap();
        let second = publisher.publish(event("a")).await.unwrap();
        assert!(!first.duplicate && second.duplicate);
        assert_eq!(first.sequence, second.sequence);
    }
}

#[tokio::test]
async fn what_is_published_at_once_is_stored_in_batches_with_right_places() {
    let (_server, client) = provisioned(&small(true)).await;
    let publisher = Publisher::new(client.clone(), Commit::Batch, Bounds::default());
    publisher.publish(event("7")).await.unwrap();
    let publishing = (0..3_000).map(|number| {
        let publisher = publisher.clone();
        async move {
            (
                number,
                publisher.publish(event(&number.to_string())).await.unwrap(),
            )
        }
    });
    let stored: BTreeMap<i32, _> = futures_util::future::join_all(publishing)
        .await
        .into_iter()
        .collect();
    assert!(stored[&7].duplicate && stored[&7].sequence == 1);
    let stream = jetstream(&client).get_stream(EVENTS).await.unwrap();
    assert_eq!(stream.cached_info().state.messages, 3_000);
    for number in [0, 7, 8, 1_234, 2_999] {
        let message = stream
            .get_raw_message(stored[&number].sequence)
            .await
            .unwrap();
        assert_eq!(message.payload, number.to_string().as_bytes());
    }
}

#[tokio::test]
async fn a_full_stream_refuses_and_takes_again_when_there_is_room() {
    let (_server, client) = provisioned(&Topology {
        storage_bytes: 10 << 20,
        ..small(false)
    })
    .await;
    let publisher = Publisher::new(client.clone(), Commit::Single, Bounds::default());
    let large = |number: u32| Outgoing {
        payload: Bytes::from(vec![b'x'; 512 << 10]),
        ..event(&number.to_string())
    };
    let mut refused = None;
    for number in 0..20 {
        if let Err(error) = publisher.publish(large(number)).await {
            refused = Some(error);
            break;
        }
    }
    assert!(
        matches!(refused, Some(PublishError::Full { .. })),
        "{refused:?}"
    );
    let stream = jetstream(&client).get_stream(EVENTS).await.unwrap();
    stream.purge().await.unwrap();
    publisher.publish(large(99)).await.unwrap();
}

#[tokio::test]
async fn beyond_its_bounds_a_publisher_refuses_instead_of_growing() {
    let (server, client) = provisioned(&small(false)).await;
    let bounds = Bounds {
        messages_max: 2,
        ..Bounds::default()
    };
    let publisher = Publisher::new(client, Commit::Single, bounds);
    server.suspend().await;
    let waiting: Vec<_> = (0..2)
        .map(|number| {
            let publisher = publisher.clone();
            tokio::spawn(async move { publisher.try_publish(event(&number.to_string())).await })
        })
        .collect();
    eventually(SOON, "both places are taken", async || {
        publisher.free() == 0
    })
    .await;
    let third = publisher.try_publish(event("3")).await;
    assert!(matches!(third, Err(PublishError::Overloaded)), "{third:?}");
    server.resume();
    for one in waiting {
        one.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_message_outlives_a_restart_of_the_broker_on_its_way() {
    let (server, client) = provisioned(&small(false)).await;
    let publisher = Publisher::new(client, Commit::Single, Bounds::default());
    server.kill().await;
    let stop = CancellationToken::new();
    let publishing = tokio::spawn({
        let publisher = publisher.clone();
        async move { publisher.publish_persistently(event("a"), &stop).await }
    });
    server.restart().await;
    publishing.await.unwrap().unwrap();
    assert!(publisher.publish(event("a")).await.unwrap().duplicate);
}

#[tokio::test]
async fn work_goes_on_after_a_restart_of_the_broker() {
    let (server, client) = provisioned(&small(false)).await;
    let publisher = Publisher::new(client.clone(), Commit::Single, Bounds::default());
    let mut work = Work::new(jetstream(&client), EVENTS, ROUTER_CONSUMER, 10);
    let stop = CancellationToken::new();
    publisher.publish(event("a")).await.unwrap();
    work.next(&stop).await.unwrap().double_ack().await.unwrap();
    server.kill().await;
    server.restart().await;
    publisher
        .publish_persistently(event("b"), &stop)
        .await
        .unwrap();
    // The broker answers an acknowledgement before its consumer's state is on
    // disk, so a broker that was killed may deliver "a" once more.
    loop {
        let next = tokio::time::timeout(SOON * 2, work.next(&stop))
            .await
            .unwrap()
            .unwrap();
        next.ack().await.unwrap();
        if next.payload == "b" {
            break;
        }
        assert_eq!(next.payload, "a");
    }
    stop.cancel();
    assert!(work.next(&stop).await.is_none());
}

#[tokio::test]
async fn work_handed_back_comes_at_once_to_another() {
    let (_server, client) = provisioned(&small(false)).await;
    let publisher = Publisher::new(client.clone(), Commit::Single, Bounds::default());
    for id in ["a", "b", "c"] {
        publisher.publish(event(id)).await.unwrap();
    }
    let stop = CancellationToken::new();
    let mut first = Work::new(jetstream(&client), EVENTS, ROUTER_CONSUMER, 10);
    let taken = first.next(&stop).await.unwrap();
    let mut consumer: async_nats::jetstream::consumer::PullConsumer = jetstream(&client)
        .get_consumer_from_stream(ROUTER_CONSUMER, EVENTS)
        .await
        .unwrap();
    loop {
        if consumer.info().await.unwrap().num_ack_pending == 3 {
            break;
        }
    }
    first.hand_back().await;
    taken.ack().await.unwrap();
    let mut second = Work::new(jetstream(&client), EVENTS, ROUTER_CONSUMER, 10);
    let mut came = HashSet::new();
    for _ in 0..2 {
        let message = tokio::time::timeout(SOON, second.next(&stop))
            .await
            .unwrap()
            .unwrap();
        came.insert(String::from_utf8(message.payload.to_vec()).unwrap());
    }
    assert_eq!(came, HashSet::from(["b".to_owned(), "c".to_owned()]));
}

#[derive(Default)]
struct Entries(Mutex<BTreeMap<String, Vec<u8>>>);

impl Sink for Entries {
    fn put(&self, key: &str, value: &[u8]) {
        self.0
            .lock()
            .unwrap()
            .insert(key.to_owned(), value.to_vec());
    }

    fn remove(&self, key: &str) {
        self.0.lock().unwrap().remove(key);
    }

    fn retain(&self, keys: &HashSet<String>) {
        self.0.lock().unwrap().retain(|key, _| keys.contains(key));
    }
}

#[tokio::test]
async fn a_table_is_loaded_before_it_is_used_and_follows_afterwards() {
    let (server, client) = provisioned(&small(false)).await;
    let store = jetstream(&client)
        .get_key_value(WEBHOOKS_BUCKET)
        .await
        .unwrap();
    for number in 0..200 {
        store
            .put(format!("acme.wh_{number}"), "1".into())
            .await
            .unwrap();
    }
    store.delete("acme.wh_0").await.unwrap();
    let entries = std::sync::Arc::new(Entries::default());
    let (loaded, mut is_loaded) = watch::channel(false);
    let stop = CancellationToken::new();
    let following = tokio::spawn({
        let (context, entries, stop) = (jetstream(&client), entries.clone(), stop.clone());
        async move { table::follow(context, WEBHOOKS_BUCKET, &*entries, &loaded, &stop).await }
    });
    is_loaded.wait_for(|is_loaded| *is_loaded).await.unwrap();
    assert_eq!(entries.0.lock().unwrap().len(), 199);
    store.put("acme.wh_1", "2".into()).await.unwrap();
    store.purge("acme.wh_2").await.unwrap();
    let followed = || {
        let entries = entries.0.lock().unwrap();
        entries.len() == 198 && entries["acme.wh_1"] == b"2"
    };
    eventually(SOON, "changes arrive", async || followed()).await;
    server.kill().await;
    server.restart().await;
    eventually(SOON, "the bucket takes again", async || {
        store.put("acme.new", "1".into()).await.is_ok()
    })
    .await;
    let has_new = || entries.0.lock().unwrap().contains_key("acme.new");
    eventually(SOON * 3, "changes arrive after a restart", async || {
        has_new()
    })
    .await;
    stop.cancel();
    following.await.unwrap();
}

#[tokio::test]
async fn an_empty_table_is_loaded_too() {
    let (_server, client) = provisioned(&small(false)).await;
    let (loaded, mut is_loaded) = watch::channel(false);
    let stop = CancellationToken::new();
    let entries = Entries::default();
    let context = jetstream(&client);
    let following = table::follow(context, WEBHOOKS_BUCKET, &entries, &loaded, &stop);
    let waiting = async {
        is_loaded.wait_for(|is_loaded| *is_loaded).await.unwrap();
        stop.cancel();
    };
    tokio::time::timeout(SOON, Box::pin(async { tokio::join!(following, waiting) }))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_missing_stream_is_named() {
    let server = NatsServer::start().await;
    let client = server.client().await;
    let error = Layout::read(&jetstream(&client))
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("tidings provision"), "{error}");
    let _ = DELIVERIES;
}
