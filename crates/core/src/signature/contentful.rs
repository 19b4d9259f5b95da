//! Contentful's request verification: what is signed, with its quirks.
//!
//! Source: `@contentful/node-apps-toolkit` 3 and 4, whose `verifyRequest` receivers use. Signed is
//! `METHOD\npath\nheaders\nbody` with the headers as `name:value`, sorted and joined by `;`. The
//! list of signed headers and the timestamp are signed too. Of the path
//! - what follows a second `?` does not count;
//! - the query is escaped as a whole, and then path and query are escaped again, `%` included. So
//!   `?q=1&w=2` is signed as `?q%253D1%2526w%253D2`.

use http::{HeaderMap, HeaderName};

use super::VerifyingKey;
use crate::percent;

/// The signature, in hexadecimal digits.
pub const SIGNATURE: HeaderName = HeaderName::from_static("x-contentful-signature");
/// The names of the signed headers, with commas between them.
pub const SIGNED_HEADERS: HeaderName = HeaderName::from_static("x-contentful-signed-headers");
/// When it was signed, in milliseconds since the epoch.
pub const TIMESTAMP: HeaderName = HeaderName::from_static("x-contentful-timestamp");

/// How long a secret is, in characters.
pub const SECRET_CHARS: usize = 64;

/// Whether `text` is of the form of a Contentful secret. It is used as it is, not decoded.
#[must_use]
pub fn is_secret(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=_-".contains(&byte);
    text.len() == SECRET_CHARS && text.bytes().all(allowed)
}

/// A request as it is signed.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The method.
    pub method: &'a str,
    /// Path and query as they are sent.
    pub path: &'a str,
    /// The signed headers, lower-case names and trimmed values, [`SIGNED_HEADERS`] and
    /// [`TIMESTAMP`] included, sorted by name.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub body: &'a [u8],
}

/// What is signed.
#[must_use]
pub fn canonical(request: Request<'_>) -> Vec<u8> {
    let headers: Vec<String> = request
        .headers
        .iter()
        .map(|(name, value)| format!("{name}:{value}"))
        .collect();
    let head = format!(
        "{}\n{}\n{}\n",
        request.method,
        escape_path(request.path),
        headers.join(";")
    );
    [head.as_bytes(), request.body].concat()
}

/// Whether a request that arrived carries the signature of `key`; `None` if it lacks a header that
/// a signature needs, or one that it says is signed cannot be read.
#[must_use]
pub fn verify(
    key: &VerifyingKey,
    (method, path): (&str, &str),
    headers: &HeaderMap,
    body: &[u8],
) -> Option<bool> {
    let signature = headers.get(SIGNATURE)?.to_str().ok()?;
    let mut names: Vec<&str> = headers
        .get(SIGNED_HEADERS)?
        .to_str()
        .ok()?
        .split(',')
        .collect();
    names.sort_unstable();
    let mut signed = Vec::with_capacity(names.len());
    for name in names {
        if let Some(value) = headers.get(name) {
            signed.push((name, value.to_str().ok()?.trim()));
        }
    }
    let request = Request {
        method,
        path,
        headers: &signed,
        body,
    };
    Some(key.verify_contentful(signature, &canonical(request)))
}

fn escape_path(path: &str) -> String {
    let mut parts = path.split('?');
    let (path, query) = (parts.next().unwrap_or_default(), parts.next());
    let mut out = String::with_capacity(path.len() + 16);
    // What JavaScript's `encodeURI` leaves as it is.
    let is_kept = |byte| percent::is_component(byte) || b";,/?:@&=+$#".contains(&byte);
    percent::encode(path, is_kept, &mut out);
    if let Some(query) = query.filter(|query| !query.is_empty()) {
        let mut once = String::with_capacity(query.len() + 16);
        percent::encode(query, percent::is_component, &mut once);
        out.push('?');
        percent::encode(&once, percent::is_component, &mut out);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;
    use crate::signature::SigningKey;

    const SIGNED_AT: &str = "1603379941037";

    fn sign(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> String {
        let key = SigningKey::parse(&Secret::new("a".repeat(64))).unwrap();
        let (list, time) = ("x-contentful-signed-headers", "x-contentful-timestamp");
        let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
        let mut names = [&names[..], &[list, time]].concat();
        names.sort_unstable();
        let listed = names.join(",");
        let ours = [(list, listed.as_str()), (time, SIGNED_AT)];
        let mut headers = [headers, &ours].concat();
        headers.sort_unstable();
        let request = Request {
            method,
            path,
            headers: &headers,
            body: body.as_bytes(),
        };
        key.sign_contentful(&canonical(request)).unwrap()
    }

    #[test]
    fn the_published_vectors_come_out() {
        let headers = [
            ("content-type", "application/json"),
            ("x-contentful-topic", "ContentManagement.Entry.publish"),
        ];
        let posted = sign("POST", "/hook", &headers, r#"{"hello":"world"}"#);
        let expected = "1b90823cf66fa9e9681d2f409d4a69eddc6e0f8c91aaae47d70f27f334438c77";
        assert_eq!(posted, expected);
        let got = sign("GET", "/api/resources/1", &[], "");
        let expected = "3b21d63c31a2a92d38945394da0b1a2a0dc2d9bf13ef4dfd91b9f3fa1440b404";
        assert_eq!(got, expected);
    }

    #[test]
    fn paths_are_escaped_with_all_quirks() {
        for (path, escaped) in [
            ("/hook", "/hook"),
            ("/hook?q=1&w=2", "/hook?q%253D1%2526w%253D2"),
            ("/hook?", "/hook"),
            ("/hook?a?b", "/hook?a"),
            ("/a%20b/c;d", "/a%2520b/c;d"),
            ("/a?b=%20", "/a?b%253D%252520"),
            ("/a[0]|", "/a%5B0%5D%7C"),
        ] {
            assert_eq!(escape_path(path), escaped, "{path}");
        }
    }

    #[test]
    fn a_secret_has_64_characters_of_a_small_alphabet() {
        assert!(is_secret(&"aZ9+/=_-".repeat(8)));
        assert!(!is_secret(&"a".repeat(63)) && !is_secret(&"a".repeat(65)));
        assert!(!is_secret(&"a b!".repeat(16)) && !is_secret(&"é".repeat(32)));
    }

    #[test]
    fn what_arrived_is_verified_by_the_headers_it_lists() {
        let key = SigningKey::parse(&Secret::new("a".repeat(64))).unwrap();
        let signature = sign("POST", "/hook?a=b", &[("x-a", "1")], "{}");
        let mut headers = HeaderMap::new();
        headers.insert("x-a", " 1 ".parse().unwrap());
        headers.insert("x-b", "not signed".parse().unwrap());
        headers.insert(TIMESTAMP, SIGNED_AT.parse().unwrap());
        let listed = "x-a,x-contentful-signed-headers,x-contentful-timestamp";
        headers.insert(SIGNED_HEADERS, listed.parse().unwrap());
        let verify = |headers: &HeaderMap, path, body: &str| {
            verify(
                &key.verifying_key(),
                ("POST", path),
                headers,
                body.as_bytes(),
            )
        };
        assert_eq!(verify(&headers, "/hook?a=b", "{}"), None);
        headers.insert(SIGNATURE, signature.parse().unwrap());
        assert_eq!(verify(&headers, "/hook?a=b", "{}"), Some(true));
        assert_eq!(verify(&headers, "/hook?a=c", "{}"), Some(false));
        assert_eq!(verify(&headers, "/hook?a=b", "[]"), Some(false));
        headers.insert("x-a", "2".parse().unwrap());
        assert_eq!(verify(&headers, "/hook?a=b", "{}"), Some(false));
    }
}
