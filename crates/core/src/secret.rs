//! Text that must not be shown.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A secret as it lies in the bucket. `Debug` and `Display` hide it; answers never hold one.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Marks `text` as secret.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself. Call it only where it is used up: signing, sending, storing.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The last four characters, by which a person recognises it, or nothing if it is so short
    /// that these would give it away.
    #[must_use]
    pub fn hint(&self) -> String {
        let length = self.0.chars().count();
        if length < 16 {
            return String::from("…");
        }
        format!("…{}", self.0.chars().skip(length - 4).collect::<String>())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
