//! Regular expressions: linear time, and little of it.
//!
//! Linear in the text is not enough when tenants choose both text and pattern: a pattern of 1 MiB
//! compiled looked 14 s at a text of 64 KiB (measured on 2 cores). So the compiled size times the
//! text, and the number of patterns of a webhook, are small: one look takes at most some 100 ms, and
//! a usual one well below 1 µs. The smaller a pattern, the longer the texts it looks at.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use regex::{Regex, RegexBuilder};

use super::facts::View;
use super::truth::Truth;

/// The longest pattern, in bytes.
const PATTERN_BYTES_MAX: usize = 1_024;
/// How much memory a compiled pattern may take, and how much text it looks at then, all elements of
/// a list together. The products are the same.
const SIZES: [(usize, usize); 4] = [
    (4 * 1_024, 64 * 1_024),
    (16 * 1_024, 16 * 1_024),
    (64 * 1_024, 4 * 1_024),
    (256 * 1_024, 1_024),
];
const CACHE_BYTES_MAX: usize = 1_024 * 1_024;
const NEST_MAX: u32 = 50;

/// Why a pattern cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RegexpError {
    #[error("the pattern has {bytes} bytes, the limit is {PATTERN_BYTES_MAX}")]
    TooLong { bytes: usize },
    #[error(
        "the pattern is too large when compiled; say [0-9] for \\d, [A-Za-z0-9_] for \\w, and \
         repeat less"
    )]
    TooLarge,
    #[error("{0}")]
    Syntax(String),
}

/// A compiled pattern.
#[derive(Debug)]
pub(crate) struct Pattern {
    regex: Regex,
    text_bytes_max: usize,
}

/// Keeps compiled patterns, so that webhooks with the same pattern share one.
#[derive(Debug, Default)]
pub struct Patterns {
    known: HashMap<Box<str>, Weak<Pattern>>,
    tidy_at: usize,
}

impl Patterns {
    /// Compiles a pattern, or finds it.
    pub(crate) fn get(&mut self, pattern: &str) -> Result<Arc<Pattern>, RegexpError> {
        if let Some(regex) = self.known.get(pattern).and_then(Weak::upgrade) {
            return Ok(regex);
        }
        let regex = Arc::new(compile(pattern)?);
        if self.known.len() >= self.tidy_at {
            self.known.retain(|_, regex| regex.strong_count() > 0);
            self.tidy_at = (self.known.len() * 2).max(64);
        }
        self.known.insert(pattern.into(), Arc::downgrade(&regex));
        Ok(regex)
    }
}

fn compile(pattern: &str) -> Result<Pattern, RegexpError> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(RegexpError::TooLong {
            bytes: pattern.len(),
        });
    }
    for (compiled_bytes_max, text_bytes_max) in SIZES {
        let built = RegexBuilder::new(pattern)
            .size_limit(compiled_bytes_max)
            .dfa_size_limit(CACHE_BYTES_MAX)
            .nest_limit(NEST_MAX)
            .build();
        match built {
            Ok(regex) => {
                return Ok(Pattern {
                    regex,
                    text_bytes_max,
                });
            }
            Err(regex::Error::CompiledTooBig(_)) => {}
            Err(other) => return Err(RegexpError::Syntax(last_line(&other))),
        }
    }
    Err(RegexpError::TooLarge)
}

/// The crate draws the pattern with a marker under the fault; the fault is named in the last line.
fn last_line(error: &regex::Error) -> String {
    let text = error.to_string();
    let line = text.lines().last().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

/// Whether the pattern occurs in a text, or in a text of a list.
pub(crate) fn search(pattern: &Pattern, view: View<'_, '_>) -> Truth {
    let mut left = pattern.text_bytes_max;
    for element in view.elements() {
        let View::Text(text) = element else { continue };
        let Some(rest) = left.checked_sub(text.len()) else {
            return Truth::Unknown;
        };
        if pattern.regex.is_match(text) {
            return Truth::Yes;
        }
        // An empty text costs something as well.
        left = rest.saturating_sub(1);
    }
    Truth::No
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_patterns_are_compiled_once_and_forgotten_when_unused() {
        let mut patterns = Patterns::default();
        let one = patterns.get("^ci-.+$").unwrap();
        assert!(Arc::ptr_eq(&one, &patterns.get("^ci-.+$").unwrap()));
        for number in 0..1_000 {
            patterns.get(&format!("^x{number}$")).unwrap();
        }
        assert!(patterns.known.len() <= 64, "{}", patterns.known.len());
        assert!(patterns.known.contains_key("^ci-.+$"));
    }

    #[test]
    fn patterns_beyond_the_limits_are_refused() {
        for (pattern, expected) in [
            ("a".repeat(1_025), "1025 bytes"),
            ("(".to_owned(), "unclosed group"),
            ("(?=x)".to_owned(), "look-around"),
            (r"(a)\1".to_owned(), "backreferences"),
            (r"\w{200}".to_owned(), "too large"),
            (r"((a{100}){100}){100}".to_owned(), "too large"),
            (format!("{}a{}", "(".repeat(60), ")".repeat(60)), "nest"),
        ] {
            let error = compile(&pattern).unwrap_err().to_string();
            assert!(error.contains(expected), "{pattern}: {error}");
        }
        assert!(compile(&"a".repeat(1_024)).is_ok());
    }
}
