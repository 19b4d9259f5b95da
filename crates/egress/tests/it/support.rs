//! Servers that answer byte for byte, and a client that may talk to them.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Uri};
use tidings_core::address::AddressPolicy;
use tidings_egress::{EgressClient, EgressOptions, Exchange, OutgoingRequest};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// For whatever should answer at once.
pub(crate) const SOON: Duration = Duration::from_secs(10);
/// For whatever should not answer at all.
pub(crate) const SHORT: Duration = Duration::from_millis(300);

pub(crate) const OK_EMPTY: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// A TCP server on a free port of loopback that gives each connection to a function.
pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    accepted: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Server {
    /// `serve` gets each connection and its number, from 0.
    pub(crate) async fn start<F, Served>(serve: F) -> Self
    where
        F: Fn(TcpStream, usize) -> Served + Send + 'static,
        Served: Future<Output = io::Result<()>> + Send + 'static,
    {
        Self::start_on(IpAddr::from([127, 0, 0, 1]), serve).await
    }

    /// The same on another address of loopback.
    pub(crate) async fn start_on<F, Served>(address: IpAddr, serve: F) -> Self
    where
        F: Fn(TcpStream, usize) -> Served + Send + 'static,
        Served: Future<Output = io::Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind((address, 0)).await.expect("a free port");
        let addr = listener
            .local_addr()
            .expect("a bound listener has an address");
        let accepted = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&accepted);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).expect("nodelay");
                let number = counter.fetch_add(1, Ordering::SeqCst);
                connections.spawn(serve(stream, number));
                while connections.try_join_next().is_some() {}
            }
        });
        Self {
            addr,
            accepted,
            task,
        }
    }

    /// Answers every request with `answer` and then does as `end` says.
    pub(crate) async fn answering(answer: impl Into<Bytes>, end: End) -> Self {
        let answer = answer.into();
        Self::start(move |stream, _| answer_each(stream, answer.clone(), end)).await
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook?a=b", self.addr)
    }

    /// How many connections there have been.
    pub(crate) fn connections(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What follows an answer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum End {
    /// The connection stays open for the next request.
    Keep,
    /// The connection is closed.
    Close,
    /// The connection is reset.
    Reset,
    /// These bytes, until the client has enough.
    Endless(&'static [u8]),
    /// These bytes, one after the other, every few milliseconds.
    Drip(&'static [u8]),
}

async fn answer_each(mut stream: TcpStream, answer: Bytes, end: End) -> io::Result<()> {
    while read_request(&mut stream).await?.is_some() {
        stream.write_all(&answer).await?;
        match end {
            End::Keep => {}
            End::Close => return finish(stream).await,
            End::Reset => return stream.set_zero_linger(),
            End::Endless(bytes) => {
                let block = bytes.repeat(16 * 1024 / bytes.len());
                loop {
                    stream.write_all(&block).await?;
                }
            }
            End::Drip(bytes) => {
                for byte in bytes.iter().cycle() {
                    stream.write_all(&[*byte]).await?;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
    }
    Ok(())
}

/// Closes without a reset: what is still to come is read first.
pub(crate) async fn finish(mut stream: TcpStream) -> io::Result<()> {
    stream.shutdown().await?;
    tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
    Ok(())
}

/// Reads one request, head and body; `None` if there is none any more.
pub(crate) async fn read_request<S>(stream: &mut S) -> io::Result<Option<Vec<u8>>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).await? == 0 {
            return Ok(None);
        }
        request.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&request).to_lowercase();
    if let Some(length) = field(&head, "content-length") {
        let mut body = vec![0; length.parse().expect("a length")];
        stream.read_exact(&mut body).await?;
        request.extend(body);
    }
    if field(&head, "transfer-encoding").is_some() {
        while !request.ends_with(b"0\r\n\r\n") {
            stream.read_exact(&mut byte).await?;
            request.push(byte[0]);
        }
    }
    Ok(Some(request))
}

/// The value of a field of a lower-case head.
pub(crate) fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .map(str::trim)
}

/// Options that let requests go to IPv4 loopback.
pub(crate) fn loopback() -> EgressOptions {
    EgressOptions {
        addresses: AddressPolicy {
            allow: vec!["127.0.0.0/8".parse().expect("a network")],
            ..AddressPolicy::default()
        },
        body_timeout: SHORT,
        ..EgressOptions::default()
    }
}

pub(crate) fn client() -> EgressClient {
    EgressClient::new(loopback()).expect("a client")
}

pub(crate) fn post(url: &str) -> OutgoingRequest {
    OutgoingRequest {
        method: Method::POST,
        url: url.parse::<Uri>().expect("a URL"),
        headers: HeaderMap::new(),
        body: Bytes::from_static(b"{\"hello\":\"world\"}"),
        content_length: true,
    }
}

/// Posts to `url` and waits as long as a healthy server may take.
pub(crate) async fn send(client: &EgressClient, url: &str) -> Exchange {
    client.exchange(&post(url), SOON).await
}

/// The outcome in one line: `200`, `200 body_truncated`, or a failure's code.
pub(crate) fn outcome(exchange: &Exchange) -> String {
    match &exchange.result {
        Ok(response) => response
            .notes()
            .fold(response.status.as_str().to_owned(), |words, note| {
                words + " " + note
            }),
        Err(failure) => failure.code().to_owned(),
    }
}

/// Waits until `is_true`, for a while.
pub(crate) async fn eventually(what: &str, mut is_true: impl FnMut() -> bool) {
    let waiting = async {
        while !is_true() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, waiting)
        .await
        .unwrap_or_else(|_| panic!("never: {what}"));
}
