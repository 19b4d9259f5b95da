//! Each service has a user of its own on the broker, with the subjects it needs and no more. All of
//! it with the users that `tidings nats-users` makes, which are those of `deploy/nats/users.conf`.

use std::path::Path;
use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use prost::Message as _;
use serde_json::json;
use tidings_core::webhook::Webhook;
use tidings_nats::connect::{NatsArgs, connect_within};
use tidings_nats::topology::{DEAD_LETTERS, EVENTS, WEBHOOKS_BUCKET};
use tidings_proto::v1;
use tidings_testkit::{NatsServer, Process, Receiver, eventually, target_bin};

use crate::event::event;
use crate::platform::{Platform, SOON, TOKEN};

/// What the tests of refusals have in place: one event of one space, one webhook of another.
async fn platform() -> (Platform, Receiver) {
    let platform = Platform::builder()
        .least_privilege(["acme", "other"])
        .start()
        .await;
    let receiver = Receiver::start().await;
    let webhook = platform.webhook(receiver.url("/"));
    webhook.set("/name", json!("kept")).create().await;
    platform.publish(event("Entry.publish").id("e1")).await;
    receiver.wait_for(1, SOON).await;
    (platform, receiver)
}

/// Publishes as `user` to each of `subjects` and asserts that the broker refuses it.
async fn assert_refused(platform: &Platform, user: &str, subjects: &[&str]) {
    let client = platform.access().client(&platform.nats.url(), user).await;
    for subject in subjects {
        let sent = client
            .publish((*subject).to_owned(), Bytes::from("{}"))
            .await;
        sent.expect("the connection is there");
    }
    client.flush().await.expect("the connection is there");
    for subject in subjects {
        refused(
            platform,
            &format!("{user}: Publish"),
            "Publish Violation",
            subject,
        )
        .await;
    }
}

/// Subscribes as `user` to each of `subjects` and asserts that the broker refuses it.
async fn assert_deaf(platform: &Platform, user: &str, subjects: &[&str]) {
    let client = platform.access().client(&platform.nats.url(), user).await;
    let mut open = Vec::new();
    for subject in subjects {
        let subscribed = client.subscribe((*subject).to_owned()).await;
        open.push(subscribed.expect("the connection is there"));
    }
    client.flush().await.expect("the connection is there");
    for subject in subjects {
        refused(platform, user, "Subscription Violation", subject).await;
    }
}

async fn refused(platform: &Platform, who: &str, violation: &str, subject: &str) {
    let what = format!("{who} to {subject} is refused");
    eventually(SOON, &what, async || {
        let log = platform.nats.log();
        log.lines()
            .any(|line| line.contains(violation) && line.contains(&format!("{subject:?}")))
    })
    .await;
}

#[tokio::test]
async fn everything_works_with_the_least_permissions() {
    let ground = Platform::builder()
        .least_privilege(["acme"])
        .event_age(Duration::from_secs(1))
        .senders(2)
        .ground()
        .await;
    let platform = ground.launch();
    provision_as_its_own_user(&platform).await;
    platform.until_ready().await;
    let receiver = Receiver::start().await;
    let failing = Receiver::answering([500, 503, 204]).await;
    let gone = Receiver::answering(410).await;
    let webhook = platform.webhook(receiver.url("/")).create().await;
    platform.webhook(failing.url("/")).create().await;
    let gone = platform.webhook(gone.url("/")).create().await;
    let watching = Receiver::start().await;
    let operational = platform.webhook(watching.url("/")).topics(["Webhook.*"]);
    operational.create().await;

    platform.publish(event("Entry.publish").id("e1")).await;
    // Published again: ingest compares it with what is stored.
    platform.publish(event("Entry.publish").id("e1")).await;
    let cms = platform
        .access()
        .client(&platform.nats.url(), "cms-acme")
        .await;
    let by_request = event("Entry.publish").id("e2");
    let reply = cms
        .request("tidings.ingest.v1.acme", by_request.bytes())
        .await;
    let reply = v1::PublishReply::decode(reply.unwrap().payload).unwrap();
    assert_eq!(reply.id, "e2");
    let straight = event("Entry.publish").id("e3");
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Msg-Id", straight.message_id().as_str());
    let ack = cms.request_with_headers(straight.subject(), headers, straight.bytes());
    let ack: serde_json::Value = serde_json::from_slice(&ack.await.unwrap().payload).unwrap();
    assert_eq!(ack["stream"], EVENTS, "{ack}");

    receiver.wait_for_deliveries(3, SOON).await;
    failing.wait_for_deliveries(3, SOON).await;
    let told = watching.wait_for(1, SOON).await;
    assert!(told[0].json()["type"] == "Webhook.disabled", "{told:?}");
    platform.until_endpoint_state_known(&gone).await;
    platform.until_settled(SOON).await.unwrap();
    platform.dead_letters(1).await;
    platform.assert_settled().await;
    eventually(SOON, "the router forgets old events", async || {
        platform.held(EVENTS).await.is_ok_and(|held| held == 0)
    })
    .await;
    console_works(&platform, &webhook).await;
    for service in platform.services() {
        service.terminate().await;
    }
    let log = platform.nats.log();
    let violations: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("Violation") || line.contains("Permission"))
        .collect();
    assert!(violations.is_empty(), "{violations:#?}");
}

/// The console does what people ask of it with its own user.
async fn console_works(platform: &Platform, webhook: &Webhook) {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    let console = platform.console(&["--data-dir", folder]);
    console.until_ready(&platform.http).await;
    let one = format!("spaces/acme/webhooks/{}", webhook.id);
    let all = json!({ "from": "2020-01-01T00:00:00Z" });
    for (method, path, body) in [
        ("GET", "status", json!({})),
        ("GET", "spaces/acme/webhooks", json!({})),
        ("GET", "spaces/acme/deliveries", json!({})),
        ("GET", "spaces/acme/dead-letters", json!({})),
        ("POST", &format!("{one}/test"), json!({})),
        ("POST", &format!("{one}/pause"), json!({})),
        ("POST", &format!("{one}/resume"), json!({})),
        ("POST", "spaces/acme/replays", all),
        (
            "POST",
            "tokens",
            json!({ "name": "t", "scopes": ["admin"] }),
        ),
        ("GET", "tokens", json!({})),
        ("GET", "audit", json!({})),
    ] {
        let url = console.url(&format!("/api/v1/{path}")).await;
        let request = http::Request::builder().method(method).uri(url);
        let request = request
            .header("authorization", format!("Bearer {TOKEN}"))
            .header("content-type", "application/json")
            .body(http_body_util::Full::from(body.to_string()));
        let answer = platform.http.send(request.unwrap()).await.unwrap();
        assert!(answer.status.is_success(), "{method} {path}: {answer:?}");
    }
    console.terminate().await;
}

/// With `tidings provision`, as a user who can do nothing else; twice, as an upgrade does.
async fn provision_as_its_own_user(platform: &Platform) {
    for _ in 0..2 {
        let command = Process::launch(target_bin("tidings"))
            .args(["provision", "--nats-url", &platform.nats.url()])
            .args(["--pool", "default", "--pool", "eu", "--event-age", "1s"])
            .args(platform.access().options("provision"))
            .start();
        let status = command.wait(SOON).await;
        assert!(status.success(), "{status}: {}", command.log());
    }
}

#[tokio::test]
async fn no_service_can_do_what_another_one_does() {
    let (platform, _receiver) = platform().await;
    let sender = [
        "tidings.event.acme.master.Entry.publish",
        "tidings.event.acme.master.Webhook.test",
        "tidings.delivery.default.0",
        "tidings.later.eu.0.dlv_1.2",
        "$JS.API.CONSUMER.MSG.NEXT.EVENTS.router",
        "$JS.API.CONSUMER.MSG.NEXT.DELIVERIES.sender-eu-0",
        "$JS.API.CONSUMER.CREATE.DELIVERIES.mine",
        "$JS.API.CONSUMER.DELETE.DELIVERIES.sender-default-0",
        "$JS.API.STREAM.PURGE.DELIVERIES",
        "$JS.API.STREAM.MSG.DELETE.DEAD_LETTERS",
        "$KV.tidings_webhooks.acme.wh_1",
        "$KV.tidings_tokens.mine",
        "$KV.tidings_secret_keys.sealing",
        "$KV.tidings_members.eu.me",
    ];
    assert_refused(&platform, "sender-default", &sender).await;
    let ingest = [
        "$JS.API.STREAM.INFO.KV_tidings_webhooks",
        "$JS.API.DIRECT.GET.KV_tidings_webhooks.$KV.tidings_webhooks.acme.wh_1",
        "$JS.API.STREAM.MSG.GET.KV_tidings_webhooks",
        "$JS.API.CONSUMER.CREATE.KV_tidings_webhooks.mine",
        "$JS.API.CONSUMER.MSG.NEXT.EVENTS.router",
        "$JS.ACK.EVENTS.router.1.1.1.1.1",
        "$JS.API.STREAM.PURGE.EVENTS",
        "$KV.tidings_tokens.mine",
        "tidings.delivery.default.0",
        "tidings.dead.acme.wh_1",
    ];
    assert_refused(&platform, "ingest", &ingest).await;
    let router = [
        "tidings.event.acme.master.Entry.publish",
        "tidings.attempt.acme.wh_1",
        "$JS.API.CONSUMER.MSG.NEXT.DELIVERIES.sender-default-0",
        "$JS.ACK.DELIVERIES.sender-default-0.1.1.1.1.1",
        "$JS.API.CONSUMER.DELETE.EVENTS.router",
        "$JS.API.STREAM.DELETE.EVENTS",
        "$JS.API.STREAM.UPDATE.EVENTS",
        "$KV.tidings_webhooks.acme.wh_1",
        "$KV.tidings_endpoint_state.acme.wh_1",
        "$JS.API.STREAM.INFO.KV_tidings_tokens",
    ];
    assert_refused(&platform, "router", &router).await;
    let console = [
        // Its body could name the consumer `router`, and change it.
        "$JS.API.CONSUMER.CREATE.EVENTS",
        "$JS.API.CONSUMER.MSG.NEXT.EVENTS.router",
        "$JS.API.CONSUMER.CREATE.EVENTS.router.tidings.event.>",
        "$JS.API.CONSUMER.DELETE.EVENTS.router",
        "$JS.ACK.EVENTS.router.1.1.1.1.1",
        "$JS.API.STREAM.DELETE.EVENTS",
        "$JS.API.STREAM.PURGE.DELIVERIES",
        "$KV.tidings_secret_keys.sealing",
        "tidings.event.acme.master.Entry.publish",
    ];
    assert_refused(&platform, "console", &console).await;
    let provision = [
        "$JS.API.STREAM.DELETE.EVENTS",
        "$JS.API.STREAM.PURGE.EVENTS",
        "$JS.API.CONSUMER.MSG.NEXT.EVENTS.router",
        "$KV.tidings_tokens.mine",
    ];
    assert_refused(&platform, "provision", &provision).await;
    platform.publish(event("Entry.publish").id("e2")).await;
    platform.assert_settled().await;
}

#[tokio::test]
async fn no_service_hears_what_is_meant_for_another_one() {
    let (platform, _receiver) = platform().await;
    for user in ["ingest", "router", "sender-default", "console", "provision"] {
        let others = match user {
            "router" => "_INBOX.tidings-ingest.>",
            _ => "_INBOX.tidings-router.>",
        };
        let heard = ["tidings.event.>", "_INBOX.>", others, "$KV.>", ">"];
        assert_deaf(&platform, user, &heard).await;
    }
}

#[tokio::test]
async fn a_cms_reaches_its_own_way_in_and_nothing_else() {
    let (platform, receiver) = platform().await;
    let own = event("Entry.publish").id("e2");
    let cms = platform
        .access()
        .client(&platform.nats.url(), "cms-acme")
        .await;
    let ack = cms.request(own.subject(), own.bytes()).await.unwrap();
    assert!(ack.payload.starts_with(br#"{"stream":"EVENTS""#), "{ack:?}");
    receiver.wait_for_deliveries(2, SOON).await;

    let foreign = [
        "tidings.event.other.master.Entry.publish",
        "tidings.ingest.v1.other",
        "tidings.delivery.default.0",
        "$JS.API.STREAM.PURGE.EVENTS",
        "$JS.API.STREAM.DELETE.EVENTS",
        "$JS.API.STREAM.INFO.EVENTS",
        "$JS.API.STREAM.MSG.GET.EVENTS",
        "$JS.API.CONSUMER.DELETE.EVENTS.router",
        "$JS.API.CONSUMER.CREATE.EVENTS.mine",
        "$KV.tidings_webhooks.acme.wh_1",
        "$SRV.PING",
    ];
    assert_refused(&platform, "cms-acme", &foreign).await;
    let heard = ["tidings.event.>", "tidings.ingest.v1.acme", ">"];
    assert_deaf(&platform, "cms-acme", &heard).await;
    platform.assert_settled().await;
}

/// Whoever sends a request names the subject of its answer. The broker and ingest may publish where
/// a CMS may not, so an answer must not go where it points.
#[tokio::test]
async fn a_cms_cannot_have_answers_sent_where_it_may_not_publish() {
    let (platform, receiver) = platform().await;
    let webhooks = platform
        .context
        .get_key_value(WEBHOOKS_BUCKET)
        .await
        .unwrap();
    let before = webhooks.status().await.unwrap().values();
    let cms = platform
        .access()
        .client(&platform.nats.url(), "cms-acme")
        .await;
    let targets = [
        "$KV.tidings_webhooks.other.wh_9",
        "tidings.event.other.master.Entry.publish",
        "tidings.delivery.default.0",
        "$JS.API.STREAM.PURGE.EVENTS",
        "$JS.API.STREAM.DELETE.DEAD_LETTERS",
    ];
    for (number, target) in targets.iter().enumerate() {
        let straight = event("Entry.publish").id(&format!("s{number}"));
        let request = event("Entry.publish").id(&format!("r{number}"));
        for (subject, body) in [
            (straight.subject(), straight.bytes()),
            ("tidings.ingest.v1.acme".to_owned(), request.bytes()),
            // An error's reply is empty, which is how streams are purged and deleted.
            ("tidings.ingest.v1.acme".to_owned(), Bytes::from("x")),
        ] {
            let sent = cms
                .publish_with_reply(subject, (*target).to_owned(), body)
                .await;
            sent.unwrap();
        }
    }
    cms.flush().await.unwrap();
    receiver
        .wait_for_deliveries(1 + 2 * targets.len(), SOON)
        .await;
    platform.assert_settled().await;
    assert_eq!(webhooks.status().await.unwrap().values(), before);
    assert_eq!(platform.held(DEAD_LETTERS).await.unwrap(), 0);
    let events = platform.held(EVENTS).await.unwrap();
    assert_eq!(events, 1 + 2 * targets.len() as u64);
}

#[tokio::test]
async fn the_shipped_users_are_those_that_services_need() {
    let shipped = include_str!("../../deploy/nats/users.conf");
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let command = Process::launch(target_bin("tidings"))
        .args(["nats-users", "--keys"])
        .arg(folder.path())
        .arg("--env")
        .arg(path("keys.env"))
        .arg("--out")
        .arg(path("users.conf"))
        .start();
    let status = command.wait(SOON).await;
    assert!(status.success(), "{status}: {}", command.log());
    let made = std::fs::read_to_string(path("users.conf")).unwrap();
    assert!(
        shipped.ends_with(&made),
        "run `tidings nats-users` and put what it prints below the head of deploy/nats/users.conf"
    );

    // The variables come from the environment of nats-server.
    let keys = std::fs::read_to_string(path("keys.env")).unwrap();
    let mut server = NatsServer::builder().config(shipped);
    for line in keys.lines() {
        let (name, key) = line.split_once('=').unwrap();
        server = server.env(name, key);
    }
    let server = server.start().await;
    let args = NatsArgs {
        nats_nkey: Some(path("operator").join("nats.nk")),
        ..NatsArgs::at(server.url())
    };
    connect_within(&args, "tidings", SOON).await.unwrap();
    for unknown in [
        NatsArgs::at(server.url()),
        with_another_key(&server, folder.path()),
    ] {
        let refused = connect_within(&unknown, "tidings", Duration::from_secs(1)).await;
        assert!(refused.is_err(), "{unknown:?}");
    }
}

fn with_another_key(server: &NatsServer, folder: &Path) -> NatsArgs {
    let path = folder.join("other.nk");
    let seed = "SUAKYRHVIOREXV7EUZTBHUHL7NUMHPMAS7QMDU3GTIUWEI5LDNOXD43IZY";
    std::fs::write(&path, seed).unwrap();
    NatsArgs {
        nats_nkey: Some(path),
        ..NatsArgs::at(server.url())
    }
}
