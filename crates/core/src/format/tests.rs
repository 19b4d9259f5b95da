//! Every format, as its receivers see it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::event::Entity;
use crate::secret::Secret;
use crate::signature::{SigningKey, contentful as request_verification};
use crate::webhook::{SCHEMA_VERSION, Scheme};

/// JSON that does not survive being read into values and written again.
const PAYLOAD: &str = r#"{ "b":1e999,"a":123456789012345678901234567890, "a":"\u0000\/é" }"#;
const SYMMETRIC: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const PRIVATE: &str = "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";
const NOW: i64 = 1_614_265_330;

pub(crate) fn event(topic: &str, payload: &str) -> Event {
    Event {
        id: "e1".parse().unwrap(),
        space: "acme".parse().unwrap(),
        environment: "master".parse().unwrap(),
        topic: topic.parse().unwrap(),
        entity: Entity {
            id: String::from("home page"),
            kind: String::from("Entry"),
            content_type: String::from("article"),
            revision: 7,
            locales: vec![String::from("en-US"), String::from("de")],
        },
        occurred_at: "2026-11-22T10:00:00.5Z".parse().unwrap(),
        actor: String::from("user-42"),
        context: BTreeMap::from([
            (String::from("releaseId"), String::from("r1")),
            (String::from("bulkActionId"), String::from("b1")),
        ]),
        payload: Bytes::from(payload.to_owned()),
    }
}

/// A template of a webhook to `https://a.example.com/hook?a=b`, its definition completed by
/// `fields`.
pub(crate) fn template(fields: impl Into<Value>) -> Template {
    let fields = fields.into();
    let mut definition = json!({ "url": "https://a.example.com/hook?a=b", "topics": ["*.*"] });
    for (name, value) in fields.as_object().unwrap() {
        definition[name] = value.clone();
    }
    let webhook = Webhook {
        schema: SCHEMA_VERSION,
        id: "wh_1".parse().unwrap(),
        space: "acme".parse().unwrap(),
        definition: serde_json::from_value(definition).unwrap(),
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
        version: 1,
    };
    Template::new(&webhook, &Arc::default()).unwrap()
}

pub(crate) fn try_render(fields: Value, event: &Event) -> Result<Rendered, RenderError> {
    let content = Content {
        delivery: &"dlv_1".parse().unwrap(),
        attempt: 3,
        event,
    };
    template(fields).render(content, Timestamp::from_second(NOW).unwrap())
}

fn render(fields: Value) -> Rendered {
    try_render(fields, &event("Entry.publish", PAYLOAD)).unwrap()
}

fn header<'a>(rendered: &'a Rendered, name: &str) -> &'a str {
    let value = rendered.headers.get(name);
    value.map_or("", |value| value.to_str().unwrap())
}

/// Asserts that a request has exactly these headers, but for those that all formats have.
#[track_caller]
fn assert_own_headers(rendered: &Rendered, expected: &[(&str, &str)]) {
    let is_common = |name: &str| name.starts_with("webhook-") || name == "user-agent";
    let mut own: Vec<(&str, &str)> = rendered
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
        .filter(|(name, _)| !is_common(name))
        .collect();
    own.sort_unstable();
    assert_eq!(own, expected);
}

#[test]
fn standard_writes_its_envelope_around_the_payloads_bytes() {
    let rendered = render(json!({}));
    let expected = format!(
        r#"{{"type":"Entry.publish","timestamp":"2026-11-22T10:00:00.5Z","data":{PAYLOAD}}}"#
    );
    assert_eq!(rendered.body, expected.as_bytes());
    assert_own_headers(&rendered, &[("content-type", "application/json")]);
    assert!(rendered.content_length);
    assert_eq!(rendered.url.as_str(), "https://a.example.com/hook?a=b");
}

#[test]
fn contentful_sends_the_payload_with_contentfuls_headers() {
    let rendered = render(json!({ "format": "contentful", "name": "Rebuild site" }));
    assert_eq!(rendered.body, PAYLOAD);
    assert_own_headers(
        &rendered,
        &[
            (
                "content-type",
                "application/vnd.contentful.management.v1+json",
            ),
            ("x-contentful-bulk-action-id", "b1"),
            ("x-contentful-event-datetime", "2026-11-22T10:00:00.5Z"),
            (
                "x-contentful-idempotency-key",
                "7f9a94e06526a4ad5e853cc766546994c74d40b14df0ac38e8a4af99aac22baa",
            ),
            ("x-contentful-release-id", "r1"),
            ("x-contentful-topic", "ContentManagement.Entry.publish"),
            ("x-contentful-webhook-name", "Rebuild site"),
            ("x-contentful-webhook-request-attempt", "3"),
        ],
    );
    // As Contentful, which sends bodies chunked unless asked for their length.
    assert!(!rendered.content_length);
}

#[test]
fn umbraco_sends_the_payload_with_umbracos_headers() {
    let event = event("Umbraco.ContentPublish", PAYLOAD);
    let rendered = try_render(json!({ "format": "umbraco" }), &event).unwrap();
    assert_eq!(rendered.body, PAYLOAD);
    assert_own_headers(
        &rendered,
        &[
            ("content-type", "application/json; charset=utf-8"),
            ("umb-webhook-date", "Thu, 25 Feb 2021 15:02:10 GMT"),
            ("umb-webhook-event", "Umbraco.ContentPublish"),
            ("umb-webhook-retrycount", "2"),
        ],
    );
    let agent = header(&rendered, "user-agent");
    assert!(agent.starts_with("Umbraco-Cms/"), "{agent}");
    assert!(agent.contains(USER_AGENT_VALUE), "{agent}");
}

#[test]
fn heartcore_sends_the_payload_with_its_one_header() {
    let event = event("content.publish", PAYLOAD);
    let rendered = try_render(json!({ "format": "heartcore" }), &event).unwrap();
    assert_eq!(rendered.body, PAYLOAD);
    assert_own_headers(
        &rendered,
        &[
            ("content-type", "application/json"),
            ("umb-headless-event", "content.publish"),
        ],
    );
}

const ATTRIBUTES: [(&str, &str); 15] = [
    ("actor", "user-42"),
    ("bulkactionid", "b1"),
    ("contenttype", "article"),
    ("entitytype", "Entry"),
    ("environment", "master"),
    ("id", "e1"),
    ("locales", "en-US,de"),
    ("releaseid", "r1"),
    ("revision", "7"),
    ("source", "/spaces/acme/environments/master"),
    ("space", "acme"),
    ("specversion", "1.0"),
    ("subject", "home page"),
    ("time", "2026-11-22T10:00:00.5Z"),
    ("type", "Entry.publish"),
];

#[test]
fn binary_cloudevents_have_attributes_in_headers() {
    let rendered = render(json!({ "format": "cloudevents-binary" }));
    assert_eq!(rendered.body, PAYLOAD);
    let named = ATTRIBUTES.map(|(name, text)| (format!("ce-{name}"), text.replace(' ', "%20")));
    let mut expected: Vec<(&str, &str)> = named
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    expected.push(("content-type", "application/json"));
    assert_own_headers(&rendered, &expected);
}

#[test]
fn structured_cloudevents_are_written_around_the_payloads_bytes() {
    let rendered = render(json!({ "format": "cloudevents-structured" }));
    assert_own_headers(
        &rendered,
        &[("content-type", "application/cloudevents+json")],
    );
    let body = str::from_utf8(&rendered.body).unwrap();
    let data = format!(r#""datacontenttype":"application/json","data":{PAYLOAD}}}"#);
    assert!(body.ends_with(&data), "{body}");
    let read: Value = serde_json::from_str(&body.replace("1e999", "1")).unwrap();
    for (name, text) in ATTRIBUTES {
        match name {
            "revision" => assert_eq!(read[name], 7),
            _ => assert_eq!(read[name], text, "{name}"),
        }
    }
}

#[test]
fn a_cloudevent_goes_out_with_the_source_it_came_with() {
    let mut event = event("Entry.publish", "{}");
    for (key, text) in [("source", "/cms"), ("partitionkey", "p"), ("not one", "x")] {
        event.context.insert(key.to_owned(), text.to_owned());
    }
    let rendered = try_render(json!({ "format": "cloudevents-binary" }), &event).unwrap();
    assert_eq!(header(&rendered, "ce-source"), "/cms");
    assert_eq!(header(&rendered, "ce-partitionkey"), "p");
    assert_eq!(
        rendered
            .headers
            .keys()
            .filter(|name| name.as_str().starts_with("ce-"))
            .count(),
        16
    );
}

#[test]
fn every_format_carries_what_is_common_unless_it_is_switched_off() {
    for format in Format::ALL {
        let fields = |is_on: bool| {
            json!({
                "format": format,
                "headers": [{ "key": "X-Source", "value": "cms" }],
                "basicAuth": { "username": "u", "password": "p" },
                "signing": {
                    "secrets": [{ "key": SYMMETRIC }],
                    "standardHeaders": is_on,
                },
            })
        };
        let rendered = render(fields(true));
        assert!(
            header(&rendered, "user-agent").contains(USER_AGENT_VALUE),
            "{format}"
        );
        assert_eq!(header(&rendered, "x-source"), "cms");
        assert_eq!(header(&rendered, "authorization"), "Basic dTpw");
        assert!(rendered.headers["authorization"].is_sensitive());
        assert_eq!(header(&rendered, "webhook-id"), "dlv_1");
        assert_eq!(header(&rendered, "webhook-timestamp"), NOW.to_string());
        let key = SigningKey::parse(&Secret::new(SYMMETRIC)).unwrap();
        let signature = header(&rendered, "webhook-signature");
        assert!(
            key.verify(signature, "dlv_1", NOW, &rendered.body),
            "{format}"
        );

        let rendered = render(fields(false));
        let names = rendered.headers.keys().map(HeaderName::as_str);
        assert_eq!(names.filter(|name| name.starts_with("webhook-")).count(), 0);
    }
}

#[test]
fn each_valid_secret_signs_by_its_scheme_and_an_expired_one_does_not() {
    let rendered = render(json!({ "signing": {
        "schemes": ["standard-v1", "standard-v1a"],
        "secrets": [
            { "id": "1", "key": SYMMETRIC },
            { "id": "2", "key": SYMMETRIC, "expiresAt": "2100-01-01T00:00:00Z" },
            { "id": "3", "key": SYMMETRIC, "expiresAt": "2000-01-01T00:00:00Z" },
            { "id": "4", "key": PRIVATE, "expiresAt": "2100-01-01T00:00:00Z" },
            { "id": "5", "key": PRIVATE, "expiresAt": "2000-01-01T00:00:00Z" },
        ],
    } }));
    let signatures: Vec<&str> = header(&rendered, "webhook-signature").split(' ').collect();
    let versions: Vec<&str> = signatures
        .iter()
        .filter_map(|signature| Some(signature.split_once(',')?.0))
        .collect();
    assert_eq!(versions, ["v1", "v1", "v1a"]);
    for secret in [SYMMETRIC, PRIVATE] {
        let key = SigningKey::parse(&Secret::new(secret)).unwrap();
        let all = signatures.join(" ");
        assert!(key.verify(&all, "dlv_1", NOW, &rendered.body));
    }
}

fn is_verified(rendered: &Rendered, secret: &str) -> Option<bool> {
    let key = SigningKey::parse(&Secret::new(secret))
        .unwrap()
        .verifying_key();
    let place = (
        "POST",
        rendered.url.uri().path_and_query().unwrap().as_str(),
    );
    request_verification::verify(&key, place, &rendered.headers, &rendered.body)
}

#[test]
fn contentfuls_signature_covers_its_headers_and_the_query() {
    let secret = "0123456789abcdef".repeat(4);
    let mut rendered = render(json!({
        "format": "contentful",
        "signing": { "secrets": [{ "key": secret }] },
    }));
    assert_eq!(is_verified(&rendered, &secret), Some(true));
    assert_eq!(
        header(&rendered, "x-contentful-timestamp"),
        format!("{NOW}000")
    );
    let signed = header(&rendered, "x-contentful-signed-headers");
    assert!(signed.starts_with("content-type,x-contentful-"), "{signed}");
    assert!(signed.contains("x-contentful-topic"), "{signed}");
    // The one secret signs by Standard Webhooks as well.
    assert!(header(&rendered, "webhook-signature").starts_with("v1,"));
    let other = HeaderValue::from_static("ContentManagement.Entry.delete");
    rendered.headers.insert("x-contentful-topic", other);
    assert_eq!(is_verified(&rendered, &secret), Some(false));
}

#[test]
fn contentfuls_scheme_signs_requests_of_any_format() {
    let secret = "-".repeat(64);
    let rendered = render(json!({ "signing": {
        "schemes": ["contentful-v1"], "secrets": [{ "key": secret }],
    } }));
    assert_eq!(is_verified(&rendered, &secret), Some(true));
    assert!(!rendered.headers.contains_key("webhook-signature"));
}

#[test]
fn while_contentfuls_secret_is_exchanged_the_old_one_signs_until_it_ends() {
    let (new, old) = ("n".repeat(64), "o".repeat(64));
    for (end, signs) in [
        ("2100-01-01T00:00:00Z", &old),
        ("2000-01-01T00:00:00Z", &new),
    ] {
        let rendered = render(json!({
            "format": "contentful",
            "signing": { "secrets": [{ "key": new }, { "key": old, "expiresAt": end }] },
        }));
        assert_eq!(is_verified(&rendered, signs), Some(true));
    }
}

#[test]
fn a_name_that_is_no_ascii_is_sent_and_not_signed() {
    let secret = "-".repeat(64);
    let rendered = render(json!({
        "format": "contentful", "name": "Büro",
        "signing": { "secrets": [{ "key": secret }] },
    }));
    assert_eq!(
        rendered.headers["x-contentful-webhook-name"].as_bytes(),
        b"B\xfcro"
    );
    assert!(!header(&rendered, "x-contentful-signed-headers").contains("webhook-name"));
    assert_eq!(is_verified(&rendered, &secret), Some(true));
}

#[test]
fn a_tenants_header_replaces_none_of_ours() {
    let rendered = render(json!({
        "format": "contentful",
        "headers": [{ "key": "X-Contentful-Topic", "value": "mine" }],
    }));
    assert_eq!(
        header(&rendered, "x-contentful-topic"),
        "ContentManagement.Entry.publish"
    );
}

#[test]
fn a_scheme_without_a_fitting_key_signs_nothing() {
    let rendered = render(json!({ "signing": {
        "schemes": [Scheme::StandardV1a], "secrets": [{ "key": SYMMETRIC }],
    } }));
    assert!(!rendered.headers.contains_key("webhook-signature"));
}

fn any_format() -> impl Strategy<Value = Format> {
    prop::sample::select(Format::ALL.to_vec())
}

proptest! {
    /// Whatever the payload, its bytes are in the body, and the body is JSON if the payload is.
    #[test]
    fn payload_bytes_survive_in_every_format(
        format in any_format(),
        text in "\\PC{0,40}",
        number in "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,20})?([eE][-+]?[0-9]{1,4})?",
        blank in "[ \t\n\r]{0,5}",
    ) {
        let payload = format!("{blank}[{blank}{}, {number}{blank}]{blank}", json!(text));
        let rendered = try_render(json!({ "format": format }), &event("Entry.publish", &payload));
        let body = rendered.unwrap().body;
        let body = str::from_utf8(&body).unwrap();
        prop_assert!(body.contains(&payload), "{body}");
        prop_assert!(serde_json::from_str::<&serde_json::value::RawValue>(body).is_ok());
    }

    /// Whatever is in an event and in a webhook's name, headers are headers.
    #[test]
    fn headers_are_always_well_formed(
        format in any_format(),
        name in "\\PC{0,40}",
        texts in prop::collection::vec("\\PC{0,40}", 5),
        key in "[a-zA-Z0-9 _-]{0,24}",
    ) {
        let mut event = event("Entry.publish", "{}");
        event.entity.id.clone_from(&texts[0]);
        event.entity.content_type.clone_from(&texts[1]);
        event.actor.clone_from(&texts[2]);
        event.entity.locales = vec![texts[3].clone()];
        for key in [key.as_str(), "releaseId", "source", "crn"] {
            event.context.insert(key.to_owned(), texts[4].clone());
        }
        let rendered = try_render(json!({ "format": format, "name": name }), &event).unwrap();
        for (name, value) in &rendered.headers {
            prop_assert!(!value.as_bytes().iter().any(|byte| b"\r\n\0".contains(byte)), "{name}");
        }
        prop_assert!(serde_json::from_slice::<Value>(&rendered.body).is_ok());
    }
}
