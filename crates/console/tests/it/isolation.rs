//! A token of one space gets nothing of another one, in any call. The calls are taken from the
//! API's own description, so that none is forgotten.

use http::Method;
use serde_json::{Value, json};
use tidings_testkit::Receiver;

use crate::platform::Platform;

const ALL_SCOPES: [&str; 5] = [
    "events:write",
    "webhooks:read",
    "webhooks:write",
    "deliveries:read",
    "deliveries:write",
];

/// Every call with a path in which ids stand that are there, in the space `acme`.
fn calls(ids: &Value) -> Vec<(Method, String)> {
    let document = tidings_console::api::document();
    let mut calls = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let mut path = path.clone();
        for (name, id) in ids.as_object().unwrap() {
            path = path.replace(&format!("{{{name}}}"), id.as_str().unwrap());
        }
        assert!(!path.contains('{'), "an id is missing for {path}");
        for method in methods.as_object().unwrap().keys() {
            let method = method.to_uppercase().parse().unwrap();
            calls.push((method, path.clone()));
        }
    }
    calls
}

/// Whether anybody may make this call.
fn is_public(path: &str) -> bool {
    path == "/egress"
}

#[tokio::test]
async fn a_token_of_another_space_gets_nothing_in_any_call() {
    let platform = Platform::start().await;
    let receiver = Receiver::answering([500]).await;
    let fields = json!({"name": "t0p-secret", "delivery": {"maxRetries": 0}});
    let webhook = platform.webhook("acme", &receiver.url("/"), fields).await;
    platform.publish("acme", "evt_1", "Entry.publish").await;
    let deliveries = platform
        .items("/spaces/acme/deliveries?status=dead", 1)
        .await;
    platform.items("/spaces/acme/dead-letters", 1).await;
    let past = json!({"from": "2020-01-01T00:00:00Z", "to": "2020-01-02T00:00:00Z"});
    let replay = platform
        .http
        .post("/spaces/acme/replays", past)
        .await
        .expect(202);
    let token = platform.http.get("/tokens").await.expect(200)["items"][0]["id"].clone();
    let ids = json!({
        "space": "acme", "webhook": webhook["id"], "delivery": deliveries[0]["id"],
        "event": "evt_1", "replay": replay["replay"]["id"], "token": token,
        "secret": webhook["signing"]["secrets"][0]["id"],
    });
    let before = platform.http.get("/spaces/acme/audit").await.expect(200);
    let other = platform.token(Some("other"), &ALL_SCOPES).await;
    let none = platform.token(Some("acme"), &["events:write"]).await;
    let calls = calls(&ids);
    assert!(calls.len() > 30, "{calls:?}");
    for (method, path) in &calls {
        if is_public(path) {
            continue;
        }
        let body = Some(String::from("{}")).filter(|_| *method != Method::GET);
        for token in [&other, &none] {
            let asked = platform.http.with_token(Some(token));
            let answer = asked.send(method.clone(), path, &[], body.clone()).await;
            let code = answer.problem(403);
            assert!(
                ["other_space", "missing_scope"].contains(&code.as_str()),
                "{method} {path}: {code}"
            );
            for secret in ["t0p-secret", "Entry.publish", "127.0.0.1"] {
                assert!(!answer.text.contains(secret), "{method} {path}: {answer:?}");
            }
        }
        let nobody = platform.http.with_token(None);
        let answer = nobody.send(method.clone(), path, &[], body).await;
        assert_eq!(answer.problem(401), "missing_token", "{method} {path}");
    }
    // The same ids named in the caller's own space lead to nothing either.
    let own = platform.http.with_token(Some(&other));
    for (method, path) in calls
        .iter()
        .filter(|(_, path)| path.contains("/spaces/acme/"))
    {
        let path = path.replace("/spaces/acme/", "/spaces/other/");
        let body = Some(json!({"topics": []}).to_string()).filter(|_| *method != Method::GET);
        let answer = own.send(method.clone(), &path, &[], body).await;
        for secret in ["t0p-secret", "evt_1", "127.0.0.1"] {
            let is_told = answer.text.contains(secret) && !answer.text.contains("no event evt_1");
            assert!(!is_told, "{method} {path}: {answer:?}");
        }
    }
    let after = platform.http.get("/spaces/acme/audit").await.expect(200);
    let kinds = |page: &Value| -> Vec<String> {
        let items = page["items"].as_array().unwrap().iter();
        let actions = items.map(|item| item["action"].as_str().unwrap().to_owned());
        actions
            .filter(|action| !action.starts_with("token."))
            .collect()
    };
    assert_eq!(kinds(&after), kinds(&before), "nothing was changed");
}
