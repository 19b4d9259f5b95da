//! The `contentful` format: what a receiver of Contentful's webhooks gets.
//!
//! Sources: Contentful's pages on webhook headers and idempotency keys, and what its own requests
//! carry. `X-Contentful-CRN` names an entity in Contentful's own spaces, so it is sent only where
//! the producer gave one (`context.crn`).

use std::fmt::Write as _;

use http::{HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest as _, Sha256};

use super::{Content, set};
use crate::percent;
use crate::topic::Topic;

/// The content type of every request, unless a transformation says otherwise.
pub(super) const CONTENT_TYPE: HeaderValue =
    HeaderValue::from_static("application/vnd.contentful.management.v1+json");

const TOPIC: HeaderName = HeaderName::from_static("x-contentful-topic");
const WEBHOOK_NAME: HeaderName = HeaderName::from_static("x-contentful-webhook-name");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("x-contentful-idempotency-key");
const ATTEMPT: HeaderName = HeaderName::from_static("x-contentful-webhook-request-attempt");
const HAPPENED_AT: HeaderName = HeaderName::from_static("x-contentful-event-datetime");

/// What of an event's context goes into headers, by which receivers group events.
const CONTEXT: [(&str, HeaderName); 6] = [
    (
        "bulkActionId",
        HeaderName::from_static("x-contentful-bulk-action-id"),
    ),
    ("crn", HeaderName::from_static("x-contentful-crn")),
    (
        "releaseActionId",
        HeaderName::from_static("x-contentful-release-action-id"),
    ),
    (
        "releaseId",
        HeaderName::from_static("x-contentful-release-id"),
    ),
    (
        "releaseVersion",
        HeaderName::from_static("x-contentful-release-version"),
    ),
    (
        "scheduledActionId",
        HeaderName::from_static("x-contentful-scheduled-action-id"),
    ),
];

/// Adds Contentful's headers; `name` is the webhook's.
pub(super) fn dress(content: &Content<'_>, name: &HeaderValue, headers: &mut HeaderMap) {
    let event = content.event;
    set(headers, TOPIC, &topic(&event.topic));
    headers.insert(WEBHOOK_NAME, name.clone());
    set(headers, IDEMPOTENCY_KEY, &idempotency_key(content));
    headers.insert(ATTEMPT, HeaderValue::from(content.attempt));
    set(headers, HAPPENED_AT, &event.occurred_at.to_string());
    for (key, header) in CONTEXT {
        if let Some(value) = event.context.get(key).filter(|value| !value.is_empty()) {
            headers.insert(header, latin_or_escaped(value));
        }
    }
}

/// The topic with the interface before it that the change came from.
pub(super) fn topic(topic: &Topic) -> String {
    let interface = match topic.entity() {
        "EnvironmentAlias" => "SpaceManagement",
        "AppInstallation" => "AppManagement",
        _ => "ContentManagement",
    };
    format!("{interface}.{topic}")
}

/// The webhook's name as a header has it.
pub(super) fn webhook_name(name: &str) -> HeaderValue {
    latin_or_escaped(name)
}

/// The same for all attempts of a delivery, and for no other delivery.
fn idempotency_key(content: &Content<'_>) -> String {
    let digest = Sha256::digest(content.delivery.as_str());
    let mut text = String::with_capacity(2 * digest.len());
    for byte in digest {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Text of characters up to U+00FF, one byte each, as Contentful's HTTP library writes them; the
/// percent-encoding of the whole text if it has others.
fn latin_or_escaped(text: &str) -> HeaderValue {
    let bytes: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(c).ok()).collect();
    let latin = bytes.and_then(|bytes| HeaderValue::from_bytes(&bytes).ok());
    latin.unwrap_or_else(|| {
        let mut escaped = String::new();
        percent::encode(text, percent::is_component, &mut escaped);
        HeaderValue::from_str(&escaped).unwrap_or(HeaderValue::from_static(""))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beyond_latin_1_are_escaped() {
        for (name, sent) in [
            ("Rebuild site", &b"Rebuild site"[..]),
            ("Büro", b"B\xfcro"),
            ("建設 100%", b"%E5%BB%BA%E8%A8%AD%20100%25"),
            ("", b""),
        ] {
            assert_eq!(webhook_name(name).as_bytes(), sent, "{name}");
        }
    }

    #[test]
    fn topics_name_their_interface() {
        for (text, full) in [
            ("Entry.publish", "ContentManagement.Entry.publish"),
            ("Task.Create", "ContentManagement.Task.Create"),
            (
                "EnvironmentAlias.change_target",
                "SpaceManagement.EnvironmentAlias.change_target",
            ),
            (
                "AppInstallation.create",
                "AppManagement.AppInstallation.create",
            ),
        ] {
            assert_eq!(topic(&text.parse().unwrap()), full);
        }
    }
}
