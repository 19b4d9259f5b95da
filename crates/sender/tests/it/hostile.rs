//! Receivers that send too much, too slowly, or back what they got.

use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use tidings_core::webhook::Status;
use tidings_testkit::{Answer, Answers, Process, RawReceiver, Receiver, eventually};
use tokio::io::AsyncWriteExt as _;
use tokio::time::sleep;

use crate::stand::{SOON, Stand};

const MIB: u64 = 1 << 20;

#[tokio::test]
async fn what_an_endpoint_sends_back_is_recorded_without_secrets() {
    let (stand, _sender) = Stand::with_sender().await;
    let echo = Answers::rule(|request| {
        let seen = format!("{:?}", request.headers);
        let key = request.header("x-api-key").unwrap_or_default().to_owned();
        Answer::status(200)
            .header("x-echo", key)
            .header("set-cookie", "session=of-the-receiver")
            .body(seen)
    });
    let receiver = Receiver::answering(echo).await;
    let secrets = json!({
        "headers": [
            { "key": "X-Source", "value": "cms" },
            { "key": "X-Api-Key", "value": "hidden-key", "secret": true },
        ],
        "basicAuth": { "username": "user", "password": "hidden-password" },
    });
    let webhook = stand.webhook(&receiver.url("/"), secrets).await;
    stand.deliver(&webhook).await;
    let attempts = stand.attempts(1).await;
    let response = attempts[0].response.as_ref().unwrap();
    let body = String::from_utf8_lossy(&response.body);
    assert!(body.contains("cms") && body.contains("***"), "{body}");
    let shown = format!("{body} {attempts:?}");
    for secret in [
        "hidden-key",
        "hidden-password",
        "dXNlcjpoaWRkZW4tcGFzc3dvcmQ",
        "of-the-receiver",
    ] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}

#[tokio::test]
async fn slots_that_stay_full_past_the_timeout_pause_the_endpoint() {
    let (stand, _sender) = Stand::with_sender().await;
    // The head is in time, the body is not: each request holds its slot for longer than its timeout.
    let dripping = RawReceiver::start(|mut socket| async move {
        while socket.read_request().await.is_some() {
            let head = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n";
            let mut sent = socket.write(head).await;
            while sent.is_ok() {
                sleep(Duration::from_millis(100)).await;
                sent = socket.write("x").await;
            }
        }
    })
    .await;
    let one = json!({ "delivery": { "timeout": "1s", "maxInFlight": 1 } });
    let webhook = stand.webhook(&dripping.url("/"), one).await;
    for _ in 0..20 {
        stand.deliver(&webhook).await;
    }
    let state = stand.is_recorded(&webhook, Status::Paused).await;
    assert_eq!(state.reason, "slow");
    let events = stand.events(1).await;
    assert_eq!(events[0].topic, "Webhook.paused");
}

/// Gzip that inflates to a thousand times its size, without end.
async fn bomb(mut socket: tidings_testkit::RawSocket) {
    let head = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n";
    let block = Bytes::from(vec![0x1f; 64 * 1024]);
    if socket.read_request().await.is_some() && socket.write(head).await.is_ok() {
        while socket.stream.write_all(&block).await.is_ok() {}
    }
}

/// Heads, interim answers and chunks without end.
async fn flood(mut socket: tidings_testkit::RawSocket) {
    if socket.read_request().await.is_none() {
        return;
    }
    let (head, piece): (&str, &str) = match socket.number % 3 {
        0 => ("HTTP/1.1 200 OK\r\n", "x-more: and more\r\n"),
        1 => ("", "HTTP/1.1 103 Early Hints\r\n\r\n"),
        _ => (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "1\r\nx\r\n",
        ),
    };
    if socket.write(head).await.is_ok() {
        let block = piece.repeat(4096);
        while socket.write(&block).await.is_ok() {}
    }
}

#[tokio::test]
async fn memory_stays_flat_whatever_endpoints_send() {
    let stand = Stand::start().await;
    let bombs = RawReceiver::start(bomb).await;
    let floods = RawReceiver::start(flood).await;
    let calm = Receiver::start().await;
    let sender = Process::launch(env!("CARGO_BIN_EXE_tidings-sender"))
        .args(["--nats-url", &stand.server.url(), "--listen", "127.0.0.1:0"])
        .args(["--egress-allow", "127.0.0.0/8"])
        .start();
    // Every attempt counts, and none pauses an endpoint for long enough to spare the sender.
    let once = json!({ "delivery": { "maxRetries": 0, "maxInFlight": 32 } });
    let warm = stand.webhook(&calm.url("/"), json!({})).await;
    for _ in 0..200 {
        stand.deliver(&warm).await;
    }
    calm.wait_for_deliveries(200, SOON).await;
    let before = sender.usage().rss_bytes_peak;
    let mut hostile = Vec::new();
    for number in 0..8 {
        let url = match number % 2 {
            0 => bombs.url("/"),
            _ => floods.url("/"),
        };
        hostile.push(stand.webhook(&url, once.clone()).await);
    }
    for webhook in hostile.iter().cycle().take(400) {
        stand.deliver(webhook).await;
    }
    let seen = || bombs.connections() + floods.connections();
    eventually(
        Duration::from_secs(60),
        "many were called",
        async || match seen() {
            calls if calls >= 200 => Ok(()),
            calls => Err(format!("{calls} calls")),
        },
    )
    .await;
    let after = sender.usage().rss_bytes_peak;
    // At 32 a webhook and 64 a host, each of which may hold a MiB.
    let grown = after.saturating_sub(before);
    assert!(grown < 96 * MIB, "{} MiB more", grown / MIB);
    // And it still serves others.
    stand.deliver(&warm).await;
    calm.wait_for_deliveries(201, SOON).await;
}
