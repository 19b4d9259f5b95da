//! Standard Webhooks 1.0.0 signatures, scheme `v1`: HMAC-SHA256 over `id.timestamp.body`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use crate::secret::Secret;

/// The prefix of a symmetric signing secret.
pub const SECRET_PREFIX: &str = "whsec_";
/// The length of the secrets that Tidings makes, in bytes.
pub const SECRET_BYTES: usize = 32;

const SECRET_BYTES_MIN: usize = 24;
const SECRET_BYTES_MAX: usize = 64;

/// Why a text is no signing secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The text is not base64 after its `whsec_` prefix.
    #[error("it is not `whsec_` and base64")]
    Form,
    /// The secret is too short or too long.
    #[error(
        "it has {bytes} bytes, Standard Webhooks wants {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX}"
    )]
    Length {
        /// Length found, in bytes.
        bytes: usize,
    },
}

/// A key that signs, decoded once.
#[derive(Clone)]
pub struct SigningKey {
    mac: Hmac<Sha256>,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey(***)")
    }
}

/// Writes `bytes` as a secret that receivers' libraries read.
#[must_use]
pub fn secret_from_bytes(bytes: &[u8; SECRET_BYTES]) -> Secret {
    Secret::new(format!("{SECRET_PREFIX}{}", STANDARD.encode(bytes)))
}

impl SigningKey {
    /// Decodes a secret, with or without its `whsec_` prefix.
    ///
    /// # Errors
    /// The text is not base64, or of the wrong length.
    pub fn parse(secret: &Secret) -> Result<Self, SecretError> {
        let text = secret.expose();
        let encoded = text.strip_prefix(SECRET_PREFIX).unwrap_or(text);
        let bytes = STANDARD.decode(encoded).map_err(|_| SecretError::Form)?;
        if !(SECRET_BYTES_MIN..=SECRET_BYTES_MAX).contains(&bytes.len()) {
            return Err(SecretError::Length { bytes: bytes.len() });
        }
        let mac = Hmac::new_from_slice(&bytes).map_err(|_| SecretError::Form)?;
        Ok(Self { mac })
    }

    /// Signs a request: `v1,<base64>`. `timestamp` is in seconds since the epoch.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let digest = self.digest(id, timestamp, body).finalize().into_bytes();
        format!("v1,{}", STANDARD.encode(digest))
    }

    /// Whether one of the signatures in the header `signatures` is this key's. Takes the same time
    /// however much of a signature is right.
    #[must_use]
    pub fn verify(&self, signatures: &str, id: &str, timestamp: i64, body: &[u8]) -> bool {
        signatures
            .split(' ')
            .filter_map(|signature| signature.strip_prefix("v1,"))
            .filter_map(|encoded| STANDARD.decode(encoded).ok())
            .any(|digest| {
                self.digest(id, timestamp, body)
                    .verify_slice(&digest)
                    .is_ok()
            })
    }

    fn digest(&self, id: &str, timestamp: i64, body: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const TIMESTAMP: i64 = 1_614_265_330;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn key() -> SigningKey {
        SigningKey::parse(&Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")).unwrap()
    }

    #[test]
    fn the_published_vector_comes_out() {
        assert_eq!(key().sign(ID, TIMESTAMP, BODY), SIGNATURE);
    }

    #[test]
    fn any_change_breaks_a_signature() {
        let verify =
            |signature: &str, id, timestamp, body| key().verify(signature, id, timestamp, body);
        assert!(verify(SIGNATURE, ID, TIMESTAMP, BODY));
        assert!(verify(
            &format!("v1,AAAA v1a,x {SIGNATURE}"),
            ID,
            TIMESTAMP,
            BODY
        ));
        assert!(!verify(SIGNATURE, "msg_x", TIMESTAMP, BODY));
        assert!(!verify(SIGNATURE, ID, TIMESTAMP + 1, BODY));
        assert!(!verify(SIGNATURE, ID, TIMESTAMP, b"{}"));
        assert!(!verify("v1,", ID, TIMESTAMP, BODY));
        assert!(!verify("", ID, TIMESTAMP, BODY));
    }

    #[test]
    fn secrets_of_the_wrong_form_are_refused_and_never_shown() {
        assert_eq!(
            SigningKey::parse(&Secret::new("whsec_!")).unwrap_err(),
            SecretError::Form
        );
        let short = SigningKey::parse(&Secret::new("whsec_AAAA")).unwrap_err();
        assert_eq!(short, SecretError::Length { bytes: 3 });
        let made = secret_from_bytes(&[7; SECRET_BYTES]);
        assert!(SigningKey::parse(&made).is_ok());
        assert_eq!(format!("{made:?} {made}"), "*** ***");
    }
}
