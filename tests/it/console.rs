//! The console as a process that may die at any moment.

use std::collections::HashMap;
use std::path::Path;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};
use tidings_testkit::{Receiver, eventually};

use crate::event::event;
use crate::platform::{Platform, SOON, Service, TOKEN};

const COUNT: usize = 60;

fn request(method: &str, url: &str, body: &Value) -> Request<Full<Bytes>> {
    let request = Request::builder().method(method).uri(url);
    let request = request
        .header("authorization", format!("Bearer {TOKEN}"))
        .header("content-type", "application/json");
    request.body(Full::from(body.to_string())).unwrap()
}

fn console(platform: &Platform, folder: &Path) -> Service {
    let folder = folder.to_str().unwrap();
    platform.console(&["--data-dir", folder, "--replay-rate", "20"])
}

#[tokio::test]
async fn a_replay_goes_on_after_its_console_was_killed() {
    let platform = Platform::start().await;
    let folder = tempfile::tempdir().unwrap();
    let console = console(&platform, folder.path());
    let receiver = Receiver::start().await;
    platform.webhook(receiver.url("/")).create().await;
    for _ in 0..COUNT {
        platform.publish(event("Entry.publish")).await;
    }
    receiver.wait_for(COUNT, SOON).await;
    console.until_ready(&platform.http).await;
    let url = console.url("/api/v1/spaces/acme/replays").await;
    let list = console
        .url("/api/v1/spaces/acme/deliveries?limit=200")
        .await;
    eventually(SOON, "all deliveries are in the log", async || {
        let asked = platform.http.send(request("GET", &list, &json!({})));
        let page = asked.await?.expect(200).json();
        match page["items"].as_array().map(Vec::len) {
            Some(COUNT) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    let range = json!({ "from": "2020-01-01T00:00:00Z" });
    let begun = platform.http.send(request("POST", &url, &range)).await;
    let begun = begun.unwrap().expect(202).json();
    assert_eq!(begun["count"], COUNT);
    let id = begun["replay"]["id"].as_str().unwrap().to_owned();
    receiver.wait_for(COUNT + 10, SOON).await;

    console.process.kill().await;
    let at_death = receiver.requests().len();
    assert!(
        at_death < 2 * COUNT,
        "it was killed before its work was done"
    );
    console.process.restart().await;

    let url = console
        .url(&format!("/api/v1/spaces/acme/replays/{id}"))
        .await;
    eventually(SOON * 2, "the replay is done", async || {
        let asked = platform.http.send(request("GET", &url, &json!({})));
        let replay = asked.await?;
        match replay.status.as_u16() == 200 && replay.json()["state"] == "done" {
            true => Ok(()),
            false => Err(format!("{replay:?}")),
        }
    })
    .await;
    eventually(SOON, "everything arrived again", async || {
        let mut times: HashMap<String, usize> = HashMap::new();
        for request in receiver.requests() {
            *times.entry(request.delivery_id().to_owned()).or_default() += 1;
        }
        let is_again = times.len() == COUNT && times.values().all(|count| *count >= 2);
        match is_again {
            true => Ok(()),
            false => Err(format!("{times:?}")),
        }
    })
    .await;
    let total = receiver.requests().len();
    assert!(
        total < 2 * COUNT + 40,
        "it went on and did not begin anew: {total}"
    );
    console.terminate().await;
}
