//! A broker that goes away and comes back.

use std::time::Duration;

use serde_json::json;
use tidings_core::name::Pool;
use tidings_nats::topology::{RETRIES, Topology, provision, retry_consumer};
use tidings_testkit::{Answer, NatsServer, Process, Receiver, SyncInterval, eventually};

use crate::stand::{SOON, Stand};

#[tokio::test]
async fn a_broker_that_is_killed_costs_no_delivery() {
    let (stand, _sender) = Stand::with_sender().await;
    let receiver = Receiver::answering(Answer::status(204).after(Duration::from_millis(20))).await;
    let webhook = stand.webhook(&receiver.url("/"), json!({})).await;
    let mut sent = 0;
    for round in 1..=3 {
        for _ in 0..300 {
            stand.deliver(&webhook).await;
            sent += 1;
        }
        receiver.wait_for_deliveries(round * 200, SOON).await;
        stand.server.kill().await;
        stand.server.restart().await;
    }
    let counts = receiver
        .wait_for_deliveries(sent, Duration::from_secs(40))
        .await;
    eventually(Duration::from_secs(40), "all is settled", async || {
        stand.messages("DELIVERIES").await == 0
    })
    .await;
    // The sender lived on and knows what it did: a repetition needs a sender that died.
    assert_eq!(counts.repeats(), 0, "of {}", counts.requests);
}

#[tokio::test]
async fn an_answer_that_comes_while_the_broker_is_away_is_settled_when_it_is_back() {
    let (stand, _sender) = Stand::with_sender().await;
    let receiver = Receiver::answering(Answer::status(500).after(Duration::from_secs(1))).await;
    let webhook = stand
        .webhook(
            &receiver.url("/"),
            json!({ "delivery": { "maxRetries": 1 } }),
        )
        .await;
    stand.deliver(&webhook).await;
    receiver.wait_for(1, SOON).await;
    stand.server.kill().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    stand.server.restart().await;
    assert_eq!(stand.dead_letters(1).await[0].reason, "exhausted");
    stand.assert_settled().await;
    assert_eq!(receiver.requests().len(), 2);
}

#[tokio::test]
async fn a_sender_of_an_unknown_pool_stops_with_one_line() {
    let stand = Stand::start().await;
    let sender = Process::launch(env!("CARGO_BIN_EXE_tidings-sender"))
        .args(["--nats-url", &stand.server.url(), "--pool", "mars"])
        .args(["--listen", "127.0.0.1:0"])
        .start();
    let status = sender.wait(SOON).await;
    assert_eq!(status.code(), Some(1));
    let log = sender.log();
    let told: Vec<&str> = log.lines().filter(|line| line.contains("mars")).collect();
    let [line] = told[..] else {
        panic!("it is said once:\n{log}");
    };
    assert!(
        line.contains("--pool") && line.contains("only default"),
        "{line}"
    );
}

#[tokio::test]
async fn a_sender_whose_consumer_is_lost_is_not_ready_until_it_is_back() {
    let (stand, sender) = Stand::with_sender().await;
    let lost = retry_consumer(&Pool::default(), 0);
    let stream = stand.context.get_stream(RETRIES).await.unwrap();
    stream.delete_consumer(&lost).await.unwrap();
    eventually(SOON, "the consumer is named", async || {
        let streams = sender.health.checks()["streams"].clone();
        streams.is_err_and(|reason| reason.contains(&lost))
    })
    .await;
    let topology = Topology::read(&stand.context).await.unwrap().unwrap();
    provision(&stand.context, &topology).await.unwrap();
    sender.ready().await;
}

#[tokio::test]
async fn retries_are_stored_by_a_broker_that_syncs_every_write() {
    let server = NatsServer::builder()
        .sync_interval(SyncInterval::Always)
        .start()
        .await;
    let stand = Stand::on(server, true).await;
    let _sender = stand.sender(&[]).await;
    let failing = tidings_testkit::Answers::per_delivery([500, 204]);
    let receiver = Receiver::answering(failing).await;
    for _ in 0..25 {
        let webhook = stand.webhook(&receiver.url("/"), json!({})).await;
        // One more failure would pause the endpoint.
        for _ in 0..4 {
            stand.deliver(&webhook).await;
        }
    }
    stand.assert_settled().await;
    assert_eq!(receiver.counts().deliveries(), 100);
    assert_eq!(receiver.counts().requests, 200);
}
