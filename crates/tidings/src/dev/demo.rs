//! `--demo`: a local receiver with a webhook to it, sample events through all three ways in, and
//! each webhook printed as it arrives, its signature verified.

mod account;
mod publish;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use async_nats::jetstream::Context;
use jiff::Timestamp;
use serde_json::json;
use tidings_core::id::WebhookId;
use tidings_core::secret::Secret;
use tidings_core::signature::{VerifyingKey, secret_from_bytes};
use tidings_core::webhook::{Definition, SCHEMA_VERSION, Webhook, check};
use tidings_nats::topology::{SECRET_KEYS_BUCKET, WEBHOOKS_BUCKET};
use tidings_sender::args::{EgressArgs, List, Network};
use tidings_service::lifecycle::Lifecycle;
use tidings_service::{admin, clock};
use tokio::sync::mpsc;
use tokio::time::Instant;
use ulid::Ulid;

use crate::fixtures::{FIXTURES, SPACE};
use crate::listen::print;
use crate::listen::receiver::{Behaviour, Received, receiver};
use account::Account;
pub(super) use publish::Doors;
use publish::{WAYS, publish};

/// The demo's webhook; the same at every start, so that deliveries of the last one arrive as well.
const WEBHOOK_ID: &str = "wh_demo";
/// How long all webhooks may take to arrive.
const PATIENCE: Duration = Duration::from_secs(30);

/// The demo, ready to begin: its receiver listens, and its webhook is stored.
#[derive(Debug)]
pub(super) struct Demo {
    webhook: Webhook,
    arrived: mpsc::Receiver<Received>,
}

/// What came of the demo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Every webhook arrived and was verified.
    Complete,
    /// Some did not, or not in time, or the process was asked to stop before.
    Incomplete,
}

impl Demo {
    /// Starts the receiver and stores the webhook. To be done before the services start, so that
    /// all of them know the webhook when the first event comes.
    ///
    /// # Errors
    /// `egress_allow` forbids a local receiver, or the webhook cannot be stored.
    pub(super) async fn prepare(
        context: &Context,
        egress_allow: List<Network>,
        lifecycle: &Lifecycle,
    ) -> anyhow::Result<Self> {
        let secret = secret_from_bytes(&rand::random());
        let behaviour = Behaviour {
            keys: vec![VerifyingKey::parse(&secret)?],
            fail: None,
            fail_times: None,
            delay: Duration::ZERO,
        };
        let listener = admin::listen(SocketAddr::from(([127, 0, 0, 1], 0)), "demo").await?;
        let url = format!("http://{}/demo", listener.local_addr()?);
        let (routes, arrived) = receiver(behaviour, lifecycle.stop.clone());
        admin::serve(listener, routes, "demo receiver", lifecycle)?;
        let webhook = store_webhook(context, definition(&url, &secret, egress_allow)?).await?;
        Ok(Self { webhook, arrived })
    }

    /// Where the receiver listens.
    pub(super) fn url(&self) -> &str {
        &self.webhook.definition.url
    }

    /// Publishes every fixture through all ways in, prints what arrives, and says at the end how
    /// much of it was right.
    ///
    /// # Errors
    /// An event cannot be published, or standard output cannot be written to.
    pub(super) async fn run(
        &mut self,
        doors: &Doors,
        lifecycle: &Lifecycle,
    ) -> anyhow::Result<Outcome> {
        let now = clock::now();
        let run = Ulid::from_parts(now.as_millisecond().unsigned_abs(), rand::random());
        let mut account = Account::new(&self.webhook, run, now)?;
        print(&format!(
            "demo: publishing {} sample events {} ways, which makes {} webhooks to {}\n",
            FIXTURES.len(),
            WAYS.len(),
            account.expected(),
            self.url()
        ))?;
        let started = Instant::now();
        let deadline = started + PATIENCE;
        let publishing = publish(doors, account.events());
        let arriving = async {
            while !account.is_complete() {
                let Some(received) = self.arrived.recv().await else {
                    break;
                };
                print(&account.take(&received))?;
            }
            anyhow::Ok(())
        };
        let both = async { tokio::try_join!(publishing, arriving) };
        let stopped = lifecycle
            .stop
            .run_until_cancelled(tokio::time::timeout_at(deadline, both));
        let result = stopped.await;
        let seconds = started.elapsed().as_secs_f64();
        print(&account.summary(seconds))?;
        if let Some(Ok(Err(error))) = result {
            return Err(error);
        }
        Ok(account.outcome())
    }

    /// Prints what arrives from now on, until the process is asked to stop.
    ///
    /// # Errors
    /// Standard output cannot be written to.
    pub(super) async fn watch(&mut self, lifecycle: &Lifecycle) -> anyhow::Result<()> {
        while let Some(Some(received)) = lifecycle
            .stop
            .run_until_cancelled(self.arrived.recv())
            .await
        {
            print(&account::line(&received, ""))?;
        }
        Ok(())
    }
}

fn definition(
    url: &str,
    secret: &Secret,
    egress_allow: List<Network>,
) -> anyhow::Result<Definition> {
    let definition: Definition = serde_json::from_value(json!({
        "name": "Demo",
        "description": "The local receiver of `tidings dev --demo`",
        "url": url,
        "topics": ["*.*"],
        "signing": { "secrets": [{ "id": "demo", "key": secret }] },
    }))?;
    let egress = EgressArgs {
        egress_allow: vec![egress_allow],
        ..EgressArgs::default()
    };
    match check(&definition, &egress.url_policy()).first() {
        Some(error) => {
            anyhow::bail!("--demo needs a local receiver, which --egress-allow forbids: {error}")
        }
        None => Ok(definition),
    }
}

/// Stores the webhook under its fixed id, as the next version if there is one.
async fn store_webhook(context: &Context, definition: Definition) -> anyhow::Result<Webhook> {
    let id: WebhookId = WEBHOOK_ID.parse()?;
    let key = format!("{SPACE}.{id}");
    let bucket = context
        .get_key_value(WEBHOOKS_BUCKET)
        .await
        .context(WEBHOOKS_BUCKET)?;
    let stored = bucket.get(&key).await.context(WEBHOOKS_BUCKET)?;
    let last = stored.and_then(|bytes| Webhook::from_stored(&bytes).ok());
    let now: Timestamp = clock::now();
    let webhook = Webhook {
        schema: SCHEMA_VERSION,
        id,
        space: SPACE.parse()?,
        definition,
        created_at: last.as_ref().map_or(now, |last| last.created_at),
        updated_at: now,
        version: last.map_or(1, |last| last.version + 1),
    };
    let keys = context.get_key_value(SECRET_KEYS_BUCKET).await;
    let mut sealed = webhook.clone();
    if let Some(sealer) = tidings_manage::sealer(&keys.context(SECRET_KEYS_BUCKET)?).await? {
        sealer.seal(&mut sealed, None)?;
    }
    bucket
        .put(&key, sealed.to_stored().into())
        .await
        .context(WEBHOOKS_BUCKET)?;
    Ok(webhook)
}
