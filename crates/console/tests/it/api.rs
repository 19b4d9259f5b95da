//! What people do with the API, from the first webhook to the last redelivery.

use http::Method;
use serde_json::{Value, json};
use tidings_testkit::{Receiver, eventually};

use crate::http::Answer;
use crate::platform::{Platform, SOON};

const SECRETS: [&str; 2] = ["h1dden-header", "h1dden-password"];

#[tokio::test]
async fn a_webhook_is_made_changed_and_deleted_without_showing_its_secrets() {
    let platform = Platform::start().await;
    let http = &platform.http;
    let receiver = Receiver::start().await;
    let fields = json!({
        "name": "Rebuild", "headers": [{"key": "X-Key", "value": SECRETS[0], "secret": true}],
        "basicAuth": {"username": "u", "password": SECRETS[1]},
    });
    let made = platform.webhook("acme", &receiver.url("/"), fields).await;
    let key = made["signing"]["secrets"][0]["key"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(key.starts_with("whsec_"), "shown once: {made}");
    let path = format!("/spaces/acme/webhooks/{}", made["id"].as_str().unwrap());

    let shown = http.get(&path).await;
    assert_eq!(shown.header("etag"), "\"1\"");
    let mut whole = shown.expect(200);
    whole["name"] = json!("Written back");
    let headers = [("if-match", "\"1\"")];
    let body = Some(whole.to_string());
    let put = http.send(Method::PUT, &path, &headers, body.clone()).await;
    assert_eq!(put.expect(200)["version"], 2);
    assert_eq!(put.header("etag"), "\"2\"");
    let stale = http.send(Method::PUT, &path, &headers, body).await;
    assert_eq!(stale.problem(412), "version_conflict");
    let patch = [
        ("content-type", "application/merge-patch+json"),
        ("if-match", "\"2\""),
    ];
    let body = Some(json!({"delivery": {"maxRetries": 3}, "description": "x"}).to_string());
    let patched = http
        .send(Method::PATCH, &path, &patch, body)
        .await
        .expect(200);
    assert_eq!(patched["delivery"]["maxRetries"], 3);
    assert_eq!(patched["name"], "Written back");
    let stale = http
        .send(Method::DELETE, &path, &[("if-match", "\"1\"")], None)
        .await;
    assert_eq!(stale.problem(412), "version_conflict");

    platform.publish("acme", "evt_1", "Entry.publish").await;
    let request = receiver.wait_for(1, SOON).await.remove(0);
    assert_eq!(
        request.header("x-key"),
        Some(SECRETS[0]),
        "it was kept through it all"
    );
    assert!(request.header("authorization").is_some());
    let deliveries = platform.items(&format!("{path}/deliveries"), 1).await;
    let delivery = format!(
        "/spaces/acme/deliveries/{}",
        deliveries[0]["id"].as_str().unwrap()
    );

    let rotated = http
        .post(&format!("{path}/secrets"), json!({"grace": "1h"}))
        .await;
    let rotated = rotated.expect(201);
    let new = rotated["signing"]["secrets"][0]["key"].as_str().unwrap();
    assert_ne!(new, key);
    let old = rotated["signing"]["secrets"][1]["id"].as_str().unwrap();
    let removed = http
        .delete(&format!("{path}/secrets/{old}"))
        .await
        .expect(200);
    assert_eq!(removed["signing"]["secrets"].as_array().unwrap().len(), 1);

    let audit = platform.items("/spaces/acme/audit", 5).await;
    let actions: Vec<&str> = audit
        .iter()
        .map(|it| it["action"].as_str().unwrap())
        .collect();
    let expected = [
        "webhook.secret.remove",
        "webhook.secret.add",
        "webhook.update",
        "webhook.update",
        "webhook.create",
    ];
    assert_eq!(actions, expected);
    assert_eq!(audit[2]["old"]["version"], 2);
    assert_eq!(audit[2]["new"]["version"], 3);
    assert_eq!(audit[2]["actor"]["id"], "admin");

    for shown in [
        &path,
        &delivery,
        "/spaces/acme/webhooks",
        "/spaces/acme/audit",
        "/audit",
        "/spaces/acme/events/evt_1",
        &format!("{path}/health"),
    ] {
        let text = http.get(shown).await.text;
        for secret in [SECRETS[0], SECRETS[1], key.as_str(), new] {
            assert!(!text.contains(secret), "{secret} in {shown}: {text}");
        }
    }
    http.delete(&path).await.expect(204);
    assert_eq!(http.get(&path).await.problem(404), "not_found");
}

#[tokio::test]
async fn what_became_of_an_event_is_told_and_a_failed_delivery_is_sent_again() {
    let platform = Platform::start().await;
    let http = &platform.http;
    let receiver = Receiver::answering([500, 204]).await;
    let fields = json!({"delivery": {"maxRetries": 0}});
    let made = platform.webhook("acme", &receiver.url("/"), fields).await;
    let id = made["id"].as_str().unwrap();
    let deaf = json!({"topics": ["Asset.delete"]});
    let deaf = platform.webhook("acme", &receiver.url("/deaf"), deaf).await;
    platform.publish("acme", "evt_1", "Entry.publish").await;
    let path = format!("/spaces/acme/webhooks/{id}/deliveries");
    let dead = platform.items(&format!("{path}?status=failed"), 1).await;
    assert_eq!(dead[0]["reason"], "exhausted");
    let letters = platform.items("/spaces/acme/dead-letters", 1).await;
    assert_eq!(letters[0]["deliveryId"], dead[0]["id"]);
    let delivery = format!(
        "/spaces/acme/deliveries/{}",
        dead[0]["id"].as_str().unwrap()
    );
    let detail = http.get(&delivery).await.expect(200);
    let attempt = &detail["attemptList"][0];
    assert_eq!(attempt["response"]["status"], 500);
    assert!(attempt["timings"]["totalUs"].as_u64().unwrap() > 0);
    assert_eq!(detail["payload"]["title"], "<script>alert(1)</script>");
    let sent = String::from_utf8(receiver.requests()[0].body.to_vec()).unwrap();
    assert_eq!(attempt["request"]["body"], sent.as_str());

    let event = http.get("/spaces/acme/events/evt_1").await.expect(200);
    let outcome = |wanted: &Value| {
        let all = event["webhooks"].as_array().unwrap().iter();
        let mut of_webhook = all.filter(|webhook| webhook["webhookId"] == *wanted);
        of_webhook.next().unwrap()["outcome"].as_str().unwrap()
    };
    assert_eq!(outcome(&made["id"]), "dead");
    assert_eq!(outcome(&deaf["id"]), "not_matched");

    let path_again = format!("{delivery}/redeliver");
    let again = http.post(&path_again, Value::Null).await;
    assert_eq!(again.expect(202)["nextAttempt"], 2);
    platform.items(&format!("{path}?status=delivered"), 1).await;
    platform.items("/spaces/acme/dead-letters", 0).await;
    let requests = receiver.requests();
    assert_eq!(requests[0].delivery_id(), requests[1].delivery_id());

    let health = http
        .get(&format!("/spaces/acme/webhooks/{id}/health"))
        .await
        .expect(200);
    assert_eq!(
        (&health["attempts"], &health["delivered"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(health["successRate"], 0.5);
    assert_eq!(health["state"]["status"], "active");

    let path_of_test = format!(
        "/spaces/acme/webhooks/{}/test",
        deaf["id"].as_str().unwrap()
    );
    let test = http.post(&path_of_test, Value::Null).await.expect(202);
    let followed = format!(
        "/spaces/acme/deliveries/{}",
        test["deliveryId"].as_str().unwrap()
    );
    eventually(SOON, "the test arrived", async || {
        let detail = http.get(&followed).await;
        detail.status == 200 && detail.json()["status"] == "delivered"
    })
    .await;
    assert_eq!(
        receiver.requests().last().unwrap().path(),
        "/deaf",
        "and went nowhere else"
    );

    // The event, that its delivery was exhausted, and the test.
    let draft = json!({"topics": ["Entry.*"]});
    let matched = http.post("/spaces/acme/match", draft).await.expect(200);
    assert_eq!(
        (&matched["checked"], &matched["matched"]),
        (&json!(3), &json!(1)),
        "{matched}"
    );
    let wrong = http
        .post(
            "/spaces/acme/match",
            json!({"topics": ["*.*"], "filters": [{}]}),
        )
        .await;
    assert_eq!(wrong.problem(422), "invalid");
}

#[tokio::test]
async fn whatever_is_wrong_is_told_as_a_problem_that_names_its_fields() {
    let platform = Platform::start_with(&["--api-burst", "60", "--api-rate", "1"]).await;
    let http = &platform.http;
    let nobody = http.with_token(None);
    assert_eq!(
        nobody.get("/spaces/acme/webhooks").await.problem(401),
        "missing_token"
    );
    let wrong = http.with_token(Some("tdg_wrong"));
    assert_eq!(
        wrong.get("/spaces/acme/webhooks").await.problem(401),
        "unknown_token"
    );
    assert_eq!(http.get("/nowhere").await.problem(404), "not_found");
    let method = http.delete("/spaces/acme/webhooks").await;
    assert_eq!(method.problem(405), "method_not_allowed");
    assert!(method.header("allow").contains("GET"), "{method:?}");
    assert_eq!(
        http.get("/spaces/a%20b/webhooks").await.problem(400),
        "bad_path"
    );
    for query in ["limit=0", "limit=x", "cursor=%00", "limit=201"] {
        let asked = http.get(&format!("/spaces/acme/deliveries?{query}")).await;
        assert_eq!(asked.problem(400), "bad_query", "{query}");
    }
    let path = "/spaces/acme/webhooks";
    for (body, status, code, pointer) in [
        ("{", 400, "bad_json", ""),
        ("[]", 422, "invalid", ""),
        ("{}", 422, "invalid", "/url"),
        (r#"{"url": 5, "topics": []}"#, 422, "invalid", "/url"),
        (
            r#"{"url": "http://10.0.0.1/", "topics": ["*.*"]}"#,
            422,
            "invalid",
            "/url",
        ),
        (
            r#"{"url": "https://a.example.com/", "topics": ["x"]}"#,
            422,
            "invalid",
            "/topics/0",
        ),
        (
            r#"{"url": "https://a.example.com/", "topics": ["*.*"], "delivery": {"pool": "mars"}}"#,
            422,
            "invalid",
            "/delivery/pool",
        ),
    ] {
        let refused = http
            .send(Method::POST, path, &[], Some(body.to_owned()))
            .await;
        assert_eq!(refused.problem(status), code, "{body}");
        let named = refused.json()["errors"][0]["pointer"].clone();
        assert_eq!(named.as_str().unwrap_or_default(), pointer, "{refused:?}");
    }
    let text = [("content-type", "text/plain")];
    let refused = http
        .send(Method::POST, path, &text, Some(String::from("{}")))
        .await;
    assert_eq!(refused.problem(415), "unsupported_media_type");
    let large = format!(r#"{{"name": "{}"}}"#, "x".repeat(2 << 20));
    let refused = http.send(Method::POST, path, &[], Some(large)).await;
    assert_eq!(refused.status, 413);
    platform.items(path, 0).await;
    let mut last = http.get(path).await;
    for _ in 0..80 {
        last = http.get(path).await;
        if last.status == 429 {
            break;
        }
    }
    assert_eq!(last.problem(429), "too_many_requests");
    assert!(last.header("retry-after").parse::<u64>().unwrap() >= 1);
    let egress = nobody.get("/egress").await.expect(200);
    assert_eq!(egress["pools"][0]["pool"], "default");
}

#[tokio::test]
async fn lists_go_on_page_by_page() {
    let platform = Platform::start().await;
    for number in 0..5 {
        let name = json!({"name": format!("n{number}"), "topics": ["None.none"]});
        platform
            .webhook("acme", "https://a.example.com/", name)
            .await;
        platform
            .publish("acme", &format!("evt_{number}"), "Entry.publish")
            .await;
    }
    platform.items("/spaces/acme/events", 5).await;
    for list in [
        "/spaces/acme/webhooks",
        "/spaces/acme/events",
        "/spaces/acme/audit",
    ] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("{list}?limit=2&cursor={cursor}");
            let page = platform.http.get(&path).await.expect(200);
            let items = page["items"].as_array().unwrap().clone();
            assert!(items.len() <= 2);
            seen.extend(items.iter().map(|item| item["id"].clone()));
            match page["nextCursor"].as_str() {
                Some(next) => cursor = next.to_owned(),
                None => break,
            }
        }
        let mut ids: Vec<String> = seen.iter().map(ToString::to_string).collect();
        ids.sort();
        ids.dedup();
        assert_eq!((ids.len(), seen.len()), (5, 5), "{list}");
    }
}

#[tokio::test]
async fn what_is_unknown_or_garbled_is_told_apart_from_what_is_empty() {
    let platform = Platform::start().await;
    let http = &platform.http;
    let made = platform
        .webhook("acme", "http://127.0.0.1:1234/", json!({}))
        .await;
    let path = format!("/spaces/acme/webhooks/{}", made["id"].as_str().unwrap());
    platform.items(&format!("{path}/deliveries"), 0).await;
    let nobody = http.get("/spaces/acme/webhooks/wh_nobody/deliveries").await;
    assert_eq!(nobody.problem(404), "not_found");
    for list in [
        "/spaces/acme/webhooks",
        "/spaces/acme/deliveries",
        "/spaces/acme/dead-letters",
        "/spaces/acme/events",
        "/spaces/acme/audit",
    ] {
        let garbled = http.get(&format!("{list}?cursor=%2E%2E%2F%00")).await;
        assert_eq!(garbled.problem(400), "bad_query", "{list}");
        let none = http.get(&format!("{list}?limit=0")).await;
        assert_eq!(none.problem(400), "bad_query", "{list}");
    }
    for list in ["/spaces/acme/deliveries", "/spaces/acme/events"] {
        let pattern = http.get(&format!("{list}?topic=Entry.*")).await;
        assert_eq!(pattern.problem(400), "bad_query", "{list}");
    }
}

#[tokio::test]
async fn spaces_tokens_and_status_are_for_administrators() {
    let platform = Platform::start().await;
    let http = &platform.http;
    let space = http.get("/spaces/acme").await;
    assert_eq!(space.expect(200)["version"], 0);
    let settings = json!({"name": "Acme", "ingestRate": {"eventsPerSecond": 10}}).to_string();
    let first = [("if-match", "\"0\"")];
    let put = http
        .send(Method::PUT, "/spaces/acme", &first, Some(settings.clone()))
        .await;
    let version = put.expect(200)["version"].as_u64().unwrap();
    let stale = http
        .send(Method::PUT, "/spaces/acme", &first, Some(settings))
        .await;
    assert_eq!(stale.problem(412), "version_conflict");
    assert_eq!(put.header("etag"), format!("\"{version}\""));
    assert_eq!(
        http.get("/spaces").await.expect(200)["items"],
        json!(["acme"])
    );
    let token = platform.token(Some("acme"), &["webhooks:read"]).await;
    let reader = http.with_token(Some(&token));
    for path in ["/tokens", "/spaces", "/spaces/acme", "/audit", "/status"] {
        assert_eq!(
            reader.get(path).await.problem(403),
            "missing_scope",
            "{path}"
        );
    }
    let tokens = http.get("/tokens").await;
    assert!(!tokens.text.contains(&token));
    let id = tokens.expect(200)["items"][1]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    http.delete(&format!("/tokens/{id}")).await.expect(204);
    eventually(SOON, "the token is good for nothing", async || {
        reader.get("/spaces/acme/webhooks").await.status == 401
    })
    .await;
    let status = http.get("/status").await.expect(200);
    assert_eq!(status["streams"][0]["name"], "EVENTS");
    assert_eq!(status["members"].as_array().unwrap().len(), 1);
}

/// The pointers that a 422 names.
fn pointers(answer: &Answer) -> Vec<String> {
    let problem = answer.expect(422);
    let errors = problem["errors"].as_array().unwrap().iter();
    errors
        .map(|error| error["pointer"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn read_only_fields_are_taken_as_they_are_and_refused_as_anything_else() {
    let platform = Platform::start().await;
    let http = &platform.http;
    let all = "/spaces/acme/webhooks";
    let url = "http://127.0.0.1:8099/";
    for (field, value) in [
        ("id", json!("wh_mine")),
        ("space", json!("other")),
        ("version", json!(7)),
        ("createdAt", json!("2020-01-01T00:00:00Z")),
        ("updatedAt", json!("2020-01-01T00:00:00Z")),
        ("state", json!({ "status": "paused" })),
    ] {
        let mut new = json!({ "url": url, "topics": ["*.*"] });
        new[field] = value;
        let refused = http.post(all, new).await;
        assert_eq!(pointers(&refused), [format!("/{field}")]);
    }
    assert_eq!(http.get(all).await.expect(200)["items"], json!([]));
    let own = json!({ "space": "acme", "version": null });
    let made = platform.webhook("acme", url, own).await;
    let path = format!("{all}/{}", made["id"].as_str().unwrap());

    // What was read is written back as it was, with nothing changed.
    let shown = http.get(&path).await.expect(200);
    for method in [Method::PUT, Method::PATCH] {
        let same = http.send(method, &path, &[], Some(shown.to_string())).await;
        assert_eq!(same.expect(200), shown);
        assert_eq!(same.header("etag"), "\"1\"");
    }
    for (field, value) in [
        ("id", json!("wh_mine")),
        ("space", json!("other")),
        ("version", json!(7)),
        ("createdAt", json!("2020-01-01T00:00:00Z")),
        ("updatedAt", json!(5)),
        ("state", json!({ "status": "paused" })),
        ("state", json!("paused")),
    ] {
        let mut changed = shown.clone();
        changed[field] = value.clone();
        changed["name"] = json!("changed");
        let patch = json!({ field: value, "name": "changed" });
        for (method, body) in [(Method::PUT, &changed), (Method::PATCH, &patch)] {
            let refused = http.send(method, &path, &[], Some(body.to_string())).await;
            assert_eq!(pointers(&refused), [format!("/{field}")]);
        }
    }
    assert_eq!(
        http.get(&path).await.expect(200),
        shown,
        "nothing is stored"
    );
}

#[test]
fn the_description_is_the_one_that_is_checked_in() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
    let made = serde_json::to_string_pretty(&tidings_console::api::document()).unwrap() + "\n";
    if std::env::var_os("TIDINGS_UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(path, &made).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    let remedy = "run this test with TIDINGS_UPDATE_SNAPSHOTS=1 and look at the difference";
    assert!(
        kept == made,
        "docs/openapi.json is not what the code makes: {remedy}"
    );
}
