//! Receivers that are no HTTP servers, or bad ones: every byte and every silence is the test's.

use std::future::{Future, pending};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::listening::{ConnectionCount, Listening};

/// The largest request [`RawSocket::read_request`] takes, head and body together.
const REQUEST_BYTES_MAX: usize = 64 * 1024 * 1024;

/// One TCP connection in the hands of a test.
#[derive(Debug)]
pub struct RawSocket {
    /// The connection itself, for what the helpers do not cover.
    pub stream: TcpStream,
    /// The other end.
    pub remote: SocketAddr,
    /// 1 for the receiver's first connection.
    pub number: u64,
}

impl RawSocket {
    /// Reads one HTTP/1.1 request with its body by `Content-Length`, as it came over the wire.
    /// `None` if the client closes before it is complete.
    pub async fn read_request(&mut self) -> Option<Vec<u8>> {
        let mut request = Vec::new();
        while missing(&request) {
            assert!(
                request.len() < REQUEST_BYTES_MAX,
                "a request over {REQUEST_BYTES_MAX} bytes"
            );
            if self.stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
                return None;
            }
        }
        Some(request)
    }

    /// Sends bytes at once.
    ///
    /// # Errors
    /// If the client has gone.
    pub async fn write(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref()).await?;
        self.stream.flush().await
    }

    /// Closes in good order (FIN), after everything written.
    pub async fn close(mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// Closes with a reset (RST): what was not yet delivered is lost.
    pub fn reset(self) {
        let _ = self.stream.set_zero_linger();
    }

    /// Reads and throws away until the client closes.
    pub async fn drain(&mut self) {
        let mut buffer = vec![0; 16 * 1024];
        while self
            .stream
            .read(&mut buffer)
            .await
            .is_ok_and(|count| count > 0)
        {}
    }
}

/// A TCP server on loopback that does whatever a closure does. Closed, with all its connections,
/// when dropped.
#[derive(Debug)]
pub struct RawReceiver {
    listening: Listening,
    connections: ConnectionCount,
}

impl RawReceiver {
    /// Gives each connection to `behaviour`, in a task of its own; it is closed when that ends.
    pub async fn start<F, Fut>(behaviour: F) -> Self
    where
        F: Fn(RawSocket) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let connections = Arc::new(watch::Sender::new(0));
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listening = Listening::start(address, Arc::clone(&connections), move |accepted| {
            let _ = accepted.stream.set_nodelay(true);
            behaviour(RawSocket {
                stream: accepted.stream,
                remote: accepted.remote,
                number: accepted.number,
            })
        })
        .await;
        Self {
            listening,
            connections,
        }
    }

    /// Answers every request with these bytes, and keeps the connection open for the next.
    pub async fn replying(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self::start(move |mut socket| {
            let bytes = bytes.clone();
            async move {
                while socket.read_request().await.is_some() && socket.write(&bytes).await.is_ok() {}
            }
        })
        .await
    }

    /// Answers the first request of each connection with these bytes, and closes it.
    pub async fn replying_once(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self::start(move |mut socket| {
            let bytes = bytes.clone();
            async move {
                if socket.read_request().await.is_some() && socket.write(&bytes).await.is_ok() {
                    socket.close().await;
                }
            }
        })
        .await
    }

    /// Accepts connections and never reads nor writes a byte.
    pub async fn silent() -> Self {
        Self::start(|socket| async move {
            let _open = socket;
            pending::<()>().await;
        })
        .await
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.listening.address()
    }

    /// `http://127.0.0.1:PORT` with this path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    /// How many connections it has accepted.
    pub fn connections(&self) -> u64 {
        *self.connections.borrow()
    }

    /// Waits until it has accepted this many connections.
    ///
    /// # Panics
    /// After `within`.
    pub async fn wait_for_connections(&self, count: u64, within: Duration) {
        let mut accepted = self.connections.subscribe();
        let enough = timeout(within, accepted.wait_for(|accepted| *accepted >= count)).await;
        assert!(
            enough.is_ok(),
            "{} of {count} connections in {within:?}",
            self.connections()
        );
    }

    /// Closes the listener and every connection, and waits until they are closed.
    pub async fn stop(self) {
        self.listening.stop().await;
    }
}

/// Whether bytes are still to come: the end of the head, or of the body it announces.
fn missing(request: &[u8]) -> bool {
    let Some(head_bytes) = request.windows(4).position(|four| four == b"\r\n\r\n") else {
        return true;
    };
    let head = String::from_utf8_lossy(&request[..head_bytes]);
    let body_bytes = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(0, |(_, value)| {
            value.trim().parse().expect("clients send valid lengths")
        });
    request.len() < head_bytes + 4 + body_bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_complete_with_its_announced_body() {
        let request = b"POST / HTTP/1.1\r\nHost: h\r\ncontent-length: 3\r\n\r\nabc";
        assert!(!missing(request));
        for cut in 0..request.len() {
            assert!(missing(&request[..cut]), "{cut} bytes are not all");
        }
    }

    #[test]
    fn a_request_without_a_length_ends_with_its_head() {
        assert!(!missing(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
    }
}
