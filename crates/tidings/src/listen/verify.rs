//! Whether a webhook that arrived is really from the sender that has the secret.

use std::fmt;
use std::time::Duration;

use http::HeaderMap;
use jiff::{SignedDuration, Timestamp};
use tidings_core::signature::SigningKey;

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

/// Checks the Standard Webhooks signature of a request against `keys` at `now`.
pub(crate) fn check(
    headers: &HeaderMap,
    body: &[u8],
    keys: &[SigningKey],
    now: Timestamp,
) -> Check {
    if keys.is_empty() {
        return Check::NoSecret;
    }
    let [id, timestamp, signature] = HEADERS.map(|name| text(headers, name));
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
    if !keys
        .iter()
        .any(|key| key.verify(signature, id, sent_at.as_second(), body))
    {
        return Check::Mismatch;
    }
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

    fn key() -> SigningKey {
        SigningKey::parse(&Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")).unwrap()
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
        check(headers, br#"{"test": 2432232314}"#, &[key()], now)
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
        assert_eq!(check(&headers(), b"{}", &[key()], now), Check::Mismatch);
        assert_eq!(check(&headers(), b"{}", &[], now), Check::NoSecret);
        assert!(!Check::NoSecret.is_failed());
    }
}
