//! Events over NATS request and reply.

use std::time::Duration;

use async_nats::{Client, HeaderMap, Message, Request, RequestErrorKind};
use bytes::Bytes;
use prost::Message as _;
use serde_json::Value;
use tidings_proto::v1;
use tidings_testkit::eventually;

use crate::support::{Ingest, SOON};

const SUBJECT: &str = "tidings.ingest.v1.acme";
const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn event(id: &str) -> v1::Event {
    v1::Event {
        id: id.into(),
        topic: "Entry.publish".into(),
        payload: Bytes::from_static(b"{\"n\":1e999}"),
        ..v1::Event::default()
    }
}

async fn request(
    client: &Client,
    subject: &str,
    event: &v1::Event,
) -> Result<v1::PublishReply, String> {
    let message = client
        .request(subject.to_owned(), event.encode_to_vec().into())
        .await
        .unwrap();
    reply(&message)
}

fn reply(message: &Message) -> Result<v1::PublishReply, String> {
    let header = |name| message.headers.as_ref()?.get(name).map(ToString::to_string);
    match header("Nats-Service-Error-Code") {
        None => Ok(v1::PublishReply::decode(message.payload.clone()).unwrap()),
        Some(code) => Err(format!("{code} {}", header("Nats-Service-Error").unwrap())),
    }
}

#[tokio::test]
async fn a_request_is_answered_once_the_event_is_stored() {
    let ingest = Ingest::start().await;
    let client = ingest.nats.client().await;
    let mut headers = HeaderMap::new();
    headers.insert("traceparent", TRACE);
    let message = event("e1").encode_to_vec().into();
    let message = client
        .request_with_headers(SUBJECT, headers, message)
        .await
        .unwrap();
    let first = reply(&message).unwrap();
    assert_eq!((first.id.as_str(), first.duplicate), ("e1", false));
    let (subject, headers, _) = ingest.stored(first.sequence).await;
    assert_eq!(subject, "tidings.event.acme.master.Entry.publish");
    assert_eq!(headers.get("traceparent").unwrap().as_str(), TRACE);
    assert_eq!(ingest.stored_event(first.sequence).await.space, "acme");

    let again = request(&client, SUBJECT, &event("e1")).await.unwrap();
    assert_eq!((again.sequence, again.duplicate), (first.sequence, true));
    let fresh = request(&client, SUBJECT, &event("")).await.unwrap();
    assert!(fresh.id.starts_with("evt_") && !fresh.duplicate);
}

#[tokio::test]
async fn a_refused_request_has_a_code_and_a_detail() {
    let ingest = Ingest::start_with(|args| args.max_event_size = "1KiB".parse().unwrap()).await;
    let client = ingest.nats.client().await;
    assert!(request(&client, SUBJECT, &event("e1")).await.is_ok());
    let other_space = v1::Event {
        space: "other".into(),
        ..event("e2")
    };
    let conflict = v1::Event {
        payload: Bytes::from_static(b"2"),
        ..event("e1")
    };
    let large = v1::Event {
        payload: vec![b'1'; 2_000].into(),
        ..event("e3")
    };
    for (event, expected) in [
        (event("a.b"), "400 bad_id: /id: "),
        (v1::Event::default(), "400 missing_field: /topic: "),
        (other_space, "403 other_space: "),
        (conflict, "409 id_conflict: "),
        (large, "413 too_large: "),
    ] {
        let error = request(&client, SUBJECT, &event).await.unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
    let garbage = client.request(SUBJECT, "{}".into()).await.unwrap();
    assert!(reply(&garbage).unwrap_err().starts_with("400 "));
    assert_eq!(ingest.stored_count().await, 1);
}

#[tokio::test]
async fn the_service_is_found_and_gone_when_ingest_stops() {
    let ingest = Ingest::start().await;
    let client = ingest.nats.client().await;
    let info = eventually(SOON, "the service is found", async || {
        let info = client.request("$SRV.INFO.tidings-ingest", "".into()).await;
        info.map(|message| serde_json::from_slice::<Value>(&message.payload).unwrap())
    })
    .await;
    assert_eq!(info["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(info["endpoints"][0]["subject"], "tidings.ingest.v1.*");
    assert_eq!(info["endpoints"][0]["queue_group"], "tidings-ingest");

    ingest.stop().await;
    // The server hears of it a moment later; what it sent before that is not answered.
    eventually(SOON, "nobody takes requests", async || {
        let request = Request::new().timeout(Some(Duration::from_secs(1)));
        let answer = client.send_request(SUBJECT, request).await;
        answer.is_err_and(|error| error.kind() == RequestErrorKind::NoResponders)
    })
    .await;
}

#[tokio::test]
async fn requests_beyond_the_limit_are_refused_at_once() {
    let ingest = Ingest::start_with(|args| args.nats_concurrency = 1).await;
    let client = ingest.nats.client().await;
    assert!(request(&client, SUBJECT, &event("warm")).await.is_ok());
    let ids: Vec<String> = (0..200).map(|n| format!("e{n}")).collect();
    let events: Vec<v1::Event> = ids.iter().map(|id| event(id)).collect();
    let requests = events.iter().map(|event| request(&client, SUBJECT, event));
    let replies = futures_util::future::join_all(requests).await;
    let refused = replies
        .iter()
        .filter_map(|reply| reply.as_ref().err())
        .collect::<Vec<_>>();
    assert!(
        refused
            .iter()
            .all(|error| error.starts_with("503 overloaded")),
        "{refused:?}"
    );
    let accepted = replies.len() - refused.len();
    assert!(accepted >= 1, "nobody was served");
    assert_eq!(ingest.stored_count().await, accepted as u64 + 1);
}
