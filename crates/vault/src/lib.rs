//! Secrets of webhooks at rest: sealed by whoever stores a webhook, opened by the sender alone.
//!
//! Sealing is HPKE (RFC 9180, base mode): DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and
//! ChaCha20-Poly1305. Who stores webhooks (the command line, the console) has a [`Sealer`], which
//! holds a public key; the sender has the [`KeyRing`] of private keys. What is sealed is bound to
//! its space, its webhook and its field, so that it opens nowhere else. Why so: docs/adr/0008.

mod file;
mod key;
mod ring;
mod sealer;

pub use file::{FileError, append, read};
pub use key::{KeyError, PublicKey};
pub use ring::{KeyRing, OpenError};
pub use sealer::{Foreign, Sealer};

use tidings_core::webhook::Webhook;

type Kem = hpke::kem::X25519HkdfSha256;
type Kdf = hpke::kdf::HkdfSha256;
type Aead = hpke::aead::ChaCha20Poly1305;

const INFO: &[u8] = b"tidings secret 1";

/// What a secret is bound to. None of the parts can hold a line break.
fn place(webhook: &Webhook, field: &str) -> Vec<u8> {
    format!("{}\n{}\n{field}", webhook.space, webhook.id).into_bytes()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;
    use tidings_core::secret::{Sealed, Secret};
    use tidings_core::webhook::SCHEMA_VERSION;

    use super::*;

    fn webhook() -> Webhook {
        let definition = json!({
            "url": "https://a.example.com/", "topics": ["*.*"],
            "headers": [
                { "key": "X-Plain", "value": "seen" },
                { "key": "X-Key", "value": "h3ader", "secret": true },
                { "key": "X-Other", "value": "h3ader", "secret": true },
            ],
            "basicAuth": { "username": "u", "password": "p4ss" },
            "signing": { "secrets": [{ "id": "sec_1", "key": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" }] },
        });
        Webhook {
            schema: SCHEMA_VERSION,
            id: "wh_1".parse().unwrap(),
            space: "acme".parse().unwrap(),
            definition: serde_json::from_value(definition).unwrap(),
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
            version: 1,
        }
    }

    fn ring() -> KeyRing {
        KeyRing::parse(KeyRing::generate().expose()).unwrap()
    }

    fn sealed(webhook: &Webhook, ring: &KeyRing) -> Webhook {
        let sealer = Sealer::new(ring.newest().unwrap());
        let mut sealed = webhook.clone();
        sealer.seal(&mut sealed, None).unwrap();
        Webhook::from_stored(&sealed.to_stored()).unwrap()
    }

    #[test]
    fn what_is_sealed_holds_no_secret_and_opens_to_what_it_was() {
        let (plain, ring) = (webhook(), ring());
        let mut stored = sealed(&plain, &ring);
        let text = String::from_utf8(stored.to_stored()).unwrap();
        for secret in ["h3ader", "p4ss", "MfKQ9r8GKYqr"] {
            assert!(!text.contains(secret), "{text}");
        }
        assert!(text.contains("seen") && text.contains("…LaSw"), "{text}");
        assert_eq!(stored.definition.secrets().count(), 4);
        ring.open(&mut stored).unwrap();
        assert_eq!(stored, plain);
        ring.open(&mut stored).unwrap();
        assert_eq!(stored, plain, "a record from before is read as it is");
    }

    #[test]
    fn a_sealed_secret_opens_nowhere_else() {
        let ring = ring();
        let stored = sealed(&webhook(), &ring);
        let value = |index: usize| stored.definition.headers[index].value.clone();
        let mut moved = stored.clone();
        moved.definition.headers[1].value = value(2);
        let mut elsewhere = stored.clone();
        elsewhere.id = "wh_2".parse().unwrap();
        let mut other_space = stored.clone();
        other_space.space = "other".parse().unwrap();
        let mut changed = stored.clone();
        let mut text = value(1).unwrap().sealed().unwrap().clone();
        text.text.insert_str(0, "AAAA");
        changed.definition.headers[1].value = Some(Secret::from_sealed(text));
        for mut bad in [moved, elsewhere, other_space, changed] {
            let error = ring.open(&mut bad).unwrap_err();
            assert!(matches!(error, OpenError::Closed { .. }), "{error}");
        }
    }

    #[test]
    fn an_old_key_opens_and_one_that_is_missing_is_named() {
        let first = KeyRing::generate();
        let old = KeyRing::parse(first.expose()).unwrap();
        let stored = sealed(&webhook(), &old);
        let both = format!(
            "# keys\n{}\n{}\n",
            first.expose(),
            KeyRing::generate().expose()
        );
        let both = KeyRing::parse(&both).unwrap();
        assert_ne!(both.newest().unwrap().id(), old.newest().unwrap().id());
        both.open(&mut stored.clone()).unwrap();
        let OpenError::UnknownKey { id } = ring().open(&mut stored.clone()).unwrap_err() else {
            panic!("the key is unknown");
        };
        assert_eq!(id, old.newest().unwrap().id());
    }

    #[test]
    fn only_what_lay_there_already_may_come_sealed() {
        let ring = ring();
        let stored = sealed(&webhook(), &ring);
        let sealer = Sealer::new(ring.newest().unwrap());
        let mut kept = stored.clone();
        sealer.seal(&mut kept, Some(&stored.definition)).unwrap();
        assert_eq!(kept, stored);
        let mut foreign = webhook();
        foreign.definition.headers[1].value = Some(Secret::from_sealed(Sealed {
            key_id: String::from("k"),
            text: String::from("AAAA"),
            hint: String::new(),
        }));
        let error = sealer
            .seal(&mut foreign, Some(&stored.definition))
            .unwrap_err();
        assert_eq!(error.field, "headers/x-key");
    }

    #[test]
    fn keys_are_never_shown_and_a_bad_one_is_told_by_its_line() {
        let key = KeyRing::generate();
        let ring = KeyRing::parse(key.expose()).unwrap();
        let hidden = &key.expose()["tdgk_".len()..];
        assert!(!format!("{ring:?}").contains(hidden));
        let bad = format!("{}\ntdgk_s3cret", key.expose());
        let error = KeyRing::parse(&bad).unwrap_err().to_string();
        assert!(
            error.contains("line 2") && !error.contains("s3cret"),
            "{error}"
        );
    }
}
