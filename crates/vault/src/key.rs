//! One pair of keys.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hpke::{Deserializable as _, Kem as _, Serializable as _};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tidings_core::secret::Secret;

use crate::Kem;

/// With what the text of a private key begins.
const KEY_PREFIX: &str = "tdgk_";
const ID_BYTES: usize = 8;

/// Why a text is no key. Says nothing of the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A line is no private key.
    #[error("line {line} is no key; a key is `tdgk_` and 43 characters")]
    Private {
        /// The line, from 1.
        line: usize,
    },
    /// A public key cannot be used.
    #[error("it is no public key")]
    Public,
    /// There is not a single key.
    #[error("it has no key")]
    Empty,
}

/// What seals: known to everybody who stores webhooks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PublicKey {
    id: String,
    public_key: String,
}

impl PublicKey {
    fn of(key: &<Kem as hpke::Kem>::PublicKey) -> Self {
        let bytes = key.to_bytes();
        let digest = Sha256::digest(bytes);
        let id = digest.iter().take(ID_BYTES);
        Self {
            id: id.map(|byte| format!("{byte:02x}")).collect(),
            public_key: URL_SAFE_NO_PAD.encode(bytes),
        }
    }

    /// By which it is named: the beginning of its SHA-256.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Reads what [`Self::to_stored`] wrote.
    ///
    /// # Errors
    /// It is no public key, or not the one that its id names.
    pub fn from_stored(bytes: &[u8]) -> Result<Self, KeyError> {
        let read: Self = serde_json::from_slice(bytes).map_err(|_| KeyError::Public)?;
        match Self::of(&read.key()?) == read {
            true => Ok(read),
            false => Err(KeyError::Public),
        }
    }

    /// Writes it for the bucket of keys.
    #[must_use]
    pub fn to_stored(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("two texts are JSON")
    }

    pub(crate) fn key(&self) -> Result<<Kem as hpke::Kem>::PublicKey, KeyError> {
        let bytes = URL_SAFE_NO_PAD.decode(&self.public_key);
        let bytes = bytes.map_err(|_| KeyError::Public)?;
        <Kem as hpke::Kem>::PublicKey::from_bytes(&bytes).map_err(|_| KeyError::Public)
    }
}

/// What opens.
pub(crate) struct PrivateKey {
    pub(crate) public: PublicKey,
    pub(crate) key: <Kem as hpke::Kem>::PrivateKey,
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({})", self.public.id)
    }
}

impl PrivateKey {
    /// Makes one, as text.
    pub(crate) fn generate() -> Secret {
        let (key, _) = Kem::gen_keypair();
        Secret::new(format!(
            "{KEY_PREFIX}{}",
            URL_SAFE_NO_PAD.encode(key.to_bytes())
        ))
    }

    /// Reads one.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD
            .decode(text.strip_prefix(KEY_PREFIX)?)
            .ok()?;
        let key = <Kem as hpke::Kem>::PrivateKey::from_bytes(&bytes).ok()?;
        let public = PublicKey::of(&Kem::sk_to_pk(&key));
        Some(Self { public, key })
    }
}
