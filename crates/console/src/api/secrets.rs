//! Signing secrets.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use tidings_core::id::WebhookId;
use tidings_core::name::Space;
use tidings_core::secret::Secret;
use tidings_core::token::Scope;
use tidings_manage::webhook::Target;
use tidings_service::problem::Problem;

use super::extract::{InPath, MayBody};
use super::problem;
use super::schema::{SecretInput, Webhook};
use super::webhooks::{answer, answer_saved};
use crate::App;
use crate::auth::Caller;

const GRACE_DEFAULT: Duration = Duration::from_secs(24 * 60 * 60);

/// Add a signing secret. The old ones go on signing for a grace period. The answer holds the new
/// secret unless it was given, and it is never shown again.
#[utoipa::path(post, path = "/spaces/{space}/webhooks/{webhook}/secrets", tag = "webhooks",
    params(("space" = String, Path), ("webhook" = String, Path)),
    request_body(content = Option<SecretInput>),
    responses((status = 201, body = Webhook, headers(("ETag" = String)))))]
pub(super) async fn add(
    State(app): State<Arc<App>>,
    caller: Caller,
    InPath((space, id)): InPath<(Space, WebhookId)>,
    input: Result<MayBody<SecretInput>, Problem>,
) -> Result<Response, Problem> {
    caller.need(Scope::WebhooksWrite, &space)?;
    let MayBody(input) = input?;
    let grace = input.grace.as_deref().map(tidings_core::duration::parse);
    let grace = grace.transpose().map_err(|error| {
        let error = error.to_string();
        problem(tidings_manage::Error::field("/grace", "bad_value", error))
    })?;
    let actor = caller.actor();
    let target = Target {
        actor: &actor,
        space: &space,
        id: &id,
        version: None,
    };
    let key = input.key.map(Secret::new);
    let added = app
        .manage
        .add_signing_secret(target, key, grace.unwrap_or(GRACE_DEFAULT));
    let saved = added.await.map_err(problem)?;
    Ok((StatusCode::CREATED, answer_saved(&saved)).into_response())
}

/// Remove a signing secret at once.
#[utoipa::path(delete, path = "/spaces/{space}/webhooks/{webhook}/secrets/{secret}",
    tag = "webhooks",
    params(("space" = String, Path), ("webhook" = String, Path), ("secret" = String, Path)),
    responses((status = 200, body = Webhook, headers(("ETag" = String)))))]
pub(super) async fn remove(
    State(app): State<Arc<App>>,
    caller: Caller,
    InPath((space, id, secret)): InPath<(Space, WebhookId, String)>,
) -> Result<Response, Problem> {
    caller.need(Scope::WebhooksWrite, &space)?;
    let actor = caller.actor();
    let target = Target {
        actor: &actor,
        space: &space,
        id: &id,
        version: None,
    };
    let removed = app.manage.remove_signing_secret(target, &secret).await;
    Ok(answer(&removed.map_err(problem)?))
}
