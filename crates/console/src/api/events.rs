//! Events.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use tidings_core::id::EventId;
use tidings_core::name::Space;
use tidings_core::token::Scope;
use tidings_service::problem::Problem;

use super::extract::{InPath, InQuery};
use super::problem;
use super::schema::{EventPage, EventQuery, cursor_of, limit_of, topic_of};
use crate::App;
use crate::auth::Caller;
use crate::log::EventFilter;
use crate::view::EventDetail;

/// List what came in, the newest first.
#[utoipa::path(get, path = "/spaces/{space}/events", tag = "events",
    params(("space" = String, Path), EventQuery),
    responses((status = 200, body = EventPage)))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    InPath(space): InPath<Space>,
    InQuery(query): InQuery<EventQuery>,
) -> Result<Json<EventPage>, Problem> {
    caller.need(Scope::DeliveriesRead, &space)?;
    let limit = limit_of(query.limit)?;
    let cursor = cursor_of(query.cursor.as_deref())?;
    let filter = EventFilter {
        id: query.id,
        topic: topic_of(query.topic)?,
        from: query.from.map(jiff::Timestamp::as_microsecond),
        to: query.to.map(jiff::Timestamp::as_microsecond),
    };
    let found = app.log.events(space.as_str(), filter, cursor, limit);
    let found = found.await.map_err(|error| problem(error.into()))?;
    Ok(Json(EventPage {
        items: found.items.into_iter().map(Into::into).collect(),
        next_cursor: found.next.map(|next| next.to_string()),
        lag: app.log.lag().into(),
    }))
}

/// Show an event, and what became of it: for each webhook whether it matched, or why not.
#[utoipa::path(get, path = "/spaces/{space}/events/{event}", tag = "events",
    params(("space" = String, Path), ("event" = String, Path)),
    responses((status = 200, body = EventDetail)))]
pub(super) async fn show(
    State(app): State<Arc<App>>,
    caller: Caller,
    InPath((space, id)): InPath<(Space, EventId)>,
) -> Result<Json<EventDetail>, Problem> {
    caller.need(Scope::DeliveriesRead, &space)?;
    caller.need(Scope::WebhooksRead, &space)?;
    Ok(Json(app.event(&space, &id).await.map_err(problem)?))
}
