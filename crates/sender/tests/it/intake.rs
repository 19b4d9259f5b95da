//! How much is taken at once.

use std::time::Duration;

use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::stream::Config;
use tidings_nats::connect::jetstream;
use tidings_sender::pull::{Pull, Room};
use tidings_testkit::NatsServer;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::stand::SOON;

const KIB: usize = 1_024;

#[tokio::test]
async fn what_waits_is_bounded_by_bytes_and_a_larger_message_passes_alone() {
    let server = NatsServer::builder().max_payload(8 << 20).start().await;
    let client = server.client().await;
    let context = jetstream(&client);
    let config = Config {
        name: String::from("WORK"),
        subjects: vec![String::from("work")],
        ..Config::default()
    };
    let stream = context.create_stream(config).await.unwrap();
    let consumer = pull::Config {
        durable_name: Some(String::from("taker")),
        ..pull::Config::default()
    };
    stream.create_consumer(consumer).await.unwrap();
    let sizes = [600, 600, 600, 600, 3_000, 1, 600, 1].map(|size| size * KIB);
    for size in sizes {
        let stored = context.publish("work", vec![0; size].into()).await.unwrap();
        stored.await.unwrap();
    }
    let (_connected, connections) = watch::channel(0);
    let from = ("WORK", "taker");
    let mut pull = Pull::open(client, from, 16, connections).await.unwrap();

    let mut waiting = Vec::new();
    for size in &sizes[..3] {
        waiting.push(take(&mut pull, *size).await);
    }
    let more = timeout(Duration::from_millis(700), pull.next()).await;
    assert!(more.is_err(), "three are all that fit");
    waiting.clear();
    waiting.push(take(&mut pull, sizes[3]).await);
    let more = timeout(Duration::from_millis(700), pull.next()).await;
    assert!(more.is_err(), "a large one comes alone");
    waiting.clear();
    for size in &sizes[4..] {
        drop(take(&mut pull, *size).await);
    }
}

async fn take(pull: &mut Pull, size: usize) -> Room {
    let came = timeout(SOON, pull.next()).await.expect("it comes in time");
    let (message, room) = came.expect("the client is open");
    assert_eq!(message.payload.len(), size);
    room.expect("it was asked for")
}
