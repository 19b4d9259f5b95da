//! The private keys of a sender.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use hpke::{Deserializable as _, OpModeR, Serializable as _};
use tidings_core::secret::{Sealed, Secret};
use tidings_core::webhook::Webhook;

use crate::key::{KeyError, PrivateKey, PublicKey};
use crate::{Aead, INFO, Kdf, Kem, place};

/// Private keys, the newest last. Empty, it opens nothing but what is plain.
#[derive(Debug, Default)]
pub struct KeyRing(Vec<PrivateKey>);

/// Why a webhook's secrets cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Its key is not among those that are there.
    #[error(
        "its secrets are sealed for the key {id}, which this process does not have; add it with \
         --secret-key-file"
    )]
    UnknownKey {
        /// The key's id.
        id: String,
    },
    /// It was sealed for another place, or damaged.
    #[error("its secret `{field}` does not open: it was changed, or belongs to another webhook")]
    Closed {
        /// The field's name.
        field: String,
    },
}

impl KeyRing {
    /// Makes a new private key, as text: a line for a key file.
    #[must_use]
    pub fn generate() -> Secret {
        PrivateKey::generate()
    }

    /// Reads keys, one a line or with commas between them, oldest first. Lines that are empty or
    /// begin with `#` are passed over.
    ///
    /// # Errors
    /// A line is no key, or there is none.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let mut keys = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.starts_with('#') {
                continue;
            }
            for word in line
                .split(',')
                .map(str::trim)
                .filter(|word| !word.is_empty())
            {
                let key = PrivateKey::parse(word);
                keys.push(key.ok_or(KeyError::Private { line: index + 1 })?);
            }
        }
        match keys.is_empty() {
            true => Err(KeyError::Empty),
            false => Ok(Self(keys)),
        }
    }

    /// These keys with `newer` ones.
    #[must_use]
    pub fn with(mut self, newer: Self) -> Self {
        self.0.extend(newer.0);
        self
    }

    /// What the newest key seals with.
    #[must_use]
    pub fn newest(&self) -> Option<&PublicKey> {
        self.0.last().map(|key| &key.public)
    }

    /// The public halves, oldest first.
    pub fn public_keys(&self) -> impl Iterator<Item = &PublicKey> {
        self.0.iter().map(|key| &key.public)
    }

    /// Opens every secret of `webhook`; what is plain stays as it is.
    ///
    /// # Errors
    /// One does not open; `webhook` is then not to be used.
    pub fn open(&self, webhook: &mut Webhook) -> Result<(), OpenError> {
        let mut opened = Vec::new();
        for (field, secret) in webhook.definition.secrets() {
            opened.push(match secret.sealed() {
                Some(sealed) => Some(self.open_one(webhook, field, sealed)?),
                None => None,
            });
        }
        for ((_, secret), opened) in webhook.definition.secrets_mut().zip(opened) {
            if let Some(opened) = opened {
                *secret = opened;
            }
        }
        Ok(())
    }

    fn open_one(
        &self,
        webhook: &Webhook,
        field: String,
        sealed: &Sealed,
    ) -> Result<Secret, OpenError> {
        let key = self.0.iter().find(|key| key.public.id() == sealed.key_id);
        let key = key.ok_or_else(|| OpenError::UnknownKey {
            id: sealed.key_id.clone(),
        })?;
        let place = place(webhook, &field);
        open(key, &place, &sealed.text).ok_or(OpenError::Closed { field })
    }
}

fn open(key: &PrivateKey, place: &[u8], text: &str) -> Option<Secret> {
    let bytes = STANDARD_NO_PAD.decode(text).ok()?;
    let length = <Kem as hpke::Kem>::EncappedKey::size();
    let (encapped, sealed) = bytes.split_at_checked(length)?;
    let encapped = <Kem as hpke::Kem>::EncappedKey::from_bytes(encapped).ok()?;
    let mode = OpModeR::Base;
    let opened =
        hpke::single_shot_open::<Aead, Kdf, Kem>(&mode, &key.key, &encapped, INFO, sealed, place);
    Some(Secret::new(String::from_utf8(opened.ok()?).ok()?))
}
