//! Why an operation was not done.

use std::fmt;

use tidings_core::webhook::FieldError;
use tidings_nats::egress::RegistryError;
use tidings_nats::publish::PublishError;
use tidings_nats::topology::LayoutError;

/// What an operation returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation was not done. Nothing was changed, unless a variant says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What was named is not there, or is in another space.
    #[error("there is no {what} {id}")]
    NotFound {
        /// The kind of thing, such as `webhook`.
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// It was changed by somebody else since the caller looked at it.
    #[error("{0}")]
    Stale(String),
    /// It cannot be done as things stand.
    #[error("{detail}")]
    Conflict {
        /// A stable word for the kind of conflict.
        code: &'static str,
        /// What stands in the way, and what to do.
        detail: String,
    },
    /// What was given cannot be used.
    #[error("{}", Faults(.0))]
    Invalid(Vec<FieldError>),
    /// The broker or a file did not answer, or something stored cannot be read.
    #[error("{0}")]
    Unavailable(String),
}

impl Error {
    /// A thing that is not there.
    pub fn not_found(what: &'static str, id: impl fmt::Display) -> Self {
        let id = id.to_string();
        Self::NotFound { what, id }
    }

    /// A single field that is wrong.
    pub fn field(pointer: &str, code: &'static str, detail: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError {
            pointer: pointer.to_owned(),
            code,
            detail: detail.into(),
        }])
    }

    /// Something that stands in the way.
    pub fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self::Conflict { code, detail }
    }

    /// The broker did not do `what`.
    pub(crate) fn broker(what: impl fmt::Display, error: impl fmt::Display) -> Self {
        Self::Unavailable(format!("{what}: {error}"))
    }
}

impl From<LayoutError> for Error {
    fn from(error: LayoutError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<RegistryError> for Error {
    fn from(error: RegistryError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<PublishError> for Error {
    fn from(error: PublishError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// Every field that is wrong, a line each.
struct Faults<'a>(&'a [FieldError]);

impl fmt::Display for Faults<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it cannot be used; nothing was stored")?;
        for error in self.0 {
            write!(f, "\n  {}: {}", error.pointer, error.detail)?;
        }
        Ok(())
    }
}
