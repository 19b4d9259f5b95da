//! What is about the whole installation: tokens, spaces, records of changes, egress, status.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tidings_core::name::Space;
use tidings_core::space::SpaceSettings;
use tidings_core::token::Scope;
use tidings_manage::space::KeptSpace;
use tidings_manage::token::{Expiry, NewToken};
use tidings_service::problem::Problem;

use super::extract::{InBody, InPath, InQuery, etag, if_match};
use super::problem;
use super::schema::{
    AuditPage, Egress, PageQuery, SpaceInput, SpacePage, SpaceView, StatusAnswer, TokenCreated,
    TokenInput, TokenPage, limit_of, place_of,
};
use crate::App;
use crate::auth::Caller;

/// The addresses that requests come from, for receivers to let in. Needs no token.
#[utoipa::path(get, path = "/egress", tag = "installation", security(()),
    responses((status = 200, body = Egress)))]
pub(super) async fn egress(State(app): State<Arc<App>>) -> Result<Response, Problem> {
    Ok(Json(app.manage.egress().await.map_err(problem)?).into_response())
}

/// List all tokens. The tokens themselves are not stored.
#[utoipa::path(get, path = "/tokens", tag = "installation", params(PageQuery),
    responses((status = 200, body = TokenPage)))]
pub(super) async fn tokens(
    State(app): State<Arc<App>>,
    caller: Caller,
    InQuery(query): InQuery<PageQuery>,
) -> Result<Json<Value>, Problem> {
    caller.need_admin()?;
    let limit = limit_of(query.limit)?;
    let found = app.manage.tokens(None).await.map_err(problem)?;
    let after = query.cursor.unwrap_or_default();
    let mut left = found.into_iter().filter(|token| token.id > after);
    let items: Vec<_> = left.by_ref().take(limit).collect();
    let next = left.next().and(items.last()).map(|last| last.id.clone());
    Ok(Json(json!({ "items": items, "nextCursor": next })))
}

/// Create a token. The answer holds it, and it is never shown again.
#[utoipa::path(post, path = "/tokens", tag = "installation", request_body = TokenInput,
    responses((status = 201, body = TokenCreated)))]
pub(super) async fn create_token(
    State(app): State<Arc<App>>,
    caller: Caller,
    input: Result<InBody<TokenInput>, Problem>,
) -> Result<Response, Problem> {
    caller.need_admin()?;
    let InBody(input) = input?;
    let wanted = NewToken {
        name: input.name,
        space: input.space,
        scopes: input.scopes,
        expires: input.expires_at.map_or(Expiry::Never, Expiry::At),
    };
    let created = app.manage.create_token(&caller.actor(), wanted).await;
    let (record, token) = created.map_err(problem)?;
    let mut shown = json!(record);
    shown["token"] = Value::from(token.expose());
    Ok((StatusCode::CREATED, Json(shown)).into_response())
}

/// Make a token good for nothing.
#[utoipa::path(delete, path = "/tokens/{token}", tag = "installation",
    params(("token" = String, Path)), responses((status = 204)))]
pub(super) async fn revoke_token(
    State(app): State<Arc<App>>,
    caller: Caller,
    InPath(id): InPath<String>,
) -> Result<StatusCode, Problem> {
    caller.need_admin()?;
    if caller.token.id == id {
        let detail = "this request was made with it; revoke it with another token, so that nobody \
                      locks themselves out";
        return Err(problem(tidings_manage::Error::conflict(
            "own_token",
            detail,
        )));
    }
    let revoked = app.manage.revoke_token(&caller.actor(), &id).await;
    revoked.map_err(problem)?;
    Ok(StatusCode::NO_CONTENT)
}

/// List the spaces that have settings, webhooks or tokens.
#[utoipa::path(get, path = "/spaces", tag = "installation", params(PageQuery),
    responses((status = 200, body = SpacePage)))]
pub(super) async fn spaces(
    State(app): State<Arc<App>>,
    caller: Caller,
    InQuery(query): InQuery<PageQuery>,
) -> Result<Json<SpacePage>, Problem> {
    caller.need_admin()?;
    let limit = limit_of(query.limit)?;
    let found = app.manage.spaces().await.map_err(problem)?;
    let after = query.cursor.unwrap_or_default();
    let mut left = found
        .into_iter()
        .filter(|space| space.as_str() > after.as_str());
    let items: Vec<String> = left
        .by_ref()
        .take(limit)
        .map(|space| space.to_string())
        .collect();
    let next_cursor = left.next().and(items.last().cloned());
    Ok(Json(SpacePage { items, next_cursor }))
}

/// Show what is set for a space.
#[utoipa::path(get, path = "/spaces/{space}", tag = "installation",
    params(("space" = String, Path)),
    responses((status = 200, body = SpaceView, headers(("ETag" = String)))))]
pub(super) async fn show_space(
    State(app): State<Arc<App>>,
    caller: Caller,
    InPath(space): InPath<Space>,
) -> Result<Response, Problem> {
    caller.need_admin()?;
    let kept = app.manage.space(&space).await.map_err(problem)?;
    Ok(answer_space(&space, &kept))
}

/// Set everything for a space.
#[utoipa::path(put, path = "/spaces/{space}", tag = "installation",
    params(("space" = String, Path), ("If-Match" = Option<String>, Header)),
    request_body = SpaceInput,
    responses((status = 200, body = SpaceView, headers(("ETag" = String)))))]
pub(super) async fn put_space(
    State(app): State<Arc<App>>,
    caller: Caller,
    InPath(space): InPath<Space>,
    headers: HeaderMap,
    input: Result<InBody<SpaceInput>, Problem>,
) -> Result<Response, Problem> {
    caller.need_admin()?;
    let InBody(input) = input?;
    let settings: SpaceSettings = input.into();
    let actor = caller.actor();
    let put = app
        .manage
        .put_space(&actor, &space, settings, if_match(&headers));
    Ok(answer_space(&space, &put.await.map_err(problem)?))
}

fn answer_space(space: &Space, kept: &KeptSpace) -> Response {
    let mut shown = json!(kept.settings);
    shown["id"] = json!(space);
    shown["version"] = json!(kept.version);
    (etag(kept.version), Json(shown)).into_response()
}

/// List who changed what, the newest first.
#[utoipa::path(get, path = "/audit", tag = "installation", params(PageQuery),
    responses((status = 200, body = AuditPage)))]
pub(super) async fn audit(
    State(app): State<Arc<App>>,
    caller: Caller,
    InQuery(query): InQuery<PageQuery>,
) -> Result<Json<Value>, Problem> {
    caller.need_admin()?;
    records(&app, None, &query).await
}

/// List who changed what in a space, the newest first.
#[utoipa::path(get, path = "/spaces/{space}/audit", tag = "installation",
    params(("space" = String, Path), PageQuery),
    responses((status = 200, body = AuditPage)))]
pub(super) async fn audit_of_space(
    State(app): State<Arc<App>>,
    caller: Caller,
    InPath(space): InPath<Space>,
    InQuery(query): InQuery<PageQuery>,
) -> Result<Json<Value>, Problem> {
    caller.need(Scope::WebhooksRead, &space)?;
    records(&app, Some(&space), &query).await
}

async fn records(
    app: &App,
    space: Option<&Space>,
    query: &PageQuery,
) -> Result<Json<Value>, Problem> {
    let limit = limit_of(query.limit)?;
    let before = place_of(query.cursor.as_deref())?;
    let page = app.manage.records(space, before, limit).await;
    let page = page.map_err(problem)?;
    let next = page.next.map(|place| place.to_string());
    Ok(Json(json!({ "items": page.items, "nextCursor": next })))
}

/// How the installation is doing: what waits in each stream, and who is alive.
#[utoipa::path(get, path = "/status", tag = "installation",
    responses((status = 200, body = StatusAnswer)))]
pub(super) async fn status(
    State(app): State<Arc<App>>,
    caller: Caller,
) -> Result<Json<Value>, Problem> {
    caller.need_admin()?;
    let status = app.manage.status().await.map_err(problem)?;
    let mut shown = json!(status);
    shown["log"] = json!(crate::view::LagView::from(app.log.lag()));
    Ok(Json(shown))
}
