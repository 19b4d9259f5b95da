//! How a webhook's requests are signed: schemes, secrets, and their exchange.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Format;
use crate::secret::Secret;
use crate::signature::{ENTROPY_BYTES, SigningKey, secret_for};

/// How requests are signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Signing {
    /// The schemes that sign, each with the secrets that are for it. If none is named, those of the
    /// format for which there is a secret (see [`Signing::complete`]).
    #[serde(default)]
    pub schemes: Vec<Scheme>,
    /// The secrets, newest first.
    #[serde(default)]
    pub secrets: Vec<SigningSecret>,
    /// Whether requests carry `webhook-id`, `webhook-timestamp` and `webhook-signature`, in
    /// whatever format they are.
    #[serde(default = "yes")]
    pub standard_headers: bool,
}

impl Default for Signing {
    fn default() -> Self {
        Self {
            schemes: Vec::new(),
            secrets: Vec::new(),
            standard_headers: true,
        }
    }
}

fn yes() -> bool {
    true
}

/// A way of signing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Scheme {
    /// Standard Webhooks, HMAC-SHA256.
    #[serde(rename = "standard-v1")]
    StandardV1,
    /// Standard Webhooks, ed25519.
    #[serde(rename = "standard-v1a")]
    StandardV1a,
    /// Contentful's request verification.
    #[serde(rename = "contentful-v1")]
    ContentfulV1,
}

/// The text names no scheme.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no scheme; take one of {}", Scheme::ALL.map(Scheme::as_str).join(", "))]
pub struct SchemeError {
    text: String,
}

impl Scheme {
    /// All schemes.
    pub const ALL: [Self; 3] = [Self::StandardV1, Self::StandardV1a, Self::ContentfulV1];

    /// Its name in definitions.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StandardV1 => "standard-v1",
            Self::StandardV1a => "standard-v1a",
            Self::ContentfulV1 => "contentful-v1",
        }
    }

    /// The schemes of a format, if a definition names none and has no secret that says otherwise.
    #[must_use]
    pub fn of_format(format: Format) -> &'static [Self] {
        match format {
            Format::Contentful => &[Self::ContentfulV1, Self::StandardV1],
            Format::Standard
            | Format::Umbraco
            | Format::Heartcore
            | Format::CloudeventsBinary
            | Format::CloudeventsStructured => &[Self::StandardV1],
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scheme {
    type Err = SchemeError;

    fn from_str(text: &str) -> Result<Self, SchemeError> {
        Self::ALL
            .into_iter()
            .find(|scheme| scheme.as_str() == text)
            .ok_or_else(|| SchemeError {
                text: text.chars().take(40).collect(),
            })
    }
}

/// A signing secret with its time of validity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SigningSecret {
    /// By which it is named when it is rotated or removed; given when it is stored.
    #[serde(default)]
    pub id: String,
    /// The key, write-only.
    pub key: Secret,
    /// When it stops signing; `null` for never.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
    /// What the key can sign, found out when it is stored, because a sealed key does not tell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schemes: Vec<Scheme>,
    /// The key by which receivers verify, if there is one apart (`whpk_…`). It is no secret; found
    /// out when the secret is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
}

impl SigningSecret {
    /// A secret that does not expire, with what its key tells.
    #[must_use]
    pub fn new(id: String, key: Secret) -> Self {
        let mut secret = Self {
            id,
            key,
            expires_at: None,
            schemes: Vec::new(),
            public_key: None,
        };
        secret.describe();
        secret
    }

    /// Whether it signs at `now`.
    #[must_use]
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }

    /// Whether its key can sign by `scheme`. A key that cannot be used fits none.
    #[must_use]
    pub fn fits(&self, scheme: Scheme) -> bool {
        if self.key.sealed().is_none() {
            return SigningKey::parse(&self.key).is_ok_and(|key| key.fits(scheme));
        }
        match self.schemes.as_slice() {
            // Sealed before keys were of several kinds.
            [] => scheme == Scheme::StandardV1,
            schemes => schemes.contains(&scheme),
        }
    }

    /// Writes down what its key tells, as long as it can be read.
    fn describe(&mut self) {
        if self.key.sealed().is_some() {
            return;
        }
        let Ok(key) = SigningKey::parse(&self.key) else {
            return;
        };
        let all = Scheme::ALL.into_iter();
        self.schemes = all.filter(|scheme| key.fits(*scheme)).collect();
        self.public_key = key.public_key();
    }
}

/// What new secrets are made of: randomness and ids, which the core has none of.
pub trait Maker {
    /// An id that no other secret has.
    fn id(&mut self) -> String;
    /// Random bytes.
    fn entropy(&mut self) -> [u8; ENTROPY_BYTES];
}

impl Signing {
    /// Completes what a person gave: names secrets, chooses the schemes where none is named, and
    /// makes the secrets that are missing. Returns the secrets that it made, to be shown once.
    ///
    /// Secrets are made only where none was given, so that a scheme without a fitting key is told
    /// (by [`super::check`]) instead of papered over.
    pub fn complete(&mut self, format: Format, maker: &mut dyn Maker) -> Vec<SigningSecret> {
        for secret in &mut self.secrets {
            if secret.id.is_empty() {
                secret.id = maker.id();
            }
            secret.describe();
        }
        self.schemes = self.effective_schemes(format);
        if !self.secrets.is_empty() {
            return Vec::new();
        }
        let made = make(self.schemes.clone(), maker);
        self.secrets.clone_from(&made);
        made
    }

    /// Follows a change of the schemes while nobody gave other secrets: drops the secrets that are
    /// for none of the schemes now, and makes those that are missing, which come first. Returns
    /// what it made.
    pub fn follow(&mut self, maker: &mut dyn Maker) -> Vec<SigningSecret> {
        let schemes = self.schemes.clone();
        self.secrets
            .retain(|secret| schemes.iter().any(|scheme| secret.fits(*scheme)));
        let lasting = |scheme: &Scheme| {
            let mut own = self.secrets.iter();
            own.any(|secret| secret.expires_at.is_none() && secret.fits(*scheme))
        };
        let missing = schemes.into_iter().filter(|scheme| !lasting(scheme));
        let made = make(missing.collect(), maker);
        self.secrets.splice(0..0, made.clone());
        made
    }

    /// Makes a new secret for every scheme, puts it first, lets the others end at `end`, and drops
    /// those that have ended already. Returns what it made.
    pub fn rotate(
        &mut self,
        maker: &mut dyn Maker,
        now: Timestamp,
        end: Timestamp,
    ) -> Vec<SigningSecret> {
        let made = make(self.schemes.clone(), maker);
        self.exchange(made.clone(), now, end);
        made
    }

    /// Puts `added` first, lets the others that sign by one of the same schemes end at `end`, and
    /// drops what has ended already.
    pub fn exchange(&mut self, added: Vec<SigningSecret>, now: Timestamp, end: Timestamp) {
        self.secrets.retain(|secret| secret.is_valid(now));
        let is_replaced = |old: &SigningSecret| {
            let mut schemes = self.schemes.iter().filter(|scheme| old.fits(**scheme));
            schemes.all(|scheme| added.iter().any(|new| new.fits(*scheme)))
        };
        let replaced: Vec<bool> = self.secrets.iter().map(is_replaced).collect();
        for (secret, _) in self.secrets.iter_mut().zip(replaced).filter(|(_, is)| *is) {
            secret.expires_at = Some(secret.expires_at.map_or(end, |own| own.min(end)));
        }
        self.secrets.splice(0..0, added);
    }

    /// The schemes that sign: those that are named, or else those of the format for which there is
    /// a secret.
    #[must_use]
    pub fn effective_schemes(&self, format: Format) -> Vec<Scheme> {
        match self.schemes.is_empty() {
            true => self.default_schemes(format),
            false => self.schemes.clone(),
        }
    }

    fn default_schemes(&self, format: Format) -> Vec<Scheme> {
        let usual = Scheme::of_format(format);
        let is_choice = |scheme: &Scheme| match scheme {
            Scheme::ContentfulV1 => format == Format::Contentful,
            Scheme::StandardV1 | Scheme::StandardV1a => true,
        };
        let fitting = Scheme::ALL.into_iter().filter(is_choice);
        let fitting = fitting.filter(|scheme| self.secrets.iter().any(|own| own.fits(*scheme)));
        let fitting: Vec<Scheme> = fitting.collect();
        match fitting.is_empty() {
            true => usual.to_vec(),
            false => fitting,
        }
    }
}

/// A secret for each scheme that none made before it fits.
fn make(mut schemes: Vec<Scheme>, maker: &mut dyn Maker) -> Vec<SigningSecret> {
    let mut made: Vec<SigningSecret> = Vec::new();
    // One for Contentful signs `standard-v1` as well, so it comes first.
    schemes.sort_by_key(|scheme| *scheme != Scheme::ContentfulV1);
    for scheme in schemes {
        if !made.iter().any(|secret| secret.fits(scheme)) {
            let key = secret_for(scheme, &maker.entropy());
            made.push(SigningSecret::new(maker.id(), key));
        }
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Counting(u8);

    impl Maker for Counting {
        fn id(&mut self) -> String {
            self.0 += 1;
            format!("sec_{}", self.0)
        }

        fn entropy(&mut self) -> [u8; ENTROPY_BYTES] {
            self.0 += 1;
            [self.0; ENTROPY_BYTES]
        }
    }

    const SYMMETRIC: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn with(keys: &[&str]) -> Signing {
        let secrets = keys.iter().map(|key| SigningSecret {
            schemes: Vec::new(),
            ..SigningSecret::new(String::new(), Secret::new(*key))
        });
        Signing {
            secrets: secrets.collect(),
            ..Signing::default()
        }
    }

    #[test]
    fn names_read_back() {
        for scheme in Scheme::ALL {
            assert_eq!(scheme.as_str().parse(), Ok(scheme));
            assert_eq!(serde_json::to_value(scheme).unwrap(), scheme.as_str());
        }
        assert!("v1".parse::<Scheme>().is_err());
    }

    #[test]
    fn a_secret_is_made_for_what_the_format_signs_by() {
        for (format, schemes) in [
            (Format::Standard, &[Scheme::StandardV1][..]),
            (
                Format::Contentful,
                &[Scheme::ContentfulV1, Scheme::StandardV1],
            ),
            (Format::Umbraco, &[Scheme::StandardV1]),
        ] {
            let mut signing = Signing::default();
            let made = signing.complete(format, &mut Counting::default());
            assert_eq!(signing.schemes, schemes);
            // One secret is enough, also for Contentful's two schemes.
            assert_eq!((made.len(), signing.secrets.len()), (1, 1));
            assert!(schemes.iter().all(|scheme| made[0].fits(*scheme)));
        }
    }

    #[test]
    fn a_secret_is_made_for_every_scheme_that_was_named() {
        let mut signing = Signing {
            schemes: Scheme::ALL.to_vec(),
            ..Signing::default()
        };
        let made = signing.complete(Format::Standard, &mut Counting::default());
        assert_eq!(made.len(), 2);
        let public = made.iter().filter_map(|secret| secret.public_key.as_ref());
        assert_eq!(public.count(), 1);
    }

    #[test]
    fn a_secret_that_was_given_chooses_its_scheme() {
        let private = secret_for(Scheme::StandardV1a, &[1; ENTROPY_BYTES]);
        let shared = "0123456789abcdef".repeat(4);
        for (format, key, schemes) in [
            (Format::Standard, SYMMETRIC, &[Scheme::StandardV1][..]),
            (Format::Standard, private.expose(), &[Scheme::StandardV1a]),
            (Format::Standard, &shared, &[Scheme::StandardV1]),
            (Format::Contentful, SYMMETRIC, &[Scheme::StandardV1]),
            (
                Format::Contentful,
                &shared,
                &[Scheme::StandardV1, Scheme::ContentfulV1],
            ),
        ] {
            let mut signing = with(&[key]);
            let made = signing.complete(format, &mut Counting::default());
            assert!(made.is_empty());
            assert_eq!(signing.schemes, schemes, "{format}");
            assert_eq!(signing.secrets[0].id, "sec_1");
            assert!(!signing.secrets[0].schemes.is_empty());
        }
    }

    #[test]
    fn a_rotation_makes_what_signs_and_lets_the_old_end() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut signing = Signing {
            schemes: vec![Scheme::StandardV1, Scheme::StandardV1a],
            ..Signing::default()
        };
        let mut maker = Counting::default();
        signing.complete(Format::Standard, &mut maker);
        let made = signing.rotate(&mut maker, at(100), at(200));
        assert_eq!((made.len(), signing.secrets.len()), (2, 4));
        let ends = signing.secrets.iter().map(|secret| secret.expires_at);
        assert_eq!(
            ends.collect::<Vec<_>>(),
            [None, None, Some(at(200)), Some(at(200))]
        );
    }

    #[test]
    fn a_change_of_schemes_makes_what_is_missing_and_drops_what_is_left_over() {
        let mut signing = Signing::default();
        let mut maker = Counting::default();
        signing.complete(Format::Standard, &mut maker);
        signing.schemes.push(Scheme::StandardV1a);
        assert_eq!(signing.follow(&mut maker).len(), 1);
        assert_eq!(signing.secrets.len(), 2);
        signing.schemes = vec![Scheme::StandardV1a];
        assert!(signing.follow(&mut maker).is_empty());
        assert_eq!(signing.secrets.len(), 1);
        assert!(signing.secrets[0].public_key.is_some());
    }

    #[test]
    fn the_old_secrets_sign_no_longer_than_before() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let secret = |id: &str, expires_at| SigningSecret {
            expires_at,
            ..SigningSecret::new(id.to_owned(), Secret::new(SYMMETRIC))
        };
        let mut signing = Signing {
            schemes: vec![Scheme::StandardV1],
            secrets: vec![
                secret("for ever", None),
                secret("soon", Some(at(120))),
                secret("ended", Some(at(100))),
            ],
            ..Signing::default()
        };
        signing.exchange(vec![secret("new", None)], at(100), at(200));
        let left: Vec<_> = signing
            .secrets
            .iter()
            .map(|secret| (secret.id.as_str(), secret.expires_at))
            .collect();
        let expected = [
            ("new", None),
            ("for ever", Some(at(200))),
            ("soon", Some(at(120))),
        ];
        assert_eq!(left, expected);
    }

    #[test]
    fn a_secret_for_one_scheme_leaves_those_of_others_in_force() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut signing = Signing {
            schemes: vec![Scheme::StandardV1, Scheme::StandardV1a],
            ..Signing::default()
        };
        signing.complete(Format::Standard, &mut Counting::default());
        let added = SigningSecret::new(String::from("new"), Secret::new(SYMMETRIC));
        signing.exchange(vec![added], at(100), at(200));
        let left: Vec<_> = signing
            .secrets
            .iter()
            .map(|secret| (secret.public_key.is_some(), secret.expires_at))
            .collect();
        assert_eq!(left, [(false, None), (false, Some(at(200))), (true, None)]);
    }
}
