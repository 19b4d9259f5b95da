//! Signing a request that is ready to go out.

use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue};
use jiff::Timestamp;

use super::{Rendered, TemplateError, set};
use crate::id::DeliveryId;
use crate::signature::SigningKey;
use crate::signature::contentful::{self, SIGNATURE, SIGNED_HEADERS, TIMESTAMP};
use crate::webhook::{Definition, Scheme};

const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// The beginning of the headers that Contentful's signature covers.
const CONTENTFUL_HEADERS: &str = "x-contentful-";

/// The keys of a webhook and what they sign by.
#[derive(Debug, Clone)]
pub(super) struct Signer {
    keys: Vec<(SigningKey, Option<Timestamp>)>,
    schemes: Vec<Scheme>,
    standard_headers: bool,
}

impl Signer {
    /// Decodes the keys of a definition.
    pub(super) fn new(definition: &Definition) -> Result<Self, TemplateError> {
        let signing = &definition.signing;
        let mut keys = Vec::with_capacity(signing.secrets.len());
        for secret in &signing.secrets {
            let key = SigningKey::parse(&secret.key).map_err(|source| TemplateError::Secret {
                id: secret.id.clone(),
                source,
            })?;
            keys.push((key, secret.expires_at));
        }
        Ok(Self {
            keys,
            schemes: signing.effective_schemes(definition.format),
            standard_headers: signing.standard_headers,
        })
    }

    /// Adds the signatures of `request` at `now`.
    pub(super) fn sign(&self, request: &mut Rendered, id: &DeliveryId, now: Timestamp) {
        if self.standard_headers {
            self.sign_standard(request, id, now);
        }
        if self.schemes.contains(&Scheme::ContentfulV1) {
            self.sign_contentful(request, now);
        }
    }

    fn sign_standard(&self, request: &mut Rendered, id: &DeliveryId, now: Timestamp) {
        let timestamp = now.as_second();
        set(&mut request.headers, WEBHOOK_ID, id.as_str());
        let seconds = HeaderValue::from(timestamp);
        request.headers.insert(WEBHOOK_TIMESTAMP, seconds);
        let standard = |scheme: &&Scheme| **scheme != Scheme::ContentfulV1;
        let schemes = self.schemes.iter().filter(standard);
        let signatures: Vec<String> = schemes
            .flat_map(|scheme| self.valid_keys(*scheme, now))
            .filter_map(|(key, _)| key.sign(id.as_str(), timestamp, &request.body))
            .collect();
        if !signatures.is_empty() {
            let signatures = signatures.join(" ");
            set(&mut request.headers, WEBHOOK_SIGNATURE, &signatures);
        }
    }

    /// Contentful's header has room for one signature. While a secret is exchanged the old one
    /// signs until it ends, so that receivers have that long to learn the new one.
    fn sign_contentful(&self, request: &mut Rendered, now: Timestamp) {
        let keys = self.valid_keys(Scheme::ContentfulV1, now);
        let first_to_end = keys.min_by_key(|(_, end)| end.unwrap_or(Timestamp::MAX));
        let Some((key, _)) = first_to_end else {
            return;
        };
        let milliseconds = HeaderValue::from(now.as_millisecond());
        request.headers.insert(TIMESTAMP, milliseconds);
        let is_signed = |name: &HeaderName| {
            *name == CONTENT_TYPE || name.as_str().starts_with(CONTENTFUL_HEADERS)
        };
        // A value that is no ASCII has no bytes that both sides agree about.
        let is_plain = |name: &HeaderName| {
            let mut values = request.headers.get_all(name).iter();
            let is_text = values.next().is_some_and(|value| value.to_str().is_ok());
            is_text && values.next().is_none()
        };
        let names = request.headers.keys();
        let names = names.filter(|name| is_signed(name) && is_plain(name));
        let mut names: Vec<String> = names.map(|name| name.as_str().to_owned()).collect();
        names.push(SIGNED_HEADERS.as_str().to_owned());
        names.sort_unstable();
        set(&mut request.headers, SIGNED_HEADERS, &names.join(","));
        let pairs = names.iter().filter_map(|name| {
            let value = request.headers.get(name)?.to_str().ok()?;
            Some((name.as_str(), value.trim()))
        });
        let pairs: Vec<(&str, &str)> = pairs.collect();
        let path = request.url.uri().path_and_query();
        let canonical = contentful::canonical(contentful::Request {
            method: request.method.as_str(),
            path: path.map_or("/", |path| path.as_str()),
            headers: &pairs,
            body: &request.body,
        });
        if let Some(signature) = key.sign_contentful(&canonical) {
            set(&mut request.headers, SIGNATURE, &signature);
        }
    }

    fn valid_keys(
        &self,
        scheme: Scheme,
        now: Timestamp,
    ) -> impl Iterator<Item = &(SigningKey, Option<Timestamp>)> {
        let is_valid = move |end: &Option<Timestamp>| end.is_none_or(|end| now < end);
        let keys = self.keys.iter();
        keys.filter(move |(key, end)| is_valid(end) && key.fits(scheme))
    }
}
