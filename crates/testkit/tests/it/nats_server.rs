use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::{self, Context, stream::Config};
use tidings_testkit::{NatsServer, SyncInterval, eventually};
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::SOON;

const STREAM: &str = "KEPT";

async fn jetstream(server: &NatsServer) -> Context {
    jetstream::new(server.client().await)
}

async fn store_a_message(server: &NatsServer) {
    let jetstream = jetstream(server).await;
    let config = Config {
        name: STREAM.to_owned(),
        ..Config::default()
    };
    jetstream.create_stream(config).await.unwrap();
    jetstream
        .publish(STREAM, "kept".into())
        .await
        .unwrap()
        .await
        .unwrap();
}

async fn stored_message(server: &NatsServer) -> String {
    let stream = jetstream(server).await.get_stream(STREAM).await.unwrap();
    let message = stream.get_raw_message(1).await.unwrap();
    String::from_utf8(message.payload.to_vec()).unwrap()
}

#[tokio::test]
async fn a_killed_server_comes_back_on_the_same_url_with_what_it_stored() {
    let server = NatsServer::start().await;
    let (url, monitoring_url, pid) = (server.url(), server.monitoring_url(), server.pid());
    store_a_message(&server).await;

    server.kill().await;
    assert!(
        async_nats::connect(&url).await.is_err(),
        "a dead server takes no connection"
    );
    server.restart().await;

    assert_eq!(
        (server.url(), server.monitoring_url()),
        (url, monitoring_url)
    );
    assert_ne!(server.pid(), pid);
    assert_eq!(stored_message(&server).await, "kept");
}

#[tokio::test]
async fn a_running_server_is_killed_by_a_restart_and_keeps_what_it_stored() {
    let server = NatsServer::builder()
        .sync_interval(SyncInterval::Always)
        .start()
        .await;
    store_a_message(&server).await;

    server.restart().await;
    server.stop().await;
    server.restart().await;

    assert_eq!(stored_message(&server).await, "kept");
}

#[tokio::test]
async fn a_restart_waits_for_its_port_if_somebody_else_has_it() {
    let server = Arc::new(NatsServer::start().await);
    store_a_message(&server).await;
    server.kill().await;
    let address = server.url().replace("nats://", "");
    let somebody = TcpListener::bind(address).await.unwrap();

    let restarting = Arc::clone(&server);
    let restart = tokio::spawn(async move { restarting.restart().await });
    eventually(SOON, "the server misses its port", async || {
        server.log().contains("address already in use")
    })
    .await;
    drop(somebody);
    restart.await.unwrap();

    assert_eq!(stored_message(&server).await, "kept");
}

#[tokio::test]
async fn a_connected_client_finds_the_server_again() {
    let server = NatsServer::start().await;
    let jetstream = jetstream(&server).await;

    server.restart().await;

    eventually(SOON, "the server answers", async || {
        jetstream.query_account().await
    })
    .await;
}

#[tokio::test]
async fn a_suspended_server_keeps_connections_and_answers_nothing() {
    let server = NatsServer::start().await;
    let jetstream = jetstream(&server).await;
    jetstream.query_account().await.unwrap();

    server.suspend().await;
    let silence = timeout(Duration::from_millis(200), jetstream.query_account()).await;
    assert!(silence.is_err(), "a suspended server answered: {silence:?}");
    server.resume();

    timeout(SOON, jetstream.query_account())
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn settings_reach_the_server() {
    let server = NatsServer::builder()
        .max_payload(2 * 1024 * 1024)
        .jetstream("max_file_store: 16MB")
        .config("max_subscriptions: 7")
        .start()
        .await;

    let client = server.client().await;

    assert_eq!(client.server_info().max_payload, 2 * 1024 * 1024);
    assert!(
        server.log().contains("Max Storage:     16.00 MB"),
        "{}",
        server.log()
    );
}

#[tokio::test]
async fn many_servers_run_side_by_side() {
    let servers = futures_util::future::join_all((0..4).map(|_| NatsServer::start())).await;

    for server in &servers {
        store_a_message(server).await;
        assert!(server.usage().rss_bytes_peak > 1024 * 1024);
    }
}
