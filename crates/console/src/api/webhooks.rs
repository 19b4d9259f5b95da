//! Webhooks.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::header::LOCATION;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tidings_core::id::WebhookId;
use tidings_core::name::Space;
use tidings_core::token::Scope;
use tidings_manage::webhook::{Draft, Kept, Saved, Target};
use tidings_service::clock;
use tidings_service::problem::Problem;

use super::extract::{InFields, InPath, InQuery, MayBody, etag, if_match};
use super::schema::{
    MatchInput, PauseInput, SentTest, Webhook, WebhookInput, WebhookPage, WebhookPatch, Window,
    bad_cursor, limit_of,
};
use super::{problem, read_only};
use crate::App;
use crate::auth::Caller;
use crate::view::{DryRunView, HealthView};

const WINDOW_DEFAULT: Duration = Duration::from_secs(24 * 60 * 60);
const WINDOW_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);

type Answer<T = Response> = Result<T, Problem>;

/// List the webhooks of a space, the oldest first.
#[utoipa::path(get, path = "/spaces/{space}/webhooks", tag = "webhooks",
    params(("space" = String, Path), super::schema::PageQuery),
    responses((status = 200, body = WebhookPage)))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    InPath(space): InPath<Space>,
    InQuery(query): InQuery<super::schema::PageQuery>,
) -> Answer<Json<Value>> {
    caller.need(Scope::WebhooksRead, &space)?;
    let limit = limit_of(query.limit)?;
    let after = query.cursor.unwrap_or_default();
    if !after.is_empty() && after.parse::<WebhookId>().is_err() {
        return Err(bad_cursor());
    }
    let mut left = app.manage.webhook_ids(&space).await.map_err(problem)?;
    left.retain(|id| id.as_str() > after.as_str());
    let is_last = left.len() <= limit;
    left.truncate(limit);
    let found = app.manage.webhooks_of(&space, &left).await;
    let found = found.map_err(problem)?;
    let items: Vec<Value> = found.iter().map(Kept::view).collect();
    let next = left.last().filter(|_| !is_last);
    Ok(Json(json!({ "items": items, "nextCursor": next })))
}

/// Create a webhook. The answer holds its signing secret, which is never shown again.
#[utoipa::path(post, path = "/spaces/{space}/webhooks", tag = "webhooks",
    params(("space" = String, Path)), request_body = WebhookInput,
    responses((status = 201, body = Webhook,
        headers(("ETag" = String), ("Location" = String)))))]
pub(super) async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    InPath(space): InPath<Space>,
    fields: Result<InFields, Problem>,
) -> Answer {
    caller.need(Scope::WebhooksWrite, &space)?;
    let InFields(fields) = fields?;
    read_only::check_new(&space, &fields).map_err(problem)?;
    let draft = Draft::from_fields(fields);
    let actor = caller.actor();
    let created = app.manage.create_webhook(&actor, &space, draft, &app.reach);
    let saved = created.await.map_err(problem)?;
    let id = &saved.kept.webhook.id;
    let location = [(LOCATION, format!("/api/v1/spaces/{space}/webhooks/{id}"))];
    Ok((StatusCode::CREATED, location, answer_saved(&saved)).into_response())
}

/// Show a webhook, without its secrets.
#[utoipa::path(get, path = "/spaces/{space}/webhooks/{webhook}", tag = "webhooks",
    params(("space" = String, Path), ("webhook" = String, Path)),
    responses((status = 200, body = Webhook, headers(("ETag" = String)))))]
pub(super) async fn show(
    State(app): State<Arc<App>>,
    caller: Caller,
    InPath((space, id)): InPath<(Space, WebhookId)>,
) -> Answer {
    caller.need(Scope::WebhooksRead, &space)?;
    let kept = app.manage.webhook(&space, &id).await.map_err(problem)?;
    Ok(answer(&kept))
}

/// Replace a webhook. Secrets that answers do not show stay if what they belong to is still named.
#[utoipa::path(put, path = "/spaces/{space}/webhooks/{webhook}", tag = "webhooks",
    params(("space" = String, Path), ("webhook" = String, Path),
        ("If-Match" = Option<String>, Header)),
    request_body = WebhookInput,
    responses((status = 200, body = Webhook, headers(("ETag" = String)))))]
pub(super) async fn put(
    State(app): State<Arc<App>>,
    caller: Caller,
    InPath((space, id)): InPath<(Space, WebhookId)>,
    headers: HeaderMap,
    fields: Result<InFields, Problem>,
) -> Answer {
    caller.need(Scope::WebhooksWrite, &space)?;
    let InFields(fields) = fields?;
    let actor = caller.actor();
    let target = Target {
        actor: &actor,
        space: &space,
        id: &id,
        version: if_match(&headers),
    };
    let updated = app.manage.update_webhook(target, &app.reach, |old| {
        read_only::check_known(old, &fields)?;
        Ok(Draft::replacing(&old.webhook.definition, fields))
    });
    Ok(answer_saved(&updated.await.map_err(problem)?))
}

/// Change some fields of a webhook (JSON merge patch, RFC 7396); `null` takes a field away.
#[utoipa::path(patch, path = "/spaces/{space}/webhooks/{webhook}", tag = "webhooks",
    params(("space" = String, Path), ("webhook" = String, Path),
        ("If-Match" = Option<String>, Header)),
    request_body(content((WebhookPatch = "application/merge-patch+json"),
        (WebhookPatch = "application/json"))),
    responses((status = 200, body = Webhook, headers(("ETag" = String)))))]
pub(super) async fn patch(
    State(app): State<Arc<App>>,
    caller: Caller,
    InPath((space, id)): InPath<(Space, WebhookId)>,
    headers: HeaderMap,
    fields: Result<InFields, Problem>,
) -> Answer {
    caller.need(Scope::WebhooksWrite, &space)?;
    let InFields(fields) = fields?;
    let actor = caller.actor();
    let target = Target {
        actor: &actor,
        space: &space,
        id: &id,
        version: if_match(&headers),
    };
    let updated = app.manage.update_webhook(target, &app.reach, |old| {
        read_only::check_known(old, &fields)?;
        let mut draft = Draft::of(&old.webhook.definition);
        draft.merge(fields);
        Ok(draft)
    });
    Ok(answer_saved(&updated.await.map_err(problem)?))
}

/// Delete a webhook. Deliveries under way end as dead letters.
#[utoipa::path(delete, path = "/spaces/{space}/webhooks/{webhook}", tag = "webhooks",
    params(("space" = String, Path), ("webhook" = String, Path),
        ("If-Match" = Option<String>, Header)),
    responses((status = 204)))]
pub(super) async fn delete(
    State(app): State<Arc<App>>,
    caller: Caller,
    InPath((space, id)): InPath<(Space, WebhookId)>,
    headers: HeaderMap,
) -> Answer<StatusCode> {
    caller.need(Scope::WebhooksWrite, &space)?;
    let actor = caller.actor();
    let target = Target {
        actor: &actor,
        space: &space,
        id: &id,
        version: if_match(&headers),
    };
    app.manage.delete_webhook(target).await.map_err(problem)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Send a test event through the whole pipeline to this webhook and no other.
#[utoipa::path(post, path = "/spaces/{space}/webhooks/{webhook}/test", tag = "webhooks",
    params(("space" = String, Path), ("webhook" = String, Path)),
    responses((status = 202, body = SentTest)))]
pub(super) async fn test(
    State(app): State<Arc<App>>,
    caller: Caller,
    InPath((space, id)): InPath<(Space, WebhookId)>,
) -> Answer {
    caller.need(Scope::WebhooksWrite, &space)?;
    let actor = caller.actor();
    let target = Target {
        actor: &actor,
        space: &space,
        id: &id,
        version: None,
    };
    let sent = app.manage.send_test(target).await.map_err(problem)?;
    let body = json!({ "eventId": sent.event_id, "deliveryId": sent.delivery_id });
    Ok((StatusCode::ACCEPTED, Json(body)).into_response())
}

/// Let deliveries wait, until a time or until the webhook is resumed.
#[utoipa::path(post, path = "/spaces/{space}/webhooks/{webhook}/pause", tag = "webhooks",
    params(("space" = String, Path), ("webhook" = String, Path)),
    request_body(content = Option<PauseInput>),
    responses((status = 200, body = Webhook, headers(("ETag" = String)))))]
pub(super) async fn pause(
    State(app): State<Arc<App>>,
    caller: Caller,
    InPath((space, id)): InPath<(Space, WebhookId)>,
    input: Result<MayBody<PauseInput>, Problem>,
) -> Answer {
    caller.need(Scope::WebhooksWrite, &space)?;
    let MayBody(input) = input?;
    if input.until.is_some_and(|until| until <= clock::now()) {
        let detail = "it is in the past";
        return Err(problem(tidings_manage::Error::field(
            "/until",
            "bad_value",
            detail,
        )));
    }
    let actor = caller.actor();
    let target = Target {
        actor: &actor,
        space: &space,
        id: &id,
        version: None,
    };
    let paused = app.manage.pause_webhook(target, input.until).await;
    Ok(answer(&paused.map_err(problem)?))
}

/// Let deliveries be sent that wait in a pause, slowly at first.
#[utoipa::path(post, path = "/spaces/{space}/webhooks/{webhook}/resume", tag = "webhooks",
    params(("space" = String, Path), ("webhook" = String, Path)),
    responses((status = 200, body = Webhook, headers(("ETag" = String)))))]
pub(super) async fn resume(
    State(app): State<Arc<App>>,
    caller: Caller,
    InPath((space, id)): InPath<(Space, WebhookId)>,
) -> Answer {
    caller.need(Scope::WebhooksWrite, &space)?;
    let actor = caller.actor();
    let target = Target {
        actor: &actor,
        space: &space,
        id: &id,
        version: None,
    };
    let resumed = app.manage.resume_webhook(target).await;
    Ok(answer(&resumed.map_err(problem)?))
}

/// How a webhook fares: success rate, latency, backlog, state.
#[utoipa::path(get, path = "/spaces/{space}/webhooks/{webhook}/health", tag = "webhooks",
    params(("space" = String, Path), ("webhook" = String, Path), Window),
    responses((status = 200, body = HealthView)))]
pub(super) async fn health(
    State(app): State<Arc<App>>,
    caller: Caller,
    InPath((space, id)): InPath<(Space, WebhookId)>,
    InQuery(query): InQuery<Window>,
) -> Answer<Json<HealthView>> {
    caller.need(Scope::WebhooksRead, &space)?;
    let window = match &query.window {
        None => WINDOW_DEFAULT,
        Some(text) => tidings_core::duration::parse(text)
            .ok()
            .filter(|window| !window.is_zero() && *window <= WINDOW_MAX)
            .ok_or_else(|| {
                let detail = "`window` is no duration up to 720h; write it like 24h";
                Problem::new(StatusCode::BAD_REQUEST, "bad_query", detail)
            })?,
    };
    let health = app.webhook_health(&space, &id, window).await;
    Ok(Json(health.map_err(problem)?))
}

/// Which of the newest 1,000 events a webhook with these topics, content types and filters would
/// have got. Nothing is stored.
#[utoipa::path(post, path = "/spaces/{space}/match", tag = "webhooks",
    params(("space" = String, Path)), request_body = MatchInput,
    responses((status = 200, body = DryRunView)))]
pub(super) async fn dry_run(
    State(app): State<Arc<App>>,
    caller: Caller,
    InPath(space): InPath<Space>,
    fields: Result<InFields, Problem>,
) -> Answer<Json<DryRunView>> {
    caller.need(Scope::WebhooksRead, &space)?;
    caller.need(Scope::DeliveriesRead, &space)?;
    let InFields(fields) = fields?;
    let found = app.dry_run(&space, Draft::from_fields(fields)).await;
    Ok(Json(found.map_err(problem)?))
}

pub(super) fn answer(kept: &Kept) -> Response {
    (etag(kept.webhook.version), Json(kept.view())).into_response()
}

/// The same with the signing secret that was made just now, and with warnings.
pub(super) fn answer_saved(saved: &Saved) -> Response {
    let mut shown = saved.view();
    if !saved.warnings.is_empty() {
        shown["warnings"] = json!(saved.warnings);
    }
    (etag(saved.kept.webhook.version), Json(shown)).into_response()
}
