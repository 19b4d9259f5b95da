//! The plainest HTTP clients that speak each protocol.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::{Client, Error, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

pub(crate) type Pooled = Client<HttpConnector, Full<Bytes>>;

pub(crate) fn http1() -> Pooled {
    Client::builder(TokioExecutor::new()).build_http()
}

pub(crate) fn http2_without_tls() -> Pooled {
    Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http()
}

pub(crate) fn delivery(url: &str, id: &str) -> Request<Full<Bytes>> {
    Request::post(url)
        .header("webhook-id", id)
        .body(Full::from(r#"{"type":"test"}"#))
        .unwrap()
}

/// POSTs a delivery, and reads the answer to its end.
pub(crate) async fn post(client: &Pooled, url: &str, id: &str) -> Result<Response<Bytes>, Error> {
    let (head, body) = client.request(delivery(url, id)).await?.into_parts();
    Ok(Response::from_parts(
        head,
        body.collect().await.unwrap().to_bytes(),
    ))
}

/// The status of an answer that must come.
pub(crate) async fn status(client: &Pooled, url: &str, id: &str) -> u16 {
    post(client, url, id).await.unwrap().status().as_u16()
}

pub(crate) async fn tls_connect(
    config: Arc<ClientConfig>,
    port: u16,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let name = ServerName::try_from("127.0.0.1").unwrap();
    TlsConnector::from(config).connect(name, stream).await
}

/// POSTs over a TLS connection that has agreed on HTTP/2.
pub(crate) async fn post_http2(stream: TlsStream<TcpStream>, url: &str) -> StatusCode {
    let io = TokioIo::new(stream);
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await;
    let (mut sender, connection) = handshake.unwrap();
    let connection = tokio::spawn(connection);
    let status = sender
        .send_request(delivery(url, "msg_1"))
        .await
        .unwrap()
        .status();
    connection.abort();
    status
}
