//! A collector that is down or slow slows no delivery, and holds up no end.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use futures_util::future::join_all;
use tidings_testkit::{Answer, Receiver, eventually};
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::collector::{Protocol, env};
use crate::event::event;
use crate::platform::{Platform, SOON, Service};

/// More spans than the queue of spans holds.
const EVENTS: usize = 60;
const COMPLAINT: &str = "the collector does not take traces";

#[tokio::test]
async fn deliveries_go_on_while_the_collector_refuses_connections() {
    // Nobody listens at a port that was just free.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let address = listener.and_then(|listener| listener.local_addr());
    for protocol in [Protocol::Http, Protocol::Grpc] {
        deliver_without(*address.as_ref().expect("a port is free"), protocol).await;
    }
}

#[tokio::test]
async fn deliveries_go_on_while_the_collector_accepts_and_never_answers() {
    let silent = Receiver::answering(Answer::hang()).await;
    for protocol in [Protocol::Http, Protocol::Grpc] {
        deliver_without(silent.address(), protocol).await;
    }
}

async fn deliver_without(collector: SocketAddr, protocol: Protocol) {
    let mut env = env(collector, protocol);
    env.push(("OTEL_BSP_MAX_QUEUE_SIZE".into(), "32".into()));
    env.push(("OTEL_BSP_MAX_EXPORT_BATCH_SIZE".into(), "16".into()));
    let platform = Platform::builder().env(env).start().await;
    let receiver = Receiver::start().await;
    platform.webhook(receiver.url("/")).create().await;
    for number in 0..EVENTS {
        let event = event("Entry.publish").id(&format!("e{number}"));
        platform.publish(event).await;
    }
    receiver.wait_for(EVENTS, SOON).await;
    platform.assert_settled().await;

    let complaints = |log: String| log.matches(COMPLAINT).count();
    for service in platform.services() {
        let what = format!("{} complains of its collector", service.process);
        eventually(SOON, &what, async || complaints(service.process.log()) > 0).await;
    }
    let begun = Instant::now();
    join_all(platform.services().map(Service::terminate)).await;
    for service in platform.services() {
        // Now and then, not with each batch.
        assert_eq!(complaints(service.process.log()), 1);
    }
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(15), "the end took {took:?}");
}
