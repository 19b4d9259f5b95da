//! Slow, large, many, and stopping: what a connection may do and how long.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tidings_testkit::eventually;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, sleep, timeout};

use crate::support::{ACME, EVENTS_PATH, Ingest, JSON, SOON, exchange, until_closed};

const EVENT: &str = r#"{"topic":"a.b","payload":1}"#;

#[tokio::test]
async fn a_body_over_the_limit_is_cut_and_still_answered() {
    let ingest = Ingest::start().await;
    let announced = ingest.head(10 << 20);
    let answer = exchange(ingest.connect().await, announced.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");

    let chunked = announced.replace("content-length: 10485760", "transfer-encoding: chunked");
    let chunk = format!("{:x}\r\n{}\r\n", 1 << 16, "x".repeat(1 << 16));
    let endless = format!("{chunked}{}", chunk.repeat(160));
    let answer = exchange(ingest.connect().await, endless.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    assert!(answer.contains("too_large"), "{answer}");
}

#[tokio::test]
async fn a_body_has_one_deadline_however_it_drips() {
    let timeout = Duration::from_millis(500);
    let ingest = Ingest::start_with(|args| args.body_timeout = timeout).await;
    let head = ingest.head(10);
    let silent = format!("{head}abc");
    let answer = exchange(ingest.connect().await, silent.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("body_timeout"), "{answer}");

    let (mut reading, mut writing) = ingest.connect().await.into_split();
    writing.write_all(head.as_bytes()).await.unwrap();
    let dripping = tokio::spawn(async move {
        while writing.write_all(b"x").await.is_ok() {
            sleep(timeout / 4).await;
        }
    });
    let mut answer = String::new();
    let _ = tokio::time::timeout(SOON, reading.read_to_string(&mut answer))
        .await
        .unwrap();
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    dripping.abort();
    assert_eq!(ingest.stored_count().await, 0);
}

#[tokio::test]
async fn http_2_is_spoken_too() {
    let ingest = Ingest::start().await;
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http();
    let post = async |body: String| {
        let request = Request::post(ingest.url(EVENTS_PATH))
            .header("authorization", format!("Bearer {ACME}"))
            .header(JSON.0, JSON.1)
            .body(Full::from(body))
            .unwrap();
        client.request(request).await.unwrap().status().as_u16()
    };
    assert_eq!(post(EVENT.to_owned()).await, 202);
    assert_eq!(post("x".repeat(1 << 20)).await, 413);
    assert_eq!(post(EVENT.to_owned()).await, 202);
    ingest.stop().await;
}

#[tokio::test]
async fn connections_are_bounded_and_the_next_one_waits_for_its_turn() {
    let ingest = Ingest::start_with(|args| args.max_connections = 2).await;
    // The client's own connection is one of the two.
    let mut waiting = ingest.connect().await;
    let mut next = ingest.connect().await;
    let request = format!("{}{EVENT}", ingest.head(EVENT.len()));
    waiting.write_all(request.as_bytes()).await.unwrap();
    let mut first = [0; 12];
    waiting.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 202");
    next.write_all(request.as_bytes()).await.unwrap();
    let unserved = timeout(Duration::from_millis(300), next.read_exact(&mut first)).await;
    assert!(unserved.is_err(), "a third connection was served");
    drop(waiting);
    timeout(SOON, next.read_exact(&mut first))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&first, b"HTTP/1.1 202");
}

#[tokio::test]
async fn a_connection_that_says_nothing_does_not_hold_up_the_end() {
    let ingest = Ingest::start().await;
    let silent = ingest.connect().await;
    let mut half = ingest.connect().await;
    half.write_all(b"POST /v1/events HTTP/1.1\r\nhost: a\r\nx-")
        .await
        .unwrap();
    let mut half_preface = ingest.connect().await;
    half_preface.write_all(b"PRI * HT").await.unwrap();
    // Accepted in order, so once this is answered the others are being served.
    assert_eq!(ingest.publish(EVENT).await.status, 202);
    let begun = Instant::now();
    ingest.stop().await;
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
    for stream in [silent, half, half_preface] {
        assert_eq!(until_closed(stream).await, "");
    }
}

#[tokio::test]
async fn what_is_under_way_is_finished_before_the_end() {
    let ingest = Ingest::start().await;
    let mut stream = ingest.connect().await;
    let request = format!("{}{EVENT}", ingest.head(EVENT.len()));
    let (first, rest) = request.as_bytes().split_at(request.len() - 5);
    stream.write_all(first).await.unwrap();
    // Its head has been read: a second event comes through the same server after it.
    assert_eq!(ingest.publish(EVENT).await.status, 202);
    let stopping = ingest.stop();
    let finishing = async {
        eventually(SOON, "the listener is closed", async || {
            tokio::net::TcpStream::connect(ingest.address)
                .await
                .is_err()
        })
        .await;
        stream.write_all(rest).await.unwrap();
        until_closed(stream).await
    };
    let ((), answer) = tokio::join!(stopping, finishing);
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    assert_eq!(ingest.stored_count().await, 2);
}

#[tokio::test]
async fn what_is_no_request_is_answered_with_a_problem_too() {
    let ingest = Ingest::start().await;
    let host = format!("host: {}\r\n", ingest.address);
    let post = "POST /v1/events HTTP/1.1\r\n";
    let many = "x-a: 1\r\n".repeat(101);
    for (request, status, code) in [
        (format!("{post}\r\n"), 400, "bad_request"),
        (format!("{post}{host}{host}\r\n"), 400, "bad_request"),
        (String::from("no HTTP at all\r\n\r\n"), 400, "bad_request"),
        (
            format!("{post}{host}bad header\r\n\r\n"),
            400,
            "bad_request",
        ),
        (
            format!("{post}{host}content-length: x\r\n\r\n"),
            400,
            "bad_request",
        ),
        (format!("{post}{host}{many}\r\n"), 431, "head_too_large"),
        (
            format!("{post}{host}x-a: {}\r\n\r\n", "a".repeat(70_000)),
            431,
            "head_too_large",
        ),
    ] {
        let what: String = request.chars().take(120).collect();
        let closing = request.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n");
        let request = if status == 431 { request } else { closing };
        let answer = exchange(ingest.connect().await, request.as_bytes()).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{what}: {answer}"
        );
        assert!(
            answer.contains("content-type: application/problem+json"),
            "{what}: {answer}"
        );
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let problem: serde_json::Value = serde_json::from_str(body).expect(body);
        assert_eq!(
            (&problem["status"], &problem["code"]),
            (&status.into(), &code.into())
        );
    }
    assert_eq!(ingest.publish(EVENT).await.status, 202);
}
