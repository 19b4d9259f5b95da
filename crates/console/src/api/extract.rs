//! Reading requests, with problems for what cannot be read.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, IF_MATCH};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tidings_service::problem::Problem;

use crate::auth::Caller;

/// A version that nothing has.
const NO_VERSION: u64 = u64::MAX;

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let caller = parts.extensions.get::<Self>().cloned();
        // Nobody gets here whom the guard did not let in.
        let detail = "nobody is known for this request";
        caller.ok_or_else(|| Problem::new(StatusCode::UNAUTHORIZED, "missing_token", detail))
    }
}

/// What stands in the path.
pub(super) struct InPath<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for InPath<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let read = Path::<T>::from_request_parts(parts, state).await;
        read.map(|Path(value)| Self(value))
            .map_err(|error: PathRejection| {
                Problem::new(StatusCode::BAD_REQUEST, "bad_path", error.body_text())
            })
    }
}

/// What stands in the query.
pub(super) struct InQuery<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for InQuery<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let read = Query::<T>::from_request_parts(parts, state).await;
        read.map(|Query(value)| Self(value))
            .map_err(|error: QueryRejection| {
                Problem::new(StatusCode::BAD_REQUEST, "bad_query", error.body_text())
            })
    }
}

/// A body that is JSON of this type.
pub(super) struct InBody<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for InBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        // serde would take a list for a struct.
        let InFields(fields) = InFields::from_request(request, state).await?;
        serde_path_to_error::deserialize(Value::Object(fields))
            .map(Self)
            .map_err(|error| {
                let pointer = tidings_manage::webhook::pointer(error.path());
                let detail = "the body cannot be used; nothing was stored";
                Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail)
                    .at(pointer, error.inner().to_string())
            })
    }
}

/// A body that is a JSON object.
pub(super) struct InFields(pub(super) Map<String, Value>);

impl<S: Send + Sync> FromRequest<S> for InFields {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match read(request, state).await? {
            Value::Object(fields) => Ok(Self(fields)),
            _ => {
                let detail = "the body is no JSON object";
                let status = StatusCode::UNPROCESSABLE_ENTITY;
                Err(Problem::new(status, "invalid", detail).at("", detail))
            }
        }
    }
}

async fn read<S: Send + Sync>(mut request: Request, state: &S) -> Result<Value, Problem> {
    // A merge patch (RFC 7396) is JSON under another name.
    let headers = request.headers_mut();
    let is_patch = headers
        .get(CONTENT_TYPE)
        .and_then(|media| media.to_str().ok())
        .is_some_and(|media| media.starts_with("application/merge-patch+json"));
    if is_patch {
        let json = http::HeaderValue::from_static("application/json");
        headers.insert(CONTENT_TYPE, json);
    }
    let read = Json::<Value>::from_request(request, state).await;
    read.map(|Json(value)| value).map_err(|error| {
        let code = match error {
            JsonRejection::MissingJsonContentType(_) => "unsupported_media_type",
            JsonRejection::BytesRejection(_) => "bad_body",
            _ => "bad_json",
        };
        Problem::new(error.status(), code, error.body_text())
    })
}

/// A body that may be left out.
pub(super) struct MayBody<T>(pub(super) T);

impl<T: DeserializeOwned + Default, S: Send + Sync> FromRequest<S> for MayBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let bytes = Bytes::from_request(Request::from_parts(parts.clone(), body), state).await;
        let bytes =
            bytes.map_err(|error| Problem::new(error.status(), "bad_body", error.body_text()))?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        let again = Request::from_parts(parts, bytes.into());
        InBody::from_request(again, state)
            .await
            .map(|InBody(value)| Self(value))
    }
}

/// The version that a caller looked at, by `If-Match` (RFC 9110): any if absent or `*`. Text that
/// is no version matches nothing.
pub(super) fn if_match(headers: &HeaderMap) -> Option<u64> {
    let text = headers.get(IF_MATCH)?.to_str().unwrap_or_default().trim();
    if text == "*" {
        return None;
    }
    let tag = text
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    Some(tag.and_then(|tag| tag.parse().ok()).unwrap_or(NO_VERSION))
}

/// The `ETag` of a version.
pub(super) fn etag(version: u64) -> [(http::HeaderName, String); 1] {
    [(http::header::ETAG, format!("\"{version}\""))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn if_match_names_a_version_or_matches_nothing() {
        let read = |text: &'static str| {
            let value = http::HeaderValue::from_static(text);
            if_match(&HeaderMap::from_iter([(IF_MATCH, value)]))
        };
        assert_eq!(if_match(&HeaderMap::new()), None);
        assert_eq!(read("*"), None);
        assert_eq!(read("\"3\""), Some(3));
        for other in ["3", "W/\"3\"", "\"x\"", "", "\"1\", \"2\""] {
            assert_eq!(read(other), Some(NO_VERSION), "{other}");
        }
    }
}
