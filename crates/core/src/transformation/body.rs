//! The body's template.

use bytes::Bytes;
use serde_json::Value;

use super::pointer::{Pointer, PointerError};
use super::scope::Scope;
use super::text::Text;
use super::{BODY_BYTES_MAX, RenderError};

/// A body template, compiled: what has no pointer is JSON text already.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    /// JSON, as it stands.
    Literal(String),
    /// Whatever the pointer finds, of whatever type.
    Value(Pointer),
    /// A text with pointers in it.
    Text(Text),
    /// An array.
    List(Box<[Body]>),
    /// An object; names are JSON texts already.
    Object(Box<[(String, Body)]>),
}

impl Body {
    /// Compiles a template. The depth is bounded by [`super::check`], and by the parser that read
    /// it.
    pub(crate) fn compile(template: &Value) -> Result<Self, PointerError> {
        Ok(match template {
            Value::String(text) => Self::of_text(text, template)?,
            Value::Array(elements) => {
                let elements: Result<Vec<Self>, _> = elements.iter().map(Self::compile).collect();
                let elements = elements?;
                match elements.iter().all(Self::is_literal) {
                    true => Self::Literal(template.to_string()),
                    false => Self::List(elements.into()),
                }
            }
            Value::Object(members) => {
                let compile = |(name, value): (&String, &Value)| {
                    Ok((
                        Value::from(name.as_str()).to_string(),
                        Self::compile(value)?,
                    ))
                };
                let members: Result<Vec<_>, _> = members.iter().map(compile).collect();
                let members = members?;
                match members.iter().all(|(_, value)| value.is_literal()) {
                    true => Self::Literal(template.to_string()),
                    false => Self::Object(members.into()),
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => Self::Literal(template.to_string()),
        })
    }

    fn of_text(text: &str, template: &Value) -> Result<Self, PointerError> {
        let text = Text::parse(text)?;
        Ok(match (text.whole(), text.pointers()) {
            (Some(pointer), _) => Self::Value(pointer.clone()),
            (None, 0) => Self::Literal(template.to_string()),
            (None, _) => Self::Text(text),
        })
    }

    fn is_literal(&self) -> bool {
        matches!(self, Self::Literal(_))
    }

    /// Renders the template as JSON.
    ///
    /// # Errors
    /// The payload is no JSON, a found text is no Unicode, or the body becomes too long.
    pub(crate) fn render(&self, scope: &Scope<'_>) -> Result<Bytes, RenderError> {
        let mut out = Out(String::new());
        self.write(scope, &mut out)?;
        Ok(Bytes::from(out.0))
    }

    fn write(&self, scope: &Scope<'_>, out: &mut Out) -> Result<(), RenderError> {
        match self {
            Self::Literal(json) => out.push(json),
            Self::Value(pointer) => match scope.json(pointer)? {
                Some(json) => out.push(&json),
                None => out.push("null"),
            },
            Self::Text(text) => {
                let text = text.render(scope, |found, out| out.push_str(found))?;
                out.push(&Value::from(text).to_string())
            }
            Self::List(elements) => {
                out.push("[")?;
                for (index, element) in elements.iter().enumerate() {
                    out.push(separator(index))?;
                    element.write(scope, out)?;
                }
                out.push("]")
            }
            Self::Object(members) => {
                out.push("{")?;
                for (index, (name, value)) in members.iter().enumerate() {
                    out.push(separator(index))?;
                    out.push(name)?;
                    out.push(":")?;
                    value.write(scope, out)?;
                }
                out.push("}")
            }
        }
    }
}

fn separator(index: usize) -> &'static str {
    match index {
        0 => "",
        _ => ",",
    }
}

/// Text that does not grow beyond the bound of a body.
struct Out(String);

impl Out {
    fn push(&mut self, text: &str) -> Result<(), RenderError> {
        if self.0.len() + text.len() > BODY_BYTES_MAX {
            return Err(RenderError::Oversized);
        }
        self.0.push_str(text);
        Ok(())
    }
}
