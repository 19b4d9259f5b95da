//! Who is let in, how often, and for how long.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, StatusCode};
use tidings_service::clock;
use tidings_service::problem::Problem;
use tokio::time::timeout;

use crate::App;

/// How long a request may take.
const TIMEOUT: Duration = Duration::from_secs(30);
const RETRY_SOON: Duration = Duration::from_secs(2);

/// Lets a request in whose caller is known and within their rate.
pub(super) async fn guard(
    State(app): State<Arc<App>>,
    mut request: Request,
    next: Next,
) -> Response {
    let asked = app.tokens.authenticate(request.headers(), clock::now());
    let caller = match asked {
        Ok(caller) => caller,
        Err(problem) => {
            let many = app.limits.take(None).err();
            return many.unwrap_or(problem).into_response();
        }
    };
    if let Err(problem) = app.limits.take(Some(&caller)) {
        return problem.into_response();
    }
    // Whatever the handlers ask for: nothing of another space.
    let own = caller.token.space.as_ref();
    let named = space_in(request.uri().path());
    if own
        .zip(named)
        .is_some_and(|(own, named)| own.as_str() != named)
    {
        let detail = "the token belongs to another space";
        return Problem::new(StatusCode::FORBIDDEN, "other_space", detail).into_response();
    }
    request.extensions_mut().insert(caller);
    next.run(request).await
}

/// The space that a path names.
fn space_in(path: &str) -> Option<&str> {
    let (_, rest) = path.split_once("/spaces/")?;
    rest.split('/').next()
}

/// Bounds the time of a request. Answers are for nobody else and of this moment.
pub(super) async fn bound(request: Request, next: Next) -> Response {
    let answered = timeout(TIMEOUT, next.run(request)).await;
    let mut response = answered.unwrap_or_else(|_| {
        let detail = "it took too long; whether it was done shows in a moment";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "timeout", detail)
            .retry_after(RETRY_SOON)
            .into_response()
    });
    let headers = response.headers_mut();
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    let nosniff = HeaderValue::from_static("nosniff");
    headers.insert(X_CONTENT_TYPE_OPTIONS, nosniff);
    response
}

pub(super) async fn not_found() -> Problem {
    let detail = "there is no such resource; /api/v1/openapi.json lists them";
    Problem::new(StatusCode::NOT_FOUND, "not_found", detail)
}

pub(super) async fn method_not_allowed() -> Problem {
    let detail = "the resource has no such method; the Allow header lists those it has";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
}
