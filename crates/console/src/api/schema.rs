//! What the API takes and answers, as its description tells. Webhooks pass through as JSON: the
//! definition's own rules read them, so that there is one place that knows its fields.

use std::str::FromStr as _;

use http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidings_core::id::WebhookId;
use tidings_core::name::Space;
use tidings_core::space::{EventRate, SpaceSettings};
use tidings_core::token::Scope;
use tidings_core::topic::{Topic, TopicPattern};
use tidings_manage::replay::{Replay, State};
use tidings_service::problem::Problem as Told;
use utoipa::{IntoParams, ToSchema};

use crate::log::{Cursor, Status};
use crate::ops::NewReplay;
use crate::view::{DeliveryView, EventView, LagView, LetterView};

const LIMIT_DEFAULT: u32 = 50;
const LIMIT_MAX: u32 = 200;

/// How many items a page holds.
pub(super) fn limit_of(limit: Option<u32>) -> Result<usize, Told> {
    match limit.unwrap_or(LIMIT_DEFAULT) {
        limit @ 1..=LIMIT_MAX => Ok(limit as usize),
        limit => Err(bad_query(format!(
            "`limit` is {limit}; give 1 to {LIMIT_MAX}"
        ))),
    }
}

/// Where a page of the log begins.
pub(super) fn cursor_of(cursor: Option<&str>) -> Result<Option<Cursor>, Told> {
    let given = cursor.filter(|text| !text.is_empty());
    let read = given.map(Cursor::from_str).transpose();
    read.map_err(|_| bad_cursor())
}

/// Where a page of a stream begins.
pub(super) fn place_of(cursor: Option<&str>) -> Result<Option<u64>, Told> {
    let given = cursor.filter(|text| !text.is_empty());
    let read = given.map(str::parse).transpose();
    read.map_err(|_| bad_cursor())
}

/// The topic that a list is narrowed to.
pub(super) fn topic_of(topic: Option<String>) -> Result<Option<String>, Told> {
    let given = topic.filter(|text| !text.is_empty());
    let read = given.as_deref().map(Topic::from_str).transpose();
    read.map_err(|error| {
        bad_query(format!(
            "`topic` is not one topic such as `Entry.publish`: {error}"
        ))
    })?;
    Ok(given)
}

pub(super) fn bad_cursor() -> Told {
    bad_query(String::from(
        "`cursor` is none; take it from `nextCursor` of the page before",
    ))
}

fn bad_query(detail: String) -> Told {
    Told::new(StatusCode::BAD_REQUEST, "bad_query", detail)
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// How many items at the most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    pub(super) limit: Option<u32>,
    /// The `nextCursor` of the page before.
    pub(super) cursor: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeliveryQuery {
    /// Only those that stand so; `failed` is another word for `dead`.
    #[param(inline)]
    pub(super) status: Option<StatusInput>,
    /// Only those of events with this topic, in whatever case; one topic, no pattern.
    pub(super) topic: Option<String>,
    /// Only those of this event.
    pub(super) event_id: Option<String>,
    /// Not before.
    pub(super) from: Option<Timestamp>,
    /// Before.
    pub(super) to: Option<Timestamp>,
    /// How many items at the most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    pub(super) limit: Option<u32>,
    /// The `nextCursor` of the page before.
    pub(super) cursor: Option<String>,
}

/// How a delivery stands.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum StatusInput {
    Pending,
    Retrying,
    Delivered,
    Dead,
    Failed,
}

impl From<StatusInput> for Status {
    fn from(status: StatusInput) -> Self {
        match status {
            StatusInput::Pending => Self::Pending,
            StatusInput::Retrying => Self::Retrying,
            StatusInput::Delivered => Self::Delivered,
            StatusInput::Dead | StatusInput::Failed => Self::Dead,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase")]
pub(super) struct LetterQuery {
    /// Only those of this webhook.
    pub(super) webhook_id: Option<String>,
    /// Only those that ended for this reason, such as `exhausted`.
    pub(super) reason: Option<String>,
    /// How many items at the most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    pub(super) limit: Option<u32>,
    /// The `nextCursor` of the page before.
    pub(super) cursor: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase")]
pub(super) struct EventQuery {
    /// Only those with this id.
    pub(super) id: Option<String>,
    /// Only those with this topic, in whatever case; one topic, no pattern.
    pub(super) topic: Option<String>,
    /// Not before.
    pub(super) from: Option<Timestamp>,
    /// Before.
    pub(super) to: Option<Timestamp>,
    /// How many items at the most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    pub(super) limit: Option<u32>,
    /// The `nextCursor` of the page before.
    pub(super) cursor: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Window {
    /// How far back the numbers reach, such as `24h`; at most `720h`.
    #[param(default = "24h")]
    pub(super) window: Option<String>,
}

/// A webhook as it is created or replaced. Everything but `url` and `topics` has a default.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes what the definition itself reads")]
pub(super) struct WebhookInput {
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
pub(super) struct WebhookPatch {
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
pub(super) struct MatchInput {
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
pub(super) struct WebhookRest {
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
pub(super) struct HeaderInput {
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
pub(super) struct BasicAuthInput {
    /// The user's name.
    username: String,
    /// The password, write-only.
    password: Option<String>,
}

/// A webhook, without secrets.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Webhook {
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
pub(super) struct WebhookPage {
    items: Vec<Webhook>,
    next_cursor: Option<String>,
}

/// A test that is on its way.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SentTest {
    /// The test event.
    event_id: String,
    /// Its delivery; look at it to see what becomes of it.
    delivery_id: String,
}

/// How long a pause lasts.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PauseInput {
    /// Until when; until it is resumed if absent.
    pub(super) until: Option<Timestamp>,
}

/// A signing secret to add.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SecretInput {
    /// One that the receiver has already, instead of a new one.
    pub(super) key: Option<String>,
    /// How long the old ones go on signing.
    #[schema(example = "24h")]
    pub(super) grace: Option<String>,
}

/// Deliveries, the newest first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeliveryPage {
    pub(super) items: Vec<DeliveryView>,
    pub(super) next_cursor: Option<String>,
    /// How far the answer is behind.
    pub(super) lag: LagView,
}

/// Dead letters, the newest first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct LetterPage {
    pub(super) items: Vec<LetterView>,
    pub(super) next_cursor: Option<String>,
    /// How far the answer is behind.
    pub(super) lag: LagView,
}

/// Events, the newest first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct EventPage {
    pub(super) items: Vec<EventView>,
    pub(super) next_cursor: Option<String>,
    /// How far the answer is behind.
    pub(super) lag: LagView,
}

/// A delivery that was sent again.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Redelivered {
    /// The same id as before.
    delivery_id: String,
    /// The number of its next attempt.
    next_attempt: u32,
}

/// Which deliveries are sent again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ReplayInput {
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
    pub(super) dry_run: bool,
}

/// Only those that failed.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum OnlyFailed {
    Failed,
}

impl ReplayInput {
    pub(super) fn into_wanted(self, webhook: Option<WebhookId>) -> NewReplay {
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
pub(super) struct ReplayStarted {
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
pub(super) struct ReplayView {
    pub(super) id: String,
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
    pub(super) total: Option<u64>,
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
pub(super) struct ReplayPage {
    pub(super) items: Vec<ReplayView>,
    pub(super) next_cursor: Option<String>,
}

/// A token to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct TokenInput {
    /// What it is for.
    #[serde(default)]
    #[schema(max_length = 256)]
    pub(super) name: String,
    /// The only space it is good for; for every space if absent.
    #[schema(value_type = Option<String>, pattern = "^[A-Za-z0-9_-]{1,64}$")]
    pub(super) space: Option<Space>,
    /// What it may do.
    #[schema(value_type = Vec<ScopeName>, min_items = 1)]
    pub(super) scopes: Vec<Scope>,
    /// When it stops being good; never if absent.
    pub(super) expires_at: Option<Timestamp>,
}

/// What a token may do.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "it describes the core's scopes")]
pub(super) enum ScopeName {
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
pub(super) struct Token {
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
pub(super) struct TokenCreated {
    #[serde(flatten)]
    record: Token,
    /// The token: shown now and never again.
    token: String,
}

/// Tokens, the oldest first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct TokenPage {
    items: Vec<Token>,
    next_cursor: Option<String>,
}

/// Names of spaces, in order.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SpacePage {
    pub(super) items: Vec<String>,
    pub(super) next_cursor: Option<String>,
}

/// Everything that is set for a space.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SpaceInput {
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
pub(super) struct RateInput {
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
pub(super) struct SpaceView {
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
pub(super) struct AuditPage {
    items: Vec<AuditRecord>,
    next_cursor: Option<String>,
}

/// Who changed what.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AuditRecord {
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
pub(super) struct Egress {
    #[schema(value_type = Vec<Object>)]
    pools: Vec<Value>,
}

/// How the installation is doing.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StatusAnswer {
    #[schema(value_type = Vec<Object>)]
    streams: Vec<Value>,
    #[schema(value_type = Vec<Object>)]
    members: Vec<Value>,
    pools: Vec<String>,
    log: LagView,
}

/// Why something was not done (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Problem {
    /// The kind of problem, as a URN.
    r#type: String,
    /// The same for people.
    title: String,
    /// The status code.
    status: u16,
    /// What is wrong here, and what to do about it.
    detail: String,
    /// A stable word for the kind of problem.
    code: String,
    /// The fields that are wrong.
    #[serde(default)]
    errors: Vec<FieldProblem>,
}

/// A field that is wrong.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FieldProblem {
    /// JSON pointer (RFC 6901) to the field.
    pointer: String,
    /// What is wrong with it, and what is allowed.
    detail: String,
}
