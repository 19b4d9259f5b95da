//! `tidings listen`, as a person or a script runs it.

#![expect(clippy::unwrap_used, reason = "the helpers of a test may fail it")]

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use jiff::Timestamp;
use serde_json::Value;
use tidings_core::secret::Secret;
use tidings_core::signature::{SigningKey, contentful};
use tidings_testkit::Process;

const WITHIN: Duration = Duration::from_secs(20);
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const BODY: &str = r#"{"type":"Entry.publish","data":{"n":9007199254740993,"evil":"\u001b[2J"}}"#;

struct Listening {
    process: Process,
    url: String,
}

impl Listening {
    async fn start(arguments: &[&str]) -> Self {
        let process = Process::launch(env!("CARGO_BIN_EXE_tidings"))
            .args(["listen", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .start();
        let line = process.wait_for_log("listening on http://", WITHIN).await;
        let (_, rest) = line.split_once("http://").unwrap();
        let address = rest.split_whitespace().next().unwrap();
        let url = format!("http://{address}/hook?a=1");
        Self { process, url }
    }

    /// Sends a webhook that `secret` has signed, and returns how it was answered.
    async fn send(&self, id: &str, secret: &str, body: &str) -> StatusCode {
        let now = now().as_second();
        let key = SigningKey::parse(&Secret::new(secret)).unwrap();
        let request = Request::post(&self.url)
            .header("content-type", "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", now)
            .header(
                "webhook-signature",
                key.sign(id, now, body.as_bytes()).unwrap(),
            )
            .body(Full::new(Bytes::from(body.to_owned())))
            .unwrap();
        Self::post(request).await
    }

    /// Sends a webhook that `secret` has signed as Contentful does, and returns how it was answered.
    async fn send_contentful(&self, secret: &str, body: &str) -> StatusCode {
        let key = SigningKey::parse(&Secret::new(secret)).unwrap();
        let sent_at = now().as_millisecond().to_string();
        let headers = [
            (
                "x-contentful-signed-headers",
                "x-contentful-signed-headers,x-contentful-timestamp",
            ),
            ("x-contentful-timestamp", sent_at.as_str()),
        ];
        let canonical = contentful::canonical(contentful::Request {
            method: "POST",
            path: "/hook?a=1",
            headers: &headers,
            body: body.as_bytes(),
        });
        let signature = key.sign_contentful(&canonical).unwrap();
        let request = Request::post(&self.url)
            .header(headers[0].0, headers[0].1)
            .header(headers[1].0, headers[1].1)
            .header("x-contentful-signature", signature)
            .body(Full::new(Bytes::from(body.to_owned())))
            .unwrap();
        Self::post(request).await
    }

    async fn post(request: Request<Full<Bytes>>) -> StatusCode {
        let client = Client::builder(TokioExecutor::new()).build_http();
        let response = client.request(request).await.unwrap();
        let status = response.status();
        response.into_body().collect().await.unwrap();
        status
    }
}

fn now() -> Timestamp {
    tidings_service::clock::now()
}

#[tokio::test]
async fn each_webhook_is_printed_and_its_signature_verified() {
    let listening = Listening::start(&["--secret", SECRET]).await;
    assert_eq!(listening.send("dlv_1", SECRET, BODY).await, StatusCode::OK);
    let other = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    assert_eq!(listening.send("dlv_2", other, BODY).await, StatusCode::OK);

    listening
        .process
        .wait_for_log("NOT verified: it is not by this secret", WITHIN)
        .await;
    let ended = listening.process.terminate(WITHIN).await;

    assert!(ended.success(), "{ended}");
    let log = listening.process.log();
    for part in [
        "POST /hook?a=1  Entry.publish\n",
        "webhook-id  dlv_1\n",
        "signature   verified\n",
        "    \"n\": 9007199254740993,\n",
        "webhook-id  dlv_2\n",
    ] {
        assert!(log.contains(part), "{part:?}");
    }
    assert!(!log.contains(SECRET));
}

#[tokio::test]
async fn ed25519_and_contentfuls_signatures_are_verified() {
    let private = "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";
    let public = "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
    let contentful = "-".repeat(64);
    let secrets = format!("{public},{contentful}");
    let listening = Listening::start(&["--secret", &secrets, "--json", "--count", "2"]).await;
    listening.send("dlv_1", private, BODY).await;
    listening.send_contentful(&contentful, BODY).await;
    // It ends with code 1 if it could not verify one.
    let ended = listening.process.wait(WITHIN).await;
    let log = listening.process.log();
    assert!(ended.success(), "{ended}: {log}");
    assert_eq!(log.matches(r#""signature":"verified""#).count(), 2, "{log}");
}

#[tokio::test]
async fn it_fails_as_often_as_it_is_told_and_knows_a_repetition() {
    let arguments = [
        "--fail",
        "503",
        "--fail-times",
        "2",
        "--json",
        "--count",
        "3",
    ];
    let listening = Listening::start(&arguments).await;
    for expected in [503, 503, 200] {
        assert_eq!(
            listening.send("dlv_1", SECRET, BODY).await.as_u16(),
            expected
        );
    }
    let ended = listening.process.wait(WITHIN).await;
    assert!(ended.success(), "{ended}");
    let log = listening.process.log();
    let lines: Vec<Value> = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let times: Vec<_> = lines
        .iter()
        .map(|line| line["timesSeen"].as_u64().unwrap())
        .collect();
    assert_eq!(times, [1, 2, 3]);
    assert_eq!(lines[0]["signature"], "no_secret");
    assert_eq!(lines[0]["body"], BODY);
    assert_eq!(lines[2]["status"], 200);
}

#[tokio::test]
async fn a_count_with_a_wrong_signature_ends_with_code_1() {
    let listening = Listening::start(&["--secret", SECRET, "--count", "1"]).await;
    listening
        .send("dlv_1", "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", BODY)
        .await;
    assert_eq!(listening.process.wait(WITHIN).await.code(), Some(1));
}

#[tokio::test]
async fn an_answer_that_is_held_back_does_not_hold_up_the_end() {
    let listening = Listening::start(&["--delay", "1h"]).await;
    let answer = async {
        tokio::join!(listening.send("dlv_1", SECRET, BODY), async {
            listening
                .process
                .wait_for_log("webhook-id  dlv_1", WITHIN)
                .await;
            listening.process.terminate(WITHIN).await
        })
    };
    let (status, ended) = answer.await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(ended.success(), "{ended}");
}

#[tokio::test]
async fn a_body_without_end_is_refused() {
    let listening = Listening::start(&[]).await;
    let status = listening.send("dlv_1", SECRET, &"x".repeat(9 << 20)).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_wrong_option_is_named_and_a_secret_is_not_shown() {
    for (arguments, named) in [
        (&["--secret", "whsec_notbase64!"][..], "--secret"),
        (&["--fail", "99"], "--fail"),
        (&["--fail-times", "3"], "--fail"),
        (&["--delay", "soon"], "--delay"),
    ] {
        let process = Process::launch(env!("CARGO_BIN_EXE_tidings"))
            .args(["listen", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .start();
        let ended = process.wait(WITHIN).await;
        assert!(
            !ended.success() && process.log().contains(named),
            "{}",
            process.log()
        );
        assert!(!process.log().contains("notbase64"), "{}", process.log());
    }
}
