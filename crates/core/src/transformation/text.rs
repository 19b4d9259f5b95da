//! Text with pointers in it.

use super::RenderError;
use super::pointer::{Pointer, PointerError};
use super::scope::Scope;

/// A text, split at its pointers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text(Box<[Part]>);

/// A piece of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// As it stands.
    Literal(String),
    /// Whatever the pointer finds.
    Pointer(Pointer),
}

impl Text {
    /// Splits a text.
    ///
    /// # Errors
    /// Something in it begins like a pointer and is none.
    pub(crate) fn parse(text: &str) -> Result<Self, PointerError> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            let (before, braced) = rest.split_at(open);
            literal.push_str(before);
            let inside = braced[1..].trim_start_matches(' ');
            if !inside.starts_with('/') {
                literal.push('{');
                rest = &braced[1..];
                continue;
            }
            let (pointer, after) = inside.split_once('}').ok_or(PointerError::Unclosed)?;
            if !literal.is_empty() {
                parts.push(Part::Literal(std::mem::take(&mut literal)));
            }
            parts.push(Part::Pointer(Pointer::parse(
                pointer.trim_end_matches(' '),
            )?));
            rest = after;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(Self(parts.into()))
    }

    /// A text of these pieces.
    pub(crate) fn of_parts(parts: Vec<Part>) -> Self {
        Self(parts.into())
    }

    /// Its pieces.
    pub(crate) fn parts(&self) -> &[Part] {
        &self.0
    }

    /// How many pointers it has.
    pub(crate) fn pointers(&self) -> usize {
        let is_pointer = |part: &&Part| matches!(part, Part::Pointer(_));
        self.0.iter().filter(is_pointer).count()
    }

    /// The pointer that is all of the text, if it is.
    pub(crate) fn whole(&self) -> Option<&Pointer> {
        match &*self.0 {
            [Part::Pointer(pointer)] => Some(pointer),
            _ => None,
        }
    }

    /// The text with `filler` in the place of every pointer, for checks that know no event.
    pub(crate) fn filled(&self, filler: &str) -> String {
        let piece = |part: &Part| match part {
            Part::Literal(text) => text.clone(),
            Part::Pointer(_) => filler.to_owned(),
        };
        self.0.iter().map(piece).collect()
    }

    /// Renders the text, each found piece written by `write`.
    ///
    /// # Errors
    /// See [`Scope::text`].
    pub(crate) fn render(
        &self,
        scope: &Scope<'_>,
        mut write: impl FnMut(&str, &mut String),
    ) -> Result<String, RenderError> {
        let mut out = String::new();
        for part in &*self.0 {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Pointer(pointer) => write(&scope.text(pointer)?, &mut out),
            }
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &str) -> Vec<String> {
        let text = Text::parse(text).unwrap();
        let piece = |part: &Part| match part {
            Part::Literal(text) => format!("={text}"),
            Part::Pointer(pointer) => pointer.text.clone(),
        };
        text.parts().iter().map(piece).collect()
    }

    #[test]
    fn pointers_are_found_in_text() {
        for (text, expected) in [
            ("", &[][..]),
            ("plain", &["=plain"]),
            ("{ /payload/a }", &["/payload/a"]),
            ("{/payload/a}", &["/payload/a"]),
            (
                "{ /topic },{ /user/sys/id }!",
                &["/topic", "=,", "/user/sys/id", "=!"],
            ),
            ("{ not a pointer } {} {", &["={ not a pointer } {} {"]),
            ("{{ /topic }}", &["={", "/topic", "=}"]),
            ("{ /payload/a b }", &["/payload/a b"]),
            ("{\"a\": 1}", &["={\"a\": 1}"]),
        ] {
            assert_eq!(pieces(text), expected, "{text}");
        }
    }

    #[test]
    fn a_pointer_that_does_not_end_is_refused() {
        for text in ["{ /payload/a", "{/", "a { /topic } { /user"] {
            assert_eq!(Text::parse(text), Err(PointerError::Unclosed), "{text}");
        }
    }
}
