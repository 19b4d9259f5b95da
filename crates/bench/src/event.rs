//! What is published: numbered events of 1 KiB, and the webhooks that want them.

use bytes::Bytes;
use jiff::Timestamp;
use prost::Message as _;
use tidings_core::webhook::{SCHEMA_VERSION, Webhook};
use tidings_proto::{timestamp_to_wire, v1};

/// The space of everything here.
pub(crate) const SPACE: &str = "bench";
pub(crate) const ENVIRONMENT: &str = "master";
pub(crate) const TOPIC: &str = "Entry.publish";

/// Length of an event's payload, which is also the length of the floor's messages.
pub(crate) const PAYLOAD_BYTES: usize = 1_024;

/// Events take turns over this many content types, each with webhooks of its own, so that all
/// partitions have work whatever the fan-out.
pub(crate) const CONTENT_TYPES: u64 = 64;

/// Webhooks of a fleet call at most this many hosts.
pub(crate) const HOSTS_MAX: u32 = 500;

const NUMBER_MARK: &[u8] = b"\"bench\":\"";
const NUMBER_DIGITS: usize = 20;
/// The number stands near the beginning, behind at most an envelope's head.
const NUMBER_WITHIN_BYTES: usize = 256;

/// Signing is part of the work.
pub(crate) const SIGNING_KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// The payload of event `number`: like a CMS's entry, padded to [`PAYLOAD_BYTES`].
pub(crate) fn payload(number: u64) -> String {
    let content_type = content_type(number);
    let mut text = format!(
        r#"{{"bench":"{number:020}","metadata":{{"tags":[]}},"sys":{{"space":{{"sys":{{"type":"Link","linkType":"Space","id":"{SPACE}"}}}},"id":"entry-{number}","type":"Entry","createdAt":"2026-11-22T09:58:01.412Z","updatedAt":"2026-11-22T10:00:00.000Z","environment":{{"sys":{{"id":"{ENVIRONMENT}","type":"Link","linkType":"Environment"}}}},"publishedVersion":17,"revision":7,"contentType":{{"sys":{{"type":"Link","linkType":"ContentType","id":"{content_type}"}}}}}},"fields":{{"title":{{"en-US":"Tidings of things that happened"}},"slug":{{"en-US":"tidings-of-things"}},"rating":{{"en-US":4.5}},"body":{{"en-US":""#
    );
    const END: &str = r#""}}}"#;
    const WORDS: &str = "Something was written, read again, changed and published. ";
    let room = PAYLOAD_BYTES - END.len();
    while text.len() < room {
        let rest = room - text.len();
        text.push_str(&WORDS[..rest.min(WORDS.len())]);
    }
    text.push_str(END);
    text
}

/// The number of the event whose payload is in `body`, be it in an envelope or not.
pub(crate) fn number_in(body: &[u8]) -> Option<u64> {
    let head = &body[..body.len().min(NUMBER_WITHIN_BYTES)];
    let mark = head
        .windows(NUMBER_MARK.len())
        .position(|window| window == NUMBER_MARK)?;
    let digits = body.get(mark + NUMBER_MARK.len()..)?.get(..NUMBER_DIGITS)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Event `number` as JSON, as ingest takes it.
pub(crate) fn json(number: u64, occurred_at: Timestamp) -> String {
    let content_type = content_type(number);
    let payload = payload(number);
    format!(
        r#"{{"id":"{number}","space":"{SPACE}","environment":"{ENVIRONMENT}","topic":"{TOPIC}","entity":{{"id":"entry-{number}","contentType":"{content_type}"}},"occurredAt":"{occurred_at}","payload":{payload}}}"#
    )
}

/// Event `number` as it lies in the events stream.
pub(crate) fn wire(number: u64, occurred_at: Timestamp) -> Bytes {
    let event = v1::Event {
        id: number.to_string(),
        space: SPACE.to_owned(),
        environment: ENVIRONMENT.to_owned(),
        topic: TOPIC.to_owned(),
        entity: Some(v1::Entity {
            id: format!("entry-{number}"),
            content_type: content_type(number),
            ..v1::Entity::default()
        }),
        occurred_at: Some(timestamp_to_wire(occurred_at)),
        payload: Bytes::from(payload(number)),
        ..v1::Event::default()
    };
    Bytes::from(event.encode_to_vec())
}

/// Where every event lies in the events stream.
pub(crate) fn subject() -> String {
    format!("tidings.event.{SPACE}.{ENVIRONMENT}.{TOPIC}")
}

/// By which the events stream knows event `number` again.
pub(crate) fn message_id(number: u64) -> String {
    format!("{SPACE}.{ENVIRONMENT}.{number}")
}

/// Webhooks to the sink at `sink`, so that every event matches exactly `fan_out` of them. Their
/// limits are out of the way; the path of each names its place in the fan-out.
///
/// # Errors
/// The definition is not one that this version of Tidings takes.
pub(crate) fn webhooks(sink: &str, fan_out: u64) -> anyhow::Result<Vec<Webhook>> {
    let all = (0..CONTENT_TYPES).flat_map(|kind| (0..fan_out).map(move |place| (kind, place)));
    all.map(|(kind, place)| webhook(sink, kind, place))
        .collect()
}

fn webhook(sink: &str, kind: u64, place: u64) -> anyhow::Result<Webhook> {
    let definition = serde_json::json!({
        "name": "bench",
        "url": format!("{sink}/{place}"),
        "topics": [TOPIC],
        "contentTypes": [content_type(kind)],
        "signing": { "secrets": [{ "id": "1", "key": SIGNING_KEY }] },
        "delivery": {
            "rateLimit": { "requests": 1_000_000, "per": "1s" },
            "maxInFlight": 1_000,
        },
    });
    Ok(Webhook {
        schema: SCHEMA_VERSION,
        id: format!("wh_bench_{kind}_{place}").parse()?,
        space: SPACE.parse()?,
        definition: serde_json::from_value(definition)?,
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
        version: 1,
    })
}

fn content_type(number: u64) -> String {
    format!("type-{:02}", number % CONTENT_TYPES)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use tidings_core::matching::explain;
    use tidings_core::partition::{PARTITIONS_DEFAULT, partition_of};
    use tidings_proto::event_from_wire;

    use super::*;

    const SINK: &str = "http://127.0.0.1:9";

    #[test]
    fn a_payload_is_json_of_one_kibibyte_with_its_number() {
        for number in [0, 7, 123_456_789] {
            let payload = payload(number);
            assert_eq!(payload.len(), PAYLOAD_BYTES);
            serde_json::from_str::<serde_json::Value>(&payload).unwrap();
            let enveloped = format!(r#"{{"type":"Entry.publish","data":{payload}}}"#);
            assert_eq!(number_in(payload.as_bytes()), Some(number));
            assert_eq!(number_in(enveloped.as_bytes()), Some(number));
        }
        assert_eq!(number_in(b"{}"), None);
        assert_eq!(number_in(b"{\"bench\":\"12"), None);
    }

    #[test]
    fn every_event_matches_as_many_webhooks_as_it_should() {
        let webhooks = webhooks(SINK, 3).unwrap();
        for number in 0..CONTENT_TYPES * 2 {
            let wire = v1::Event::decode(wire(number, Timestamp::UNIX_EPOCH)).unwrap();
            let id = || panic!("the event has an id");
            let event = event_from_wire(wire, id, Timestamp::UNIX_EPOCH).unwrap();
            let matching = webhooks
                .iter()
                .filter(|webhook| explain(webhook, &event).matches);
            assert_eq!(matching.count(), 3);
        }
    }

    #[test]
    fn even_without_fan_out_every_partition_has_work() {
        let used: BTreeSet<u16> = webhooks(SINK, 1)
            .unwrap()
            .iter()
            .map(|webhook| partition_of(&webhook.id, PARTITIONS_DEFAULT))
            .collect();
        assert_eq!(used.len(), usize::from(PARTITIONS_DEFAULT));
    }
}
