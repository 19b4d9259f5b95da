//! Headers as people may see them.

use http::HeaderMap;
use http::header::SET_COOKIE;
use tidings_proto::v1;

use super::mask::Mask;

/// Stands for the value of a secret header.
pub(super) const HIDDEN: &str = "***";

/// What was answered, without cookies and what `mask` hides. Bytes that are no text are replaced.
pub(super) fn answered(headers: &HeaderMap, mask: &Mask) -> Vec<v1::Header> {
    let show = |(name, value): (&http::HeaderName, &http::HeaderValue)| v1::Header {
        name: name.to_string(),
        value: match *name == SET_COOKIE {
            true => HIDDEN.to_owned(),
            false => mask.value(value),
        },
    };
    headers.iter().map(show).collect()
}

/// What was sent, secret values hidden. Bytes that are no text are replaced.
pub(super) fn sent(headers: &HeaderMap) -> Vec<v1::Header> {
    let show = |(name, value): (&http::HeaderName, &http::HeaderValue)| v1::Header {
        name: name.to_string(),
        value: match value.is_sensitive() {
            true => HIDDEN.to_owned(),
            false => String::from_utf8_lossy(value.as_bytes()).into_owned(),
        },
    };
    headers.iter().map(show).collect()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_secret_value_is_hidden() {
        let mut headers = HeaderMap::new();
        headers.insert("x-source", HeaderValue::from_static("cms"));
        let mut secret = HeaderValue::from_static("Bearer s3cret");
        secret.set_sensitive(true);
        headers.insert("authorization", secret);
        let shown = sent(&headers);
        let values: Vec<&str> = shown.iter().map(|header| header.value.as_str()).collect();
        assert_eq!(values, ["cms", HIDDEN]);
    }
}
