//! What admins keep: tokens, spaces, records of changes; and what is told of the installation.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidings_core::name::Space;
use tidings_core::space::{EventRate, SpaceSettings};
use tidings_core::token::Scope;
use utoipa::ToSchema;

use crate::view::LagView;

/// A token to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::api) struct TokenInput {
    /// What it is for.
    #[serde(default)]
    #[schema(max_length = 256)]
    pub(in crate::api) name: String,
    /// The only space it is good for; for every space if absent.
    #[schema(value_type = Option<String>, pattern = "^[A-Za-z0-9_-]{1,64}$")]
    pub(in crate::api) space: Option<Space>,
    /// What it may do.
    #[schema(value_type = Vec<ScopeName>, min_items = 1)]
    pub(in crate::api) scopes: Vec<Scope>,
    /// When it stops being good; never if absent.
    pub(in crate::api) expires_at: Option<Timestamp>,
}

/// What a token may do.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "it describes the core's scopes")]
pub(in crate::api) enum ScopeName {
    #[schema(rename = "admin")]
    Admin,
    #[schema(rename = "events:write")]
    EventsWrite,
    #[schema(rename = "webhooks:read")]
    WebhooksRead,
    #[schema(rename = "webhooks:write")]
    WebhooksWrite,
    #[schema(rename = "deliveries:read")]
    DeliveriesRead,
    #[schema(rename = "deliveries:write")]
    DeliveriesWrite,
}

/// What is known of a token.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct Token {
    id: String,
    name: String,
    space: Option<String>,
    scopes: Vec<ScopeText>,
    created_at: Timestamp,
    expires_at: Option<Timestamp>,
}

type ScopeText = String;

/// A token that was made just now.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct TokenCreated {
    #[serde(flatten)]
    record: Token,
    /// The token: shown now and never again.
    token: String,
}

/// Tokens, the oldest first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct TokenPage {
    items: Vec<Token>,
    next_cursor: Option<String>,
}

/// Names of spaces, in order.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct SpacePage {
    pub(in crate::api) items: Vec<String>,
    pub(in crate::api) next_cursor: Option<String>,
}

/// Everything that is set for a space.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::api) struct SpaceInput {
    /// What people call it.
    #[serde(default)]
    #[schema(max_length = 256)]
    name: String,
    /// How many events it may publish; as ingest's own setting says if absent.
    #[schema(value_type = Option<RateInput>)]
    ingest_rate: Option<EventRate>,
}

/// How many events a space may publish.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes the core's own type")]
pub(in crate::api) struct RateInput {
    /// In events per second; 0 for any number.
    #[schema(maximum = 1_000_000)]
    events_per_second: u32,
    /// How many at once before the rate holds.
    #[schema(minimum = 1, maximum = 1_000_000)]
    burst: Option<u32>,
}

impl From<SpaceInput> for SpaceSettings {
    fn from(input: SpaceInput) -> Self {
        Self {
            name: input.name,
            ingest_rate: input.ingest_rate,
        }
    }
}

/// What is set for a space.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct SpaceView {
    id: String,
    name: String,
    #[schema(value_type = Option<Object>)]
    ingest_rate: Option<Value>,
    /// Also its `ETag`; 0 if nothing was ever set.
    version: u64,
}

/// Records of changes, the newest first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct AuditPage {
    items: Vec<AuditRecord>,
    next_cursor: Option<String>,
}

/// Who changed what.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct AuditRecord {
    id: String,
    at: Timestamp,
    /// Who: the token's id and name, and the way they came.
    #[schema(value_type = Object)]
    actor: Value,
    /// Such as `webhook.update`.
    action: String,
    /// What it was done to.
    target: String,
}

/// Pools with the addresses and blocks that they send from.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct Egress {
    #[schema(value_type = Vec<Object>)]
    pools: Vec<Value>,
}

/// How the installation is doing.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct StatusAnswer {
    #[schema(value_type = Vec<Object>)]
    streams: Vec<Value>,
    #[schema(value_type = Vec<Object>)]
    members: Vec<Value>,
    pools: Vec<String>,
    log: LagView,
}
