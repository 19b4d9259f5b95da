//! Secrets of webhooks are nowhere to be found but sealed (CONTRACT.md section 4): not in a log at
//! its most talkative, not in a trace, not in an answer of command line or API, not on a page of the
//! dashboard, not in any stream or bucket.

mod pages;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use futures_util::TryStreamExt as _;
use serde_json::{Value, json};
use tidings_nats::topology::{SEALING_KEY, SECRET_KEYS_BUCKET};
use tidings_testkit::{Answer, Answers, Receiver, eventually, target_bin};
use tidings_vault::KeyRing;
use tokio::process::Command;

use crate::client::Answer as Answered;
use crate::event::event;
use crate::platform::{Platform, SOON, Service, TOKEN};
use crate::telemetry::Collector;
use crate::telemetry::collector::Protocol;

/// The private key of senders.
const KEYS: &str = "tdgk_AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA";
const HEADER: &str = "Bearer s3cret-of-a-header-8c1f";
const USER: &str = "editor";
const PASSWORD: &str = "p4ssword-of-basic-auth-77aa";
/// One of each kind, and one that the first is being exchanged for.
const SIGNING: [&str; 4] = [
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "whsec_c2VjcmV0LW9mLXRoZS1yb3RhdGlvbi0yMDI2",
    "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=",
    "contentful-secret-of-64-characters-0123456789abcdefghijklmnopqrs",
];

/// Every form in which a secret could come out: as it was typed, without its prefix, as bytes in
/// hex, or encoded as basic authentication does.
fn forms() -> Vec<String> {
    let basic = STANDARD.encode(format!("{USER}:{PASSWORD}"));
    let mut forms = vec![
        HEADER.to_owned(),
        HEADER.replace("Bearer ", ""),
        PASSWORD.to_owned(),
        basic,
        KEYS.to_owned(),
        KEYS[5..].to_owned(),
    ];
    for key in SIGNING {
        let Some((_, body)) = key.split_once('_') else {
            forms.push(key.to_owned());
            continue;
        };
        let bytes = STANDARD.decode(body).expect("it is base64");
        forms.extend([
            body.to_owned(),
            bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
            format!("{bytes:?}"),
        ]);
    }
    let encoded: Vec<String> = [HEADER, PASSWORD]
        .iter()
        .chain(&SIGNING)
        .flat_map(|secret| [STANDARD.encode(secret), URL_SAFE_NO_PAD.encode(secret)])
        .collect();
    forms.extend(encoded);
    forms
}

fn assert_hidden(place: &str, content: &[u8]) {
    for form in forms() {
        let found = content
            .windows(form.len())
            .position(|window| window == form.as_bytes());
        if let Some(at) = found {
            let around = &content[at.saturating_sub(200)..(at + form.len()).min(content.len())];
            let around = String::from_utf8_lossy(around);
            panic!("{form:?} lies open in {place}: …{around}");
        }
    }
}

/// Runs `tidings` and looks at everything it says.
async fn tidings(platform: &Platform, arguments: &[&str], input: &str) -> Value {
    let file = format!(
        "{}/input-{}.json",
        std::env::temp_dir().display(),
        std::process::id()
    );
    std::fs::write(&file, input).expect("the file can be written");
    let output = Command::new(target_bin("tidings"))
        .args([
            "--log",
            "trace,hyper=trace,h2=trace,async_nats=trace",
            "--json",
        ])
        .args(
            arguments
                .iter()
                .map(|argument| argument.replace("FILE", &file)),
        )
        .env("TIDINGS_NATS_URL", platform.nats.url())
        .env("TIDINGS_SECRET_KEYS", KEYS)
        .kill_on_drop(true)
        .output()
        .await
        .expect("it runs");
    std::fs::remove_file(&file).expect("the file is there");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    assert_hidden(&format!("what {arguments:?} says"), &output.stderr);
    assert_hidden(&format!("the answer to {arguments:?}"), &output.stdout);
    let text = tidings_in_words(platform, arguments, &file, input).await;
    assert_hidden(&format!("the table of {arguments:?}"), &text);
    serde_json::from_slice(&output.stdout).expect("it answers with JSON")
}

/// The same for people, of what only looks.
async fn tidings_in_words(
    platform: &Platform,
    arguments: &[&str],
    file: &str,
    input: &str,
) -> Vec<u8> {
    if arguments.contains(&"create") {
        return Vec::new();
    }
    std::fs::write(file, input).expect("the file can be written");
    let output = Command::new(target_bin("tidings"))
        .args(
            arguments
                .iter()
                .map(|argument| argument.replace("FILE", file)),
        )
        .env("TIDINGS_NATS_URL", platform.nats.url())
        .env("TIDINGS_SECRET_KEYS", KEYS)
        .output()
        .await
        .expect("it runs");
    std::fs::remove_file(file).expect("the file is there");
    [output.stdout, output.stderr].concat()
}

async fn create(platform: &Platform, url: &str) -> String {
    let keys = SIGNING.map(|key| json!({ "key": key }));
    let definition = json!({
        "url": url, "topics": ["Entry.*"],
        "headers": [
            {"key": "Authorization-Of-CMS", "value": HEADER, "secret": true},
            {"key": "X-Open", "value": "seen"},
        ],
        "basicAuth": {"username": USER, "password": PASSWORD},
        "signing": {
            "schemes": ["standard-v1", "standard-v1a", "contentful-v1"], "secrets": keys,
        },
        "delivery": {"retrySchedule": ["50ms"], "maxRetries": 1},
    });
    let create = [
        "webhook",
        "create",
        "--space",
        "acme",
        "--file",
        "FILE",
        "--no-probe",
        "--egress-allow",
        "127.0.0.0/8",
    ];
    let created = tidings(platform, &create, &definition.to_string()).await;
    created["id"].as_str().expect("it has an id").to_owned()
}

/// Looks at every message of every stream, those of buckets included. Returns how many there were.
async fn look_into_streams(platform: &Platform) -> usize {
    let names: Vec<String> = platform
        .context
        .stream_names()
        .try_collect()
        .await
        .expect("names");
    let mut count = 0;
    for name in names {
        let stream = platform
            .context
            .get_stream(&name)
            .await
            .expect("it is there");
        let state = &stream.cached_info().state;
        for sequence in state.first_sequence..=state.last_sequence {
            let Ok(message) = stream.get_raw_message(sequence).await else {
                continue;
            };
            count += 1;
            let place = format!("{name}, {}", message.subject);
            assert_hidden(&place, &message.payload);
            assert_hidden(&place, format!("{:?}", message.headers).as_bytes());
        }
    }
    count
}

/// Asks whatever the command line can be asked.
async fn ask_everything(platform: &Platform, well: &str, dead: &str) {
    let asked: [&[&str]; 9] = [
        &["webhook", "list"],
        &["webhook", "get", well, "--space", "acme"],
        &[
            "webhook", "update", dead, "--space", "acme", "--name", "renamed",
        ],
        &["webhook", "disable", dead, "--space", "acme"],
        &["webhook", "explain", "--event-id", "e1"],
        &["delivery", "list", "--space", "acme"],
        &["dead-letter", "list", "--space", "acme"],
        &["secrets", "list"],
        &["webhook", "secret", "add", well, "--space", "acme"],
    ];
    for arguments in asked {
        tidings(platform, arguments, "").await;
    }
    let deliveries = tidings(platform, &["delivery", "list", "--space", "acme"], "").await;
    for delivery in deliveries.as_array().expect("it is a list") {
        let id = delivery["id"].as_str().expect("it has an id");
        tidings(platform, &["delivery", "show", id, "--space", "acme"], "").await;
    }
}

/// Asks the API for all that it tells of webhooks and deliveries, once it has read them.
async fn ask_the_api(platform: &Platform, console: &Service, well: &str) {
    console.until_ready(&platform.http).await;
    let get = async |path: &str| -> Result<Answered, String> {
        let url = console.url(&format!("/api/v1/spaces/acme/{path}")).await;
        let request = http::Request::get(url).header("authorization", format!("Bearer {TOKEN}"));
        let request = request.body(Default::default()).expect("it is a request");
        let answer = platform.http.send(request).await?;
        assert_hidden(path, &answer.body);
        assert_hidden(path, format!("{:?}", answer.headers).as_bytes());
        Ok(answer)
    };
    let list = format!("webhooks/{well}/deliveries");
    let deliveries = eventually(SOON, "the deliveries are in the log", async || {
        let page = get(&list).await?.expect(200).json();
        match page["items"].as_array() {
            Some(items) if items.len() >= 2 => Ok(items.clone()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    for delivery in deliveries {
        let id = delivery["id"].as_str().expect("it has an id");
        let place = format!("deliveries/{id}");
        eventually(SOON, "its attempts are shown", async || {
            let whole = get(&place).await?.expect(200).json();
            match whole["attemptList"].as_array() {
                Some(attempts) if attempts.len() == 2 => Ok(()),
                _ => Err(whole.to_string()),
            }
        })
        .await;
    }
    let shown = get(&format!("webhooks/{well}")).await.expect("it answers");
    let header = &shown.expect(200).json()["headers"][0];
    assert_eq!(header["key"], "Authorization-Of-CMS");
    for path in ["webhooks", "events", "events/e1", "deliveries"] {
        get(path).await.expect("it answers").expect(200);
    }
    get(&format!("webhooks/{well}/health"))
        .await
        .expect("it answers")
        .expect(200);
}

#[tokio::test]
async fn secrets_are_found_nowhere_but_sealed() {
    let collector = Collector::start(Protocol::Http).await;
    let platform = Platform::builder()
        .talkative()
        .env(collector.env())
        .sender_env("TIDINGS_SECRET_KEYS", KEYS)
        .start()
        .await;
    let keys = KeyRing::parse(KEYS).expect("it is a key");
    let bucket = platform.context.get_key_value(SECRET_KEYS_BUCKET).await;
    let sealing = keys.newest().expect("there is one").to_stored();
    bucket
        .expect("it is provisioned")
        .put(SEALING_KEY, sealing.into())
        .await
        .expect("it is stored");
    let answers = Answers::per_delivery([Answer::status(500), Answer::status(204)]);
    let receiver = Receiver::builder()
        .answers(answers)
        .on("/dead", Answer::status(500).body("not today"))
        .start()
        .await;
    let well = create(&platform, &receiver.url("/well")).await;
    let dead = create(&platform, &receiver.url("/dead")).await;

    platform.publish(event("Entry.publish").id("e1")).await;
    let large = format!("\"{}\"", "x".repeat(64 << 10));
    platform
        .publish(event("Entry.save").id("e2").payload(large))
        .await;

    // The receiver gets what everybody else must not: two attempts of two deliveries to each.
    for request in receiver.wait_for(8, SOON).await {
        assert_eq!(request.header("authorization-of-cms"), Some(HEADER));
        let basic = format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}")));
        assert_eq!(request.header("authorization"), Some(basic.as_str()));
        assert!(request.header("webhook-signature").is_some());
    }
    assert_eq!(platform.dead_letters(2).await.len(), 2);
    platform.assert_settled().await;
    platform.attempts(8).await;

    ask_everything(&platform, &well, &dead).await;
    let folder = tempfile::tempdir().expect("there is room");
    let console = platform.console(&["--data-dir", &folder.path().display().to_string()]);
    ask_the_api(&platform, &console, &well).await;
    pages::look_at_all(&platform, &console, [&well, &dead]).await;
    console.terminate().await;
    assert_hidden("the log of the console", console.process.log().as_bytes());
    let looked_at = look_into_streams(&platform).await;
    assert!(looked_at > 15, "only {looked_at} messages were looked at");
    for service in platform.services() {
        for page in ["/metrics", "/healthz", "/readyz"] {
            let answer = service.get(&platform.http, page).await.expect("it answers");
            assert_hidden(page, &answer.body);
        }
        service.terminate().await;
        let log = service.process.log();
        assert!(
            log.contains("TRACE"),
            "the log is not at its most talkative"
        );
        assert_hidden(&format!("the log of {}", service.process), log.as_bytes());
    }
    // Every program has sent its last spans by now.
    let spans = collector.spans();
    assert!(spans.len() > 20, "only {} spans arrived", spans.len());
    assert_hidden("the traces", format!("{spans:?}").as_bytes());
}
