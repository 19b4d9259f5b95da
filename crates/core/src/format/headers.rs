//! The webhook's own headers, of which some are rendered for each event.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::TemplateError;
use crate::header::{self, HeaderError};
use crate::percent;
use crate::transformation::{self, RenderError, Scope, Text};
use crate::webhook::Definition;

/// Custom headers and basic authentication, made ready.
#[derive(Debug, Clone)]
pub(super) struct OwnHeaders {
    /// Those that are the same for every event.
    fixed: HeaderMap,
    templates: Vec<Templated>,
}

#[derive(Debug, Clone)]
struct Templated {
    name: HeaderName,
    value: Text,
    is_secret: bool,
}

impl OwnHeaders {
    /// Reads the headers of a definition.
    pub(super) fn new(definition: &Definition) -> Result<Self, TemplateError> {
        let mut fixed = HeaderMap::with_capacity(definition.headers.len() + 16);
        let mut templates = Vec::new();
        for header in &definition.headers {
            let error = || TemplateError::Header {
                key: header.key.clone(),
            };
            let value = header.value.as_ref().ok_or_else(error)?;
            let name = HeaderName::from_bytes(header.key.as_bytes()).map_err(|_| error())?;
            let text = Text::parse(value.expose()).map_err(transformation::TemplateError::from)?;
            if text.pointers() > 0 {
                templates.push(Templated {
                    name,
                    value: text,
                    is_secret: header.secret,
                });
                continue;
            }
            let mut value = HeaderValue::from_str(value.expose()).map_err(|_| error())?;
            value.set_sensitive(header.secret);
            fixed.append(name, value);
        }
        if let Some(auth) = &definition.basic_auth {
            let error = || TemplateError::Header {
                key: AUTHORIZATION.to_string(),
            };
            let password = auth.password.as_ref().ok_or_else(error)?;
            let pair = STANDARD.encode(format!("{}:{}", auth.username, password.expose()));
            let mut value = HeaderValue::from_str(&format!("Basic {pair}")).map_err(|_| error())?;
            value.set_sensitive(true);
            fixed.insert(AUTHORIZATION, value);
        }
        Ok(Self { fixed, templates })
    }

    /// The headers for one event. One whose value comes out empty is left out.
    pub(super) fn render(&self, scope: &Scope<'_>) -> Result<HeaderMap, RenderError> {
        let mut headers = self.fixed.clone();
        for template in &self.templates {
            let text = template.value.render(scope, escape)?;
            let text = text.trim_matches([' ', '\t']);
            if text.is_empty() {
                continue;
            }
            match header::check_header(template.name.as_str(), text) {
                // What looks like somebody else's template is a text of the payload here.
                Ok(()) | Err(HeaderError::ValueTemplate { .. }) => {}
                Err(error) => return Err(broken(&error.to_string())),
            }
            let value = HeaderValue::from_str(text);
            let mut value = value.map_err(|error| broken(&error.to_string()))?;
            value.set_sensitive(template.is_secret);
            headers.append(template.name.clone(), value);
        }
        if !self.templates.is_empty() {
            check_size(&headers)?;
        }
        Ok(headers)
    }
}

fn check_size(headers: &HeaderMap) -> Result<(), RenderError> {
    let pairs = headers.iter();
    let bytes = pairs.map(|(name, value)| name.as_str().len() + value.len());
    let bytes: usize = bytes.sum();
    match bytes > header::TOTAL_BYTES_MAX {
        true => Err(broken(&HeaderError::TooLarge { bytes }.to_string())),
        false => Ok(()),
    }
}

fn broken(detail: &str) -> RenderError {
    RenderError::Header {
        detail: detail.to_owned(),
    }
}

/// Writes what a pointer found: visible ASCII and spaces as they are, anything else
/// percent-encoded, so that no text can end the header or begin another.
fn escape(found: &str, out: &mut String) {
    percent::encode(found, |byte| matches!(byte, b' '..=b'~'), out);
}
