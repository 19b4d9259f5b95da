//! Checked names: spaces, environments and the parts of a topic (CONTRACT.md section 3).
//!
//! A name is safe as a NATS subject token, a bucket key and a header value, because its alphabet
//! is `[A-Za-z0-9_-]` and its length is bounded. Nothing that fails here ever becomes a subject.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest space, environment or topic part, in bytes.
pub const NAME_BYTES_MAX: usize = 64;

/// Why a text is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text is empty.
    #[error("it is empty")]
    Empty,
    /// The text is longer than its bound.
    #[error("it has {bytes} bytes, the limit is {bytes_max}")]
    TooLong {
        /// Length found, in bytes.
        bytes: usize,
        /// Length allowed, in bytes.
        bytes_max: usize,
    },
    /// The text has a character outside `[A-Za-z0-9_-]`.
    #[error("it has the character {character:?}; only letters, digits, `_` and `-` are allowed")]
    Character {
        /// The first character that is not allowed.
        character: char,
    },
}

/// Checks `text` against `[A-Za-z0-9_-]{1,bytes_max}`.
///
/// # Errors
/// The first rule it breaks.
pub fn check_word(text: &str, bytes_max: usize) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if let Some(character) = text.chars().find(|c| !allowed(*c)) {
        return Err(NameError::Character { character });
    }
    if text.len() > bytes_max {
        return Err(NameError::TooLong {
            bytes: text.len(),
            bytes_max,
        });
    }
    Ok(())
}

/// The tenant: one CMS project.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Space(String);

/// A branch of a space, such as `master` or `staging`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Environment(String);

/// A named sender fleet with its own egress addresses.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pool(String);

impl Default for Environment {
    /// `master`, as CONTRACT.md section 1 says.
    fn default() -> Self {
        Self(String::from("master"))
    }
}

impl Default for Pool {
    /// The pool that every installation has.
    fn default() -> Self {
        Self(String::from("default"))
    }
}

impl Space {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Environment {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Pool {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Space {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        check_word(&text, NAME_BYTES_MAX)?;
        Ok(Self(text))
    }
}

impl TryFrom<String> for Environment {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        check_word(&text, NAME_BYTES_MAX)?;
        Ok(Self(text))
    }
}

impl TryFrom<String> for Pool {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        check_word(&text, NAME_BYTES_MAX)?;
        Ok(Self(text))
    }
}

impl FromStr for Space {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::try_from(text.to_owned())
    }
}

impl FromStr for Environment {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::try_from(text.to_owned())
    }
}

impl FromStr for Pool {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::try_from(text.to_owned())
    }
}

impl From<Space> for String {
    fn from(space: Space) -> Self {
        space.0
    }
}

impl From<Environment> for String {
    fn from(environment: Environment) -> Self {
        environment.0
    }
}

impl From<Pool> for String {
    fn from(pool: Pool) -> Self {
        pool.0
    }
}

impl fmt::Display for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_subject_tokens() {
        for good in ["acme", "A-1_b", &"x".repeat(64)] {
            assert!(good.parse::<Space>().is_ok(), "{good}");
        }
        for bad in ["", "a.b", "a b", "*", ">", "ä", "a\r\n", &"x".repeat(65)] {
            assert!(bad.parse::<Space>().is_err(), "{bad:?}");
        }
    }
}
