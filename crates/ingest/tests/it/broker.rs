//! The broker comes late, goes away, comes back, and is full.

use tidings_nats::topology::{EVENTS, TOKENS_BUCKET};
use tidings_testkit::{NatsServer, eventually};

use crate::support::{ACME, Ingest, SOON, provision_with_tokens, put_token};

const EVENT: &str = r#"{"id":"e1","topic":"a.b","payload":1}"#;

#[tokio::test]
async fn events_are_refused_until_broker_and_streams_are_there() {
    let nats = NatsServer::start().await;
    nats.kill().await;
    let ingest = Ingest::start_at(nats, |_| {}).await;
    let refused = ingest.publish(EVENT).await;
    refused.expect_problem(503, "store_unavailable");
    assert_eq!(refused.headers["retry-after"], "1");
    assert_eq!(ingest.send(ingest.get("/healthz")).await.status, 200);
    let ready = ingest.send(ingest.get("/readyz")).await;
    assert_eq!(
        (ready.status, &ready.json["checks"]["nats"]),
        (503, &"starting".into())
    );

    ingest.nats.restart().await;
    eventually(SOON, "it asks for the streams", async || {
        let ready = ingest.send(ingest.get("/readyz")).await;
        ready.json["checks"]["streams"]
            .as_str()
            .unwrap()
            .contains("tidings provision")
    })
    .await;
    ingest
        .publish(EVENT)
        .await
        .expect_problem(503, "store_unavailable");

    provision_with_tokens(&ingest.nats).await;
    ingest.until_ready().await;
    assert_eq!(ingest.publish(EVENT).await.status, 202);
}

#[tokio::test]
async fn a_lost_broker_is_told_and_found_again() {
    let ingest = Ingest::start().await;
    assert_eq!(ingest.publish(EVENT).await.status, 202);
    ingest.nats.kill().await;
    let refused = ingest
        .publish(r#"{"id":"e2","topic":"a.b","payload":1}"#)
        .await;
    refused.expect_problem(503, "store_unavailable");
    eventually(SOON, "it is not ready", async || {
        ingest.send(ingest.get("/readyz")).await.status == 503
    })
    .await;

    ingest.nats.restart().await;
    ingest.until_ready().await;
    eventually(SOON, "it knows the event again", async || {
        let again = ingest.publish(EVENT).await;
        again.status == 202 && again.json["duplicate"] == true
    })
    .await;
    assert_eq!(ingest.stored_count().await, 1);
}

#[tokio::test]
async fn a_silent_broker_is_an_answer_too() {
    let ingest = Ingest::start().await;
    ingest.nats.suspend().await;
    let refused = ingest.publish(EVENT).await;
    refused.expect_problem(503, "store_unavailable");
    ingest.nats.resume();
    eventually(SOON, "events are taken again", async || {
        ingest.publish(EVENT).await.status == 202
    })
    .await;
    assert_eq!(ingest.stored_count().await, 1);
}

#[tokio::test]
async fn a_full_stream_is_told_as_such() {
    let ingest = Ingest::start().await;
    let context = ingest.context().await;
    let mut config = context
        .get_stream(EVENTS)
        .await
        .unwrap()
        .cached_info()
        .config
        .clone();
    config.max_messages = 1;
    context.update_stream(config).await.unwrap();
    assert_eq!(ingest.publish(EVENT).await.status, 202);
    let refused = ingest
        .publish(r#"{"id":"e2","topic":"a.b","payload":1}"#)
        .await;
    refused.expect_problem(503, "backlog_full");
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(ingest.stored_count().await, 1);
}

#[tokio::test]
async fn beyond_the_bound_of_unacknowledged_events_publishers_are_refused_at_once() {
    let ingest = Ingest::start_with(|args| args.max_unacked = 4).await;
    ingest.nats.suspend().await;
    let publishing = (0..12).map(|n| {
        let body = format!(r#"{{"id":"e{n}","topic":"a.b","payload":1}}"#);
        ingest.publish(body)
    });
    let answers = futures_util::future::join_all(publishing).await;
    let count = |code: &str| {
        answers
            .iter()
            .filter(|answer| answer.code() == code)
            .count()
    };
    assert_eq!((count("store_unavailable"), count("overloaded")), (4, 8));
    ingest.nats.resume();
}

#[tokio::test]
async fn an_event_over_the_brokers_own_limit_is_too_large() {
    let nats = NatsServer::builder().max_payload(16 << 10).start().await;
    provision_with_tokens(&nats).await;
    let ingest = Ingest::start_at(nats, |_| {}).await;
    ingest.until_ready().await;
    let large = format!(r#"{{"topic":"a.b","payload":"{}"}}"#, "x".repeat(20 << 10));
    ingest.publish(large).await.expect_problem(413, "too_large");
}

#[tokio::test]
async fn a_token_works_from_when_it_is_there_until_it_is_gone() {
    let ingest = Ingest::start().await;
    let tokens = ingest
        .context()
        .await
        .get_key_value(TOKENS_BUCKET)
        .await
        .unwrap();
    tokens
        .delete(tidings_core::token::hash(ACME))
        .await
        .unwrap();
    eventually(SOON, "the token is gone", async || {
        ingest.publish(EVENT).await.status == 401
    })
    .await;
    put_token(&tokens, ACME, "\"acme\"", "events:write", "null").await;
    eventually(SOON, "the token is there", async || {
        ingest.publish(EVENT).await.status == 202
    })
    .await;
}
