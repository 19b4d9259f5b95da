//! Pools: fleets of senders that take the deliveries of their webhooks and no others.

use serde_json::Value;
use tidings_testkit::{Receiver, eventually};

use crate::event::event;
use crate::platform::{Platform, SOON};

/// Waits until the router says of the pool what it should, and is ready all the same.
async fn router_says(platform: &Platform, what: &str, is_right: impl Fn(&Value) -> bool) {
    eventually(SOON, what, async || {
        let answer = platform.routers[0].get(&platform.http, "/readyz").await?;
        let readiness: Value =
            serde_json::from_slice(&answer.body).map_err(|error| error.to_string())?;
        match answer.status.as_u16() == 200 && is_right(&readiness["warnings"]["pools"]) {
            true => Ok(()),
            false => Err(readiness.to_string()),
        }
    })
    .await;
}

#[tokio::test]
async fn deliveries_of_a_pool_that_died_wait_and_the_router_says_so() {
    let platform = Platform::builder()
        .pool("eu")
        .sender_args(["--pool", "eu"])
        .start()
        .await;
    let receiver = Receiver::start().await;
    platform
        .webhook(receiver.url("/"))
        .pool("eu")
        .create()
        .await;
    platform.publish(event("Entry.publish")).await;
    receiver.wait_for(1, SOON).await;
    router_says(&platform, "nothing is wrong", Value::is_null).await;

    platform.senders[0].process.kill().await;
    platform.publish(event("Entry.publish")).await;
    router_says(&platform, "the pool is named", |warning| {
        warning
            .as_str()
            .is_some_and(|text| text.contains("`eu` (1 webhook)"))
    })
    .await;
    let metrics = platform.routers[0].get(&platform.http, "/metrics").await;
    let metrics = metrics.unwrap().body;
    let metrics = String::from_utf8_lossy(&metrics);
    let is_counted = |line: &str| {
        line.starts_with("tidings_pool_senders{")
            && line.contains("pool=\"eu\"")
            && line.ends_with(" 0")
    };
    assert!(metrics.lines().any(is_counted), "{metrics}");
    assert_eq!(receiver.requests().len(), 1);

    platform.senders[0].process.restart().await;
    receiver.wait_for(2, SOON).await;
    router_says(&platform, "all is well again", Value::is_null).await;
    platform.assert_settled().await;
}
