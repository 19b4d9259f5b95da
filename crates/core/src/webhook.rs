//! A webhook: which events, where to send them, and how (CONTRACT.md section 4).

mod check;
mod compact;
mod format;
mod plan;
mod secrets;
mod signing;
mod state;
mod view;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use check::{FieldError, check};
pub use format::{Format, FormatError};
pub use plan::{DeliveryPlan, RateLimit};
pub use signing::{Maker, Scheme, SchemeError, Signing, SigningSecret};
pub use state::{EndpointState, Status};
pub use view::view;

use crate::id::WebhookId;
use crate::name::Space;
use crate::secret::Secret;
use crate::topic::TopicPattern;
use crate::transformation::Transformation;

/// The version of the form in which webhooks lie in their bucket.
pub const SCHEMA_VERSION: u32 = 1;

/// A webhook as it lies in its bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// Form of this record; a reader refuses what is newer than it knows.
    pub schema: u32,
    /// Its id.
    pub id: WebhookId,
    /// The space it belongs to.
    pub space: Space,
    /// What people typed.
    pub definition: Definition,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its definition last changed.
    pub updated_at: Timestamp,
    /// Counts its definitions from 1.
    pub version: u64,
}

/// What people type into a webhook. Only `url` and `topics` are required.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Definition {
    /// What people call it.
    #[serde(default)]
    pub name: String,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// Where deliveries go.
    pub url: String,
    /// While `false`, nothing is sent.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Which events it wants.
    pub topics: Vec<TopicPattern>,
    /// Which content types; empty means all.
    #[serde(default)]
    pub content_types: Vec<String>,
    /// Further conditions, in Contentful's syntax; [`crate::filter`] understands them.
    #[serde(default)]
    pub filters: Vec<serde_json::Value>,
    /// Custom headers.
    #[serde(default)]
    pub headers: Vec<Header>,
    /// HTTP basic authentication.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic_auth: Option<BasicAuth>,
    /// The shape of what the receiver sees.
    #[serde(default)]
    pub format: Format,
    /// Method, content type and body template, in Contentful's syntax.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transformation: Option<Transformation>,
    /// How requests are signed.
    #[serde(default)]
    pub signing: Signing,
    /// Retries, timeouts and limits.
    #[serde(default)]
    pub delivery: DeliveryPlan,
}

/// A custom header.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Header {
    /// The header's name.
    pub key: String,
    /// The header's value. In answers, absent if the header is secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Secret>,
    /// Whether the value is write-only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub secret: bool,
}

impl std::fmt::Debug for Header {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Header({}: ***)", self.key)
    }
}

/// HTTP basic authentication (RFC 7617).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BasicAuth {
    /// The user name, without a colon.
    pub username: String,
    /// The password, write-only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
}

/// A stored webhook that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoredError {
    /// It is not of the stored form. Where, and no more: a parser's words may quote a secret.
    #[error("it is no webhook record: {fault} error at line {line} column {column}")]
    Form {
        /// What kind of error: `syntax`, `data` or `unexpected end`.
        fault: &'static str,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// A newer version of Tidings wrote it.
    #[error("its schema is {found}, this version knows {SCHEMA_VERSION}; upgrade this service")]
    Newer {
        /// The schema found.
        found: u32,
    },
}

impl From<serde_json::Error> for StoredError {
    fn from(error: serde_json::Error) -> Self {
        Self::Form {
            fault: match error.classify() {
                serde_json::error::Category::Io => "reading",
                serde_json::error::Category::Syntax => "syntax",
                serde_json::error::Category::Data => "data",
                serde_json::error::Category::Eof => "unexpected end",
            },
            line: error.line(),
            column: error.column(),
        }
    }
}

impl Webhook {
    /// Reads a record from the bucket.
    ///
    /// # Errors
    /// The bytes are no record, or a newer version's.
    pub fn from_stored(bytes: &[u8]) -> Result<Self, StoredError> {
        #[derive(Deserialize)]
        struct Version {
            schema: u32,
        }
        let Version { schema } = serde_json::from_slice(bytes)?;
        if schema > SCHEMA_VERSION {
            return Err(StoredError::Newer { found: schema });
        }
        Ok(serde_json::from_slice(bytes)?)
    }

    /// Writes the record for the bucket, secrets included.
    #[must_use]
    pub fn to_stored(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a webhook has only string keys and serialisable values")
    }
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn minimal() -> Definition {
        let text = r#"{"url": "https://build.example.com/1", "topics": ["Entry.publish"]}"#;
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn url_and_topics_are_enough() {
        let definition = minimal();
        assert!(definition.enabled);
        assert_eq!(definition.delivery.max_retries, 9);
        assert_eq!(definition.format, Format::Standard);
    }

    #[test]
    fn unknown_fields_are_refused() {
        let text = r#"{"url": "https://a.example.com", "topics": [], "tpoics": []}"#;
        let error = serde_json::from_str::<Definition>(text).unwrap_err();
        assert!(error.to_string().contains("tpoics"), "{error}");
    }

    #[test]
    fn an_unreadable_record_is_placed_without_a_word_of_its_content() {
        for text in [
            r#"{"schema": 1, "id": ["whsec_hidden"]}"#,
            r#"{"schema": "whsec_hidden"}"#,
            r#"{"schema": 1, "whsec_hidden": 2}"#,
            "{\"schema\": whsec_hidden",
        ] {
            let error = Webhook::from_stored(text.as_bytes()).unwrap_err();
            let shown = format!("{error} {error:?} {:?}", std::error::Error::source(&error));
            assert!(!shown.contains("hidden"), "{shown}");
            assert!(error.to_string().contains("line 1 column"), "{error}");
        }
    }

    #[test]
    fn a_record_reads_back_and_a_newer_one_is_refused() {
        let mut webhook = Webhook {
            schema: SCHEMA_VERSION,
            id: "wh_1".parse().unwrap(),
            space: "acme".parse().unwrap(),
            definition: minimal(),
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
            version: 1,
        };
        webhook.definition.headers = vec![Header {
            key: "X-Key".into(),
            value: Some(Secret::new("s3cret")),
            secret: true,
        }];
        assert_eq!(Webhook::from_stored(&webhook.to_stored()).unwrap(), webhook);
        assert!(!format!("{webhook:?}").contains("s3cret"));
        webhook.schema = 999;
        let error = Webhook::from_stored(&webhook.to_stored()).unwrap_err();
        assert!(matches!(error, StoredError::Newer { found: 999 }));
    }
}
