//! The `heartcore` format: what a receiver of Umbraco Heartcore's webhooks gets.

use http::{HeaderMap, HeaderName};

use super::{Content, set};

const EVENT: HeaderName = HeaderName::from_static("umb-headless-event");

/// Adds Heartcore's header.
pub(super) fn dress(content: &Content<'_>, headers: &mut HeaderMap) {
    set(headers, EVENT, content.event.topic.as_str());
}
