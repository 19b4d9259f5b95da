//! A URL with pointers in its path and query.
//!
//! Scheme, host and port are the tenant's alone: nothing of an event gets into them, so that one
//! webhook is one endpoint with its slots, pause and checks, and no payload chooses whom we call.
//! What a pointer finds is percent-encoded, slashes included, so it stays the one piece it stands
//! in. A segment of the path that comes out empty, `.` or `..` is refused: the URL would name
//! something else, such as a whole index instead of one entry of it.

use super::pointer::PointerError;
use super::scope::Scope;
use super::text::{Part, Text};
use super::{RenderError, TemplateError};
use crate::endpoint_url::{EndpointUrl, UrlError, UrlPolicy};
use crate::percent;

/// Stands for what a pointer will find, while nothing is known about it.
const FILLER: &str = "x";

/// A URL that has at least one pointer.
#[derive(Debug, Clone)]
pub struct UrlTemplate {
    /// Everything before the first `?`, split at its slashes.
    segments: Box<[Text]>,
    query: Option<Text>,
}

/// Why a URL cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Something in it begins like a pointer and is none.
    #[error(transparent)]
    Pointer(PointerError),
    /// A pointer stands before the path.
    #[error("a pointer stands in its scheme, host or port; only path and query may have some")]
    Authority,
    /// It breaks a rule for URLs.
    #[error(transparent)]
    Url(UrlError),
}

impl Fault {
    /// Whether it is well formed, and leads to an address that may not be called.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        matches!(self, Self::Url(UrlError::AddressNotAllowed(_)))
    }

    /// A stable word for problem details.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Pointer(_) => "bad_pointer",
            Self::Authority => "pointer_in_host",
            Self::Url(error) => error.code(),
        }
    }
}

impl From<Fault> for TemplateError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Pointer(error) => Self::Pointer(error),
            other => Self::Url(other.to_string()),
        }
    }
}

/// A URL as it is called.
#[derive(Debug, Clone)]
pub enum Address {
    /// Always the same.
    Fixed(EndpointUrl),
    /// Rendered for each event. `sample` has a letter in the place of every pointer.
    Template {
        /// What is rendered.
        template: UrlTemplate,
        /// A URL with the same scheme, host and port.
        sample: EndpointUrl,
    },
}

impl Address {
    /// Reads a URL as a person typed it.
    ///
    /// # Errors
    /// It is none, or has a pointer where it may not have one.
    pub fn parse(text: &str, policy: &UrlPolicy) -> Result<Self, Fault> {
        let parsed = Text::parse(text).map_err(Fault::Pointer)?;
        if parsed.pointers() == 0 {
            return EndpointUrl::parse(text, policy)
                .map(Self::Fixed)
                .map_err(Fault::Url);
        }
        if text.len() > crate::endpoint_url::URL_BYTES_MAX {
            return Err(Fault::Url(UrlError::TooLong { bytes: text.len() }));
        }
        if !has_whole_authority(&parsed) {
            return Err(Fault::Authority);
        }
        let sample = EndpointUrl::parse(&parsed.filled(FILLER), policy).map_err(Fault::Url)?;
        let template = UrlTemplate::of(&parsed);
        Ok(Self::Template { template, sample })
    }

    /// A URL with the same scheme, host and port as every one that is called.
    #[must_use]
    pub fn sample(&self) -> &EndpointUrl {
        match self {
            Self::Fixed(url) => url,
            Self::Template { sample, .. } => sample,
        }
    }

    /// The URL for one event, checked again.
    ///
    /// # Errors
    /// The rendered URL breaks a rule, or names something else than its template does.
    pub(crate) fn render(
        &self,
        scope: &Scope<'_>,
        policy: &UrlPolicy,
    ) -> Result<EndpointUrl, RenderError> {
        match self {
            Self::Fixed(url) => Ok(url.clone()),
            Self::Template { template, sample } => {
                let url = EndpointUrl::parse(&template.render(scope)?, policy)
                    .map_err(|error| broken(error.to_string()))?;
                match url.origin() == sample.origin() {
                    true => Ok(url),
                    false => Err(broken("it leads to another host")),
                }
            }
        }
    }
}

/// How many pointers a URL has, if it can be read.
pub(crate) fn pointers(text: &str) -> usize {
    Text::parse(text).map_or(0, |text| text.pointers())
}

/// Whether the path begins before the first pointer does.
fn has_whole_authority(text: &Text) -> bool {
    let Some(Part::Literal(head)) = text.parts().first() else {
        return false;
    };
    let Some((_, rest)) = head.split_once("://") else {
        return false;
    };
    rest.contains(['/', '?'])
}

impl UrlTemplate {
    fn of(text: &Text) -> Self {
        let mut before = vec![Vec::new()];
        let mut query: Option<Vec<Part>> = None;
        for part in text.parts() {
            let Part::Literal(literal) = part else {
                let target = query.as_mut().or(before.last_mut());
                target
                    .into_iter()
                    .for_each(|parts| parts.push(part.clone()));
                continue;
            };
            let mut rest = literal.as_str();
            if query.is_none() {
                let (path, tail) = match rest.split_once('?') {
                    Some((path, tail)) => (path, Some(tail)),
                    None => (rest, None),
                };
                for (index, piece) in path.split('/').enumerate() {
                    if index > 0 {
                        before.push(Vec::new());
                    }
                    push_literal(before.last_mut(), piece);
                }
                let Some(tail) = tail else { continue };
                query = Some(Vec::new());
                rest = tail;
            }
            push_literal(query.as_mut(), rest);
        }
        Self {
            segments: before.into_iter().map(Text::of_parts).collect(),
            query: query.map(Text::of_parts),
        }
    }

    fn render(&self, scope: &Scope<'_>) -> Result<String, RenderError> {
        let mut url = String::new();
        for (index, segment) in self.segments.iter().enumerate() {
            if index > 0 {
                url.push('/');
            }
            let rendered = segment.render(scope, encode)?;
            if segment.pointers() > 0 && names_something_else(&rendered) {
                let detail = format!(
                    "the path's segment `{}` comes out as {rendered:?}, which would name \
                     something else",
                    segment.filled("{…}")
                );
                return Err(broken(detail));
            }
            url.push_str(&rendered);
        }
        if let Some(query) = &self.query {
            url.push('?');
            url.push_str(&query.render(scope, encode)?);
        }
        Ok(url)
    }
}

fn push_literal(parts: Option<&mut Vec<Part>>, text: &str) {
    if let Some(parts) = parts.filter(|_| !text.is_empty()) {
        parts.push(Part::Literal(text.to_owned()));
    }
}

/// Nothing, or a step that parsers take out of a path, however it is spelled.
fn names_something_else(segment: &str) -> bool {
    let plain = segment.to_ascii_lowercase().replace("%2e", ".");
    matches!(plain.as_str(), "" | "." | "..")
}

fn broken(detail: impl Into<String>) -> RenderError {
    RenderError::Url {
        detail: detail.into(),
    }
}

fn encode(found: &str, out: &mut String) {
    percent::encode(found, percent::is_unreserved, out);
}
