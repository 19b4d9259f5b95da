//! The dashboard.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use crate::App;

const PAGE: &str = "\
Tidings runs. The management API is at /api/v1, its description at /api/v1/openapi.json;
/healthz, /readyz and /metrics are here too.
";

/// The pages.
pub fn routes(app: Arc<App>) -> Router {
    Router::new().route("/", get(async || PAGE)).with_state(app)
}
