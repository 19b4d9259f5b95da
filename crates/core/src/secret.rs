//! Text that must not be shown.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A secret of a webhook: plain as a person typed it and as the sender uses it up, sealed as it
/// lies in the bucket. `Debug` and `Display` hide it; answers never hold one.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(Form);

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a secret is a text")]
enum Form {
    Plain(String),
    Sealed(Sealed),
}

/// A secret that only the holder of a private key can read (docs/adr/0008).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sealed {
    /// Which key opens it.
    pub key_id: String,
    /// What is sealed, in base64.
    pub text: String,
    /// By which a person recognises the secret; empty if it has nothing of the kind.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hint: String,
}

/// By how many bytes a sealed text is longer: an encapsulated key and a tag.
const SEAL_BYTES: usize = 32 + 16;

impl Sealed {
    /// How long the secret itself is, in bytes.
    #[must_use]
    pub fn plain_bytes(&self) -> usize {
        (self.text.len() * 3 / 4).saturating_sub(SEAL_BYTES)
    }
}

impl Secret {
    /// Marks `text` as secret.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(Form::Plain(text.into()))
    }

    /// A secret that has been sealed.
    #[must_use]
    pub fn from_sealed(sealed: Sealed) -> Self {
        Self(Form::Sealed(sealed))
    }

    /// What is sealed, if it is.
    #[must_use]
    pub fn sealed(&self) -> Option<&Sealed> {
        match &self.0 {
            Form::Plain(_) => None,
            Form::Sealed(sealed) => Some(sealed),
        }
    }

    /// The text itself; empty while it is sealed. Call it only where it is used up: signing,
    /// sending, sealing.
    #[must_use]
    pub fn expose(&self) -> &str {
        match &self.0 {
            Form::Plain(text) => text,
            Form::Sealed(_) => "",
        }
    }

    /// The last four characters, by which a person recognises it, or nothing if it is so short
    /// that these would give it away.
    #[must_use]
    pub fn hint(&self) -> String {
        let text = match &self.0 {
            Form::Plain(text) => text,
            Form::Sealed(sealed) => return sealed.hint.clone(),
        };
        let length = text.chars().count();
        if length < 16 {
            return String::from("…");
        }
        format!("…{}", text.chars().skip(length - 4).collect::<String>())
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

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({})", self.key_id)
    }
}
