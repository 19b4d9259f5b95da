//! Replays: counted, sent again, stopped.

use serde_json::json;
use tidings_testkit::{Receiver, eventually};

use crate::platform::{Platform, SOON};

#[tokio::test]
async fn a_replay_counts_first_then_sends_again_what_failed() {
    let platform = Platform::start_with(&["--replay-rate", "500"]).await;
    let http = &platform.http;
    let receiver = Receiver::answering([500]).await;
    let fields = json!({"delivery": {"maxRetries": 0}});
    let made = platform.webhook("acme", &receiver.url("/"), fields).await;
    let path = format!("/spaces/acme/webhooks/{}", made["id"].as_str().unwrap());
    // Few enough that the endpoint is not paused.
    for number in 0..4 {
        let topic = if number == 3 {
            "Asset.delete"
        } else {
            "Entry.publish"
        };
        platform
            .publish("acme", &format!("evt_{number}"), topic)
            .await;
    }
    platform
        .items(&format!("{path}/deliveries?status=dead"), 4)
        .await;
    receiver.set_answers(204);
    let range = json!({
        "from": "2020-01-01T00:00:00Z", "topics": ["Entry.*"], "status": "failed", "dryRun": true,
    });
    let counted = http
        .post(&format!("{path}/replay"), range.clone())
        .await
        .expect(200);
    assert_eq!(
        (&counted["count"], &counted["replay"]),
        (&json!(3), &json!(null))
    );
    let mut range = range;
    range["dryRun"] = json!(false);
    let begun = http.post(&format!("{path}/replay"), range).await;
    let id = begun.expect(202)["replay"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let progress = format!("/spaces/acme/replays/{id}");
    eventually(SOON, "the replay is done", async || {
        http.get(&progress).await.expect(200)["state"] == "done"
    })
    .await;
    let done = http.get(&progress).await.expect(200);
    assert_eq!(
        (&done["total"], &done["sent"]),
        (&json!(3), &json!(3)),
        "{done}"
    );
    platform
        .items(&format!("{path}/deliveries?status=delivered"), 3)
        .await;
    platform
        .items(&format!("{path}/deliveries?status=dead"), 1)
        .await;
    let ended = http.delete(&progress).await;
    assert_eq!(ended.problem(409), "ended");
    let reversed = json!({"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"});
    let refused = http.post(&format!("{path}/replay"), reversed).await;
    assert_eq!(refused.problem(422), "invalid");
}

#[tokio::test]
async fn a_replay_that_is_cancelled_sends_no_more() {
    let platform = Platform::start_with(&["--replay-rate", "1"]).await;
    let http = &platform.http;
    let receiver = Receiver::start().await;
    platform
        .webhook("acme", &receiver.url("/"), json!({}))
        .await;
    for number in 0..20 {
        platform
            .publish("acme", &format!("evt_{number}"), "Entry.publish")
            .await;
    }
    platform
        .items("/spaces/acme/deliveries?status=delivered", 20)
        .await;
    let range = json!({"from": "2020-01-01T00:00:00Z"});
    let begun = http.post("/spaces/acme/replays", range).await.expect(202);
    assert_eq!(begun["count"], 20);
    let path = format!(
        "/spaces/acme/replays/{}",
        begun["replay"]["id"].as_str().unwrap()
    );
    receiver.wait_for(21, SOON).await;
    let cancelled = http.delete(&path).await.expect(200);
    assert_eq!(cancelled["state"], "cancelled");
    let sent = http.get(&path).await.expect(200)["sent"].as_u64().unwrap();
    assert!(sent < 20, "{sent}");
}
