//! The `doc` of a condition: which property it looks at.

use std::borrow::Cow;

use super::payload::{Node, index};

/// How many steps a path may have.
const STEPS_MAX: usize = 32;
const POINTER_ROOT: &str = "/payload";

/// Names one property: `sys.id`, `fields.slug.en-US`, `context.releaseId`, `/payload/a.b/0`.
#[derive(Debug)]
pub(crate) struct Doc {
    text: Box<str>,
    /// The part of the event's envelope that this property stands for as well.
    pub(crate) field: Option<Field>,
}

/// What an event says beside its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    /// `sys.id`, `entity.id`
    Id,
    /// `sys.type`, `entity.type`
    Type,
    /// `sys.space.sys.id`
    Space,
    /// `sys.environment.sys.id`
    Environment,
    /// `sys.contentType.sys.id`, `entity.contentType`
    ContentType,
    /// `sys.revision`, `entity.revision`
    Revision,
    /// `sys.createdBy.sys.id`
    CreatedBy,
    /// `sys.updatedBy.sys.id`
    UpdatedBy,
    /// `sys.deletedBy.sys.id`
    DeletedBy,
    /// `entity.locales`
    Locales,
    /// `entity.locales.0` and so on
    Locale(usize),
    /// `context.` and a key, which may have dots
    Context,
}

/// Why a text names no property.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DocError {
    #[error("it is empty, or has an empty part; a path looks like `sys.id`")]
    Empty,
    #[error("it has more than {STEPS_MAX} steps")]
    TooLong,
    #[error("a JSON pointer must begin with `{POINTER_ROOT}`")]
    Root,
    #[error("`~` in a JSON pointer must be followed by 0 or 1 (RFC 6901)")]
    Escape,
}

impl Doc {
    pub(crate) fn parse(text: &str) -> Result<Self, DocError> {
        // Contentful's documentation prints it so, and definitions were copied from there.
        let text = match text {
            "sys.updated.sys.id" => "sys.updatedBy.sys.id",
            other => other,
        };
        let doc = Self {
            text: text.into(),
            field: field(text),
        };
        if doc.steps().count() > STEPS_MAX {
            return Err(DocError::TooLong);
        }
        match text.strip_prefix(POINTER_ROOT) {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => check_escapes(rest)?,
            _ if text.starts_with('/') => return Err(DocError::Root),
            _ if text.split('.').any(str::is_empty) => return Err(DocError::Empty),
            _ => {}
        }
        Ok(doc)
    }

    /// The property that `contentTypes` looks at.
    pub(crate) fn content_type() -> Self {
        Self {
            text: "sys.contentType.sys.id".into(),
            field: Some(Field::ContentType),
        }
    }

    /// The property as it was written.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Follows the path down from `root`.
    pub(crate) fn walk<'n, 'a>(&self, root: &'n Node<'a>) -> Option<&'n Node<'a>> {
        self.steps().try_fold(root, |node, step| node.child(&step))
    }

    fn steps(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let is_pointer = self.text.starts_with('/');
        let (separator, skipped) = match is_pointer {
            true => ('/', 2), // the empty text before the first slash, and `payload`
            false => ('.', 0),
        };
        self.text.split(separator).skip(skipped).map(move |step| {
            match is_pointer && step.contains('~') {
                true => Cow::Owned(step.replace("~1", "/").replace("~0", "~")),
                false => Cow::Borrowed(step),
            }
        })
    }
}

fn check_escapes(pointer: &str) -> Result<(), DocError> {
    let mut parts = pointer.split('~').skip(1);
    match parts.all(|part| part.starts_with(['0', '1'])) {
        true => Ok(()),
        false => Err(DocError::Escape),
    }
}

fn field(text: &str) -> Option<Field> {
    Some(match text {
        "sys.id" | "entity.id" => Field::Id,
        "sys.type" | "entity.type" => Field::Type,
        "sys.space.sys.id" => Field::Space,
        "sys.environment.sys.id" => Field::Environment,
        "sys.contentType.sys.id" | "entity.contentType" => Field::ContentType,
        "sys.revision" | "entity.revision" => Field::Revision,
        "sys.createdBy.sys.id" => Field::CreatedBy,
        "sys.updatedBy.sys.id" => Field::UpdatedBy,
        "sys.deletedBy.sys.id" => Field::DeletedBy,
        "entity.locales" => Field::Locales,
        _ if text.starts_with("context.") => Field::Context,
        _ => Field::Locale(index(text.strip_prefix("entity.locales.")?)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(text: &str) -> Vec<String> {
        let doc = Doc::parse(text).unwrap();
        doc.steps().map(Cow::into_owned).collect()
    }

    #[test]
    fn dots_and_pointers_name_steps() {
        assert_eq!(steps("sys.id"), ["sys", "id"]);
        assert_eq!(steps("fields.tags.0"), ["fields", "tags", "0"]);
        assert_eq!(steps("/payload"), Vec::<String>::new());
        assert_eq!(steps("/payload/"), [""]);
        assert_eq!(steps("/payload/a.b/c~1d~0e/~01"), ["a.b", "c/d~e", "~1"]);
    }

    #[test]
    fn what_names_nothing_is_refused() {
        for (text, error) in [
            ("", DocError::Empty),
            (".", DocError::Empty),
            ("sys..id", DocError::Empty),
            ("sys.id.", DocError::Empty),
            ("/", DocError::Root),
            ("/sys/id", DocError::Root),
            ("/payloads", DocError::Root),
            ("/payload/a~", DocError::Escape),
            ("/payload/~2", DocError::Escape),
            (&"a.".repeat(33), DocError::TooLong),
        ] {
            assert_eq!(Doc::parse(text).unwrap_err(), error, "{text:?}");
        }
        assert!(Doc::parse(&["a"; 32].join(".")).is_ok());
    }

    #[test]
    fn some_properties_are_the_envelopes() {
        for (text, field) in [
            ("sys.id", Some(Field::Id)),
            ("entity.id", Some(Field::Id)),
            ("entity.locales.2", Some(Field::Locale(2))),
            ("sys.updated.sys.id", Some(Field::UpdatedBy)),
            ("context.a.b", Some(Field::Context)),
            ("entity.locales.x", None),
            ("entity.locales.+1", None),
            ("context", None),
            ("sys", None),
            ("/payload/sys/id", None),
        ] {
            assert_eq!(Doc::parse(text).unwrap().field, field, "{text}");
        }
    }
}
