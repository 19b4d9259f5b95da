//! Webhooks as the management API and `tidings webhook` store them.

use futures_util::future::join_all;
use jiff::Timestamp;
use serde_json::{Value, json};
use tidings_core::secret::Secret;
use tidings_core::signature::SigningKey;
use tidings_core::webhook::{SCHEMA_VERSION, Webhook};
use tidings_nats::topology::{ENDPOINT_STATE_BUCKET, WEBHOOKS_BUCKET};
use tidings_testkit::Request;

use super::Platform;

/// The secret of every webhook of these tests.
pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A webhook on its way into the bucket.
#[derive(Debug)]
pub(crate) struct WebhookBuilder<'a> {
    platform: &'a Platform,
    space: String,
    version: u64,
    definition: Value,
}

impl Platform {
    /// A webhook of the space `acme` that wants what happens to content, is tried again after 50 ms,
    /// and has no rate to speak of.
    pub(crate) fn webhook(&self, url: impl Into<String>) -> WebhookBuilder<'_> {
        WebhookBuilder {
            platform: self,
            space: "acme".to_owned(),
            version: 1,
            definition: json!({
                "url": url.into(),
                "topics": ["Entry.*", "Asset.*", "ContentType.*"],
                "signing": { "secrets": [{ "id": "sec_1", "key": SECRET }] },
                "delivery": {
                    "retrySchedule": ["50ms"],
                    "rateLimit": { "requests": 100_000, "per": "1s" },
                },
            }),
        }
    }

    /// Stores the next version of a webhook and waits until everybody knows it.
    pub(crate) async fn change(&self, webhook: &mut Webhook, change: impl FnOnce(&mut Webhook)) {
        change(webhook);
        webhook.version += 1;
        self.store(webhook).await;
    }

    /// Deletes a webhook, and waits until everybody knows.
    pub(crate) async fn delete(&self, webhook: &Webhook) {
        let bucket = self.webhooks().await;
        let key = key(webhook);
        bucket.delete(&key).await.expect("a webhook can be deleted");
        let entry = bucket.entry(&key).await.expect("the bucket answers");
        let revision = entry.expect("a deletion is an entry").revision;
        self.until_known(&key, revision).await;
    }

    /// Stores a webhook and waits until everybody knows it.
    pub(crate) async fn store(&self, webhook: &Webhook) {
        let stored = self
            .webhooks()
            .await
            .put(key(webhook), webhook.to_stored().into())
            .await;
        let revision = stored.expect("a webhook can be stored");
        self.until_known(&key(webhook), revision).await;
    }

    /// Stores many webhooks and waits until everybody knows them all.
    pub(crate) async fn store_all(&self, webhooks: &[Webhook]) {
        let revisions = self.put_all(webhooks).await;
        // A bucket is applied in its order.
        if let Some((webhook, revision)) = webhooks.last().zip(revisions.last()) {
            self.until_known(&key(webhook), *revision).await;
        }
    }

    /// Stores many webhooks and waits for nobody.
    pub(crate) async fn put_all(&self, webhooks: &[Webhook]) -> Vec<u64> {
        let bucket = self.webhooks().await;
        let mut revisions = Vec::with_capacity(webhooks.len());
        for webhook in webhooks {
            let stored = bucket.put(key(webhook), webhook.to_stored().into()).await;
            revisions.push(stored.expect("a webhook can be stored"));
        }
        revisions
    }

    async fn webhooks(&self) -> async_nats::jetstream::kv::Store {
        let bucket = self.context.get_key_value(WEBHOOKS_BUCKET).await;
        bucket.expect("the bucket is provisioned")
    }

    /// Waits until every router knows the first state that senders recorded of an endpoint.
    pub(crate) async fn until_endpoint_state_known(&self, webhook: &Webhook) {
        let key = key(webhook);
        let states = self
            .routers
            .iter()
            .map(|router| router.until_known(ENDPOINT_STATE_BUCKET, &key, 1));
        join_all(states).await;
    }

    async fn until_known(&self, key: &str, revision: u64) {
        let known = self
            .consumers()
            .map(|it| it.until_known(WEBHOOKS_BUCKET, key, revision));
        join_all(known).await;
    }
}

impl WebhookBuilder<'_> {
    pub(crate) fn space(mut self, space: &str) -> Self {
        self.space = space.to_owned();
        self
    }

    pub(crate) fn pool(self, name: &str) -> Self {
        self.set("/delivery/pool", json!(name))
    }

    pub(crate) fn topics<const N: usize>(self, topics: [&str; N]) -> Self {
        self.set("/topics", json!(topics.to_vec()))
    }

    pub(crate) fn content_types<const N: usize>(self, content_types: [&str; N]) -> Self {
        self.set("/contentTypes", json!(content_types.to_vec()))
    }

    /// The waits between attempts.
    pub(crate) fn retry<const N: usize>(self, waits: [&str; N]) -> Self {
        self.set("/delivery/retrySchedule", json!(waits.to_vec()))
    }

    pub(crate) fn max_retries(self, retries: u32) -> Self {
        self.set("/delivery/maxRetries", json!(retries))
    }

    pub(crate) fn timeout(self, timeout: &str) -> Self {
        self.set("/delivery/timeout", json!(timeout))
    }

    /// Nothing slows it down.
    pub(crate) fn unlimited(self) -> Self {
        self.set(
            "/delivery/rateLimit",
            json!({ "requests": 1_000_000, "per": "1s" }),
        )
        .set("/delivery/maxInFlight", json!(1_000))
    }

    pub(crate) fn disabled(self) -> Self {
        self.set("/enabled", json!(false))
    }

    /// Sets one field of the definition, named by its JSON pointer.
    pub(crate) fn set(mut self, pointer: &str, value: Value) -> Self {
        let (parent, field) = pointer.rsplit_once('/').expect("a JSON pointer");
        let parent = self
            .definition
            .pointer_mut(parent)
            .expect("a part of a definition");
        parent[field] = value;
        self
    }

    /// The record, which is not stored yet.
    pub(crate) fn record(self) -> Webhook {
        let id = self.platform.unused_name("wh_");
        Webhook {
            schema: SCHEMA_VERSION,
            id: id.parse().expect("a webhook id"),
            space: self.space.parse().expect("a space"),
            definition: serde_json::from_value(self.definition).expect("a definition"),
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
            version: self.version,
        }
    }

    /// Stores it and waits until every router and sender knows it.
    pub(crate) async fn create(self) -> Webhook {
        let platform = self.platform;
        let webhook = self.record();
        platform.store(&webhook).await;
        webhook
    }
}

fn key(webhook: &Webhook) -> String {
    format!("{}.{}", webhook.space, webhook.id)
}

/// Asserts that a request carries a signature of the webhooks' secret over its own bytes.
#[track_caller]
pub(crate) fn assert_signed(request: &Request) {
    let key = SigningKey::parse(&Secret::new(SECRET)).expect("a secret");
    let header = |name| {
        request
            .header(name)
            .unwrap_or_else(|| panic!("no {name}: {request:?}"))
    };
    let timestamp = header("webhook-timestamp").parse().expect("seconds");
    let id = header("webhook-id");
    let signatures = header("webhook-signature");
    assert!(
        key.verify(signatures, id, timestamp, &request.body),
        "{request:?}"
    );
    let age = request.arrived.as_second() - timestamp;
    assert!(
        (0..=5).contains(&age),
        "signed {age} s before it arrived: {request:?}"
    );
}
