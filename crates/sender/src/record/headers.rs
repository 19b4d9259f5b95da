//! Headers as people may see them.

use http::HeaderMap;
use tidings_proto::v1;

/// Stands for the value of a secret header.
const HIDDEN: &str = "***";

/// The headers, secret values hidden. Bytes that are no text are replaced.
pub(super) fn shown(headers: &HeaderMap) -> Vec<v1::Header> {
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
        let shown = shown(&headers);
        let values: Vec<&str> = shown.iter().map(|header| header.value.as_str()).collect();
        assert_eq!(values, ["cms", HIDDEN]);
    }
}
