//! Signatures of requests: Standard Webhooks 1.0.0 `v1` (HMAC-SHA256) and `v1a` (ed25519) over
//! `id.timestamp.body`, and Contentful's request verification ([`contentful`]).
//!
//! A key tells by its form what it can sign:
//!
//! | Form | Signs |
//! |---|---|
//! | `whsec_` and base64 of 24 to 64 bytes | `standard-v1` |
//! | `whsk_` and base64 of an ed25519 key (32 bytes, or 64 with its public half) | `standard-v1a` |
//! | 64 characters of `A-Za-z0-9+/=_-` | `contentful-v1`; `standard-v1` too if it is base64 |
//! | other base64 of 24 to 64 bytes | `standard-v1` |

pub mod contentful;
mod verify;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::Signer as _;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

pub use verify::VerifyingKey;

use crate::secret::Secret;
use crate::webhook::Scheme;

/// The prefix of a symmetric signing secret.
pub const SECRET_PREFIX: &str = "whsec_";
/// The prefix of an ed25519 key that signs.
pub const PRIVATE_KEY_PREFIX: &str = "whsk_";
/// The prefix of an ed25519 key that verifies.
pub const PUBLIC_KEY_PREFIX: &str = "whpk_";
/// The length of the symmetric secrets that Tidings makes, in bytes.
pub const SECRET_BYTES: usize = 32;
/// How many random bytes a secret for any scheme is made of.
pub const ENTROPY_BYTES: usize = 48;

const SECRET_BYTES_MIN: usize = 24;
const SECRET_BYTES_MAX: usize = 64;
/// An ed25519 seed, or a public key.
const ED25519_BYTES: usize = 32;

/// Why a text is no signing secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The text is of no form that signs.
    #[error(
        "it is neither `whsec_` or `whsk_` and base64, nor a Contentful secret of 64 characters"
    )]
    Form,
    /// The secret is too short or too long.
    #[error(
        "it has {bytes} bytes, Standard Webhooks wants {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX}"
    )]
    Length {
        /// Length found, in bytes.
        bytes: usize,
    },
    /// The key verifies and cannot sign.
    #[error("it is a public key (`whpk_`), which only verifies; give the private one (`whsk_`)")]
    PublicKey,
    /// The bytes are no ed25519 key, or its public half is another key's.
    #[error("it is no ed25519 key: 32 bytes, or 64 with the public half that belongs to it")]
    Ed25519,
}

/// A key that signs, decoded once.
#[derive(Clone)]
pub struct SigningKey(Form);

#[derive(Clone)]
enum Form {
    /// At least one of the two is there.
    Symmetric {
        standard: Option<Box<Hmac<Sha256>>>,
        contentful: Option<Box<Hmac<Sha256>>>,
    },
    Ed25519(Box<ed25519_dalek::SigningKey>),
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

/// Makes a secret for `scheme` of random bytes.
///
/// One for `contentful-v1` has 64 characters without a prefix and signs `standard-v1` as well.
#[must_use]
pub fn secret_for(scheme: Scheme, entropy: &[u8; ENTROPY_BYTES]) -> Secret {
    let mut half = [0; SECRET_BYTES];
    half.copy_from_slice(&entropy[..SECRET_BYTES]);
    match scheme {
        Scheme::StandardV1 => secret_from_bytes(&half),
        Scheme::StandardV1a => {
            let key = ed25519_dalek::SigningKey::from_bytes(&half);
            let encoded = STANDARD.encode(key.to_keypair_bytes());
            Secret::new(format!("{PRIVATE_KEY_PREFIX}{encoded}"))
        }
        Scheme::ContentfulV1 => Secret::new(STANDARD.encode(entropy)),
    }
}

impl SigningKey {
    /// Decodes a secret.
    ///
    /// # Errors
    /// It is of no form that signs.
    pub fn parse(secret: &Secret) -> Result<Self, SecretError> {
        let text = secret.expose();
        if text.starts_with(PUBLIC_KEY_PREFIX) {
            return Err(SecretError::PublicKey);
        }
        if let Some(encoded) = text.strip_prefix(PRIVATE_KEY_PREFIX) {
            return Ok(Self(Form::Ed25519(Box::new(private_key(encoded)?))));
        }
        let (standard, contentful) = symmetric(text)?;
        Ok(Self(Form::Symmetric {
            standard,
            contentful,
        }))
    }

    /// Whether it can sign by `scheme`.
    #[must_use]
    pub fn fits(&self, scheme: Scheme) -> bool {
        match (&self.0, scheme) {
            (Form::Symmetric { standard, .. }, Scheme::StandardV1) => standard.is_some(),
            (Form::Symmetric { contentful, .. }, Scheme::ContentfulV1) => contentful.is_some(),
            (Form::Ed25519(_), Scheme::StandardV1a) => true,
            _ => false,
        }
    }

    /// The key by which receivers verify, `whpk_` and base64. It is no secret. `None` for a
    /// symmetric key, which has none.
    #[must_use]
    pub fn public_key(&self) -> Option<String> {
        let Form::Ed25519(key) = &self.0 else {
            return None;
        };
        let encoded = STANDARD.encode(key.verifying_key().as_bytes());
        Some(format!("{PUBLIC_KEY_PREFIX}{encoded}"))
    }

    /// Signs a request as Standard Webhooks has it: `v1,<base64>` or `v1a,<base64>`; `None` for a
    /// key that is for Contentful only. `timestamp` is in seconds since the epoch.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> Option<String> {
        match &self.0 {
            Form::Symmetric { standard, .. } => {
                let mut mac = Hmac::clone(standard.as_ref()?);
                mac.update(signed_head(id, timestamp).as_bytes());
                mac.update(body);
                let digest = mac.finalize().into_bytes();
                Some(format!("v1,{}", STANDARD.encode(digest)))
            }
            Form::Ed25519(key) => {
                let message = [signed_head(id, timestamp).as_bytes(), body].concat();
                let signature = key.sign(&message);
                Some(format!("v1a,{}", STANDARD.encode(signature.to_bytes())))
            }
        }
    }

    /// Signs a canonical request as Contentful has it, 64 hexadecimal digits; `None` for a key of
    /// another form.
    #[must_use]
    pub fn sign_contentful(&self, canonical: &[u8]) -> Option<String> {
        let Form::Symmetric { contentful, .. } = &self.0 else {
            return None;
        };
        let mut mac = Hmac::clone(contentful.as_ref()?);
        mac.update(canonical);
        let digest = mac.finalize().into_bytes();
        Some(digest.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The key that verifies what this one signs.
    #[must_use]
    pub fn verifying_key(&self) -> VerifyingKey {
        match &self.0 {
            Form::Symmetric {
                standard,
                contentful,
            } => VerifyingKey::symmetric(standard.clone(), contentful.clone()),
            Form::Ed25519(key) => VerifyingKey::ed25519(key.verifying_key()),
        }
    }

    /// Whether one of the signatures in the header `signatures` is this key's. Takes the same time
    /// however much of a signature is right.
    #[must_use]
    pub fn verify(&self, signatures: &str, id: &str, timestamp: i64, body: &[u8]) -> bool {
        self.verifying_key().verify(signatures, id, timestamp, body)
    }
}

/// What is signed before the body.
fn signed_head(id: &str, timestamp: i64) -> String {
    format!("{id}.{timestamp}.")
}

fn private_key(encoded: &str) -> Result<ed25519_dalek::SigningKey, SecretError> {
    let bytes = STANDARD.decode(encoded).map_err(|_| SecretError::Form)?;
    if let Ok(seed) = <[u8; ED25519_BYTES]>::try_from(bytes.as_slice()) {
        return Ok(ed25519_dalek::SigningKey::from_bytes(&seed));
    }
    let pair = <[u8; 2 * ED25519_BYTES]>::try_from(bytes.as_slice());
    let pair = pair.map_err(|_| SecretError::Ed25519)?;
    ed25519_dalek::SigningKey::from_keypair_bytes(&pair).map_err(|_| SecretError::Ed25519)
}

type Macs = (Option<Box<Hmac<Sha256>>>, Option<Box<Hmac<Sha256>>>);

/// The keys for Standard Webhooks and for Contentful, of which at least one is there.
fn symmetric(text: &str) -> Result<Macs, SecretError> {
    let standard = match STANDARD.decode(text.strip_prefix(SECRET_PREFIX).unwrap_or(text)) {
        Err(_) => Err(SecretError::Form),
        Ok(bytes) if !(SECRET_BYTES_MIN..=SECRET_BYTES_MAX).contains(&bytes.len()) => {
            Err(SecretError::Length { bytes: bytes.len() })
        }
        Ok(bytes) => Ok(mac(&bytes)),
    };
    match (standard, contentful::is_secret(text)) {
        (Ok(standard), true) => Ok((Some(standard), Some(mac(text.as_bytes())))),
        (Ok(standard), false) => Ok((Some(standard), None)),
        (Err(_), true) => Ok((None, Some(mac(text.as_bytes())))),
        (Err(error), false) => Err(error),
    }
}

fn mac(key: &[u8]) -> Box<Hmac<Sha256>> {
    Box::new(Hmac::new_from_slice(key).expect("HMAC takes keys of any length"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const TIMESTAMP: i64 = 1_614_265_330;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn key() -> SigningKey {
        parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap()
    }

    fn parse(text: &str) -> Result<SigningKey, SecretError> {
        SigningKey::parse(&Secret::new(text))
    }

    #[test]
    fn the_published_vector_comes_out() {
        assert_eq!(key().sign(ID, TIMESTAMP, BODY).unwrap(), SIGNATURE);
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

    /// RFC 8032 section 7.1, test 1: the pair of keys.
    const SEED: [u8; 32] = [
        0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c,
        0xc4, 0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae,
        0x7f, 0x60,
    ];
    const PUBLIC: &str = "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

    #[test]
    fn an_ed25519_key_signs_and_its_public_half_verifies() {
        let seed_only = parse(&format!("whsk_{}", STANDARD.encode(SEED))).unwrap();
        let pair = ed25519_dalek::SigningKey::from_bytes(&SEED).to_keypair_bytes();
        let with_public = parse(&format!("whsk_{}", STANDARD.encode(pair))).unwrap();
        let signature = seed_only.sign(ID, TIMESTAMP, BODY).unwrap();
        assert!(signature.starts_with("v1a,"), "{signature}");
        assert_eq!(with_public.sign(ID, TIMESTAMP, BODY).unwrap(), signature);
        for key in [&seed_only, &with_public] {
            assert_eq!(key.public_key().as_deref(), Some(PUBLIC));
        }
        let receiver = VerifyingKey::parse(&Secret::new(PUBLIC)).unwrap();
        assert!(receiver.verify(&signature, ID, TIMESTAMP, BODY));
        assert!(receiver.verify(&format!("v1,x v1a,AAAA {signature}"), ID, TIMESTAMP, BODY));
        assert!(!receiver.verify(&signature, ID, TIMESTAMP, b"{}"));
        assert!(!receiver.verify(&signature.replace("v1a,", "v1,"), ID, TIMESTAMP, BODY));
    }

    #[test]
    fn a_pair_of_halves_that_do_not_belong_together_is_refused() {
        let mut pair = ed25519_dalek::SigningKey::from_bytes(&SEED).to_keypair_bytes();
        pair[40] ^= 1;
        let error = parse(&format!("whsk_{}", STANDARD.encode(pair))).unwrap_err();
        assert_eq!(error, SecretError::Ed25519);
        assert_eq!(parse("whsk_AAAA").unwrap_err(), SecretError::Ed25519);
        assert_eq!(parse(PUBLIC).unwrap_err(), SecretError::PublicKey);
    }

    #[test]
    fn the_form_of_a_key_says_what_it_signs() {
        use Scheme::{ContentfulV1, StandardV1, StandardV1a};
        let sixty_four = "0123456789abcdef".repeat(4);
        let with_dash = "0123456789abcde-".repeat(4);
        let private = format!("whsk_{}", STANDARD.encode(SEED));
        for (text, schemes) in [
            ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", &[StandardV1][..]),
            ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", &[StandardV1]),
            (&private, &[StandardV1a]),
            (&sixty_four, &[StandardV1, ContentfulV1]),
            (&with_dash, &[ContentfulV1]),
        ] {
            let key = parse(text).unwrap();
            let fitting: Vec<Scheme> = Scheme::ALL
                .into_iter()
                .filter(|scheme| key.fits(*scheme))
                .collect();
            assert_eq!(fitting, schemes, "{text}");
        }
    }

    #[test]
    fn a_secret_that_is_made_fits_its_scheme() {
        for scheme in Scheme::ALL {
            let secret = secret_for(scheme, &[7; ENTROPY_BYTES]);
            assert!(SigningKey::parse(&secret).unwrap().fits(scheme), "{scheme}");
        }
        let both = SigningKey::parse(&secret_for(Scheme::ContentfulV1, &[7; ENTROPY_BYTES]));
        assert!(both.unwrap().fits(Scheme::StandardV1));
    }

    #[test]
    fn secrets_of_the_wrong_form_are_refused_and_never_shown() {
        for (text, error) in [
            ("whsec_!", SecretError::Form),
            ("", SecretError::Length { bytes: 0 }),
            ("whsec_AAAA", SecretError::Length { bytes: 3 }),
            ("whsk_!", SecretError::Form),
        ] {
            assert_eq!(parse(text).unwrap_err(), error, "{text}");
        }
        let made = secret_from_bytes(&[7; SECRET_BYTES]);
        assert!(SigningKey::parse(&made).is_ok());
        assert_eq!(format!("{made:?} {made}"), "*** ***");
    }
}
