//! What the receiver sees: method, URL, headers and body of a request (CONTRACT.md section 4).
//!
//! A [`Template`] is made once for each version of a webhook and renders its attempts. Each format
//! has a file that says what is its own; what all have in common is here: the webhook's headers,
//! the transformation, and the signatures over the bytes that go out.

mod cloudevents;
mod contentful;
mod headers;
mod heartcore;
mod signer;
mod standard;
mod umbraco;

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use jiff::Timestamp;

use crate::endpoint_url::{EndpointUrl, UrlPolicy};
use crate::event::Event;
use crate::id::DeliveryId;
use crate::topic::Topic;
use crate::transformation::{self, Address, Compiled, Media, RenderError, Scope};
use crate::webhook::{Format, Webhook};
use headers::OwnHeaders;
use signer::Signer;

/// `User-Agent` of every request, but for formats whose receivers look at it.
pub const USER_AGENT_VALUE: &str = concat!("Tidings/", env!("CARGO_PKG_VERSION"));

/// The content type of JSON where a format asks for no other.
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What is told about a delivery when its request is made.
#[derive(Debug, Clone, Copy)]
pub struct Content<'a> {
    /// The delivery's id, the same for all its attempts.
    pub delivery: &'a DeliveryId,
    /// The number of this attempt, from 1.
    pub attempt: u32,
    /// What happened, its payload byte for byte as the producer sent it.
    pub event: &'a Event,
}

/// A request, ready to be sent. The bytes that were signed are the bytes that go out.
#[derive(Debug, Clone)]
pub struct Rendered {
    /// The method.
    pub method: Method,
    /// Where it goes.
    pub url: EndpointUrl,
    /// All headers but those of the connection.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// Whether the body's length is announced. If not, HTTP/1.1 sends it chunked.
    pub content_length: bool,
}

/// A webhook's definition made ready for rendering, once per version.
#[derive(Debug, Clone)]
pub struct Template {
    format: Format,
    name: HeaderValue,
    policy: Arc<UrlPolicy>,
    address: Address,
    headers: OwnHeaders,
    transformation: Option<Compiled>,
    signer: Signer,
}

/// Why a definition cannot be rendered: it was stored by something that did not check it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The URL cannot be called.
    #[error("{detail}")]
    Url {
        /// Whether the URL is well formed, and its address is one that may not be called.
        is_blocked: bool,
        /// What is wrong with it.
        detail: String,
    },
    /// A custom header cannot be sent.
    #[error("the header {key:?} cannot be sent")]
    Header {
        /// The header's name.
        key: String,
    },
    /// The transformation cannot be compiled.
    #[error("the transformation cannot be used: {0}")]
    Transformation(#[from] transformation::TemplateError),
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
    /// Prepares `webhook`, whose URL and whatever it renders to has to pass `policy`: compiles its
    /// templates, decodes its keys and checks its headers.
    ///
    /// # Errors
    /// A part of it cannot be used.
    pub fn new(webhook: &Webhook, policy: &Arc<UrlPolicy>) -> Result<Self, TemplateError> {
        let definition = &webhook.definition;
        let address = Address::parse(&definition.url, policy);
        let address = address.map_err(|fault| TemplateError::Url {
            is_blocked: fault.is_blocked(),
            detail: fault.to_string(),
        })?;
        if definition
            .secrets()
            .any(|(_, secret)| secret.sealed().is_some())
        {
            return Err(TemplateError::Sealed);
        }
        let transformation = definition.transformation.as_ref();
        Ok(Self {
            format: definition.format,
            name: contentful::webhook_name(&definition.name),
            policy: Arc::clone(policy),
            address,
            headers: OwnHeaders::new(definition)?,
            transformation: transformation.map(Compiled::new).transpose()?,
            signer: Signer::new(definition)?,
        })
    }

    /// A URL with the scheme, host and port of every request.
    #[must_use]
    pub fn url(&self) -> &EndpointUrl {
        self.address.sample()
    }

    /// Makes the request of an attempt at `now`.
    ///
    /// # Errors
    /// It cannot be made for this event, now or later.
    pub fn render(&self, content: Content<'_>, now: Timestamp) -> Result<Rendered, RenderError> {
        let scope = Scope::new(content.event, self.format);
        let transformation = self.transformation.as_ref();
        let has_body = transformation.is_none_or(|transformation| transformation.has_body);
        // Custom headers come first, so that nothing of ours can be replaced by one of them.
        let mut headers = self.headers.render(&scope)?;
        headers.insert(USER_AGENT, user_agent(self.format));
        self.dress(&content, now, &mut headers);
        let body = match has_body {
            true => {
                headers.insert(CONTENT_TYPE, self.content_type()?);
                self.body(&scope, content)?
            }
            false => Bytes::new(),
        };
        let mut rendered = Rendered {
            method: transformation.map_or(Method::POST, |given| given.method.clone()),
            url: self.address.render(&scope, &self.policy)?,
            headers,
            body,
            content_length: transformation.map_or_else(
                || announces_length(self.format),
                |transformation| transformation.content_length,
            ),
        };
        self.signer.sign(&mut rendered, content.delivery, now);
        Ok(rendered)
    }

    /// Adds the headers that are the format's own.
    fn dress(&self, content: &Content<'_>, now: Timestamp, headers: &mut HeaderMap) {
        match self.format {
            Format::Standard | Format::CloudeventsStructured => {}
            Format::Contentful => contentful::dress(content, &self.name, headers),
            Format::Umbraco => umbraco::dress(content, now, headers),
            Format::Heartcore => heartcore::dress(content, headers),
            Format::CloudeventsBinary => cloudevents::dress(content.event, headers),
        }
    }

    fn content_type(&self) -> Result<HeaderValue, RenderError> {
        let media = self.transformation.as_ref();
        let media = media.and_then(|transformation| transformation.media.as_ref());
        match media {
            None => Ok(usual_content_type(self.format)),
            Some(media) => {
                HeaderValue::from_str(Media::as_str(media)).map_err(|error| RenderError::Header {
                    detail: error.to_string(),
                })
            }
        }
    }

    fn body(&self, scope: &Scope<'_>, content: Content<'_>) -> Result<Bytes, RenderError> {
        let payload = &content.event.payload;
        let Some(transformation) = &self.transformation else {
            return Ok(usual_body(self.format, content, payload));
        };
        if !transformation::is_enveloped(self.format) {
            let usual = || usual_body(self.format, content, payload);
            let rendered = transformation.render_body(scope, usual)?;
            return Ok(rendered.unwrap_or_else(usual));
        }
        let rendered = transformation.render_body(scope, || payload.clone())?;
        let data = rendered.as_ref().unwrap_or(payload);
        Ok(usual_body(self.format, content, data))
    }
}

/// The topic as receivers of a format read it.
#[must_use]
pub fn topic_for(format: Format, topic: &Topic) -> String {
    match format {
        Format::Contentful => contentful::topic(topic),
        Format::Standard
        | Format::Umbraco
        | Format::Heartcore
        | Format::CloudeventsBinary
        | Format::CloudeventsStructured => topic.as_str().to_owned(),
    }
}

/// The body of a format around `payload`, whose bytes are never read.
fn usual_body(format: Format, content: Content<'_>, payload: &Bytes) -> Bytes {
    match format {
        Format::Standard => standard::body(content.event, payload),
        Format::CloudeventsStructured => cloudevents::body(content.event, payload),
        Format::Contentful | Format::Umbraco | Format::Heartcore | Format::CloudeventsBinary => {
            payload.clone()
        }
    }
}

fn usual_content_type(format: Format) -> HeaderValue {
    match format {
        Format::Standard | Format::Heartcore | Format::CloudeventsBinary => JSON,
        Format::Contentful => contentful::CONTENT_TYPE,
        Format::Umbraco => umbraco::CONTENT_TYPE,
        Format::CloudeventsStructured => cloudevents::CONTENT_TYPE,
    }
}

fn user_agent(format: Format) -> HeaderValue {
    match format {
        Format::Umbraco => umbraco::USER_AGENT,
        Format::Standard
        | Format::Contentful
        | Format::Heartcore
        | Format::CloudeventsBinary
        | Format::CloudeventsStructured => HeaderValue::from_static(USER_AGENT_VALUE),
    }
}

/// Contentful announces no length unless it is asked to.
fn announces_length(format: Format) -> bool {
    format != Format::Contentful
}

/// Sets a header of ours; a text that cannot stand in one is left out.
fn set(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
pub(crate) mod tests;
