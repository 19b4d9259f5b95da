//! Pointers into what is known about an event: `/payload/fields/title/en-US`.
//!
//! RFC 6901: `~1` stands for `/` and `~0` for `~` inside a step; array elements are named by their
//! index. The first step is the root.

use super::POINTER_BYTES_MAX;

/// What a pointer begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Root {
    /// The event's payload.
    Payload,
    /// The topic as the receiver's format writes it.
    Topic,
    /// Who did it, as a link.
    User,
    /// The event as it was published.
    Event,
}

/// A pointer, split once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pointer {
    pub(crate) root: Root,
    /// The steps after the root, unescaped.
    pub(crate) steps: Box<[String]>,
    /// The whole pointer, as it was written.
    pub(crate) text: String,
}

/// Why a text is no pointer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PointerError {
    /// A brace opens a pointer and none closes it.
    #[error("a pointer begins with `{{ /` and does not end with ` }}`")]
    Unclosed,
    /// The pointer begins with a word that stands for nothing.
    #[error(
        "the pointer `{pointer}` begins with none of /payload, /topic, /user and /event, so it would never find anything"
    )]
    Root {
        /// The pointer, shortened.
        pointer: String,
    },
    /// A tilde that is followed by neither 0 nor 1.
    #[error("the pointer `{pointer}` has a `~` that is followed by neither 0 nor 1 (RFC 6901)")]
    Escape {
        /// The pointer, shortened.
        pointer: String,
    },
    /// The pointer is longer than its bound.
    #[error("a pointer has {bytes} bytes, the limit is {POINTER_BYTES_MAX}")]
    TooLong {
        /// Length found, in bytes.
        bytes: usize,
    },
}

impl Pointer {
    /// Reads what stands between the braces, without blanks around it.
    pub(crate) fn parse(text: &str) -> Result<Self, PointerError> {
        if text.len() > POINTER_BYTES_MAX {
            return Err(PointerError::TooLong { bytes: text.len() });
        }
        let shown = || text.chars().take(80).collect();
        let mut steps = text.split('/').skip(1);
        let root = match steps.next() {
            Some("payload") => Root::Payload,
            Some("topic") => Root::Topic,
            Some("user") => Root::User,
            Some("event") => Root::Event,
            _ => return Err(PointerError::Root { pointer: shown() }),
        };
        let steps: Option<Box<[String]>> = steps.map(unescape).collect();
        Ok(Self {
            root,
            steps: steps.ok_or_else(|| PointerError::Escape { pointer: shown() })?,
            text: text.to_owned(),
        })
    }
}

fn unescape(step: &str) -> Option<String> {
    let mut out = String::with_capacity(step.len());
    let mut chars = step.chars();
    while let Some(char) = chars.next() {
        match char {
            '~' => match chars.next()? {
                '0' => out.push('~'),
                '1' => out.push('/'),
                _ => return None,
            },
            other => out.push(other),
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_unescaped() {
        let pointer = Pointer::parse("/payload/a~1b/~0c//0/a b").unwrap();
        assert_eq!(pointer.root, Root::Payload);
        assert_eq!(*pointer.steps, ["a/b", "~c", "", "0", "a b"]);
        assert!(Pointer::parse("/topic").unwrap().steps.is_empty());
    }

    #[test]
    fn what_is_no_pointer_is_refused() {
        for (text, is_expected) in [
            (
                "/paylod/a",
                (|e| matches!(e, PointerError::Root { .. })) as fn(&_) -> bool,
            ),
            ("/", |e| matches!(e, PointerError::Root { .. })),
            ("/Payload", |e| matches!(e, PointerError::Root { .. })),
            ("/payload/~2", |e| matches!(e, PointerError::Escape { .. })),
            ("/payload/~", |e| matches!(e, PointerError::Escape { .. })),
        ] {
            let error = Pointer::parse(text).unwrap_err();
            assert!(is_expected(&error), "{text}: {error:?}");
        }
        let long = format!("/payload/{}", "a".repeat(POINTER_BYTES_MAX));
        let error = Pointer::parse(&long).unwrap_err();
        assert!(matches!(error, PointerError::TooLong { .. }), "{error:?}");
    }
}
