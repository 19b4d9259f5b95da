//! Webhooks, their secrets and pauses. Definitions pass through as JSON: their own rules read them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct Window {
    /// How far back the numbers reach, such as `24h`; at most `720h`.
    #[param(default = "24h")]
    pub(in crate::api) window: Option<String>,
}

/// A webhook as it is created or replaced. Everything but `url` and `topics` has a default.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes what the definition itself reads")]
pub(in crate::api) struct WebhookInput {
    /// Where deliveries go.
    #[schema(max_length = 2048, example = "https://build.example.com/hooks/1")]
    url: String,
    /// Which events it wants.
    #[schema(min_items = 1, max_items = 100, example = json!(["Entry.publish", "*.delete"]))]
    topics: Vec<String>,
    #[serde(flatten)]
    rest: WebhookRest,
}

/// The fields of a webhook that are to be changed; `null` takes a field away.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes what the definition itself reads")]
pub(in crate::api) struct WebhookPatch {
    /// Where deliveries go.
    #[schema(max_length = 2048)]
    url: Option<String>,
    /// Which events it wants.
    #[schema(max_items = 100)]
    topics: Option<Vec<String>>,
    #[serde(flatten)]
    rest: WebhookRest,
}

/// What decides which events a webhook gets.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes what the definition itself reads")]
pub(in crate::api) struct MatchInput {
    /// Which events it wants.
    #[schema(min_items = 1, max_items = 100, example = json!(["Entry.publish", "*.delete"]))]
    topics: Vec<String>,
    /// Which content types; all if empty.
    #[schema(max_items = 100)]
    content_types: Option<Vec<String>>,
    /// Further conditions.
    filters: Option<Vec<Value>>,
}

/// The fields of a webhook that may be left out.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes what the definition itself reads")]
pub(in crate::api) struct WebhookRest {
    /// What people call it.
    #[schema(max_length = 256)]
    name: Option<String>,
    /// What it is for.
    #[schema(max_length = 4096)]
    description: Option<String>,
    /// While `false`, nothing is sent.
    enabled: Option<bool>,
    /// Which content types; all if empty.
    #[schema(max_items = 100)]
    content_types: Option<Vec<String>>,
    /// Further conditions.
    filters: Option<Vec<Value>>,
    /// Custom headers. A secret one keeps its value if it is left out.
    headers: Option<Vec<HeaderInput>>,
    /// HTTP basic authentication. The password stays if it is left out.
    basic_auth: Option<BasicAuthInput>,
    /// The shape of what the receiver sees.
    format: Option<String>,
    /// Method, content type and body template.
    #[schema(value_type = Option<Object>)]
    transformation: Option<Value>,
    /// How requests are signed.
    #[schema(value_type = Option<Object>)]
    signing: Option<Value>,
    /// Retries, timeouts and limits.
    #[schema(value_type = Option<Object>)]
    delivery: Option<Value>,
}

/// A custom header.
#[derive(Debug, Deserialize, ToSchema)]
#[expect(dead_code, reason = "it describes what the definition itself reads")]
pub(in crate::api) struct HeaderInput {
    /// Its name.
    key: String,
    /// Its value.
    value: Option<String>,
    /// Whether the value is write-only.
    #[serde(default)]
    secret: bool,
}

/// HTTP basic authentication.
#[derive(Debug, Deserialize, ToSchema)]
#[expect(dead_code, reason = "it describes what the definition itself reads")]
pub(in crate::api) struct BasicAuthInput {
    /// The user's name.
    username: String,
    /// The password, write-only.
    password: Option<String>,
}

/// A webhook, without secrets.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct Webhook {
    id: String,
    space: String,
    name: String,
    description: String,
    url: String,
    enabled: bool,
    topics: Vec<String>,
    content_types: Vec<String>,
    filters: Vec<Value>,
    /// A secret one has no value.
    #[schema(value_type = Vec<Object>)]
    headers: Vec<Value>,
    format: String,
    /// Schemes, and secrets with their hints. `key` is there once, when the secret was made.
    #[schema(value_type = Object)]
    signing: Value,
    #[schema(value_type = Object)]
    delivery: Value,
    state: crate::view::StateView,
    created_at: Timestamp,
    updated_at: Timestamp,
    /// Counts its definitions; also its `ETag`.
    version: u64,
}

/// Webhooks, the oldest first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct WebhookPage {
    items: Vec<Webhook>,
    next_cursor: Option<String>,
}

/// A test that is on its way.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct SentTest {
    /// The test event.
    event_id: String,
    /// Its delivery; look at it to see what becomes of it.
    delivery_id: String,
}

/// How long a pause lasts.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct PauseInput {
    /// Until when; until it is resumed if absent.
    pub(in crate::api) until: Option<Timestamp>,
}

/// A signing secret to add.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct SecretInput {
    /// One that the receiver has already, instead of a new one.
    pub(in crate::api) key: Option<String>,
    /// How long the old ones go on signing.
    #[schema(example = "24h")]
    pub(in crate::api) grace: Option<String>,
}
