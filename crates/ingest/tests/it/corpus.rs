//! `tests/corpora/event-corpus.tsv`, every row that is about taking events in, and
//! `event-corpus-own.tsv`, which has five times as many in the same form, CloudEvents among them.
//!
//! The corpus has generic names: its `type`, `timestamp` and `data` are our `topic`, `occurredAt`
//! and `payload`, and its `bad_type` our `bad_topic`. Its ids repeat, so each row publishes to an
//! environment of its own. Rows 67 and 69 are answered as CONTRACT.md has it, not as the corpus.

use std::path::Path;

use bytes::Bytes;
use prost::Message as _;
use serde_json::{Value, json};
use tidings_proto::v1;
use tidings_testkit::eventually;

use crate::support::{
    ADMIN, Answer, BATCH_PATH, EVENTS_PATH, Ingest, JSON, PROTOBUF, SOON, exchange,
};

const VALID: &str = r#"{"id":"e1","topic":"entry.publish","payload":{}}"#;

struct Row {
    number: u32,
    format: String,
    input: String,
    status: u16,
    code: String,
}

#[expect(clippy::print_stdout, reason = "the count is what one runs it for")]
#[tokio::test]
async fn the_corpus_is_answered_as_it_says() {
    let ingest =
        Ingest::start_with(|args| args.body_timeout = std::time::Duration::from_secs(1)).await;
    let mut passed = 0;
    let mut failed = Vec::new();
    let mut of_others = 0;
    for row in rows("event-corpus.tsv").chain(rows("event-corpus-own.tsv")) {
        let outcome = match row.format.as_str() {
            "json" => json_row(&ingest, &row).await,
            "protobuf" => protobuf_row(&ingest, &row).await,
            "cloudevent" => cloudevent_row(&ingest, &row).await,
            "http" => http_row(&ingest, &row).await,
            // What lies in the streams already is the router's and the sender's.
            _ => {
                of_others += 1;
                continue;
            }
        };
        match outcome {
            Ok(()) => passed += 1,
            Err(why) => failed.push(format!("row {}: {why}", row.number)),
        }
    }
    let count = passed + failed.len();
    println!("event corpus: {passed} of {count} rows pass; {of_others} are about other services");
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert_eq!((passed, of_others), (66 + 340, 6));
}

async fn json_row(ingest: &Ingest, row: &Row) -> Result<(), String> {
    if row.input.contains("@chunked_size(") {
        let size = argument(&row.input, "@chunked_size(").parse().unwrap();
        return expect_text(row, &chunked(ingest, size).await);
    }
    let body = body(row);
    let before = ingest.stored_count().await;
    let answer = ingest.publish(body.clone()).await;
    expect(row, &answer)?;
    if row.status != 202 {
        return match ingest.stored_count().await == before {
            true => Ok(()),
            false => Err("something was stored".into()),
        };
    }
    let stored = ingest.stored_event(answer.sequence()).await.payload;
    let text = std::str::from_utf8(&body).unwrap();
    let payload = text
        .split_once("\"payload\":")
        .unwrap()
        .1
        .strip_suffix('}')
        .unwrap();
    match stored == payload {
        true => Ok(()),
        false => Err("the payload was changed".into()),
    }
}

async fn protobuf_row(ingest: &Ingest, row: &Row) -> Result<(), String> {
    let message = match row.input.starts_with("@hex(") {
        true => hex(argument(&row.input, "@hex(")),
        false => v1::Event {
            topic: "entry.publish".into(),
            payload: Bytes::from_static(b"{\"a\":"),
            ..v1::Event::default()
        }
        .encode_to_vec(),
    };
    expect(row, &ingest.post(EVENTS_PATH, &[PROTOBUF], message).await)
}

/// A CloudEvent in structured mode, published to an environment of its own.
async fn cloudevent_row(ingest: &Ingest, row: &Row) -> Result<(), String> {
    let own = format!("{{\"environment\":\"row{}\",", row.number);
    let body = row.input.replacen('{', &own, 1);
    let media = ("content-type", "application/cloudevents+json");
    expect(row, &ingest.post(EVENTS_PATH, &[media], body).await)
}

async fn http_row(ingest: &Ingest, row: &Row) -> Result<(), String> {
    let in_own = |id: &str, payload: u32| {
        let environment = format!("row{}", row.number);
        json!({"id": id, "environment": environment, "topic": "a.b", "payload": payload})
            .to_string()
    };
    match row.number {
        57 => expect(row, &ingest.post(EVENTS_PATH, &[], VALID).await),
        59 => {
            let headers = [JSON, ("content-encoding", "gzip")];
            expect(
                row,
                &ingest.post(EVENTS_PATH, &headers, "\u{1f}\u{8b}").await,
            )
        }
        60 => {
            let request = format!("{}abc", ingest.head(10));
            expect_text(
                row,
                &exchange(ingest.connect().await, request.as_bytes()).await,
            )
        }
        62 => expect_text(row, &dripping(ingest).await),
        63 => {
            ingest.nats.kill().await;
            let answer = ingest.publish(in_own("e", 1)).await;
            ingest.nats.restart().await;
            eventually(SOON, "the broker is found again", async || {
                ingest.publish(VALID).await.status == 202
            })
            .await;
            expect(row, &answer)?;
            let has_time = answer.headers.contains_key("retry-after");
            has_time
                .then_some(())
                .ok_or_else(|| "no Retry-After".into())
        }
        65 => {
            expect(row, &ingest.publish(in_own("e", 1)).await)?;
            let again = ingest.publish(in_own("e", 1)).await;
            expect(row, &again)?;
            let is_told = again.json["duplicate"] == true;
            is_told
                .then_some(())
                .ok_or_else(|| "it is not told as a duplicate".into())
        }
        66 => {
            ingest.publish(in_own("e", 1)).await;
            expect(row, &ingest.publish(in_own("e", 2)).await)
        }
        67 => {
            let body = r#"{"space":"other","topic":"a.b","payload":1}"#;
            let answer = ingest.publish(body).await;
            expect_these(403, "other_space", &answer)?;
            let headers = [JSON, ("authorization", &format!("Bearer {ADMIN}"))];
            expect_these(202, "", &ingest.post(EVENTS_PATH, &headers, body).await)
        }
        68 => {
            let many = format!("[{}]", vec![VALID; 1_001].join(","));
            expect(row, &ingest.post(BATCH_PATH, &[JSON], many).await)
        }
        69 => batch_with_a_bad_item(ingest, &in_own).await,
        number => Err(format!("nobody knows what row {number} does")),
    }
}

/// The contract answers a batch item by item, so the others are stored.
async fn batch_with_a_bad_item(
    ingest: &Ingest,
    event: &impl Fn(&str, u32) -> String,
) -> Result<(), String> {
    let items: Vec<String> = (0..10)
        .map(|index| match index {
            7 => String::from("{\"topic\":\"t.>\",\"payload\":1}"),
            _ => event(&format!("e{index}"), index),
        })
        .collect();
    let answer = ingest
        .post(BATCH_PATH, &[JSON], format!("[{}]", items.join(",")))
        .await;
    expect_these(200, "", &answer)?;
    let results = answer.json["results"].as_array().unwrap();
    let bad: Vec<(usize, &Value)> = results
        .iter()
        .enumerate()
        .filter(|(_, result)| result["status"] != 202)
        .collect();
    match bad.as_slice() {
        [(7, bad)] if bad["errors"][0]["pointer"] == "/7/topic" => Ok(()),
        _ => Err(format!("{}", answer.json)),
    }
}

async fn chunked(ingest: &Ingest, size: usize) -> String {
    let head = ingest
        .head(0)
        .replace("content-length: 0", "transfer-encoding: chunked");
    let event = format!(
        "{{\"topic\":\"a.b\",\"payload\":\"{}\"}}",
        "x".repeat(size - 30)
    );
    let body = format!("{:x}\r\n{event}\r\n0\r\n\r\n", event.len());
    exchange(ingest.connect().await, format!("{head}{body}").as_bytes()).await
}

/// A byte now and then, well within any idle timeout.
async fn dripping(ingest: &Ingest) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let (mut reading, mut writing) = ingest.connect().await.into_split();
    writing
        .write_all(ingest.head(1_000).as_bytes())
        .await
        .unwrap();
    let dripping = tokio::spawn(async move {
        while writing.write_all(b" ").await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    });
    let mut answer = Vec::new();
    let _ = reading.read_to_end(&mut answer).await;
    dripping.abort();
    String::from_utf8_lossy(&answer).into_owned()
}

fn expect(row: &Row, answer: &Answer) -> Result<(), String> {
    let code = match row.code.as_str() {
        "bad_type" => "bad_topic",
        code => code,
    };
    expect_these(row.status, code, answer)
}

fn expect_these(status: u16, code: &str, answer: &Answer) -> Result<(), String> {
    match (answer.status, answer.code()) == (status, code) {
        true => Ok(()),
        false => Err(format!(
            "wanted {status} {code}, got {} {}",
            answer.status, answer.json
        )),
    }
}

fn expect_text(row: &Row, answer: &str) -> Result<(), String> {
    let is_status = answer.starts_with(&format!("HTTP/1.1 {}", row.status));
    match is_status && answer.contains(&row.code) && answer.contains("connection: close") {
        true => Ok(()),
        false => Err(answer.to_owned()),
    }
}

/// The body of a row: its macros expanded, its fields renamed, space and environment added.
fn body(row: &Row) -> Bytes {
    let input = &row.input;
    if input.starts_with("@hex(") {
        return hex(argument(input, "@hex(")).into();
    }
    if input == "@utf16le" {
        return VALID.encode_utf16().flat_map(u16::to_le_bytes).collect();
    }
    let mut text = input.clone();
    if text.starts_with("@object_with_keys(") {
        let count: u32 = argument(input, "@object_with_keys(").parse().unwrap();
        let members: Vec<String> = (0..count).map(|n| format!("\"k{n}\":{}", n % 10)).collect();
        text = format!(
            "{{\"id\":\"e1\",\"type\":\"t.x\",\"data\":{{{}}}}}",
            members.join(",")
        );
    }
    if text.contains("@repeat_nested(") {
        let (what, times) = two_arguments(&text, "@repeat_nested(");
        let (open, close) = what.split_at(1);
        let nested = format!("{}{}", open.repeat(times), close.repeat(times));
        text = replace(&text, "@repeat_nested(", &nested);
    }
    if text.contains("@repeat(") {
        let (what, times) = two_arguments(&text, "@repeat(");
        text = replace(&text, "@repeat(", &what.repeat(times));
    }
    for (generic, own) in [
        ("type", "topic"),
        ("timestamp", "occurredAt"),
        ("data", "payload"),
    ] {
        text = text.replacen(&format!("\"{generic}\":"), &format!("\"{own}\":"), 2);
    }
    let own = format!(
        "{{\"space\":\"acme\",\"environment\":\"row{}\",\"id\":",
        row.number
    );
    text.replacen("{\"id\":", &own, 1).into()
}

/// What stands in the brackets of a macro.
fn argument<'a>(text: &'a str, name: &str) -> &'a str {
    let rest = text.split_once(name).unwrap().1;
    rest.split_once(')').unwrap().0
}

fn two_arguments(text: &str, name: &str) -> (String, usize) {
    let (what, times) = argument(text, name).rsplit_once(',').unwrap();
    (what.to_owned(), times.parse().unwrap())
}

fn replace(text: &str, name: &str, with: &str) -> String {
    let whole = format!("{name}{})", argument(text, name));
    text.replacen(&whole, with, 1)
}

/// Hexadecimal digits; blanks and dots are for the reader.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<char> = text.chars().filter(char::is_ascii_hexdigit).collect();
    let byte = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

fn rows(file: &str) -> impl Iterator<Item = Row> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/corpora");
    let text = std::fs::read_to_string(folder.join(file)).unwrap();
    let rows: Vec<Row> = text.lines().skip(1).map(row).collect();
    rows.into_iter()
}

fn row(line: &str) -> Row {
    let [number, format, input, status, code, _note]: [&str; 6] =
        line.split('\t').collect::<Vec<_>>().try_into().unwrap();
    Row {
        number: number.parse().unwrap(),
        format: format.to_owned(),
        input: serde_json::from_str(&format!("\"{input}\"")).unwrap(),
        status: status.parse().unwrap(),
        code: code.to_owned(),
    }
}
