//! Deliveries and dead letters.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde_json::json;
use tidings_core::id::{DeliveryId, WebhookId};
use tidings_core::name::Space;
use tidings_core::token::Scope;
use tidings_service::problem::Problem;

use super::extract::{InPath, InQuery};
use super::problem;
use super::schema::{
    DeliveryPage, DeliveryQuery, LetterPage, LetterQuery, Redelivered, cursor_of, limit_of,
    topic_of,
};
use crate::App;
use crate::auth::Caller;
use crate::log::{DeliveryFilter, LetterFilter};
use crate::view::DeliveryDetail;

/// List the deliveries of a webhook, the newest first. Those of a deleted one stay in the log.
#[utoipa::path(get, path = "/spaces/{space}/webhooks/{webhook}/deliveries", tag = "deliveries",
    params(("space" = String, Path), ("webhook" = String, Path), DeliveryQuery),
    responses((status = 200, body = DeliveryPage)))]
pub(super) async fn of_webhook(
    State(app): State<Arc<App>>,
    caller: Caller,
    InPath((space, id)): InPath<(Space, WebhookId)>,
    InQuery(query): InQuery<DeliveryQuery>,
) -> Result<Json<DeliveryPage>, Problem> {
    caller.need(Scope::DeliveriesRead, &space)?;
    let page = page(&app, &space, Some(id.clone()), query).await?;
    if page.items.is_empty() {
        // Deliveries of a deleted webhook stay in the log; of one that never was there are none.
        app.manage.webhook(&space, &id).await.map_err(problem)?;
    }
    Ok(page)
}

/// List the deliveries of a space, the newest first.
#[utoipa::path(get, path = "/spaces/{space}/deliveries", tag = "deliveries",
    params(("space" = String, Path), DeliveryQuery),
    responses((status = 200, body = DeliveryPage)))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    InPath(space): InPath<Space>,
    InQuery(query): InQuery<DeliveryQuery>,
) -> Result<Json<DeliveryPage>, Problem> {
    caller.need(Scope::DeliveriesRead, &space)?;
    page(&app, &space, None, query).await
}

async fn page(
    app: &App,
    space: &Space,
    webhook: Option<WebhookId>,
    query: DeliveryQuery,
) -> Result<Json<DeliveryPage>, Problem> {
    let limit = limit_of(query.limit)?;
    let cursor = cursor_of(query.cursor.as_deref())?;
    let filter = DeliveryFilter {
        webhook: webhook.map(|id| id.to_string()),
        status: query.status.map(Into::into),
        topic: topic_of(query.topic)?,
        event: query.event_id,
        from: query.from.map(jiff::Timestamp::as_microsecond),
        to: query.to.map(jiff::Timestamp::as_microsecond),
    };
    let found = app.log.deliveries(space.as_str(), filter, cursor, limit);
    let found = found.await.map_err(|error| problem(error.into()))?;
    Ok(Json(DeliveryPage {
        items: found.items.into_iter().map(Into::into).collect(),
        next_cursor: found.next.map(|next| next.to_string()),
        lag: app.log.lag().into(),
    }))
}

/// Show a delivery with every attempt.
#[utoipa::path(get, path = "/spaces/{space}/deliveries/{delivery}", tag = "deliveries",
    params(("space" = String, Path), ("delivery" = String, Path)),
    responses((status = 200, body = DeliveryDetail)))]
pub(super) async fn show(
    State(app): State<Arc<App>>,
    caller: Caller,
    InPath((space, id)): InPath<(Space, DeliveryId)>,
) -> Result<Json<DeliveryDetail>, Problem> {
    caller.need(Scope::DeliveriesRead, &space)?;
    Ok(Json(app.delivery(&space, &id).await.map_err(problem)?))
}

/// Send a delivery again, under the same id and with a whole round of attempts.
#[utoipa::path(post, path = "/spaces/{space}/deliveries/{delivery}/redeliver", tag = "deliveries",
    params(("space" = String, Path), ("delivery" = String, Path)),
    responses((status = 202, body = Redelivered)))]
pub(super) async fn redeliver(
    State(app): State<Arc<App>>,
    caller: Caller,
    InPath((space, id)): InPath<(Space, DeliveryId)>,
) -> Result<Response, Problem> {
    caller.need(Scope::DeliveriesWrite, &space)?;
    let sent = app.redeliver(&caller.actor(), &space, &id).await;
    let next = sent.map_err(problem)?;
    let body = json!({ "deliveryId": id, "nextAttempt": next });
    Ok((StatusCode::ACCEPTED, Json(body)).into_response())
}

/// List what ended without success and was not sent again, the newest first.
#[utoipa::path(get, path = "/spaces/{space}/dead-letters", tag = "deliveries",
    params(("space" = String, Path), LetterQuery),
    responses((status = 200, body = LetterPage)))]
pub(super) async fn dead_letters(
    State(app): State<Arc<App>>,
    caller: Caller,
    InPath(space): InPath<Space>,
    InQuery(query): InQuery<LetterQuery>,
) -> Result<Json<LetterPage>, Problem> {
    caller.need(Scope::DeliveriesRead, &space)?;
    let limit = limit_of(query.limit)?;
    let cursor = cursor_of(query.cursor.as_deref())?;
    let filter = LetterFilter {
        webhook: query.webhook_id,
        reason: query.reason,
    };
    let found = app.log.letters(space.as_str(), filter, cursor, limit);
    let found = found.await.map_err(|error| problem(error.into()))?;
    Ok(Json(LetterPage {
        items: found.items.into_iter().map(Into::into).collect(),
        next_cursor: found.next.map(|next| next.to_string()),
        lag: app.log.lag().into(),
    }))
}
