//! What the receiver sees: method, headers and body of a request (CONTRACT.md section 4).

mod standard;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use jiff::Timestamp;

use crate::id::DeliveryId;
use crate::signature::SigningKey;
use crate::topic::Topic;
use crate::webhook::{Definition, Format, Webhook};

/// `User-Agent` of every request.
pub const USER_AGENT_VALUE: &str = concat!("Tidings/", env!("CARGO_PKG_VERSION"));

const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// What is told about the event of a delivery when its request is made.
#[derive(Debug, Clone, Copy)]
pub struct Content<'a> {
    /// The delivery's id, the same for all its attempts.
    pub delivery: &'a DeliveryId,
    /// What happened.
    pub topic: &'a Topic,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// JSON text, byte for byte as the producer sent it.
    pub payload: &'a [u8],
}

/// A request, ready to be sent. The bytes that were signed are the bytes that go out.
#[derive(Debug, Clone)]
pub struct Rendered {
    /// The method.
    pub method: Method,
    /// All headers but those of the connection.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// A webhook's definition made ready for rendering, once per version.
#[derive(Debug, Clone)]
pub struct Template {
    format: Format,
    headers: HeaderMap,
    keys: Vec<(SigningKey, Option<Timestamp>)>,
}

/// Why a definition cannot be rendered: it was stored by something that did not check it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A custom header cannot be sent.
    #[error("the header {key:?} cannot be sent")]
    Header {
        /// The header's name.
        key: String,
    },
    /// A signing secret cannot be used.
    #[error("the signing secret {id:?} cannot be used: {source}")]
    Secret {
        /// The secret's id.
        id: String,
        /// What is wrong with it.
        source: crate::signature::SecretError,
    },
    /// A secret has not been opened.
    #[error("a secret of it is sealed")]
    Sealed,
}

impl Template {
    /// Prepares `webhook`: decodes its keys and checks its headers.
    ///
    /// # Errors
    /// A header or a key of it cannot be used.
    pub fn new(webhook: &Webhook) -> Result<Self, TemplateError> {
        let definition = &webhook.definition;
        if definition
            .secrets()
            .any(|(_, secret)| secret.sealed().is_some())
        {
            return Err(TemplateError::Sealed);
        }
        let mut keys = Vec::with_capacity(definition.signing.secrets.len());
        for secret in &definition.signing.secrets {
            let key = SigningKey::parse(&secret.key).map_err(|source| TemplateError::Secret {
                id: secret.id.clone(),
                source,
            })?;
            keys.push((key, secret.expires_at));
        }
        Ok(Self {
            format: definition.format,
            headers: own_headers(definition)?,
            keys,
        })
    }

    /// Makes the request of an attempt at `now`.
    #[must_use]
    pub fn render(&self, content: Content<'_>, now: Timestamp) -> Rendered {
        let Rendered {
            method,
            headers: mut formatted,
            body,
        } = match self.format {
            Format::Standard => standard::render(content),
        };
        // Custom headers come first, so that nothing of ours can be replaced by one of them.
        let mut headers = self.headers.clone();
        let ours = HeaderValue::from_static(USER_AGENT_VALUE);
        headers.entry(USER_AGENT).or_insert(ours);
        headers.extend(formatted.drain());
        self.sign(&mut headers, content.delivery, now, &body);
        Rendered {
            method,
            headers,
            body,
        }
    }

    fn sign(&self, headers: &mut HeaderMap, id: &DeliveryId, now: Timestamp, body: &[u8]) {
        let timestamp = now.as_second();
        if let Ok(value) = HeaderValue::from_str(id.as_str()) {
            headers.insert(WEBHOOK_ID, value);
        }
        headers.insert(WEBHOOK_TIMESTAMP, HeaderValue::from(timestamp));
        let signatures: Vec<String> = self
            .keys
            .iter()
            .filter(|(_, expires_at)| expires_at.is_none_or(|end| now < end))
            .map(|(key, _)| key.sign(id.as_str(), timestamp, body))
            .collect();
        if signatures.is_empty() {
            return;
        }
        if let Ok(value) = HeaderValue::from_str(&signatures.join(" ")) {
            headers.insert(WEBHOOK_SIGNATURE, value);
        }
    }
}

fn own_headers(definition: &Definition) -> Result<HeaderMap, TemplateError> {
    let mut headers = HeaderMap::with_capacity(definition.headers.len() + 8);
    for header in &definition.headers {
        let error = || TemplateError::Header {
            key: header.key.clone(),
        };
        let value = header.value.as_ref().ok_or_else(error)?;
        let name = HeaderName::from_bytes(header.key.as_bytes()).map_err(|_| error())?;
        let mut value = HeaderValue::from_str(value.expose()).map_err(|_| error())?;
        value.set_sensitive(header.secret);
        headers.append(name, value);
    }
    if let Some(auth) = &definition.basic_auth {
        let error = || TemplateError::Header {
            key: AUTHORIZATION.to_string(),
        };
        let password = auth.password.as_ref().ok_or_else(error)?;
        let pair = STANDARD.encode(format!("{}:{}", auth.username, password.expose()));
        let mut value = HeaderValue::from_str(&format!("Basic {pair}")).map_err(|_| error())?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(headers)
}

fn json_headers() -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(1);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers
}
