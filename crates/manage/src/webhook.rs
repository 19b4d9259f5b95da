//! Webhooks: checked, sealed, stored and recorded.

mod draft;
mod page;
mod reach;
mod secret;
mod state;
mod store;

use jiff::Timestamp;
use serde_json::{Value, json};
use tidings_core::endpoint_url::UrlPolicy;
use tidings_core::id::WebhookId;
use tidings_core::name::Space;
use tidings_core::signature::ENTROPY_BYTES;
use tidings_core::transformation::Address;
use tidings_core::webhook::{
    Definition, EndpointState, FieldError, Maker, SCHEMA_VERSION, SigningSecret, Webhook, check,
    view,
};
use tidings_service::clock;

use crate::audit::Change;
use crate::{Actor, Error, Manage, Result, new_ulid};

pub use draft::{Draft, SERVER_FIELDS, pointer};
pub use reach::{Reach, ReachArgs};

const POOL_POINTER: &str = "/delivery/pool";

/// A webhook as it is kept.
#[derive(Debug, Clone)]
pub struct Kept {
    /// The webhook, its secrets sealed.
    pub webhook: Webhook,
    /// What senders and people said of its endpoint.
    pub state: Option<EndpointState>,
    pub(crate) revision: u64,
}

impl Kept {
    /// The webhook as answers show it, without secrets (CONTRACT.md section 4).
    #[must_use]
    pub fn view(&self) -> Value {
        view(&self.webhook, self.state.as_ref())
    }

    /// The state that holds.
    #[must_use]
    pub fn effective(&self) -> EndpointState {
        EndpointState::effective(&self.webhook, self.state.as_ref())
    }
}

/// A webhook that was stored just now.
#[derive(Debug)]
pub struct Saved {
    /// As it is kept.
    pub kept: Kept,
    /// The signing secrets that were made for it: shown now and never again.
    pub made: Vec<SigningSecret>,
    /// What could not be found out about its endpoint, for people.
    pub warnings: Vec<String>,
}

impl Saved {
    /// The webhook as the answer to its creation shows it: with the signing secrets that were made.
    #[must_use]
    pub fn view(&self) -> Value {
        let mut shown = self.kept.view();
        let secrets = shown
            .pointer_mut("/signing/secrets")
            .and_then(Value::as_array_mut);
        for secret in secrets.into_iter().flatten() {
            let mut made = self.made.iter();
            if let Some(made) = made.find(|made| secret["id"] == made.id.as_str()) {
                secret["key"] = Value::from(made.key.expose());
            }
        }
        shown
    }
}

/// Which change of a webhook is meant.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// Who changes it.
    pub actor: &'a Actor,
    /// The space it belongs to.
    pub space: &'a Space,
    /// Its id.
    pub id: &'a WebhookId,
    /// The version that the caller looked at; any if `None`.
    pub version: Option<u64>,
}

impl Manage {
    /// Creates a webhook, with a signing secret for each scheme unless one is given.
    ///
    /// # Errors
    /// A field cannot be used, the endpoint must not be called, or the broker does not answer.
    pub async fn create_webhook(
        &self,
        actor: &Actor,
        space: &Space,
        draft: Draft,
        reach: &Reach,
    ) -> Result<Saved> {
        let mut definition = draft.finish()?;
        let now = clock::now();
        let made = complete_signing(&mut definition, now);
        self.refuse_faults(&definition, &reach.policy, None).await?;
        let warnings = check_reach(&definition, reach).await?;
        let webhook = Webhook {
            schema: SCHEMA_VERSION,
            id: WebhookId::generate(new_ulid(now)),
            space: space.clone(),
            definition,
            created_at: now,
            updated_at: now,
            version: 1,
        };
        let kept = self.insert(&webhook).await?;
        self.record(Change {
            actor,
            space: Some(space),
            action: "webhook.create",
            target: webhook.id.as_str(),
            old: Value::Null,
            new: kept.view(),
        })
        .await;
        Ok(Saved {
            kept,
            made,
            warnings,
        })
    }

    /// Everything that is wrong with a definition that was not stored, without asking the endpoint;
    /// for forms that tell while somebody types. `old` is the webhook that it would change.
    ///
    /// # Errors
    /// The broker does not answer.
    pub async fn check_webhook(
        &self,
        draft: Draft,
        policy: &UrlPolicy,
        old: Option<&Webhook>,
    ) -> Result<Vec<FieldError>> {
        let mut definition = match draft.finish() {
            Ok(definition) => definition,
            Err(Error::Invalid(faults)) => return Ok(faults),
            Err(other) => return Err(other),
        };
        complete_signing(&mut definition, clock::now());
        self.faults(&definition, policy, old).await
    }

    /// Changes a webhook to what `draft` makes of it. Nothing is stored if that is what it is.
    ///
    /// # Errors
    /// It is not there, was changed meanwhile, a field cannot be used, the new endpoint must not be
    /// called, or the broker does not answer.
    pub async fn update_webhook(
        &self,
        target: Target<'_>,
        reach: &Reach,
        draft: impl FnOnce(&Kept) -> Result<Draft>,
    ) -> Result<Saved> {
        let old = self.expect(target).await?;
        let mut definition = draft(&old)?.finish()?;
        let now = clock::now();
        let made = follow_signing(&mut definition, &old.webhook.definition, now);
        self.refuse_faults(&definition, &reach.policy, Some(&old.webhook))
            .await?;
        let warnings = match definition.url == old.webhook.definition.url {
            true => Vec::new(),
            false => check_reach(&definition, reach).await?,
        };
        let kept = match definition == old.webhook.definition {
            true => old,
            false => {
                self.change(target, old, definition, now, "webhook.update")
                    .await?
            }
        };
        Ok(Saved {
            kept,
            made,
            warnings,
        })
    }

    /// Enables or disables a webhook. Enabling also makes an end of what a sender found out about
    /// the endpoint, such as that it is gone.
    ///
    /// # Errors
    /// It is not there, was changed meanwhile, or the broker does not answer.
    pub async fn enable_webhook(&self, target: Target<'_>, enabled: bool) -> Result<Kept> {
        let old = self.expect(target).await?;
        let definition = Definition {
            enabled,
            ..old.webhook.definition.clone()
        };
        let action = match enabled {
            true => "webhook.enable",
            false => "webhook.disable",
        };
        self.change(target, old, definition, clock::now(), action)
            .await
    }

    /// Deletes a webhook with its history, which holds its secrets. Deliveries under way end as
    /// dead letters.
    ///
    /// # Errors
    /// It is not there, was changed meanwhile, or the broker does not answer.
    pub async fn delete_webhook(&self, target: Target<'_>) -> Result<()> {
        let old = self.expect(target).await?;
        self.remove(&old).await?;
        self.record(Change {
            actor: target.actor,
            space: Some(target.space),
            action: "webhook.delete",
            target: target.id.as_str(),
            old: old.view(),
            new: Value::Null,
        })
        .await;
        Ok(())
    }

    /// The webhook that is to be changed.
    async fn expect(&self, target: Target<'_>) -> Result<Kept> {
        let kept = self.webhook(target.space, target.id).await?;
        let version = kept.webhook.version;
        match target.version {
            Some(wanted) if wanted != version => Err(Error::Stale(format!(
                "{} is at version {version} by now, which is not the one that was named; get it \
                 again",
                target.id
            ))),
            _ => Ok(kept),
        }
    }

    /// Stores the next version of a webhook, and records it.
    async fn change(
        &self,
        target: Target<'_>,
        old: Kept,
        definition: Definition,
        now: Timestamp,
        action: &'static str,
    ) -> Result<Kept> {
        let webhook = Webhook {
            definition,
            updated_at: now,
            version: old.webhook.version.saturating_add(1),
            schema: SCHEMA_VERSION,
            ..old.webhook.clone()
        };
        let kept = self.replace(&webhook, &old).await?;
        self.record(Change {
            actor: target.actor,
            space: Some(target.space),
            action,
            target: target.id.as_str(),
            old: old.view(),
            new: kept.view(),
        })
        .await;
        Ok(kept)
    }

    /// Records what people said of an endpoint.
    async fn record_state(&self, target: Target<'_>, old: &Kept, new: &Kept, action: &'static str) {
        self.record(Change {
            actor: target.actor,
            space: Some(target.space),
            action,
            target: target.id.as_str(),
            old: json!({ "state": old.view()["state"], "version": old.webhook.version }),
            new: json!({ "state": new.view()["state"], "version": new.webhook.version }),
        })
        .await;
    }

    /// Everything that is wrong with a definition and can be told without calling the endpoint.
    async fn faults(
        &self,
        definition: &Definition,
        policy: &UrlPolicy,
        old: Option<&Webhook>,
    ) -> Result<Vec<FieldError>> {
        let mut faults = check(definition, policy);
        if let Err(error) = self.pools().await?.check(&definition.delivery.pool) {
            faults.push(FieldError {
                pointer: String::from(POOL_POINTER),
                code: error.code(),
                detail: error.to_string(),
            });
        }
        if let Some(old) = old {
            // A URL that stays was taken under the policy of its time, and a pool when it was
            // served.
            let is_moved = definition.url != old.definition.url;
            let is_other_pool = definition.delivery.pool != old.definition.delivery.pool;
            faults.retain(|fault| is_moved || fault.pointer != "/url");
            faults.retain(|fault| is_other_pool || fault.pointer != POOL_POINTER);
        }
        Ok(faults)
    }

    async fn refuse_faults(
        &self,
        definition: &Definition,
        policy: &UrlPolicy,
        old: Option<&Webhook>,
    ) -> Result<()> {
        let faults = self.faults(definition, policy, old).await?;
        match faults.is_empty() {
            true => Ok(()),
            false => Err(Error::Invalid(faults)),
        }
    }
}

async fn check_reach(definition: &Definition, reach: &Reach) -> Result<Vec<String>> {
    let address = Address::parse(&definition.url, &reach.policy)
        .map_err(|error| Error::field("/url", error.code(), error.to_string()))?;
    Ok(reach::check(&address, reach).await?.into_iter().collect())
}

/// Names the secrets that were given, and makes those that are missing. Returns what it made.
fn complete_signing(definition: &mut Definition, now: Timestamp) -> Vec<SigningSecret> {
    let format = definition.format;
    definition.signing.complete(format, &mut SecretMaker(now))
}

/// The same for a definition that was changed: one that has other schemes and no other secrets
/// gets the secrets that these need.
fn follow_signing(
    definition: &mut Definition,
    old: &Definition,
    now: Timestamp,
) -> Vec<SigningSecret> {
    let made = complete_signing(definition, now);
    let signing = &mut definition.signing;
    let schemes = old.signing.effective_schemes(old.format);
    match signing.secrets == old.signing.secrets && signing.schemes != schemes {
        true => signing.follow(&mut SecretMaker(now)),
        false => made,
    }
}

/// Ids and randomness of new secrets.
#[derive(Debug)]
struct SecretMaker(Timestamp);

impl Maker for SecretMaker {
    fn id(&mut self) -> String {
        format!("sec_{}", new_ulid(self.0))
    }

    fn entropy(&mut self) -> [u8; ENTROPY_BYTES] {
        rand::random()
    }
}
