//! The plainest HTTP client: one pool, one deadline, nothing followed, nothing repeated.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::time::timeout;

/// Longer than any program of ours may take to answer.
const DEADLINE: Duration = Duration::from_secs(20);

/// A client with a pool of connections.
#[derive(Clone, Debug)]
pub(crate) struct Http(Client<HttpConnector, Full<Bytes>>);

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// A header's first value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }

    /// The code of a problem answer (RFC 9457).
    pub(crate) fn code(&self) -> String {
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{self:?}"
        );
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The answer, if its status is `status`.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        self
    }
}

impl Http {
    pub(crate) fn new() -> Self {
        Self(Client::builder(TokioExecutor::new()).build_http())
    }

    /// GETs `url`.
    ///
    /// # Errors
    /// Says why no answer came.
    pub(crate) async fn get(&self, url: &str) -> Result<Answer, String> {
        self.send(
            Request::get(url)
                .body(Full::default())
                .expect("a usable URL"),
        )
        .await
    }

    /// Sends `request` and reads the answer to its end.
    ///
    /// # Errors
    /// Says why no answer came.
    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Result<Answer, String> {
        let what = format!("{} {}", request.method(), request.uri());
        let answer = timeout(DEADLINE, self.exchange(request)).await;
        let answer = answer.unwrap_or_else(|_| Err(format!("no answer within {DEADLINE:?}")));
        answer.map_err(|error| format!("{what}: {error}"))
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Answer, String> {
        let answer = self
            .0
            .request(request)
            .await
            .map_err(|error| chain(&error))?;
        let (head, body) = answer.into_parts();
        let body = body.collect().await.map_err(|error| chain(&error))?;
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body: body.to_bytes(),
        })
    }
}

/// A POST with these headers.
pub(crate) fn post(
    url: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(Method::POST).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request
        .body(Full::new(body.into()))
        .expect("a usable request")
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
