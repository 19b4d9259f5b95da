//! What `tidings dev` answers where the console will be: health and metrics of the whole process,
//! and how to do without a console.

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::get;
use tidings_service::admin;
use tidings_service::health::Health;

use super::services::Services;

const PAGE: &str = "\
Tidings runs. There is no console in this version; use the command line:

  tidings webhook create --help     subscribe an endpoint to events
  tidings event send --help         publish an event
  tidings delivery list --help      see what became of it
  tidings dead-letter list --help   see what could not be delivered

/healthz, /readyz and /metrics of the whole process are here.
";

/// The routes.
pub(super) fn routes(services: Services) -> Router {
    let health = Health::new();
    let state = (services, health.clone());
    admin::routes(health)
        .route_layer(from_fn_with_state(state, look_first))
        .route("/", get(async || PAGE))
}

/// The services' health is put together when somebody asks.
async fn look_first(
    State((services, health)): State<(Services, Health)>,
    request: Request,
    next: Next,
) -> Response {
    services.summarise(&health);
    next.run(request).await
}
