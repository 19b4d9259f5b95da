//! Programs wait for what they need, and say what it is.

use tidings_testkit::{Process, Receiver, target_bin};

use crate::event::event;
use crate::platform::{Platform, SOON};

#[tokio::test]
async fn programs_wait_for_a_broker_that_is_away_at_their_start() {
    let ground = Platform::builder().ground().await;
    ground.nats.stop().await;
    let platform = ground.launch();
    for service in platform.services() {
        service.process.wait_for_log("waiting for NATS", SOON).await;
        service
            .get(&platform.http, "/healthz")
            .await
            .unwrap()
            .expect(200);
        service
            .get(&platform.http, "/readyz")
            .await
            .unwrap()
            .expect(503);
    }
    let body = event("Entry.publish").json();
    let refused = platform
        .post("application/json", &[], body)
        .await
        .expect(503);
    assert!(refused.header("retry-after").is_some(), "{refused:?}");

    platform.nats.restart().await;
    platform.until_ready().await;

    for service in platform.services() {
        let log = service.process.log();
        assert_eq!(
            log.matches("waiting for NATS").count(),
            1,
            "said once:\n{log}"
        );
    }
    let receiver = Receiver::start().await;
    platform.webhook(receiver.url("/")).create().await;
    platform.publish(event("Entry.publish")).await;
    receiver.wait_for(1, SOON).await;
    platform.assert_settled().await;
}

#[tokio::test]
async fn programs_wait_for_provisioning_and_say_how_it_is_done() {
    let ground = Platform::builder().not_provisioned().ground().await;
    let platform = ground.launch();
    for service in platform.services() {
        service
            .process
            .wait_for_log("run `tidings provision`", SOON)
            .await;
        service
            .get(&platform.http, "/readyz")
            .await
            .unwrap()
            .expect(503);
    }

    provision(&platform).await;
    platform.store_token().await;
    platform.until_ready().await;

    let receiver = Receiver::start().await;
    platform.webhook(receiver.url("/")).create().await;
    platform.publish(event("Entry.publish")).await;
    receiver.wait_for(1, SOON).await;
    platform.assert_settled().await;
    // Doing it again changes nothing and loses nothing.
    provision(&platform).await;
    platform.publish(event("Entry.publish")).await;
    receiver.wait_for(2, SOON).await;
    platform.assert_settled().await;
}

#[tokio::test]
async fn a_router_knows_every_webhook_before_it_routes_its_first_event() {
    let platform = Platform::start().await;
    let receiver = Receiver::start().await;
    platform.routers[0].process.kill().await;
    let record = |number| {
        platform
            .webhook(receiver.url(&format!("/{number}")))
            .record()
    };
    let webhooks: Vec<_> = (0..50).map(record).collect();
    platform.publish(event("Entry.publish")).await;
    platform.put_all(&webhooks).await;

    platform.routers[0].process.restart().await;

    receiver.wait_for_deliveries(50, SOON).await;
    platform.assert_settled().await;
}

#[tokio::test]
async fn a_broker_that_goes_away_is_told_to_producers_and_comes_back() {
    let platform = Platform::start().await;
    let receiver = Receiver::start().await;
    platform.webhook(receiver.url("/")).create().await;
    platform.publish(event("Entry.publish").id("e1")).await;
    receiver.wait_for(1, SOON).await;

    platform.nats.stop().await;
    for service in platform.services() {
        service.until_readiness(&platform.http, 503).await;
        service
            .get(&platform.http, "/healthz")
            .await
            .unwrap()
            .expect(200);
    }
    let refused = platform
        .try_publish(&event("Entry.publish").id("e2"))
        .await
        .expect(503);
    assert_eq!(refused.code(), "store_unavailable");
    assert!(refused.header("retry-after").is_some(), "{refused:?}");

    platform.nats.restart().await;
    platform.until_ready().await;
    platform.publish(event("Entry.publish").id("e2")).await;
    receiver.wait_for_deliveries(2, SOON).await;
    platform.assert_settled().await;
}

async fn provision(platform: &Platform) {
    let command = Process::launch(target_bin("tidings"))
        .args([
            "provision",
            "--nats-url",
            &platform.nats.url(),
            "--storage",
            "256MiB",
        ])
        .start();
    let status = command.wait(SOON).await;
    assert!(status.success(), "{status}: {}", command.log());
}
