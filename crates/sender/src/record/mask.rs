//! Hides secrets in what an endpoint answered: one that sends back what it got must not make a log
//! of its webhook's credentials.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};

use super::headers::HIDDEN;

/// What is shorter stands in too many texts by chance.
const SECRET_BYTES_MIN: usize = 4;

/// The secrets of one request.
#[derive(Debug, Default)]
pub(super) struct Mask {
    /// The longest first, so that none leaves the rest of a longer one.
    secrets: Vec<Vec<u8>>,
}

impl Mask {
    /// The values of secret headers, in all forms in which they may come back: as they are, without
    /// their scheme, escaped as JSON; of Basic credentials also the password.
    pub(super) fn of(request: &HeaderMap) -> Self {
        let mut secrets = Vec::new();
        for value in request.values().filter(|value| value.is_sensitive()) {
            secrets.extend(forms(value));
        }
        secrets.retain(|secret| secret.len() >= SECRET_BYTES_MIN);
        secrets.sort_unstable_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets.dedup();
        Self { secrets }
    }

    /// The text of a header, its secrets hidden.
    pub(super) fn value(&self, value: &HeaderValue) -> String {
        let bytes = Bytes::copy_from_slice(value.as_bytes());
        String::from_utf8_lossy(&self.body(&bytes, false)).into_owned()
    }

    /// A text, such as a rendered URL, its secrets hidden.
    pub(super) fn text(&self, text: &str) -> String {
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        String::from_utf8_lossy(&self.body(&bytes, false)).into_owned()
    }

    /// A body, its secrets hidden. Of one that was cut, its end too, if a secret may begin there.
    pub(super) fn body(&self, body: &Bytes, is_cut: bool) -> Bytes {
        let mut left = body.as_ref();
        let mut masked = Vec::new();
        while let Some((before, after)) = self.first_in(left, is_cut) {
            masked.extend_from_slice(&left[..before]);
            masked.extend_from_slice(HIDDEN.as_bytes());
            left = &left[after..];
        }
        if masked.is_empty() {
            return body.clone();
        }
        masked.extend_from_slice(left);
        Bytes::from(masked)
    }

    /// Where the first secret begins and ends.
    fn first_in(&self, bytes: &[u8], is_cut: bool) -> Option<(usize, usize)> {
        if self.secrets.is_empty() {
            return None;
        }
        (0..bytes.len()).find_map(|start| {
            let rest = &bytes[start..];
            let length = self.secrets.iter().find_map(|secret| {
                let is_begun = is_cut && rest.len() >= SECRET_BYTES_MIN && secret.starts_with(rest);
                match rest.starts_with(secret) {
                    true => Some(secret.len()),
                    false => is_begun.then_some(rest.len()),
                }
            })?;
            Some((start, start + length))
        })
    }
}

fn forms(value: &HeaderValue) -> Vec<Vec<u8>> {
    let mut plain = vec![value.as_bytes().to_vec()];
    if let Some((scheme, credentials)) = value.to_str().ok().and_then(|text| text.split_once(' ')) {
        plain.push(credentials.as_bytes().to_vec());
        if scheme.eq_ignore_ascii_case("basic")
            && let Ok(decoded) = STANDARD.decode(credentials)
        {
            let password = decoded.splitn(2, |byte| *byte == b':').nth(1);
            plain.extend(password.map(<[u8]>::to_vec));
            plain.push(decoded);
        }
    }
    let escaped = plain.iter().filter_map(|form| {
        let text = std::str::from_utf8(form).ok()?;
        let quoted = serde_json::to_string(text).ok()?;
        Some(quoted.trim_matches('"').as_bytes().to_vec())
    });
    let escaped: Vec<_> = escaped.collect();
    plain.into_iter().chain(escaped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(values: &[&str]) -> Mask {
        let mut headers = HeaderMap::new();
        for value in values {
            let mut value = HeaderValue::from_str(value).unwrap();
            value.set_sensitive(true);
            headers.append("x-secret", value);
        }
        headers.insert("x-open", HeaderValue::from_static("public"));
        Mask::of(&headers)
    }

    fn masked(mask: &Mask, body: &str, is_cut: bool) -> String {
        let body = mask.body(&Bytes::copy_from_slice(body.as_bytes()), is_cut);
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[test]
    fn secrets_are_hidden_in_every_form_and_nothing_else_is() {
        // "u:pass\"word" in Base64.
        let mask = mask(&["Bearer s3cret-token", "Basic dTpwYXNzIndvcmQ="]);
        for (body, expected) in [
            ("authorization: Bearer s3cret-token!", "authorization: ***!"),
            ("just s3cret-token and s3cret-token", "just *** and ***"),
            ("Basic dTpwYXNzIndvcmQ=", "***"),
            (r#"pass"word"#, "***"),
            (r#"{"p":"pass\"word"}"#, r#"{"p":"***"}"#),
            ("public s3cret", "public s3cret"),
            ("", ""),
        ] {
            assert_eq!(masked(&mask, body, false), expected);
        }
    }

    #[test]
    fn the_beginning_of_a_secret_at_a_cut_is_hidden() {
        let mask = mask(&["s3cret-token"]);
        assert_eq!(masked(&mask, "echo s3cret-", true), "echo ***");
        assert_eq!(masked(&mask, "echo s3cret-", false), "echo s3cret-");
    }

    #[test]
    fn without_secrets_nothing_is_copied() {
        let body = Bytes::from_static(b"plain");
        assert_eq!(Mask::default().body(&body, true).as_ptr(), body.as_ptr());
    }
}
