//! Bearer tokens: what they may do, and by which hash they are known (CONTRACT.md section 6).

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::name::Space;
use crate::secret::Secret;

/// The prefix of the tokens that Tidings makes, by which scanners find a leaked one.
pub const TOKEN_PREFIX: &str = "tdg_";
/// The shortest token that is taken, in bytes.
pub const TOKEN_BYTES_MIN: usize = 16;

/// What a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Scope {
    /// Everything, everywhere.
    #[serde(rename = "admin")]
    Admin,
    /// Publish events.
    #[serde(rename = "events:write")]
    EventsWrite,
    /// See webhooks.
    #[serde(rename = "webhooks:read")]
    WebhooksRead,
    /// Create, change and delete webhooks.
    #[serde(rename = "webhooks:write")]
    WebhooksWrite,
    /// See deliveries.
    #[serde(rename = "deliveries:read")]
    DeliveriesRead,
    /// Redeliver and replay.
    #[serde(rename = "deliveries:write")]
    DeliveriesWrite,
}

const SCOPES: [Scope; 6] = [
    Scope::Admin,
    Scope::EventsWrite,
    Scope::WebhooksRead,
    Scope::WebhooksWrite,
    Scope::DeliveriesRead,
    Scope::DeliveriesWrite,
];

/// The text is no scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no scope; there are admin, events:write, webhooks:read, webhooks:write, deliveries:read and deliveries:write"
)]
pub struct ScopeError {
    text: String,
}

impl Scope {
    /// The scope's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::EventsWrite => "events:write",
            Self::WebhooksRead => "webhooks:read",
            Self::WebhooksWrite => "webhooks:write",
            Self::DeliveriesRead => "deliveries:read",
            Self::DeliveriesWrite => "deliveries:write",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        SCOPES
            .into_iter()
            .find(|scope| scope.as_str() == text)
            .ok_or_else(|| ScopeError {
                text: text.chars().take(40).collect(),
            })
    }
}

/// What is stored about a token: everything but the token. Lies in the bucket `tidings_tokens`
/// under the token's hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenRecord {
    /// By which people name it.
    pub id: String,
    /// What it is for.
    #[serde(default)]
    pub name: String,
    /// The only space it is good for; `null` for all.
    pub space: Option<Space>,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops being good; `null` for never.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
}

/// Whether a token is good for something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It is.
    Granted,
    /// It is no longer good for anything.
    Expired,
    /// It has not the scope.
    MissingScope,
    /// It belongs to another space.
    OtherSpace,
}

impl TokenRecord {
    /// Whether the token may do what needs `scope` in `space` at `now`.
    #[must_use]
    pub fn access(&self, scope: Scope, space: &Space, now: Timestamp) -> Access {
        if self.expires_at.is_some_and(|end| now >= end) {
            return Access::Expired;
        }
        if !self.scopes.contains(&scope) && !self.scopes.contains(&Scope::Admin) {
            return Access::MissingScope;
        }
        if self.space.as_ref().is_some_and(|own| own != space) {
            return Access::OtherSpace;
        }
        Access::Granted
    }
}

/// The hash under which a token is stored: SHA-256 in hexadecimal. Tokens are random and long, so
/// a plain hash is enough, and looking it up in a table tells nothing by its timing.
#[must_use]
pub fn hash(token: &str) -> String {
    Sha256::digest(token)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Writes 256 random bits as a token.
#[must_use]
pub fn from_bytes(bytes: &[u8; 32]) -> Secret {
    Secret::new(format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(space: Option<&str>, scope: Scope) -> TokenRecord {
        TokenRecord {
            id: "tok_1".into(),
            name: String::new(),
            space: space.map(|name| name.parse().unwrap()),
            scopes: vec![scope],
            created_at: Timestamp::UNIX_EPOCH,
            expires_at: Some(Timestamp::from_second(100).unwrap()),
        }
    }

    #[test]
    fn a_token_is_good_for_its_scope_and_space_until_it_expires() {
        let acme = "acme".parse().unwrap();
        let at = |second| Timestamp::from_second(second).unwrap();
        let ask =
            |record: &TokenRecord, second| record.access(Scope::EventsWrite, &acme, at(second));
        assert_eq!(
            ask(&record(Some("acme"), Scope::EventsWrite), 1),
            Access::Granted
        );
        assert_eq!(ask(&record(None, Scope::Admin), 1), Access::Granted);
        assert_eq!(
            ask(&record(Some("acme"), Scope::WebhooksRead), 1),
            Access::MissingScope
        );
        assert_eq!(
            ask(&record(Some("other"), Scope::EventsWrite), 1),
            Access::OtherSpace
        );
        assert_eq!(
            ask(&record(Some("acme"), Scope::EventsWrite), 100),
            Access::Expired
        );
    }

    #[test]
    fn scopes_read_back() {
        for scope in SCOPES {
            assert_eq!(scope.as_str().parse(), Ok(scope));
            assert_eq!(serde_json::to_value(scope).unwrap(), scope.as_str());
        }
    }
}
