//! Identifiers of events, webhooks and deliveries.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::name::{Environment, NameError, Space, check_word};
use crate::short_text::ShortText;

/// The longest event id, in bytes (CONTRACT.md section 3).
pub const EVENT_ID_BYTES_MAX: usize = 128;

const WEBHOOK_PREFIX: &str = "wh_";
const DELIVERY_PREFIX: &str = "dlv_";

/// The id of an event: the producer's own, or one that ingest made.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EventId(String);

/// The id of a webhook, `wh_` and a ULID in those that Tidings makes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WebhookId(ShortText);

/// The id of a delivery, derived from its event and its webhook.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DeliveryId(String);

impl EventId {
    /// The id of an event that came without one: its time and 80 random bits.
    #[must_use]
    pub fn generate(ulid: ulid::Ulid) -> Self {
        Self(format!("evt_{ulid}"))
    }

    /// The id of an event that was put straight on the stream without one: its place there, which
    /// stays the same however often the event is read.
    #[must_use]
    pub fn of_sequence(sequence: u64) -> Self {
        Self(format!("evt_seq_{sequence}"))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl WebhookId {
    /// A new id.
    #[must_use]
    pub fn generate(ulid: ulid::Ulid) -> Self {
        Self(ShortText::from(&*format!("{WEBHOOK_PREFIX}{ulid}")))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl DeliveryId {
    /// Derives the id, so that fanning an event out again makes no second delivery.
    ///
    /// Event ids are the producer's own and unique within a space and environment, therefore both
    /// are part of it. 128 bits of SHA-256 in Crockford base 32.
    #[must_use]
    pub fn derive(
        space: &Space,
        environment: &Environment,
        event: &EventId,
        webhook: &WebhookId,
    ) -> Self {
        let mut hash = Sha256::new();
        for part in [
            space.as_str(),
            environment.as_str(),
            event.as_str(),
            webhook.as_str(),
        ] {
            hash.update(part);
            hash.update([0]);
        }
        let digest = hash.finalize();
        let mut head = [0; 16];
        head.copy_from_slice(&digest[..16]);
        Self(format!("{DELIVERY_PREFIX}{}", ulid::Ulid::from_bytes(head)))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for EventId {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        check_word(&text, EVENT_ID_BYTES_MAX)?;
        Ok(Self(text))
    }
}

impl TryFrom<String> for WebhookId {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        check_word(&text, crate::name::NAME_BYTES_MAX)?;
        Ok(Self(ShortText::from(&*text)))
    }
}

impl TryFrom<String> for DeliveryId {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        check_word(&text, crate::name::NAME_BYTES_MAX)?;
        Ok(Self(text))
    }
}

impl FromStr for EventId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::try_from(text.to_owned())
    }
}

impl FromStr for WebhookId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::try_from(text.to_owned())
    }
}

impl FromStr for DeliveryId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::try_from(text.to_owned())
    }
}

impl From<EventId> for String {
    fn from(id: EventId) -> Self {
        id.0
    }
}

impl From<WebhookId> for String {
    fn from(id: WebhookId) -> Self {
        id.as_str().to_owned()
    }
}

impl From<DeliveryId> for String {
    fn from(id: DeliveryId) -> Self {
        id.0
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for WebhookId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn derive(space: &str, event: &str, webhook: &str) -> DeliveryId {
        DeliveryId::derive(
            &space.parse().unwrap(),
            &Environment::default(),
            &event.parse().unwrap(),
            &webhook.parse().unwrap(),
        )
    }

    #[test]
    fn the_same_event_and_webhook_make_the_same_delivery() {
        assert_eq!(derive("acme", "e1", "wh_1"), derive("acme", "e1", "wh_1"));
        assert_ne!(derive("acme", "e1", "wh_1"), derive("acme", "e1", "wh_2"));
        assert_ne!(derive("acme", "e1", "wh_1"), derive("other", "e1", "wh_1"));
        assert_ne!(derive("acme", "e1w", "h_1"), derive("acme", "e1", "wh_1"));
    }

    #[test]
    fn a_delivery_id_fits_the_signed_string() {
        let id = derive("acme", "e1", "wh_1");
        assert!(id.as_str().starts_with("dlv_") && !id.as_str().contains('.'));
        assert_eq!(id.as_str().len(), 30);
    }
}
