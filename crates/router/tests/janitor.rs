//! The janitor against a real nats-server.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use async_nats::HeaderMap;
use async_nats::jetstream::Context;
use bytes::Bytes;
use jiff::Timestamp;
use tidings_core::name::Pool;
use tidings_nats::connect::jetstream;
use tidings_nats::consume::Work;
use tidings_nats::publish::{Bounds, Outgoing, Publisher};
use tidings_nats::subject;
use tidings_nats::topology::{
    Commit, DELIVERIES, EVENTS, RETRIES, ROUTER_CONSUMER, Topology, provision,
};
use tidings_router::janitor::tidy;
use tidings_testkit::NatsServer;
use tokio_util::sync::CancellationToken;

/// A stream of ten events, of which the first `settled` are acknowledged by the router.
async fn ten_events(payload: usize, topology: &Topology, settled: usize) -> (NatsServer, Context) {
    let server = NatsServer::start().await;
    let client = server.client().await;
    let context = jetstream(&client);
    provision(&context, topology).await.unwrap();
    let publisher = Publisher::new(client, Commit::Single, Bounds::default());
    for number in 0..10 {
        let event = Outgoing {
            subject: String::from("tidings.event.acme.master.Entry.publish"),
            id: format!("acme.master.{number}"),
            headers: HeaderMap::new(),
            payload: Bytes::from(vec![b'x'; payload]),
        };
        publisher.publish(event).await.unwrap();
    }
    let mut work = Work::new(context.clone(), EVENTS, ROUTER_CONSUMER, 10);
    for _ in 0..settled {
        let message = work.next(&CancellationToken::new()).await.unwrap();
        message.double_ack().await.unwrap();
    }
    (server, context)
}

fn small() -> Topology {
    Topology {
        storage_bytes: 100 << 20,
        partitions: 1,
        ..Topology::default()
    }
}

#[tokio::test]
async fn events_that_are_not_routed_are_never_forgotten() {
    let (_server, context) = ten_events(10, &small(), 4).await;
    assert_eq!(tidy(&context, Timestamp::MAX).await.unwrap(), 4);
    assert_eq!(tidy(&context, Timestamp::MAX).await.unwrap(), 0);
    let state = context
        .get_stream(EVENTS)
        .await
        .unwrap()
        .cached_info()
        .state
        .clone();
    assert_eq!((state.messages, state.first_sequence), (6, 5));
}

#[tokio::test]
async fn young_events_are_kept() {
    let (_server, context) = ten_events(10, &small(), 10).await;
    assert_eq!(tidy(&context, Timestamp::UNIX_EPOCH).await.unwrap(), 0);
}

#[tokio::test]
async fn a_stream_that_is_nearly_full_forgets_its_oldest_events_whatever_their_age() {
    let topology = Topology {
        storage_bytes: 2 << 20,
        ..small()
    };
    let (_server, context) = ten_events(90 << 10, &topology, 10).await;
    let purged = tidy(&context, Timestamp::UNIX_EPOCH).await.unwrap();
    assert!((3..=5).contains(&purged), "{purged}");
}

#[tokio::test]
async fn a_stream_that_never_held_an_event_is_no_trouble() {
    let server = NatsServer::start().await;
    let context = jetstream(&server.client().await);
    provision(&context, &small()).await.unwrap();
    assert_eq!(tidy(&context, Timestamp::MAX).await.unwrap(), 0);
}

#[tokio::test]
async fn an_empty_stream_is_no_trouble() {
    let (_server, context) = ten_events(10, &small(), 10).await;
    assert_eq!(tidy(&context, Timestamp::MAX).await.unwrap(), 10);
    assert_eq!(tidy(&context, Timestamp::MAX).await.unwrap(), 0);
}

#[tokio::test]
async fn an_event_that_a_delivery_has_left_its_payload_in_is_kept() {
    let (_server, context) = ten_events(10, &small(), 10).await;
    let pool = Pool::default();
    let put = async |subject: String| {
        let published = context.publish(subject, Bytes::new()).await.unwrap();
        published.await.unwrap();
    };
    put(subject::delivery_by_reference(&pool, 0, 8)).await;
    put(subject::retry_by_reference(&pool, 0, 6)).await;
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Schedule", "@at 2100-01-01T00:00:00Z");
    headers.insert(
        "Nats-Schedule-Target",
        subject::retry_by_reference(&pool, 0, 4),
    );
    let later = subject::later_by_reference(&pool, 0, 4, "dlv_1.2");
    let scheduled = context.publish_with_headers(later, headers, Bytes::new());
    scheduled.await.unwrap().await.unwrap();
    for (purged, stream, gone) in [
        (3, RETRIES, "tidings.later.>"),
        (2, RETRIES, "tidings.retry.>"),
        (2, DELIVERIES, "tidings.delivery.>"),
        (3, DELIVERIES, "tidings.delivery.>"),
    ] {
        assert_eq!(tidy(&context, Timestamp::MAX).await.unwrap(), purged);
        let stream = context.get_stream(stream).await.unwrap();
        stream.purge().filter(gone).await.unwrap();
    }
}
