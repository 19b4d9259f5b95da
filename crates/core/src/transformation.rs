//! Transformations: method, content type, URL, header values and body of a request, made from
//! templates in Contentful's syntax (docs/transformations.md).
//!
//! A template is JSON whose texts may hold pointers, `{ /payload/sys/id }`. A text that is one
//! pointer and nothing else becomes the value it finds, whatever its type; inside other text a
//! pointer becomes text. Templates are compiled once for each version of a webhook; an event's
//! payload is read only as far as pointers lead into it, and what they find is copied as it stands
//! there, so that no number changes.

mod body;
mod check;
mod form;
mod media;
mod pointer;
mod scope;
mod text;
mod url;

use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::webhook::Format;

pub(crate) use body::Body;
pub(crate) use check::check;
pub use media::{Media, MediaError};
pub use pointer::PointerError;
pub(crate) use scope::Scope;
pub(crate) use text::Text;
pub use url::{Address, Fault as UrlFault};

/// The longest body that a transformation may render, in bytes.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// The longest body template, in bytes of its JSON.
pub const TEMPLATE_BYTES_MAX: usize = 64 << 10;
/// The deepest nesting of arrays and objects in a body template.
pub const TEMPLATE_DEPTH_MAX: usize = 32;
/// The most pointers in a webhook: body, URL and headers together.
pub const POINTERS_MAX: usize = 256;
/// The longest pointer, in bytes.
pub const POINTER_BYTES_MAX: usize = 512;

/// What a person typed. Nothing is required.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Transformation {
    /// The method; `POST` if absent. `GET` and `DELETE` carry no body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<Verb>,
    /// The content type, which also says how the body is written: JSON, or a form. That of the
    /// format if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// Whether `Content-Length` is sent. If not, HTTP/1.1 sends the body chunked.
    #[serde(default)]
    pub include_content_length: bool,
    /// The body's template, any JSON; the body of the format if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
}

/// A method that a transformation may choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verb {
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `PATCH`
    Patch,
    /// `GET`, without a body.
    Get,
    /// `DELETE`, without a body.
    Delete,
}

impl Verb {
    /// Whether its requests have a body.
    #[must_use]
    pub fn has_body(self) -> bool {
        matches!(self, Self::Post | Self::Put | Self::Patch)
    }
}

impl From<Verb> for Method {
    fn from(verb: Verb) -> Self {
        match verb {
            Verb::Post => Self::POST,
            Verb::Put => Self::PUT,
            Verb::Patch => Self::PATCH,
            Verb::Get => Self::GET,
            Verb::Delete => Self::DELETE,
        }
    }
}

/// Why a template cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A pointer is none.
    #[error("{0}")]
    Pointer(#[from] PointerError),
    /// The content type is none that is rendered.
    #[error("{0}")]
    Media(#[from] MediaError),
    /// A URL has a pointer where it may not have one, or is none.
    #[error("{0}")]
    Url(String),
}

/// Why a request cannot be rendered for one event. Trying again would come to the same.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// The payload is no JSON, so nothing can be found in it.
    #[error("the payload is no JSON")]
    Payload,
    /// A text of the payload stands for no Unicode text.
    #[error("what `{pointer}` finds is no Unicode text")]
    Text {
        /// The pointer.
        pointer: String,
    },
    /// A form is made of an object and of nothing else.
    #[error("a form is made of an object, and the body is {found}")]
    Form {
        /// What it is instead.
        found: &'static str,
    },
    /// The rendered URL cannot be called.
    #[error("the rendered URL cannot be called: {detail}")]
    Url {
        /// What is wrong with it. Never the URL, which may hold a secret.
        detail: String,
    },
    /// A rendered header value cannot be sent.
    #[error("a rendered header cannot be sent: {detail}")]
    Header {
        /// What is wrong with it. Never its value, which may hold a secret.
        detail: String,
    },
    /// The rendered body is longer than its bound.
    #[error("the rendered body has more than {BODY_BYTES_MAX} bytes")]
    Oversized,
}

/// A transformation made ready, once for each version of its webhook.
#[derive(Debug, Clone)]
pub(crate) struct Compiled {
    pub(crate) method: Method,
    pub(crate) has_body: bool,
    pub(crate) media: Option<Media>,
    pub(crate) content_length: bool,
    pub(crate) body: Option<Body>,
}

impl Compiled {
    /// Compiles what a person typed.
    ///
    /// # Errors
    /// Nothing that [`check`] passes.
    pub(crate) fn new(typed: &Transformation) -> Result<Self, TemplateError> {
        let verb = typed.method.unwrap_or(Verb::Post);
        let media = typed.content_type.as_deref();
        Ok(Self {
            method: verb.into(),
            has_body: verb.has_body(),
            media: media.map(str::parse).transpose()?,
            content_length: typed.include_content_length,
            body: typed.body.as_ref().map(Body::compile).transpose()?,
        })
    }

    /// The body where the transformation says anything about it: `None` leaves `usual`, the body
    /// of the format, as it is.
    ///
    /// # Errors
    /// See [`RenderError`].
    pub(crate) fn render_body(
        &self,
        scope: &Scope<'_>,
        usual: impl FnOnce() -> bytes::Bytes,
    ) -> Result<Option<bytes::Bytes>, RenderError> {
        let is_form = matches!(self.media, Some(Media::Form { .. }));
        let json = match &self.body {
            Some(body) => body.render(scope)?,
            None if is_form => usual(),
            None => return Ok(None),
        };
        match is_form {
            true => form::encode(&json).map(Some),
            false => Ok(Some(json)),
        }
    }
}

/// Whether a format takes a transformation's body as the whole body of its requests, or writes its
/// envelope around it.
pub(crate) fn is_enveloped(format: Format) -> bool {
    match format {
        Format::CloudeventsStructured => true,
        Format::Standard
        | Format::Contentful
        | Format::Umbraco
        | Format::Heartcore
        | Format::CloudeventsBinary => false,
    }
}

#[cfg(test)]
mod tests;
