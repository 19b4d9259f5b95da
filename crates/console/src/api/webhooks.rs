//! Webhooks.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use http::HeaderMap;
use serde_json::{Value, json};
use tidings_core::name::Space;
use tidings_core::token::Scope;
use tidings_manage::webhook::Kept;
use tidings_service::clock;
use tidings_service::problem::Problem;

use super::problem;
use crate::App;

pub(super) async fn list(
    State(app): State<Arc<App>>,
    Path(space): Path<Space>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    let caller = app.tokens.authenticate(&headers, clock::now())?;
    caller.need(Scope::WebhooksRead, &space)?;
    let found = app.manage.webhooks(Some(&space)).await.map_err(problem)?;
    let items: Vec<Value> = found.iter().map(Kept::view).collect();
    Ok(Json(json!({ "items": items, "nextCursor": null })))
}
