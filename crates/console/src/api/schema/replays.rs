//! Replays.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tidings_core::id::WebhookId;
use tidings_core::topic::TopicPattern;
use tidings_manage::replay::{Replay, State};
use utoipa::ToSchema;

use crate::ops::NewReplay;

/// Which deliveries are sent again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::api) struct ReplayInput {
    /// Those that began then or later.
    from: Timestamp,
    /// Those that began before; until now if absent.
    to: Option<Timestamp>,
    /// Those of events with one of these topics, such as `Entry.*`.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    topics: Vec<TopicPattern>,
    /// Only those that failed.
    status: Option<OnlyFailed>,
    /// Only count them.
    #[serde(default)]
    pub(in crate::api) dry_run: bool,
}

/// Only those that failed.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::api) enum OnlyFailed {
    Failed,
}

impl ReplayInput {
    pub(in crate::api) fn into_wanted(self, webhook: Option<WebhookId>) -> NewReplay {
        NewReplay {
            webhook,
            from: self.from,
            to: self.to,
            topics: self.topics,
            only_failed: self.status.is_some(),
        }
    }
}

/// A replay, or how large it would be.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct ReplayStarted {
    /// Whether they were only counted.
    dry_run: bool,
    /// How many deliveries there are.
    count: u64,
    /// The replay that began, unless they were only counted.
    replay: Option<ReplayView>,
}

/// How a replay goes on.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct ReplayView {
    pub(in crate::api) id: String,
    space: String,
    /// Of this webhook; of all of the space if null.
    webhook_id: Option<String>,
    from: Timestamp,
    to: Timestamp,
    topics: Vec<String>,
    status: Option<OnlyFailed>,
    /// `running`, `done`, `cancelled` or `failed`.
    #[schema(value_type = String)]
    state: State,
    /// Why it failed.
    detail: String,
    /// How many deliveries per second at most.
    rate: u32,
    /// How many deliveries there were when it began; null until they were counted.
    pub(in crate::api) total: Option<u64>,
    /// How many were sent again.
    sent: u64,
    /// How many could not be.
    skipped: u64,
    /// Why the last of these could not be.
    last_skipped: String,
    created_at: Timestamp,
    updated_at: Timestamp,
    ended_at: Option<Timestamp>,
}

impl From<Replay> for ReplayView {
    fn from(replay: Replay) -> Self {
        let range = replay.range;
        Self {
            id: replay.id,
            space: replay.space.to_string(),
            webhook_id: range.webhook.map(|id| id.to_string()),
            from: range.from,
            to: range.to,
            topics: range.topics.iter().map(ToString::to_string).collect(),
            status: range.only_failed.then_some(OnlyFailed::Failed),
            state: replay.state,
            detail: replay.detail,
            rate: replay.rate,
            total: replay.total,
            sent: replay.sent,
            skipped: replay.skipped,
            last_skipped: replay.last_skipped,
            created_at: replay.created_at,
            updated_at: replay.updated_at,
            ended_at: replay.ended_at,
        }
    }
}

/// Replays, the newest first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct ReplayPage {
    pub(in crate::api) items: Vec<ReplayView>,
    pub(in crate::api) next_cursor: Option<String>,
}
