//! Exchanging a signing secret without a moment in which requests cannot be verified.

use std::time::Duration;

use jiff::Timestamp;
use tidings_core::endpoint_url::UrlPolicy;
use tidings_core::secret::Secret;
use tidings_core::webhook::{Signing, SigningSecret};
use tidings_service::clock;

use super::{Kept, Saved, Target, signing_secret};
use crate::{Error, Manage, Result};

impl Manage {
    /// Adds a signing secret: `key`, or a new one. The old ones go on signing for `grace`.
    ///
    /// # Errors
    /// The webhook is not there or was changed meanwhile, the key cannot be used, or the broker
    /// does not answer.
    pub async fn add_signing_secret(
        &self,
        target: Target<'_>,
        key: Option<Secret>,
        grace: Duration,
    ) -> Result<Saved> {
        let old = self.expect(target).await?;
        let now = clock::now();
        let end = now.checked_add(grace).map_err(|_| {
            let detail = "it reaches beyond all calendars; give less";
            Error::field("/grace", "bad_value", detail)
        })?;
        let is_made = key.is_none();
        let added = signing_secret(key, now);
        let mut definition = old.webhook.definition.clone();
        exchange(&mut definition.signing, added.clone(), now, end);
        let policy = UrlPolicy::default();
        let faults = self
            .faults(&definition, &policy, Some(&old.webhook))
            .await?;
        // Whatever else is wrong with it was so before.
        let is_ours = |pointer: &str| pointer.starts_with("/signing");
        let faults: Vec<_> = faults
            .into_iter()
            .filter(|fault| is_ours(&fault.pointer))
            .collect();
        if !faults.is_empty() {
            return Err(Error::Invalid(faults));
        }
        let kept = self
            .change(target, old, definition, now, "webhook.secret.add")
            .await?;
        Ok(Saved {
            kept,
            made: is_made.then_some(added),
            warnings: Vec::new(),
        })
    }

    /// Removes a signing secret at once.
    ///
    /// # Errors
    /// There is none of this id, nothing would sign without it, the webhook is not there or was
    /// changed meanwhile, or the broker does not answer.
    pub async fn remove_signing_secret(&self, target: Target<'_>, secret: &str) -> Result<Kept> {
        let old = self.expect(target).await?;
        let mut definition = old.webhook.definition.clone();
        let secrets = &mut definition.signing.secrets;
        let count = secrets.len();
        secrets.retain(|own| own.id != secret);
        if secrets.len() == count {
            return Err(Error::not_found("signing secret", secret));
        }
        // Of those that end soon, one would leave the webhook unsigned.
        if !secrets.iter().any(|own| own.expires_at.is_none()) {
            let detail = "nothing would sign without it; add another secret first";
            return Err(Error::conflict("last_secret", detail));
        }
        self.change(
            target,
            old,
            definition,
            clock::now(),
            "webhook.secret.remove",
        )
        .await
    }
}

/// Puts `added` first, lets the others end at `end`, and drops what has ended already.
fn exchange(signing: &mut Signing, added: SigningSecret, now: Timestamp, end: Timestamp) {
    let secrets = &mut signing.secrets;
    secrets.retain(|secret| secret.is_valid(now));
    for secret in secrets.iter_mut() {
        secret.expires_at = Some(secret.expires_at.map_or(end, |own| own.min(end)));
    }
    secrets.insert(0, added);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_secrets_sign_until_the_grace_is_over_and_no_longer_than_before() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let secret = |id: &str, expires_at| SigningSecret {
            id: id.to_owned(),
            key: Secret::new("x"),
            expires_at,
        };
        let mut signing = Signing {
            secrets: vec![
                secret("for ever", None),
                secret("soon", Some(at(120))),
                secret("ended", Some(at(100))),
            ],
            ..Signing::default()
        };
        exchange(&mut signing, secret("new", None), at(100), at(200));
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
}
