//! Checks on JSON text that is carried without being parsed.
//!
//! `serde_json::value::RawValue` keeps a payload byte for byte, but it looks neither at nesting
//! nor at surrogates (measured: reference/reliability.md finding 8). These checks do.

/// The deepest nesting of arrays and objects in an event, the envelope included.
pub const JSON_DEPTH_MAX: usize = 128;

/// Why a JSON text is refused although its grammar may be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Arrays and objects are nested too deeply.
    #[error("it is nested deeper than {JSON_DEPTH_MAX} levels")]
    TooDeep,
    /// A `\ud800`..`\udfff` escape has no partner, so the text stands for no Unicode string.
    #[error("the escape at byte {offset} is half a surrogate pair")]
    LoneSurrogate {
        /// Where the escape begins, in bytes.
        offset: usize,
    },
}

/// Checks nesting and surrogates of `text` in one pass, without recursion.
///
/// The text need not be valid JSON: this runs before the parser, so that the parser never sees
/// what could exhaust its stack.
///
/// # Errors
/// [`JsonError::TooDeep`] at the first bracket too many, [`JsonError::LoneSurrogate`] otherwise.
pub fn check_text(text: &[u8]) -> Result<(), JsonError> {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match byte {
            b'{' | b'[' => {
                depth += 1;
                if depth > JSON_DEPTH_MAX {
                    return Err(JsonError::TooDeep);
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => {
                at = skip_string(text, at + 1)?;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    Ok(())
}

/// Returns the offset after the closing quote, or the end of the text.
fn skip_string(text: &[u8], start: usize) -> Result<usize, JsonError> {
    let mut at = start;
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => return Ok(at + 1),
            b'\\' if text.get(at + 1) == Some(&b'u') => at = skip_unicode_escape(text, at)?,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    Ok(at)
}

fn skip_unicode_escape(text: &[u8], at: usize) -> Result<usize, JsonError> {
    let lone = JsonError::LoneSurrogate { offset: at };
    match code_unit(text, at) {
        Some(0xD800..=0xDBFF) => match code_unit(text, at + 6) {
            Some(0xDC00..=0xDFFF) => Ok(at + 12),
            _ => Err(lone),
        },
        Some(0xDC00..=0xDFFF) => Err(lone),
        // A broken escape is the parser's to refuse.
        _ => Ok(at + 2),
    }
}

fn code_unit(text: &[u8], at: usize) -> Option<u16> {
    let escape = text.get(at..at + 6)?;
    let digits = escape.strip_prefix(b"\\u")?;
    let digits = std::str::from_utf8(digits).ok()?;
    if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_bounded_without_a_stack() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(check_text(nested(128).as_bytes()), Ok(()));
        assert_eq!(check_text(nested(129).as_bytes()), Err(JsonError::TooDeep));
        assert_eq!(
            check_text("[".repeat(1_000_000).as_bytes()),
            Err(JsonError::TooDeep)
        );
    }

    #[test]
    fn brackets_inside_strings_do_not_count() {
        let text = format!("{{\"a\":\"{}\\\"{}\"}}", "[".repeat(500), "{".repeat(500));
        assert_eq!(check_text(text.as_bytes()), Ok(()));
    }

    #[test]
    fn lone_surrogates_are_found() {
        for (text, good) in [
            (r#""\ud83d\ude00""#, true),
            (r#""\\ud800""#, true),
            (r#""\u0000""#, true),
            (r#""\ud800""#, false),
            (r#""\udc00""#, false),
            (r#""\ud800\ud800""#, false),
            (r#""\uD800x""#, false),
            (r#""\ud83d\\ude00""#, false),
        ] {
            assert_eq!(check_text(text.as_bytes()).is_ok(), good, "{text}");
        }
    }
}
