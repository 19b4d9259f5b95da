//! Deliveries that wait for their first attempt, from the sender to the page.

use serde_json::json;
use tidings_testkit::{Receiver, eventually};

use crate::browser::Browser;
use crate::platform::{ADMIN, Platform, SOON};

const COUNT: usize = 20;

/// Pauses a webhook, and publishes until the sender has heard of it. Returns how many deliveries
/// wait then, and how many went through before.
async fn paused(platform: &Platform, webhook: &str) -> (usize, usize) {
    let path = format!("/spaces/acme/webhooks/{webhook}");
    platform
        .http
        .post(&format!("{path}/pause"), json!({}))
        .await;
    for number in 0.. {
        let id = format!("first_{number}");
        platform.publish("acme", &id, "Entry.publish").await;
        let list = format!("/spaces/acme/deliveries?eventId={id}");
        let delivery = platform.items(&list, 1).await.remove(0);
        if delivery["status"] == "pending" {
            return (1, number);
        }
    }
    unreachable!("it is counted without end")
}

#[tokio::test]
async fn deliveries_of_a_paused_webhook_are_in_the_log_with_the_reason() {
    let platform = Platform::start().await;
    let receiver = Receiver::start().await;
    let webhook = platform
        .webhook("acme", &receiver.url("/"), json!({}))
        .await;
    let webhook = webhook["id"].as_str().unwrap().to_owned();
    let path = format!("/spaces/acme/webhooks/{webhook}");
    let (waiting, delivered) = paused(&platform, &webhook).await;
    for number in waiting..COUNT {
        let id = format!("evt_{number}");
        platform.publish("acme", &id, "Entry.publish").await;
    }

    let list = format!("{path}/deliveries?status=pending&limit=200");
    let pending = platform.items(&list, COUNT).await;

    for delivery in &pending {
        assert_eq!(delivery["reason"], "paused");
        assert_eq!(delivery["attempts"], 0);
        assert_eq!(delivery["topic"], "Entry.publish");
    }
    let health = platform
        .http
        .get(&format!("{path}/health"))
        .await
        .expect(200);
    assert_eq!(health["backlog"]["pending"], COUNT);
    assert_eq!(health["deliveries"]["pending"], COUNT);
    let id = pending[0]["id"].as_str().unwrap();
    let shown = format!("/spaces/acme/deliveries/{id}");
    let detail = platform.http.get(&shown).await.expect(200);
    assert_eq!(detail["status"], "pending");
    assert_eq!(detail["attemptList"], json!([]));
    assert_eq!(
        detail["nextAttemptAt"],
        json!(null),
        "until a person resumes it"
    );
    let event = pending[0]["eventId"].as_str().unwrap();
    let shown = format!("/spaces/acme/events/{event}");
    let event = platform.http.get(&shown).await.expect(200);
    assert_eq!(event["webhooks"][0]["outcome"], "waiting");

    // The same in words.
    let browser = Browser::sign_in(&platform, ADMIN).await;
    let page = browser.get(&format!("/s/acme/webhooks/{webhook}")).await;
    assert!(page.text.contains("for their first attempt"), "{page:?}");
    assert!(
        page.text.contains("waits: the webhook is paused"),
        "{page:?}"
    );
    let page = browser.get(&format!("/s/acme/deliveries/{id}")).await;
    assert!(
        page.text
            .contains("The webhook is paused until somebody resumes it."),
        "{page:?}"
    );
    let page = browser.get("/s/acme/deliveries?status=pending").await;
    assert_eq!(page.text.matches("data-row=").count(), COUNT);

    platform
        .http
        .post(&format!("{path}/resume"), json!({}))
        .await;

    let all = format!("{path}/deliveries?status=delivered&limit=200");
    platform.items(&all, COUNT + delivered).await;
    eventually(SOON, "nothing waits", async || {
        let health = platform
            .http
            .get(&format!("{path}/health"))
            .await
            .expect(200);
        match health["backlog"]["pending"] == 0 {
            true => Ok(()),
            false => Err(health["backlog"].to_string()),
        }
    })
    .await;
}

#[tokio::test]
async fn what_waits_is_not_lost_however_often_it_is_sent_again() {
    let platform = Platform::start().await;
    let receiver = Receiver::start().await;
    let webhook = platform
        .webhook("acme", &receiver.url("/"), json!({}))
        .await;
    let webhook = webhook["id"].as_str().unwrap().to_owned();
    let path = format!("/spaces/acme/webhooks/{webhook}");
    let (_, delivered) = paused(&platform, &webhook).await;
    let list = format!("{path}/deliveries?status=pending");
    let pending = platform.items(&list, 1).await.remove(0);
    let id = pending["id"].as_str().unwrap();

    for _ in 0..2 {
        let again = format!("/spaces/acme/deliveries/{id}/redeliver");
        platform.http.post(&again, json!({})).await.expect(202);
        // The sender has put it off once more.
        eventually(SOON, "nothing is left to be taken", async || {
            let mut stream = platform.context.get_stream("DELIVERIES").await.unwrap();
            match stream.info().await.unwrap().state.messages {
                0 => Ok(()),
                left => Err(left),
            }
        })
        .await;
    }
    platform
        .http
        .post(&format!("{path}/resume"), json!({}))
        .await;

    let requests = receiver.wait_for(delivered + 1, SOON * 2).await;
    let came = requests
        .iter()
        .filter(|request| request.header("webhook-id") == Some(id));
    assert_eq!(came.count(), 1);
}
