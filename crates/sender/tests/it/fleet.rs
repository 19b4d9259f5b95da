//! Senders that share the partitions of a pool, come, go, die and freeze.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use tidings_core::partition::partition_of;
use tidings_core::rendezvous::winner;
use tidings_core::webhook::Webhook;
use tidings_nats::egress::read_published;
use tidings_testkit::{Answer, Process, Receiver, eventually};
use tokio::time::Instant;

use crate::stand::{SOON, Stand};

/// Longer than it takes to notice that a sender died, and shorter than the broker's ack wait.
const TAKEN_OVER: Duration = Duration::from_secs(12);
/// What a dead sender had in hand comes again after the broker's ack wait.
const COMES_AGAIN: Duration = Duration::from_secs(40);

/// A sender of its own process.
fn process(stand: &Stand, name: &str) -> Process {
    let url = stand.server.url();
    let listen = ["--listen", "127.0.0.1:0"];
    Process::launch(env!("CARGO_BIN_EXE_tidings-sender"))
        .args(["--nats-url", &url, "--name", name])
        .args(listen)
        .args(["--egress-allow", "127.0.0.0/8"])
        .start()
}

/// Enough webhooks that every partition has some.
async fn webhooks(stand: &Stand, url: &str) -> Vec<Webhook> {
    let mut all = Vec::new();
    for _ in 0..24 {
        all.push(stand.webhook(url, json!({})).await);
    }
    all
}

/// Waits until every webhook is sent for by the one of `names` that it belongs to, and nobody else.
async fn shared_by(stand: &Stand, webhooks: &[Webhook], names: &[&str]) {
    let members: Vec<String> = names.iter().map(ToString::to_string).collect();
    let owner = |webhook: &Webhook| winner(partition_of(&webhook.id, 4), &members);
    let owners: BTreeSet<_> = webhooks.iter().filter_map(owner).collect();
    assert_eq!(owners.len(), names.len(), "choose other names");
    eventually(COMES_AGAIN, "each sends what is its own", async || {
        let before = stand.messages("ATTEMPTS").await as usize;
        for webhook in webhooks {
            stand.deliver(webhook).await;
        }
        let attempts = stand.attempts(before + webhooks.len()).await;
        let strangers = attempts[before..].iter().filter(|attempt| {
            let webhook = webhooks
                .iter()
                .find(|webhook| webhook.id.as_str() == attempt.webhook_id);
            webhook.and_then(owner) != Some(attempt.sender.as_str())
        });
        match strangers.count() {
            0 => Ok(()),
            count => Err(format!("{count} were sent by another one")),
        }
    })
    .await;
}

#[tokio::test]
async fn two_senders_share_the_partitions_and_each_delivers() {
    let stand = Stand::start().await;
    let receiver = Receiver::start().await;
    let webhooks = webhooks(&stand, &receiver.url("/")).await;
    let _one = stand.sender(&["--name", "red"]).await;
    shared_by(&stand, &webhooks, &["red"]).await;
    let _other = stand.sender(&["--name", "blue"]).await;
    shared_by(&stand, &webhooks, &["red", "blue"]).await;
}

#[tokio::test]
async fn a_fleet_that_grows_and_shrinks_under_load_sends_everything_once() {
    let stand = Stand::start().await;
    let receiver = Receiver::answering(Answer::status(204).after(Duration::from_millis(20))).await;
    let webhooks = webhooks(&stand, &receiver.url("/")).await;
    let mut fleet = Vec::new();
    let mut sent = 0;
    for name in ["red", "blue", "green", "white"] {
        fleet.push(stand.sender(&["--name", name]).await);
        for _ in 0..4 {
            for webhook in &webhooks {
                stand.deliver(webhook).await;
                sent += 1;
            }
        }
    }
    for _ in 0..3 {
        for webhook in webhooks.iter().cycle().take(96) {
            stand.deliver(webhook).await;
            sent += 1;
        }
        let leaving = fleet.pop().unwrap();
        leaving.stop().await;
    }
    let counts = receiver.wait_for_deliveries(sent, SOON).await;
    stand.assert_settled().await;
    assert_eq!(counts.repeats(), 0);
}

#[tokio::test]
async fn a_sender_that_is_killed_is_succeeded_within_seconds_and_nothing_is_lost() {
    let stand = Stand::start().await;
    let receiver = Receiver::answering(Answer::status(204).after(Duration::from_millis(50))).await;
    let webhooks = webhooks(&stand, &receiver.url("/")).await;
    let _survivor = stand.sender(&["--name", "red"]).await;
    let victim = process(&stand, "blue");
    shared_by(&stand, &webhooks, &["red", "blue"]).await;
    let before = receiver.counts().deliveries();
    for webhook in webhooks.iter().cycle().take(400) {
        stand.deliver(webhook).await;
    }
    receiver.wait_for_deliveries(before + 100, SOON).await;
    victim.kill().await;
    let killed = Instant::now();
    for webhook in webhooks.iter().cycle().take(100) {
        stand.deliver(webhook).await;
    }
    shared_by(&stand, &webhooks, &["red"]).await;
    assert!(killed.elapsed() < TAKEN_OVER, "{:?}", killed.elapsed());
    receiver
        .wait_for_deliveries(before + 500, COMES_AGAIN)
        .await;
    eventually(COMES_AGAIN, "all is settled", async || {
        stand.messages("DELIVERIES").await == 0
    })
    .await;
}

#[tokio::test]
async fn a_frozen_sender_is_not_killed_by_its_sleep_and_takes_its_share_again() {
    let stand = Stand::start().await;
    let receiver = Receiver::start().await;
    let webhooks = webhooks(&stand, &receiver.url("/")).await;
    let _one = stand.sender(&["--name", "red"]).await;
    let sleeper = process(&stand, "blue");
    shared_by(&stand, &webhooks, &["red", "blue"]).await;
    sleeper.suspend().await;
    // What the broker sends to the sleeper's open requests comes again after the ack wait.
    eventually(COMES_AGAIN, "the other one does it all", async || {
        let before = receiver.counts().deliveries();
        for webhook in &webhooks {
            stand.deliver(webhook).await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let arrived = receiver.counts().deliveries() - before;
        match arrived >= webhooks.len() {
            true => Ok(()),
            false => Err(format!("{arrived} of {}", webhooks.len())),
        }
    })
    .await;
    sleeper.resume();
    shared_by(&stand, &webhooks, &["red", "blue"]).await;
    eventually(COMES_AGAIN, "all is settled", async || {
        stand.messages("DELIVERIES").await == 0
    })
    .await;
}

#[tokio::test]
async fn a_broker_that_comes_back_finds_the_partitions_shared_as_before() {
    let stand = Stand::start().await;
    let receiver = Receiver::start().await;
    let webhooks = webhooks(&stand, &receiver.url("/")).await;
    let _one = stand.sender(&["--name", "red"]).await;
    let _other = stand.sender(&["--name", "blue"]).await;
    shared_by(&stand, &webhooks, &["red", "blue"]).await;
    stand.server.stop().await;
    // Longer than the silence after which a sender is taken for dead.
    tokio::time::sleep(Duration::from_secs(6)).await;
    stand.server.restart().await;
    eventually(SOON, "the broker is back", async || {
        stand.context.get_stream("ATTEMPTS").await.is_ok()
    })
    .await;
    shared_by(&stand, &webhooks, &["red", "blue"]).await;
    stand.assert_settled().await;
}

#[tokio::test]
async fn the_addresses_of_a_sender_are_published_and_stay_when_it_has_gone() {
    let stand = Stand::start().await;
    let sender = stand.sender(&["--egress-ips", "127.0.0.2,127.0.0.3"]).await;
    let registered = async || {
        let published = read_published(&stand.context).await.unwrap();
        let pool = published.pools.into_iter().next().unwrap();
        pool.addresses
            .into_iter()
            .map(|address| address.address.to_string())
            .collect::<Vec<_>>()
    };
    eventually(SOON, "both are published", async || {
        registered().await == ["127.0.0.2", "127.0.0.3"]
    })
    .await;
    sender.stop().await;
    assert_eq!(registered().await.len(), 2);
}

#[tokio::test]
async fn partitions_move_at_once_when_a_sender_is_asked_to_stop() {
    let stand = Stand::start().await;
    let receiver = Receiver::answering(Answer::status(204).after(Duration::from_millis(20))).await;
    let webhooks = webhooks(&stand, &receiver.url("/")).await;
    let _stays = stand.sender(&["--name", "red"]).await;
    let leaves = process(&stand, "blue");
    shared_by(&stand, &webhooks, &["red", "blue"]).await;
    let before = receiver.counts().deliveries();
    for webhook in webhooks.iter().cycle().take(200) {
        stand.deliver(webhook).await;
    }
    let status = leaves.terminate(SOON).await;
    let left = Instant::now();
    assert!(status.success(), "{}", leaves.log());
    for webhook in &webhooks {
        stand.deliver(webhook).await;
    }
    let counts = receiver.wait_for_deliveries(before + 224, SOON).await;
    // Before anybody could have taken it for dead.
    let took = left.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(counts.repeats(), 0);
    stand.assert_settled().await;
}
