//! Sealing what is to be stored.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use hpke::{OpModeS, Serializable as _};
use tidings_core::secret::{Sealed, Secret};
use tidings_core::webhook::{Definition, Webhook};

use crate::key::{KeyError, PublicKey};
use crate::{Aead, INFO, Kdf, Kem, place};

/// Seals the secrets of webhooks. It cannot open what it sealed.
#[derive(Debug, Clone)]
pub struct Sealer {
    public: PublicKey,
}

/// A secret came sealed that did not lie there before: somebody typed it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}`: a secret is given as text")]
pub struct Foreign {
    /// The field's name.
    pub field: String,
}

impl Sealer {
    /// Seals for the holder of the private half of `public`.
    #[must_use]
    pub fn new(public: &PublicKey) -> Self {
        Self {
            public: public.clone(),
        }
    }

    /// Reads the key from its bucket's entry.
    ///
    /// # Errors
    /// It is no key.
    pub fn from_stored(bytes: &[u8]) -> Result<Self, KeyError> {
        PublicKey::from_stored(bytes).map(|public| Self { public })
    }

    /// What it seals with.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// Seals every secret of `webhook` that is plain. What is sealed already stays if it lay in
    /// the same field of `kept`, the definition that `webhook` replaces.
    ///
    /// # Errors
    /// A sealed secret is not one of those.
    pub fn seal(&self, webhook: &mut Webhook, kept: Option<&Definition>) -> Result<(), Foreign> {
        let kept: HashMap<String, &Secret> =
            kept.into_iter().flat_map(Definition::secrets).collect();
        let mut sealed = Vec::new();
        for (field, secret) in webhook.definition.secrets() {
            sealed.push(match secret.sealed() {
                None => self.seal_one(webhook, &field, secret),
                Some(_) if kept.get(&field) == Some(&secret) => secret.clone(),
                Some(_) => return Err(Foreign { field }),
            });
        }
        for ((_, secret), sealed) in webhook.definition.secrets_mut().zip(sealed) {
            *secret = sealed;
        }
        Ok(())
    }

    fn seal_one(&self, webhook: &Webhook, field: &str, secret: &Secret) -> Secret {
        let key = self
            .public
            .key()
            .expect("a public key was read when it was taken");
        let place = place(webhook, field);
        let plain = secret.expose().as_bytes();
        let (encapped, text) =
            hpke::single_shot_seal::<Aead, Kdf, Kem>(&OpModeS::Base, &key, INFO, plain, &place)
                .expect("sealing for a good key fails for no text of a webhook's size");
        let mut bytes = encapped.to_bytes().to_vec();
        bytes.extend(text);
        let is_signing = field.starts_with("signing/");
        Secret::from_sealed(Sealed {
            key_id: self.public.id().to_owned(),
            text: STANDARD_NO_PAD.encode(bytes),
            hint: if is_signing {
                secret.hint()
            } else {
                String::new()
            },
        })
    }
}
