//! The dashboard over real HTTP, without a browser: who gets in, what they see, and what a form
//! does to what was typed. What it looks like in one is in the tests of the whole product.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tidings_nats::egress::Registry;
use tidings_nats::topology::{ATTEMPTS, WEBHOOKS_BUCKET};
use tidings_testkit::{Answer as Reply, Receiver, eventually};

use crate::browser::{Browser, FORM, anybody, give_token};
use crate::http::Answer;
use crate::platform::{Platform, SOON};
use crate::routes::{self, Ids, Need, Route};

const SCRIPT: &str = "<script>alert(1)</script>";

/// A webhook of `acme` with a delivery that was given up and a replay.
async fn furnished(platform: &Platform, receiver: &Receiver, fields: Value) -> Ids {
    let webhook = platform.webhook("acme", &receiver.url("/"), fields).await;
    platform.publish("acme", "evt-1", "Entry.publish").await;
    let list = "/spaces/acme/deliveries?status=dead";
    let delivery = platform.items(list, 1).await.remove(0);
    let past = json!({"from": "2020-01-01T00:00:00Z", "to": "2020-01-02T00:00:00Z"});
    let replay = platform.http.post("/spaces/acme/replays", past).await;
    let replay = replay.expect(202);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    Ids {
        webhook: text(&webhook["id"]),
        delivery: text(&delivery["id"]),
        event: String::from("evt-1"),
        replay: text(&replay["replay"]["id"]),
    }
}

/// What all spaces and the installation have that a form could change.
async fn everything(platform: &Platform, ids: &Ids) -> String {
    let mut all = String::new();
    for path in [
        format!("/spaces/acme/webhooks/{}", ids.webhook),
        format!("/spaces/acme/deliveries/{}", ids.delivery),
        String::from("/spaces/acme"),
        String::from("/spaces"),
        String::from("/spaces/acme/replays"),
        String::from("/tokens"),
    ] {
        all.push_str(&platform.http.get(&path).await.text);
    }
    all
}

#[tokio::test]
async fn pages_and_forms_are_for_those_who_may_and_other_spaces_do_not_exist() {
    let platform = Platform::start().await;
    let receiver = Receiver::answering([400]).await;
    let fields = json!({"name": "t0p-secret", "delivery": {"maxRetries": 0}});
    let ids = furnished(&platform, &receiver, fields).await;
    let read = ["webhooks:read", "deliveries:read"];
    let reader = platform.token(Some("acme"), &read).await;
    let write = [
        "webhooks:read",
        "webhooks:write",
        "deliveries:read",
        "deliveries:write",
    ];
    let neighbour = platform.token(Some("other"), &write).await;
    let before = everything(&platform, &ids).await;
    let reader = Browser::sign_in(&platform, &reader).await;
    let neighbour = Browser::sign_in(&platform, &neighbour).await;
    let anybody = anybody(&platform);

    let routes = routes::all(&ids);
    assert!(routes.len() > 50, "{routes:?}");
    for route in routes {
        let Need::Scope(scope) = route.need else {
            continue;
        };
        let path = &route.path;
        if !route.is_page() {
            let seen = reader.post(path, "enabled=false").await;
            assert_eq!(seen.status, 403, "{path}");
            let foreign = neighbour.post(path, "enabled=false").await;
            is_hidden(&route, &foreign);
            let form = Some(String::from("enabled=false"));
            let unknown = anybody.send(Method::POST, path, &[FORM], form).await;
            assert!(matches!(unknown.status.as_u16(), 303 | 403), "{unknown:?}");
            continue;
        }
        is_hidden(&route, &neighbour.get(path).await);
        let unknown = anybody.get(path).await;
        assert_eq!(unknown.status, 303, "{path}");
        let location = unknown.header("location");
        assert!(location.starts_with("/sign-in?back="), "{path}");
        if !route.is_stream() {
            let expected = if scope.ends_with(":read") { 200 } else { 403 };
            let seen = reader.get(path).await;
            assert_eq!(seen.status, expected, "{path}");
            is_for_readers(path, &seen);
        }
    }
    assert_eq!(everything(&platform, &ids).await, before, "nothing changed");
}

/// What is of another space is not there, and what is for admins is not for others; nothing is told
/// of either.
#[track_caller]
fn is_hidden(route: &Route, answer: &Answer) {
    let is_for_admins = route.need == Need::Scope("admin");
    let is_hidden = match answer.status.as_u16() {
        404 => route.is_of_space(),
        403 => is_for_admins,
        _ => false,
    };
    assert!(is_hidden, "{route:?}: {answer:?}");
    for secret in ["t0p-secret", "127.0.0.1", "evt-1"] {
        let is_asked = route.path.contains(secret);
        assert!(
            is_asked || !answer.text.contains(secret),
            "{route:?}: {answer:?}"
        );
    }
}

/// It has the headers that protect it, nothing that they would stop, and no button that would be
/// refused.
#[track_caller]
fn is_for_readers(path: &str, seen: &Answer) {
    for (name, part) in [
        ("content-security-policy", "script-src 'self';"),
        ("x-frame-options", "DENY"),
        ("x-content-type-options", "nosniff"),
        ("cache-control", "no-store"),
    ] {
        assert!(seen.header(name).contains(part), "{path}: {name}");
    }
    for inline in ["<script>", " style=", " onclick="] {
        assert!(!seen.text.contains(inline), "{path}: {inline}");
    }
    let offers = [
        "New webhook",
        ">Edit<",
        ">Delete",
        "Redeliver</button>",
        "Send a test",
    ];
    let offered = offers.iter().find(|offer| seen.text.contains(**offer));
    assert_eq!(offered, None, "{path}");
}

#[tokio::test]
async fn a_form_that_is_not_of_this_session_changes_nothing() {
    let platform = Platform::start().await;
    let receiver = Receiver::answering([400]).await;
    let fields = json!({"delivery": {"maxRetries": 0}});
    let ids = furnished(&platform, &receiver, fields).await;
    let token = platform.token(None, &["admin"]).await;
    let before = everything(&platform, &ids).await;
    let browser = Browser::sign_in(&platform, &token).await;
    let other = Browser::sign_in(&platform, &token).await;
    let own = format!("csrf={}", browser.mark);
    let cross = [("sec-fetch-site", "cross-site")];
    let origin = [
        ("origin", "https://evil.example"),
        ("host", "console.example"),
    ];
    let routes = routes::all(&ids);
    for route in routes.iter().filter(|route| !route.is_page()) {
        let path = &route.path;
        if path == "/sign-in" {
            continue;
        }
        let foreign = format!("csrf={}", other.mark);
        for (form, headers) in [
            ("", &[][..]),
            ("csrf=", &[]),
            (foreign.as_str(), &[]),
            (own.as_str(), &cross),
            (own.as_str(), &origin),
        ] {
            let answer = browser.send(path, form, headers).await;
            assert_eq!(answer.status, 403, "{path} with {form:?} and {headers:?}");
        }
    }
    let form = Some(format!("token={token}"));
    let headers = [FORM, cross[0]];
    let forged = anybody(&platform)
        .send(Method::POST, "/sign-in", &headers, form)
        .await;
    assert_eq!(forged.status, 403, "nobody is signed in by another site");
    assert_eq!(everything(&platform, &ids).await, before, "nothing changed");
    assert_eq!(
        browser.get("/egress").await.status,
        200,
        "and is still signed in"
    );
}

#[tokio::test]
async fn guessing_tokens_is_slowed_down_also_for_a_good_one() {
    let platform = Platform::start().await;
    let token = platform.token(None, &["admin"]).await;
    let http = anybody(&platform);
    for guess in 1..=5 {
        let answer = give_token(&http, &format!("tdg_guess-number-{guess}")).await;
        assert_eq!(answer.status, 401, "{guess}");
        assert!(
            !answer.text.contains("tdg_guess"),
            "{guess} is not written back"
        );
    }
    let answer = give_token(&http, &token).await;
    assert_eq!(answer.status, 429);
    assert!(answer.text.contains("Try again in"), "{answer:?}");
    assert_eq!(answer.header("set-cookie"), "");
}

#[tokio::test]
async fn a_session_ends_with_its_token_and_by_signing_out_open_pages_included() {
    let platform = Platform::start().await;
    let token = platform.token(Some("acme"), &["webhooks:read"]).await;
    let browser = Browser::sign_in(&platform, &token).await;
    let other = Browser::sign_in(&platform, &token).await;
    let list = "/s/acme/webhooks";
    assert_eq!(other.get(list).await.status, 200);

    let (live, left) = tokio::join!(browser.get("/s/acme/live"), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        browser.post("/sign-out", "").await
    });
    assert_eq!(left.status, 303);
    assert!(left.header("set-cookie").contains("Max-Age=0"), "{left:?}");
    assert!(live.text.contains("event: ended"), "{live:?}");
    assert_eq!(
        browser.get(list).await.status,
        303,
        "a copy of the cookie is worth nothing"
    );
    assert_eq!(other.get(list).await.status, 200, "another session goes on");

    let tokens = platform.http.get("/tokens").await.expect(200);
    let mut tokens = tokens["items"].as_array().unwrap().iter();
    let own = tokens.find(|token| token["space"] == "acme").unwrap();
    let path = format!("/tokens/{}", own["id"].as_str().unwrap());
    platform.http.delete(&path).await.expect(204);
    eventually(SOON, "the session is over", async || {
        other.get(list).await.status == 303
    })
    .await;
}

#[tokio::test]
async fn a_form_tells_what_is_wrong_keeps_what_was_typed_and_stores_nothing_half() {
    let platform = Platform::start().await;
    let token = platform.token(None, &["admin"]).await;
    let browser = Browser::sign_in(&platform, &token).await;
    let typed = "name=%3Cb%3ESite&url=http%3A%2F%2F10.0.0.1%2F&topic=Entry.publish&free_topics=nonsense\
                 &filter.0.doc=sys.id&filter.0.op=regexp&filter.0.value=%28&max_retries=many\
                 &header.0.key=Host&header.0.value=x&header.1.key=X-Key&header.1.value=s3cret-header\
                 &header.1.secret=true&username=u&password=s3cret-password&timeout=2h";
    let answer = browser.post("/s/acme/webhooks", typed).await;
    assert_eq!(answer.status, 422);
    for kept in [
        "value=\"&#60;b&#62;Site\"",
        "value=\"http://10.0.0.1/\"",
        "nonsense",
        "value=\"many\"",
        "value=\"2h\"",
        "value=\"X-Key\"",
    ] {
        assert!(answer.text.contains(kept), "{kept}: {}", answer.text);
    }
    assert!(
        answer.text.contains("Write a whole number, such as 10."),
        "{}",
        answer.text
    );
    assert!(!answer.text.contains("s3cret"), "secrets are typed again");
    // With the number right, the rest is told, each beside its field.
    let typed = typed
        .replace("max_retries=many", "max_retries=3")
        .replace("nonsense", "");
    let answer = browser.post("/s/acme/webhooks", &typed).await;
    assert_eq!(answer.status, 422);
    let error = |place: &str| {
        let begin = format!("data-pointer=\"{place}\">");
        let rest = answer
            .text
            .split(&begin)
            .nth(1)
            .unwrap_or_else(|| panic!("no {place}"));
        rest.split('<').next().unwrap().to_owned()
    };
    for place in ["/url", "/filters/0", "/headers/0", "/delivery/timeout"] {
        assert_ne!(error(place), "", "{place}");
    }
    assert_eq!(error("/headers/1"), "");
    let stored = platform.http.get("/spaces/acme/webhooks").await.expect(200);
    assert_eq!(stored["items"], json!([]));

    // Rows come and go without a script, and nothing else is lost.
    let answer = browser
        .post("/s/acme/webhooks/form", &format!("{typed}&add=header"))
        .await;
    assert_eq!(answer.status, 200);
    assert!(answer.text.contains("name=\"header.2.key\"") && answer.text.contains("10.0.0.1"));
    let answer = browser
        .post("/s/acme/webhooks/form", &format!("{typed}&remove=header.0"))
        .await;
    assert!(!answer.text.contains("name=\"header.1.key\""));
    assert!(answer.text.contains("value=\"X-Key\""));
    let answer = browser.post("/s/acme/webhooks/dry-run", &typed).await;
    assert!(
        answer.text.contains("It cannot be tried yet"),
        "{}",
        answer.text
    );
}

#[tokio::test]
async fn a_change_that_somebody_else_has_overtaken_is_kept_in_the_form() {
    let platform = Platform::start().await;
    let receiver = Receiver::start().await;
    let secret = json!({"headers": [{"key": "X-Key", "value": "s3cret", "secret": true}]});
    let webhook = platform.webhook("acme", &receiver.url("/"), secret).await;
    let id = webhook["id"].as_str().unwrap();
    let token = platform.token(None, &["admin"]).await;
    let browser = Browser::sign_in(&platform, &token).await;
    let path = format!("/s/acme/webhooks/{id}/edit");
    let url = receiver.url("/").replace(':', "%3A");
    let form = |version: u32, name: &str| {
        format!(
            "version={version}&name={name}&url={url}&topic=Entry.publish&enabled=true\
                 &header.0.key=X-Key&header.0.secret=true"
        )
    };
    let saved = browser.post(&path, &form(1, "first")).await;
    assert_eq!(saved.status, 303, "{saved:?}");
    let late = browser.post(&path, &form(1, "second")).await;
    assert_eq!(late.status, 409);
    assert!(late.text.contains("value=\"second\""), "{}", late.text);
    let kept = platform
        .http
        .get(&format!("/spaces/acme/webhooks/{id}"))
        .await
        .expect(200);
    assert_eq!(
        (&kept["name"], &kept["version"]),
        (&json!("first"), &json!(2))
    );
    // The secret that was not typed again is still sent.
    platform.publish("acme", "evt-1", "Entry.publish").await;
    let requests = receiver.wait_for(1, SOON).await;
    assert_eq!(requests[0].header("x-key"), Some("s3cret"));
}

#[tokio::test]
async fn script_shows_as_text_wherever_it_comes_from() {
    let platform = Platform::start().await;
    let reply = Reply::status(400).header("x-note", SCRIPT).body(SCRIPT);
    let receiver = Receiver::answering(reply).await;
    let fields = json!({
        "name": SCRIPT, "description": SCRIPT, "contentTypes": [],
        "headers": [{"key": "X-Note", "value": SCRIPT}],
        "filters": [{"not": {"equals": [{"doc": "title"}, SCRIPT.repeat(2)]}}],
        "delivery": {"maxRetries": 0},
    });
    let ids = furnished(&platform, &receiver, fields).await;
    let token = platform.token(None, &["admin"]).await;
    let browser = Browser::sign_in(&platform, &token).await;
    // Pages that ask before they act are left out where there is nothing to act on.
    let is_shown = |route: &Route| {
        let Route { path, .. } = route;
        let is_asking = ["/remove", "/cancel", "/revoke"].iter();
        let is_page = route.is_page() && matches!(route.need, Need::Scope(_));
        is_page && !route.is_stream() && !is_asking.clone().any(|end| path.ends_with(end))
    };
    let routes = routes::all(&ids).into_iter().filter(is_shown);
    let mut paths: Vec<String> = routes.map(|route| route.path).collect();
    let id = &ids.webhook;
    paths.extend([
        format!("/s/acme/webhooks/{id}?tab=deliveries"),
        format!("/s/acme/webhooks/{id}?tab=settings"),
        format!("/s/acme/webhooks?q={SCRIPT}")
            .replace('<', "%3C")
            .replace('>', "%3E"),
        String::from("/s/acme/events?q=%22%3E%3Cscript%3E"),
    ]);
    for path in &paths {
        let page = browser.get(path).await;
        assert_eq!(page.status, 200, "{path}");
        assert!(!page.text.contains("<script>"), "{path}");
    }
    let shown = browser
        .get(&format!("/s/acme/deliveries/{}", ids.delivery))
        .await
        .text;
    assert!(
        shown.matches("&#60;script&#62;alert(1)").count() >= 4,
        "{shown}"
    );
}

#[tokio::test]
async fn outgoing_addresses_are_shown_with_the_time_from_which_they_hold() {
    let platform = Platform::start().await;
    let registry = Registry::open(&platform.context).await.unwrap();
    let pool = "default".parse().unwrap();
    for (network, year) in [("198.51.100.7/32", 2020), ("203.0.113.0/28", 2999)] {
        let source = json!({
            "network": network, "origin": "operator", "validFrom": format!("{year}-01-01T00:00:00Z"),
        });
        let source = serde_json::from_value(source).unwrap();
        registry.announce(&pool, &source).await.unwrap();
    }
    let token = platform.token(Some("acme"), &["webhooks:read"]).await;
    let page = Browser::sign_in(&platform, &token)
        .await
        .get("/egress")
        .await
        .text;
    assert!(page.contains("<code>198.51.100.7</code></li>"), "{page}");
    assert!(
        page.contains("203.0.113.0/28</code> <span class=\"badge info\">from 2999-01-01"),
        "{page}"
    );
}

#[tokio::test]
async fn every_secret_that_was_made_is_shown_once_and_each_change_is_in_the_record() {
    let platform = Platform::start().await;
    let token = platform.token(None, &["admin"]).await;
    let browser = Browser::sign_in(&platform, &token).await;
    let fields = json!({"signing": {"schemes": ["standard-v1", "standard-v1a"]}});
    let url = "http://127.0.0.1:1234/";
    let made = platform.webhook("acme", url, fields).await;
    let id = made["id"].as_str().unwrap();
    let page = browser
        .post(&format!("/s/acme/webhooks/{id}/rotate"), "")
        .await;
    assert_eq!(page.status, 201);
    for begin in ["value=\"whsec_", "value=\"whsk_"] {
        assert_eq!(page.text.matches(begin).count(), 1, "{}", page.text);
    }
    let page = browser.get("/admin/audit").await;
    assert_eq!(page.status, 200);
    // That of the space, and that of the installation.
    for action in ["webhook.secret.add", "token.create"] {
        assert!(page.text.contains(action), "{action}: {}", page.text);
    }
    assert!(!page.text.contains("whsec_") && !page.text.contains("whsk_"));
    let own = platform.token(Some("acme"), &["webhooks:read"]).await;
    let other = Browser::sign_in(&platform, &own).await;
    assert_eq!(other.get("/admin/audit").await.status, 403);
}

#[tokio::test]
async fn all_dead_letters_that_fit_are_sent_again_with_progress() {
    let platform = Platform::start_with(&["--replay-rate", "500"]).await;
    let token = platform.token(None, &["admin"]).await;
    let browser = Browser::sign_in(&platform, &token).await;
    let receiver = Receiver::answering([500]).await;
    let once = json!({"delivery": {"maxRetries": 0}});
    platform
        .webhook("acme", &receiver.url("/a"), once.clone())
        .await;
    platform.webhook("acme", &receiver.url("/b"), once).await;
    for number in 0..3 {
        let topic = ["Entry.publish", "Asset.delete"][usize::from(number == 2)];
        let id = format!("evt_{number}");
        platform.publish("acme", &id, topic).await;
    }
    platform
        .items("/spaces/acme/deliveries?status=dead", 6)
        .await;
    receiver.set_answers(204);
    let asked = browser
        .get("/s/acme/dead-letters/redeliver-all?topic=Entry.publish")
        .await;
    let said = "4 dead letters of all webhooks and this topic";
    assert!(asked.text.contains(said), "{}", asked.text);
    let begun = browser
        .post("/s/acme/dead-letters/redeliver-all", "topic=Entry.publish")
        .await;
    assert_eq!(begun.status, 303, "{begun:?}");
    let page = begun.header("location").to_owned();
    eventually(SOON, "all of them were sent again", async || {
        let page = browser.get(&page).await;
        page.text.contains("4 of 4 sent again")
    })
    .await;
    platform
        .items("/spaces/acme/deliveries?status=delivered", 4)
        .await;
    // What did not fit is still there.
    platform.items("/spaces/acme/dead-letters", 2).await;
    let wrong = browser
        .get("/s/acme/dead-letters/redeliver-all?topic=nonsense")
        .await;
    assert_eq!(wrong.status, 422);
}

#[tokio::test]
async fn the_command_for_a_shell_carries_the_body_that_was_sent() {
    let platform = Platform::start().await;
    let token = platform.token(None, &["admin"]).await;
    let browser = Browser::sign_in(&platform, &token).await;
    let receiver = Receiver::start().await;
    let made = platform
        .webhook("acme", &receiver.url("/"), json!({}))
        .await;
    platform.publish("acme", "evt_1", "Entry.publish").await;
    let sent = platform
        .items("/spaces/acme/deliveries?status=delivered", 1)
        .await;
    let path = format!("/s/acme/deliveries/{}", sent[0]["id"].as_str().unwrap());
    let page = browser.get(&path).await;
    let begin = "--data-binary &#39;{&#34;type&#34;:&#34;Entry.publish&#34;";
    assert!(page.text.contains(begin), "{}", page.text);
    // Once the webhook would send something else, nothing is claimed.
    let own = format!("/spaces/acme/webhooks/{}", made["id"].as_str().unwrap());
    let change = json!({"format": "contentful"});
    let json = [("content-type", "application/json")];
    let changed = platform
        .http
        .send(Method::PATCH, &own, &json, Some(change.to_string()));
    changed.await.expect(200);
    let page = browser.get(&path).await;
    let said = "The webhook was changed since, so it cannot be shown as it was sent.";
    assert!(page.text.contains(said), "{}", page.text);
}

#[tokio::test]
async fn thousands_of_webhooks_of_a_space_are_listed_quickly_and_page_by_page() {
    const MANY: usize = 5_000;
    let platform = Platform::start().await;
    let token = platform.token(None, &["admin"]).await;
    let browser = Browser::sign_in(&platform, &token).await;
    let url = "http://127.0.0.1:1234/";
    let made = platform.webhook("acme", url, json!({})).await;
    let id = made["id"].as_str().unwrap();
    let bucket = platform.context.get_key_value(WEBHOOKS_BUCKET).await;
    let bucket = bucket.unwrap();
    let stored = bucket.get(format!("acme.{id}")).await.unwrap().unwrap();
    let stored = String::from_utf8(stored.to_vec()).unwrap();
    let mut waits = Vec::new();
    for number in 1..MANY {
        let other = format!("wh_{number:05}");
        let subject = format!("$KV.{WEBHOOKS_BUCKET}.acme.{other}");
        let value = stored.replace(id, &other).into_bytes();
        waits.push(
            platform
                .context
                .publish(subject, value.into())
                .await
                .unwrap(),
        );
        if waits.len() == 500 || number == MANY - 1 {
            for wait in waits.drain(..) {
                wait.await.unwrap();
            }
        }
    }
    let begin = tokio::time::Instant::now();
    let page = browser.get("/s/acme/webhooks").await;
    let took = begin.elapsed();
    assert_eq!(page.status, 200);
    assert!(page.text.contains("Page 1 of 200"), "{}", page.text);
    assert!(page.text.len() < 200_000, "{} bytes", page.text.len());
    assert!(took < Duration::from_secs(5), "{took:?}");
    let found = browser.get("/s/acme/webhooks?q=wh_04321").await;
    assert!(found.text.contains("switch-wh_04321") && !found.text.contains("Page 1"));
    let first = platform
        .http
        .get("/spaces/acme/webhooks?limit=200")
        .await
        .expect(200);
    assert_eq!(first["items"].as_array().unwrap().len(), 200);
    let cursor = first["nextCursor"].as_str().unwrap();
    assert_eq!(
        first["items"][199]["id"], cursor,
        "the next page goes on there"
    );
    let next = format!("/spaces/acme/webhooks?limit=1&cursor={cursor}");
    let next = platform.http.get(&next).await.expect(200);
    assert!(next["items"][0]["id"].as_str() > Some(cursor), "{next}");
    let last = "/spaces/acme/webhooks?limit=200&cursor=wh_04900";
    let last = platform.http.get(last).await.expect(200);
    assert_eq!(last["items"].as_array().unwrap().len(), 99);
    assert_eq!(last["nextCursor"], json!(null));
}

#[tokio::test]
async fn every_page_of_a_space_says_when_the_log_lags_behind_and_when_it_no_longer_does() {
    let platform = Platform::start().await;
    let token = platform.token(Some("acme"), &["deliveries:read"]).await;
    let browser = Browser::sign_in(&platform, &token).await;
    let page = browser.get("/s/acme/deliveries").await;
    assert!(!page.text.contains("The delivery log is"), "{page:?}");
    let kept = platform.context.get_stream(ATTEMPTS).await.unwrap();
    let config = kept.cached_info().config.clone();
    // What happens to a stream that the log cannot read.
    platform.context.delete_stream(ATTEMPTS).await.unwrap();

    let says = async |notice: bool| {
        let page = browser.get("/s/acme/deliveries").await;
        assert_eq!(page.status, 200);
        match page
            .text
            .contains("behind; what happened since is not shown yet.")
            == notice
        {
            true => Ok(()),
            false => Err(page.text),
        }
    };
    eventually(SOON, "the page says so", async || says(true).await).await;
    let list = platform
        .http
        .get("/spaces/acme/deliveries")
        .await
        .expect(200);
    assert!(list["lag"]["seconds"].as_u64() > Some(10), "{list}");

    platform.context.create_stream(config).await.unwrap();
    eventually(SOON, "the log is up again", async || says(false).await).await;
    let list = platform
        .http
        .get("/spaces/acme/deliveries")
        .await
        .expect(200);
    assert_eq!(list["lag"]["seconds"], 0);
}
