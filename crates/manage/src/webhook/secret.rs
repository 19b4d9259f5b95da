//! Exchanging a signing secret without a moment in which requests cannot be verified.

use std::time::Duration;

use tidings_core::endpoint_url::UrlPolicy;
use tidings_core::secret::Secret;
use tidings_core::webhook::{Maker as _, SigningSecret};
use tidings_service::clock;

use super::{Kept, Saved, SecretMaker, Target};
use crate::{Error, Manage, Result};

impl Manage {
    /// Adds a signing secret: `key`, or a new one for each scheme. The old ones for the same
    /// schemes go on signing for `grace`.
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
        let mut definition = old.webhook.definition.clone();
        let signing = &mut definition.signing;
        signing.schemes = signing.effective_schemes(definition.format);
        let mut maker = SecretMaker(now);
        let made = match key {
            None => signing.rotate(&mut maker, now, end),
            Some(key) => {
                let added = SigningSecret::new(maker.id(), key);
                signing.exchange(vec![added], now, end);
                Vec::new()
            }
        };
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
            made,
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
        let lasting = |own: &&SigningSecret| own.expires_at.is_none();
        let signing = &definition.signing;
        let lasting: Vec<&SigningSecret> = signing.secrets.iter().filter(lasting).collect();
        let schemes = signing.effective_schemes(definition.format);
        let is_unsigned = |scheme| !lasting.iter().any(|own| own.fits(scheme));
        if lasting.is_empty() || schemes.into_iter().any(is_unsigned) {
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
