//! One kept HTTP/1.1 connection, opened again when it breaks: the leanest client there is.

use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longer than any program here may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// A connection to one server.
#[derive(Debug)]
pub(crate) struct Http {
    authority: String,
    host: HeaderValue,
    open: Option<SendRequest<Full<Bytes>>>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

impl Http {
    /// A connection to the server at `url`, such as `http://127.0.0.1:8080`; opened when used.
    ///
    /// # Errors
    /// The URL is of another form.
    pub(crate) fn new(url: &str) -> anyhow::Result<Self> {
        let authority = url
            .strip_prefix("http://")
            .with_context(|| format!("{url:?} is no `http://` address"))?;
        Ok(Self {
            authority: authority.to_owned(),
            host: HeaderValue::from_str(authority)?,
            open: None,
        })
    }

    /// GETs `path`.
    ///
    /// # Errors
    /// No answer came.
    pub(crate) async fn get(&mut self, path: &str) -> anyhow::Result<Answer> {
        self.send(Request::get(path).body(Full::default())?).await
    }

    /// Sends `request`, whose URI is a path, and reads the answer to its end.
    ///
    /// # Errors
    /// No answer came. It may have arrived all the same.
    pub(crate) async fn send(
        &mut self,
        mut request: Request<Full<Bytes>>,
    ) -> anyhow::Result<Answer> {
        request.headers_mut().insert(HOST, self.host.clone());
        match timeout(ANSWER_WITHIN, self.exchange(request)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                self.open = None;
                Err(error.context(format!("no answer from {}", self.authority)))
            }
            Err(_) => {
                self.open = None;
                bail!("no answer from {} within {ANSWER_WITHIN:?}", self.authority)
            }
        }
    }

    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> anyhow::Result<Answer> {
        let open = self.opened().await?;
        let (head, body) = open.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Answer {
            status: head.status,
            body,
        })
    }

    async fn opened(&mut self) -> anyhow::Result<&mut SendRequest<Full<Bytes>>> {
        let is_usable = match &mut self.open {
            Some(open) => open.ready().await.is_ok(),
            None => false,
        };
        if !is_usable {
            let stream = TcpStream::connect(&self.authority).await?;
            stream.set_nodelay(true)?;
            let (open, connection) = http1::handshake(TokioIo::new(stream)).await?;
            // Ends with the connection, and that with `open`.
            tokio::spawn(connection);
            self.open = Some(open);
        }
        self.open.as_mut().context("a connection was just opened")
    }
}
