//! The receiver's side: whether a signature is that of a key.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use super::{PUBLIC_KEY_PREFIX, SecretError, SigningKey, signed_head};
use crate::secret::Secret;

/// A key that verifies: a symmetric secret, or the public half of an ed25519 key.
#[derive(Clone)]
pub struct VerifyingKey {
    standard: Option<Box<Hmac<Sha256>>>,
    contentful: Option<Box<Hmac<Sha256>>>,
    ed25519: Option<ed25519_dalek::VerifyingKey>,
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VerifyingKey(***)")
    }
}

impl VerifyingKey {
    /// Decodes a secret or a public key (`whpk_`).
    ///
    /// # Errors
    /// It is of no form that verifies.
    pub fn parse(secret: &Secret) -> Result<Self, SecretError> {
        let Some(encoded) = secret.expose().strip_prefix(PUBLIC_KEY_PREFIX) else {
            return Ok(SigningKey::parse(secret)?.verifying_key());
        };
        let bytes = STANDARD.decode(encoded).map_err(|_| SecretError::Form)?;
        let bytes = bytes.try_into().map_err(|_| SecretError::Ed25519)?;
        ed25519_dalek::VerifyingKey::from_bytes(&bytes)
            .map(Self::ed25519)
            .map_err(|_| SecretError::Ed25519)
    }

    pub(super) fn symmetric(
        standard: Option<Box<Hmac<Sha256>>>,
        contentful: Option<Box<Hmac<Sha256>>>,
    ) -> Self {
        Self {
            standard,
            contentful,
            ed25519: None,
        }
    }

    pub(super) fn ed25519(key: ed25519_dalek::VerifyingKey) -> Self {
        Self {
            standard: None,
            contentful: None,
            ed25519: Some(key),
        }
    }

    /// Whether it can say anything about Standard Webhooks signatures.
    #[must_use]
    pub fn is_standard(&self) -> bool {
        self.standard.is_some() || self.ed25519.is_some()
    }

    /// Whether it can say anything about Contentful's signatures.
    #[must_use]
    pub fn is_contentful(&self) -> bool {
        self.contentful.is_some()
    }

    /// Whether one of the Standard Webhooks signatures in `signatures` is this key's. Takes the
    /// same time however much of a signature is right. `timestamp` is in seconds since the epoch.
    #[must_use]
    pub fn verify(&self, signatures: &str, id: &str, timestamp: i64, body: &[u8]) -> bool {
        let head = signed_head(id, timestamp);
        let is_mine = |signature: &str| match signature.split_once(',') {
            Some(("v1", encoded)) => self.is_digest(encoded, head.as_bytes(), body),
            Some(("v1a", encoded)) => self.is_signed(encoded, head.as_bytes(), body),
            _ => false,
        };
        signatures.split(' ').any(is_mine)
    }

    /// Whether `signature`, in hexadecimal digits, is this key's over a canonical request of
    /// Contentful's. Takes the same time however much of it is right.
    #[must_use]
    pub fn verify_contentful(&self, signature: &str, canonical: &[u8]) -> bool {
        let (Some(mac), Some(digest)) = (&self.contentful, from_hex(signature)) else {
            return false;
        };
        let mut mac = Hmac::clone(mac);
        mac.update(canonical);
        mac.verify_slice(&digest).is_ok()
    }

    fn is_digest(&self, encoded: &str, head: &[u8], body: &[u8]) -> bool {
        let (Some(mac), Ok(digest)) = (&self.standard, STANDARD.decode(encoded)) else {
            return false;
        };
        let mut mac = Hmac::clone(mac);
        mac.update(head);
        mac.update(body);
        mac.verify_slice(&digest).is_ok()
    }

    fn is_signed(&self, encoded: &str, head: &[u8], body: &[u8]) -> bool {
        let signature = STANDARD.decode(encoded).ok();
        let signature =
            signature.and_then(|bytes| ed25519_dalek::Signature::from_slice(&bytes).ok());
        let (Some(key), Some(signature)) = (&self.ed25519, signature) else {
            return false;
        };
        key.verify_strict(&[head, body].concat(), &signature)
            .is_ok()
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let pairs = (0..text.len()).step_by(2);
    pairs
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok())
        .collect()
}
