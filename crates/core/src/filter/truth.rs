//! What a condition comes to.

use serde::Serialize;

/// What a condition comes to. A webhook gets an event if all its conditions come to `Yes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Truth {
    /// It does not hold.
    No,
    /// It cannot be told, mostly since the property is missing. Its opposite cannot be told either.
    Unknown,
    /// It holds.
    Yes,
}

impl Truth {
    /// The opposite; what is unknown stays so.
    pub(crate) fn not(self) -> Self {
        match self {
            Self::No => Self::Yes,
            Self::Unknown => Self::Unknown,
            Self::Yes => Self::No,
        }
    }
}

impl From<bool> for Truth {
    fn from(holds: bool) -> Self {
        match holds {
            true => Self::Yes,
            false => Self::No,
        }
    }
}
