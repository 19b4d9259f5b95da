//! The management API (CONTRACT.md section 6), mounted at `/api/v1`.

mod problem;
mod webhooks;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use crate::App;

pub use problem::problem;

/// The routes.
pub fn routes(app: Arc<App>) -> Router {
    Router::new()
        .route("/spaces/{space}/webhooks", get(webhooks::list))
        .with_state(app)
}
