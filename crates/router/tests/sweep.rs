//! The sweep against a real nats-server.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use async_nats::jetstream::stream::Config;
use futures_util::StreamExt as _;
use tidings_nats::connect::jetstream;
use tidings_nats::subject;
use tidings_nats::topology::{DELIVERIES, RETRIES};
use tidings_router::sweep::sweep;
use tidings_testkit::NatsServer;

/// A stream that keeps what is acknowledged, as a work queue does after its broker was killed.
async fn keeping_stream(context: &Context, name: &str, subjects: &str) {
    let config = Config {
        name: name.to_owned(),
        subjects: vec![subjects.to_owned()],
        ..Config::default()
    };
    context.create_stream(config).await.unwrap();
}

async fn publish(context: &Context, subject: &'static str, count: usize) {
    for _ in 0..count {
        context
            .publish(subject, "x".into())
            .await
            .unwrap()
            .await
            .unwrap();
    }
}

/// Acknowledges the first `count` messages of `subject`.
async fn settle(context: &Context, stream: &str, consumer: &str, subject: &str, count: usize) {
    let config = pull::Config {
        durable_name: Some(consumer.to_owned()),
        filter_subject: subject.to_owned(),
        ack_policy: AckPolicy::Explicit,
        ..pull::Config::default()
    };
    let consumer: PullConsumer = context
        .create_consumer_on_stream(config, stream)
        .await
        .unwrap();
    let mut messages = consumer.messages().await.unwrap().take(count);
    while let Some(message) = messages.next().await {
        message.unwrap().double_ack().await.unwrap();
    }
}

#[tokio::test]
async fn only_what_is_settled_is_swept() {
    let server = NatsServer::start().await;
    let context = jetstream(&server.client().await);
    keeping_stream(&context, DELIVERIES, subject::DELIVERIES).await;
    keeping_stream(&context, RETRIES, subject::RETRIES).await;
    publish(&context, "tidings.delivery.default.0", 5).await;
    publish(&context, "tidings.delivery.other-pool.7", 3).await;
    publish(&context, "tidings.retry.default.0", 2).await;
    for (stream, consumer, subject, settled) in [
        (
            DELIVERIES,
            "sender-default-0",
            "tidings.delivery.default.0",
            3,
        ),
        (
            DELIVERIES,
            "sender-other-pool-7",
            "tidings.delivery.other-pool.7",
            0,
        ),
        (RETRIES, "retry-default-0", "tidings.retry.default.0", 2),
    ] {
        settle(&context, stream, consumer, subject, settled).await;
    }

    assert_eq!(sweep(&context).await.unwrap(), 5);

    assert_eq!(sweep(&context).await.unwrap(), 0);
    for (stream, left) in [(DELIVERIES, 5), (RETRIES, 0)] {
        let stream = context.get_stream(stream).await.unwrap();
        assert_eq!(stream.cached_info().state.messages, left);
    }
}
