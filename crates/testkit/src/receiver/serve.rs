//! One connection of a receiver: TLS or not, HTTP/1.1 or HTTP/2, until an answer ends it.

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use tokio_rustls::TlsAcceptor;

use crate::listening::Accepted;
use crate::receiver::answer::{Answer, Ending};
use crate::receiver::request::Request;
use crate::receiver::{BODY_BYTES_MAX, Shared};

/// Serves a connection to its end.
pub(super) async fn serve(accepted: Accepted, shared: Arc<Shared>, tls: Option<TlsAcceptor>) {
    let Accepted {
        stream,
        remote,
        number,
    } = accepted;
    let _ = stream.set_nodelay(true);
    let hangup = Arc::new(Hangup::default());
    let wire = Wire {
        stream,
        hangup: Arc::clone(&hangup),
    };
    let connection = Arc::new(Connection {
        shared,
        hangup,
        remote,
        number,
    });
    let Some(tls) = tls else {
        return serve_http(wire, connection).await;
    };
    if let Ok(wire) = tls.accept(wire).await {
        serve_http(wire, connection).await;
    }
}

async fn serve_http<W>(wire: W, connection: Arc<Connection>)
where
    W: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let answering = Arc::clone(&connection);
    let service = service_fn(move |request| Arc::clone(&answering).answer(request));
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().header_read_timeout(None);
    tokio::select! {
        _ = server.serve_connection(TokioIo::new(wire), service) => {}
        () = connection.hangup.asked.notified() => {}
    }
}

#[derive(Debug)]
struct Connection {
    shared: Arc<Shared>,
    hangup: Arc<Hangup>,
    remote: SocketAddr,
    number: u64,
}

impl Connection {
    async fn answer(
        self: Arc<Self>,
        request: http::Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        let Some(request) = self.read(request).await else {
            return self.hang_up(false).await;
        };
        let Answer { delay, ending } = self.shared.take(request);
        if !delay.is_zero() {
            sleep(delay).await;
        }
        match ending {
            Ending::Respond {
                status,
                headers,
                body,
            } => {
                let mut response = Response::new(Full::new(body));
                *response.status_mut() = status;
                *response.headers_mut() = headers;
                Ok(response)
            }
            Ending::Hang => pending().await,
            Ending::Close => self.hang_up(false).await,
            Ending::Reset => self.hang_up(true).await,
        }
    }

    /// Nothing if the client goes away before the end of its request.
    #[expect(
        clippy::disallowed_methods,
        reason = "records when real requests really arrived"
    )]
    async fn read(&self, request: http::Request<Incoming>) -> Option<Request> {
        let (at, arrived) = (Instant::now(), Timestamp::now());
        let (head, body) = request.into_parts();
        let body = if self.shared.reads_bodies() {
            collect(body).await?
        } else {
            drain(body).await?
        };
        Some(Request {
            method: head.method,
            uri: head.uri,
            version: head.version,
            headers: head.headers,
            body,
            at,
            arrived,
            connection: self.number,
            remote: self.remote,
            repeat: 0,
        })
    }

    /// Ends the connection under the answer that asks for it.
    async fn hang_up(&self, reset: bool) -> Result<Response<Full<Bytes>>, Infallible> {
        self.hangup.reset.store(reset, Ordering::Relaxed);
        self.hangup.asked.notify_one();
        pending().await
    }
}

async fn collect(body: Incoming) -> Option<Bytes> {
    let body = Limited::new(body, BODY_BYTES_MAX).collect().await.ok()?;
    Some(body.to_bytes())
}

async fn drain(mut body: Incoming) -> Option<Bytes> {
    while let Some(frame) = body.frame().await {
        frame.ok()?;
    }
    Some(Bytes::new())
}

/// How an answer tells its connection to end.
#[derive(Debug, Default)]
struct Hangup {
    asked: Notify,
    reset: AtomicBool,
}

/// The TCP connection under TLS and HTTP, which resets when told to as it is dropped.
#[derive(Debug)]
struct Wire {
    stream: TcpStream,
    hangup: Arc<Hangup>,
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.hangup.reset.load(Ordering::Relaxed) {
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
