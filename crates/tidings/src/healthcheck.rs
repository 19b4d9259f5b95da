//! `tidings healthcheck`: one request to a service of this machine, for containers without curl.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use http::header::HOST;
use http::{Request, Uri};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use tidings_core::duration;
use tokio::net::TcpStream;

use crate::listen::text::one_line;

const ANSWER_BYTES_MAX: usize = 64 << 10;
const SHOWN_CHARS_MAX: usize = 300;

#[derive(Debug, clap::Args)]
pub(crate) struct HealthcheckArgs {
    /// What to ask: `/readyz` of a service tells whether it works, `/healthz` whether it lives.
    #[arg(
        env = "TIDINGS_HEALTHCHECK_URL",
        value_name = "URL",
        default_value = "http://127.0.0.1:8080/readyz"
    )]
    url: Uri,
    /// How long the answer may take.
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = duration::parse)]
    timeout: Duration,
}

/// Runs the command.
///
/// # Errors
/// The service does not answer, or says that it is not well.
pub(crate) async fn run(args: &HealthcheckArgs) -> anyhow::Result<()> {
    let HealthcheckArgs { url, timeout } = args;
    let asked = tokio::time::timeout(*timeout, ask(url)).await;
    let asked = asked.unwrap_or_else(|_| bail!("no answer within {timeout:?}"));
    asked.with_context(|| url.to_string())
}

async fn ask(url: &Uri) -> anyhow::Result<()> {
    ensure!(url.scheme_str() == Some("http"), "only http:// is asked");
    let authority = url.authority().context("the URL has no host")?;
    let address = (authority.host(), authority.port_u16().unwrap_or(80));
    let connection = TcpStream::connect(address).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(connection)).await?;
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::get(path)
        .header(HOST, authority.as_str())
        .body(Empty::<Bytes>::new())?;
    let asking = async {
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX);
        let body = body
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes);
        let body = body.unwrap_or_default();
        let text: String = one_line(&String::from_utf8_lossy(&body))
            .chars()
            .take(SHOWN_CHARS_MAX)
            .collect();
        ensure!(status.is_success(), "{status}: {text}");
        Ok(())
    };
    tokio::select! {
        asked = asking => asked,
        broken = connection => {
            broken?;
            bail!("the connection was closed before the answer")
        }
    }
}
