//! The `umbraco` format: what a receiver of Umbraco CMS's webhooks gets (versions 13 to 17; the
//! payload is legacy, minimal or extended, as the CMS made it).

use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use jiff::fmt::rfc2822;

use super::{Content, set};

/// The content type of every request, unless a transformation says otherwise.
pub(super) const CONTENT_TYPE: HeaderValue =
    HeaderValue::from_static("application/json; charset=utf-8");

/// Umbraco's, with ours after it. The version is the one whose webhooks these are.
pub(super) const USER_AGENT: HeaderValue = HeaderValue::from_static(concat!(
    "Umbraco-Cms/17.0.0 Tidings/",
    env!("CARGO_PKG_VERSION")
));

const EVENT: HeaderName = HeaderName::from_static("umb-webhook-event");
const RETRY_COUNT: HeaderName = HeaderName::from_static("umb-webhook-retrycount");
const DATE: HeaderName = HeaderName::from_static("umb-webhook-date");

/// Adds Umbraco's headers.
pub(super) fn dress(content: &Content<'_>, now: Timestamp, headers: &mut HeaderMap) {
    set(headers, EVENT, content.event.topic.as_str());
    let attempts_before = content.attempt.saturating_sub(1);
    headers.insert(RETRY_COUNT, HeaderValue::from(attempts_before));
    if let Ok(date) = rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&now) {
        set(headers, DATE, &date);
    }
}
