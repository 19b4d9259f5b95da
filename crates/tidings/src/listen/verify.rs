//! Whether a webhook that arrived is really from the sender that has the secret.

use std::fmt;
use std::time::Duration;

use http::HeaderMap;
use jiff::{SignedDuration, Timestamp};
use tidings_core::signature::VerifyingKey;
use tidings_core::signature::contentful;

/// How far a webhook's timestamp may be from now (Standard Webhooks 1.0.0).
pub(crate) const TOLERANCE: Duration = Duration::from_secs(5 * 60);

const HEADERS: [&str; 3] = ["webhook-id", "webhook-timestamp", "webhook-signature"];

/// What checking a signature found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Check {
    /// The signature is that of one of the secrets.
    Verified,
    /// There is no secret to check with.
    NoSecret,
    /// A header that a signature needs is missing or unreadable.
    Missing {
        /// The header's name.
        header: &'static str,
    },
    /// No signature is that of one of the secrets.
    Mismatch,
    /// The signature is right, but the webhook is from another time: a replay, or a wrong clock.
    Stale {
        /// By how much it is too old, or negative if it is from the future.
        age: SignedDuration,
    },
}

impl Check {
    /// One word for machines.
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::NoSecret => "no_secret",
            Self::Missing { .. } => "missing",
            Self::Mismatch => "mismatch",
            Self::Stale { .. } => "stale",
        }
    }

    /// Whether a secret was given and the webhook is not signed by it, or not now.
    pub(crate) fn is_failed(&self) -> bool {
        !matches!(self, Self::Verified | Self::NoSecret)
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Verified => f.write_str("verified"),
            Self::NoSecret => f.write_str("not checked, no --secret was given"),
            Self::Missing { header } => {
                write!(
                    f,
                    "NOT verified: the header {header} is missing or unreadable"
                )
            }
            Self::Mismatch => f.write_str("NOT verified: it is not by this secret"),
            Self::Stale { age } if age.is_negative() => {
                write!(
                    f,
                    "NOT verified: it is from {} s in the future",
                    -age.as_secs()
                )
            }
            Self::Stale { age } => write!(f, "NOT verified: it is {} s old", age.as_secs()),
        }
    }
}

/// A request that arrived.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrived<'a> {
    /// Its method.
    pub(crate) method: &'a str,
    /// The path and query it was sent to.
    pub(crate) path: &'a str,
    /// Its headers.
    pub(crate) headers: &'a HeaderMap,
    /// Its body, as it came.
    pub(crate) body: &'a [u8],
}

/// Checks the signatures of a request against `keys` at `now`: those of Standard Webhooks and, with
/// a key for it, that of Contentful. One that is right is enough.
pub(crate) fn check(arrived: Arrived<'_>, keys: &[VerifyingKey], now: Timestamp) -> Check {
    if keys.is_empty() {
        return Check::NoSecret;
    }
    let has_contentful = arrived.headers.contains_key(contentful::SIGNATURE);
    let by_contentful: Vec<&VerifyingKey> = keys.iter().filter(|key| key.is_contentful()).collect();
    let by_standard: Vec<&VerifyingKey> = keys.iter().filter(|key| key.is_standard()).collect();
    if by_standard.is_empty() || (has_contentful && !by_contentful.is_empty()) {
        let check = check_contentful(arrived, &by_contentful, now);
        if check == Check::Verified || by_standard.is_empty() {
            return check;
        }
    }
    check_standard(arrived, &by_standard, now)
}

fn check_standard(arrived: Arrived<'_>, keys: &[&VerifyingKey], now: Timestamp) -> Check {
    let [id, timestamp, signature] = HEADERS.map(|name| text(arrived.headers, name));
    let Some(id) = id else {
        return Check::Missing { header: HEADERS[0] };
    };
    let sent_at = timestamp.and_then(|text| text.parse().ok());
    let sent_at = sent_at.and_then(|seconds| Timestamp::from_second(seconds).ok());
    let Some(sent_at) = sent_at else {
        return Check::Missing { header: HEADERS[1] };
    };
    let Some(signature) = signature else {
        return Check::Missing { header: HEADERS[2] };
    };
    let verifies =
        |key: &&VerifyingKey| key.verify(signature, id, sent_at.as_second(), arrived.body);
    match keys.iter().any(verifies) {
        true => fresh(sent_at, now),
        false => Check::Mismatch,
    }
}

fn check_contentful(arrived: Arrived<'_>, keys: &[&VerifyingKey], now: Timestamp) -> Check {
    let place = (arrived.method, arrived.path);
    let verify =
        |key: &&VerifyingKey| contentful::verify(key, place, arrived.headers, arrived.body);
    let mut verdicts = keys.iter().map(verify).peekable();
    if verdicts.peek() == Some(&None) {
        let header = "x-contentful-signature";
        return Check::Missing { header };
    }
    let sent_at = text(arrived.headers, contentful::TIMESTAMP.as_str());
    let sent_at = sent_at.and_then(|text| text.parse().ok());
    let sent_at = sent_at.and_then(|millis| Timestamp::from_millisecond(millis).ok());
    let Some(sent_at) = sent_at else {
        let header = "x-contentful-timestamp";
        return Check::Missing { header };
    };
    match verdicts.any(|verdict| verdict == Some(true)) {
        true => fresh(sent_at, now),
        false => Check::Mismatch,
    }
}

fn fresh(sent_at: Timestamp, now: Timestamp) -> Check {
    let age = now.duration_since(sent_at);
    match age.unsigned_abs() > TOLERANCE {
        true => Check::Stale { age },
        false => Check::Verified,
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use tidings_core::secret::Secret;

    use super::*;

    const SENT_AT: i64 = 1_614_265_330;

    fn key() -> VerifyingKey {
        VerifyingKey::parse(&Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")).unwrap()
    }

    fn arrived<'a>(headers: &'a HeaderMap, body: &'a [u8]) -> Arrived<'a> {
        Arrived {
            method: "POST",
            path: "/hook",
            headers,
            body,
        }
    }

    fn headers() -> HeaderMap {
        let signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        let mut headers = HeaderMap::new();
        headers.insert(
            "webhook-id",
            "msg_p5jXN8AQM9LWM0D4loKWxJek".parse().unwrap(),
        );
        headers.insert("webhook-timestamp", SENT_AT.into());
        headers.insert("webhook-signature", signature.parse().unwrap());
        headers
    }

    fn check_at(headers: &HeaderMap, second: i64) -> Check {
        let now = Timestamp::from_second(second).unwrap();
        check(arrived(headers, br#"{"test": 2432232314}"#), &[key()], now)
    }

    #[test]
    fn the_published_vector_is_verified_within_five_minutes_only() {
        assert_eq!(check_at(&headers(), SENT_AT), Check::Verified);
        assert_eq!(check_at(&headers(), SENT_AT + 300), Check::Verified);
        assert_eq!(check_at(&headers(), SENT_AT - 300), Check::Verified);
        for second in [SENT_AT + 301, SENT_AT - 301] {
            let check = check_at(&headers(), second);
            assert!(
                matches!(check, Check::Stale { .. }) && check.is_failed(),
                "{check}"
            );
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        for name in HEADERS {
            let mut headers = headers();
            headers.remove(name);
            assert_eq!(check_at(&headers, SENT_AT), Check::Missing { header: name });
        }
        let mut headers = headers();
        headers.insert("webhook-timestamp", "soon".parse().unwrap());
        assert_eq!(
            check_at(&headers, SENT_AT),
            Check::Missing {
                header: "webhook-timestamp"
            }
        );
    }

    #[test]
    fn another_body_is_a_mismatch_and_no_key_is_no_check() {
        let now = Timestamp::from_second(SENT_AT).unwrap();
        let headers = headers();
        let other = arrived(&headers, b"{}");
        assert_eq!(check(other, &[key()], now), Check::Mismatch);
        assert_eq!(check(other, &[], now), Check::NoSecret);
        assert!(!Check::NoSecret.is_failed());
    }

    /// The vector of Contentful's own library.
    #[test]
    fn contentfuls_signature_is_verified_with_a_contentful_secret() {
        let sent_at = Timestamp::from_millisecond(1_603_379_941_037).unwrap();
        let signature = "1b90823cf66fa9e9681d2f409d4a69eddc6e0f8c91aaae47d70f27f334438c77";
        let signed = "content-type,x-contentful-signed-headers,x-contentful-timestamp,\
                      x-contentful-topic";
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("content-type", "application/json"),
            ("x-contentful-topic", "ContentManagement.Entry.publish"),
            ("x-contentful-signed-headers", signed),
            ("x-contentful-timestamp", "1603379941037"),
            ("x-contentful-signature", signature),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        let body = br#"{"hello":"world"}"#;
        let contentful = VerifyingKey::parse(&Secret::new("a".repeat(64))).unwrap();
        let check_with = |headers: &HeaderMap, keys: &[VerifyingKey], now| {
            check(arrived(headers, body), keys, now)
        };
        let keys = [key(), contentful];
        assert_eq!(check_with(&headers, &keys, sent_at), Check::Verified);
        let later = sent_at + Duration::from_secs(301);
        let stale = check_with(&headers, &keys[1..], later);
        assert!(stale.is_failed(), "{stale}");
        // Without a key for it, the signature of Standard Webhooks is missed.
        let header = HEADERS[0];
        assert_eq!(
            check_with(&headers, &keys[..1], sent_at),
            Check::Missing { header }
        );
        headers.insert("x-contentful-topic", "other".parse().unwrap());
        assert!(check_with(&headers, &keys, sent_at).is_failed());
    }
}
