//! `tidings provision`.

use serde_json::Value;
use tidings_nats::topology::{Commit, DEAD_LETTERS, DELIVERIES, EVENTS, Layout};
use tidings_testkit::NatsServer;

use crate::broker::{Broker, delivery, run_at};

fn done(answer: &Value) -> Vec<&str> {
    let changes = answer["changes"].as_array().unwrap();
    changes
        .iter()
        .map(|change| change["done"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn a_second_run_changes_nothing() {
    let broker = Broker::bare().await;
    let arguments = [
        "provision",
        "--storage",
        "300MB",
        "--partitions",
        "3",
        "--pool",
        "eu",
        "--pool",
        "default",
        "--event-age",
        "48h",
        "--sync",
        "always",
    ];
    let first = broker.json(&arguments).await;
    assert!(
        done(&first).iter().all(|done| *done == "created"),
        "{first}"
    );
    for arguments in [&arguments[..], &["provision"]] {
        let again = broker.json(arguments).await;
        assert!(
            done(&again).iter().all(|done| *done == "unchanged"),
            "{again}"
        );
        assert_eq!(again["layout"], first["layout"]);
    }
    let layout = Layout::read(&broker.jetstream).await.unwrap();
    assert_eq!(
        (layout.commit, layout.partitions, layout.pools.len()),
        (Commit::Batch, 3, 2)
    );
}

#[tokio::test]
async fn only_what_is_given_changes() {
    let broker = Broker::provisioned().await;
    let before = broker.json(&["provision"]).await;
    let after = broker
        .json(&["provision", "--event-age", "1h", "--sync", "always"])
        .await;
    assert!(done(&after).contains(&"updated"));
    assert_eq!(after["layout"]["eventAge"], "1h");
    for kept in ["storageBytes", "partitions", "pools", "replicas"] {
        assert_eq!(after["layout"][kept], before["layout"][kept]);
    }
    let back = broker.json(&["provision", "--sync", "interval"]).await;
    assert_eq!(back["layout"]["sync"], "interval");
    let again = broker.json(&["provision"]).await;
    assert!(
        done(&again).iter().all(|done| *done == "unchanged"),
        "{again}"
    );
}

#[tokio::test]
async fn what_would_lose_messages_or_send_them_astray_is_refused_and_nothing_changes() {
    let broker = Broker::provisioned().await;
    let before = broker.json(&["provision"]).await["layout"].clone();
    broker
        .put("tidings.delivery.default.1", &delivery("wh_1", "dlv_1", 1))
        .await;
    for (arguments, words) in [
        (["--partitions", "4"], ["DELIVERIES", "2 partitions"]),
        (["--pool", "eu"], ["pool `default`", "drain"]),
    ] {
        let refused = broker.run(&[&["provision"], &arguments[..]].concat()).await;
        refused.failed(1, &words);
    }
    let large = "x".repeat(1 << 19);
    for _ in 0..2 {
        let subject = "tidings.event.acme.master.Entry.publish";
        let published = broker
            .jetstream
            .publish(subject, large.clone().into())
            .await
            .unwrap();
        published.await.unwrap();
    }
    let refused = broker.run(&["provision", "--storage", "1MiB"]).await;
    refused.failed(1, &[EVENTS, "--storage"]);
    assert_eq!(broker.json(&["provision"]).await["layout"], before);
    assert_eq!(broker.messages(DELIVERIES).await, 1);
}

#[tokio::test]
async fn an_empty_installation_may_be_laid_out_anew() {
    let broker = Broker::provisioned().await;
    let ended = broker
        .run(&["provision", "--partitions", "5", "--pool", "eu"])
        .await
        .succeeded();
    assert!(
        ended.stderr.contains("restart routers and senders"),
        "{}",
        ended.stderr
    );
    let layout = Layout::read(&broker.jetstream).await.unwrap();
    assert_eq!((layout.partitions, layout.pools.len()), (5, 1));
}

#[tokio::test]
async fn what_the_broker_cannot_do_is_said_with_a_remedy() {
    let broker = Broker::bare().await;
    let replicated = broker.run(&["provision", "--stream-replicas", "3"]).await;
    replicated.failed(1, &["--stream-replicas"]);
    let server = NatsServer::builder()
        .jetstream("max_file_store: 16MB")
        .start()
        .await;
    let refused = run_at(&server.url(), &["provision"], "").await;
    refused.failed(1, &["--storage"]);
    run_at(&server.url(), &["provision", "--storage", "8MiB"], "")
        .await
        .succeeded();
}

#[tokio::test]
async fn a_stream_of_somebody_else_is_left_alone() {
    let broker = Broker::bare().await;
    let config = async_nats::jetstream::stream::Config {
        name: DEAD_LETTERS.to_owned(),
        subjects: vec![String::from("their.letters")],
        ..Default::default()
    };
    broker.jetstream.create_stream(config).await.unwrap();
    let refused = broker.run(&["provision"]).await;
    refused.failed(1, &[DEAD_LETTERS, "not made by Tidings"]);
    assert!(
        broker.jetstream.get_stream(EVENTS).await.is_err(),
        "nothing was made"
    );
}

#[tokio::test]
async fn a_command_says_what_is_missing_before_provisioning() {
    let broker = Broker::bare().await;
    let listed = broker.run(&["webhook", "list"]).await;
    listed.failed(1, &["tidings provision"]);
    let listed = broker.run(&["delivery", "list", "--space", "acme"]).await;
    listed.failed(1, &["tidings provision"]);
}
