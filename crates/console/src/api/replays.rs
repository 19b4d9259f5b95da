//! Replays.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::header::LOCATION;
use serde_json::json;
use tidings_core::id::WebhookId;
use tidings_core::name::Space;
use tidings_core::token::Scope;
use tidings_service::problem::Problem;

use super::extract::{InBody, InPath, InQuery};
use super::problem;
use super::schema::{PageQuery, ReplayInput, ReplayPage, ReplayStarted, ReplayView, limit_of};
use crate::App;
use crate::auth::Caller;

/// Send the deliveries of a webhook again that began in a span of time. With `dryRun` they are
/// only counted.
#[utoipa::path(post, path = "/spaces/{space}/webhooks/{webhook}/replay", tag = "replays",
    params(("space" = String, Path), ("webhook" = String, Path)), request_body = ReplayInput,
    responses((status = 200, body = ReplayStarted), (status = 202, body = ReplayStarted)))]
pub(super) async fn of_webhook(
    State(app): State<Arc<App>>,
    caller: Caller,
    InPath((space, id)): InPath<(Space, WebhookId)>,
    input: Result<InBody<ReplayInput>, Problem>,
) -> Result<Response, Problem> {
    start(&app, &caller, &space, Some(id), input).await
}

/// The same for all webhooks of a space.
#[utoipa::path(post, path = "/spaces/{space}/replays", tag = "replays",
    params(("space" = String, Path)), request_body = ReplayInput,
    responses((status = 200, body = ReplayStarted), (status = 202, body = ReplayStarted)))]
pub(super) async fn of_space(
    State(app): State<Arc<App>>,
    caller: Caller,
    InPath(space): InPath<Space>,
    input: Result<InBody<ReplayInput>, Problem>,
) -> Result<Response, Problem> {
    start(&app, &caller, &space, None, input).await
}

async fn start(
    app: &App,
    caller: &Caller,
    space: &Space,
    webhook: Option<WebhookId>,
    input: Result<InBody<ReplayInput>, Problem>,
) -> Result<Response, Problem> {
    caller.need(Scope::DeliveriesWrite, space)?;
    let InBody(input) = input?;
    let is_dry = input.dry_run;
    let wanted = input.into_wanted(webhook);
    if is_dry {
        let counted = app.count_replay(space, &wanted).await.map_err(problem)?;
        let body = json!({ "dryRun": true, "count": counted, "replay": null });
        return Ok(Json(body).into_response());
    }
    let started = app.start_replay(&caller.actor(), space, &wanted).await;
    let replay = ReplayView::from(started.map_err(problem)?);
    let location = [(
        LOCATION,
        format!("/api/v1/spaces/{space}/replays/{}", replay.id),
    )];
    let body = json!({ "dryRun": false, "count": replay.total, "replay": replay });
    Ok((StatusCode::ACCEPTED, location, Json(body)).into_response())
}

/// List the replays of a space, the newest first.
#[utoipa::path(get, path = "/spaces/{space}/replays", tag = "replays",
    params(("space" = String, Path), PageQuery),
    responses((status = 200, body = ReplayPage)))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    InPath(space): InPath<Space>,
    InQuery(query): InQuery<PageQuery>,
) -> Result<Json<ReplayPage>, Problem> {
    caller.need(Scope::DeliveriesRead, &space)?;
    let limit = limit_of(query.limit)?;
    let found = app.manage.replays(Some(&space)).await.map_err(problem)?;
    let is_left = |id: &str| query.cursor.as_deref().is_none_or(|cursor| id < cursor);
    let mut left = found
        .into_iter()
        .filter(|replay| !replay.only_count && is_left(&replay.id));
    let items: Vec<ReplayView> = left.by_ref().take(limit).map(Into::into).collect();
    let next_cursor = left.next().and(items.last()).map(|last| last.id.clone());
    Ok(Json(ReplayPage { items, next_cursor }))
}

/// Show how a replay goes on.
#[utoipa::path(get, path = "/spaces/{space}/replays/{replay}", tag = "replays",
    params(("space" = String, Path), ("replay" = String, Path)),
    responses((status = 200, body = ReplayView)))]
pub(super) async fn show(
    State(app): State<Arc<App>>,
    caller: Caller,
    InPath((space, id)): InPath<(Space, String)>,
) -> Result<Json<ReplayView>, Problem> {
    caller.need(Scope::DeliveriesRead, &space)?;
    let replay = app.manage.replay(&space, &id).await.map_err(problem)?;
    Ok(Json(replay.into()))
}

/// Stop a replay. What was sent again stays so.
#[utoipa::path(delete, path = "/spaces/{space}/replays/{replay}", tag = "replays",
    params(("space" = String, Path), ("replay" = String, Path)),
    responses((status = 200, body = ReplayView)))]
pub(super) async fn cancel(
    State(app): State<Arc<App>>,
    caller: Caller,
    InPath((space, id)): InPath<(Space, String)>,
) -> Result<Json<ReplayView>, Problem> {
    caller.need(Scope::DeliveriesWrite, &space)?;
    let cancelled = app.manage.cancel_replay(&caller.actor(), &space, &id).await;
    Ok(Json(cancelled.map_err(problem)?.into()))
}
