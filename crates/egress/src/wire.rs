//! One connection: its bytes, and what an exchange needs to know about it.
//!
//! hyper hands out the first and hides the second, so the connection notes what happens to it in a
//! [`ConnectionInfo`] that travels to each exchange beside the response.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::client::TlsStream;

use crate::failure::{Failure, Http2Failure, TlsFailure};
use crate::frames::FrameMeter;
use crate::tls;

/// HTTP/2 frames that may come in without any exchange getting anything out of them. A connection
/// that uploads 64 large bodies at once sees some 4,000 window updates.
const FRAMES_UNCLAIMED_MAX: u32 = 16 * 1024;

/// What is known about a connection.
#[derive(Debug)]
pub(crate) struct ConnectionInfo {
    /// When dialling began.
    pub(crate) began: Instant,
    /// When the connection was ready for use.
    pub(crate) opened: Instant,
    pub(crate) dialled: DialTimings,
    /// The vetted address at the other end, of a proxy's tunnel too.
    pub(crate) remote: SocketAddr,
    pub(crate) local: SocketAddr,
    pub(crate) is_http2: bool,
    used: AtomicBool,
    silent: AtomicBool,
    frames_unclaimed: AtomicU32,
    breakage: OnceLock<Breakage>,
}

/// How long the steps of dialling took, as far as they were taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct DialTimings {
    pub(crate) dns: Option<Duration>,
    pub(crate) connect: Option<Duration>,
    pub(crate) tls: Option<Duration>,
}

/// How a connection broke, below HTTP. The HTTP/2 library does not pass it on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Breakage {
    Reset,
    Tls(TlsFailure),
    Flood,
}

impl Breakage {
    pub(crate) fn failure(self) -> Failure {
        match self {
            Self::Reset => Failure::ConnectionReset,
            Self::Tls(failure) => Failure::Tls(failure),
            Self::Flood => Failure::Http2(Http2Failure::Flood),
        }
    }
}

impl ConnectionInfo {
    /// Notes that an exchange uses the connection, and says whether none had before.
    pub(crate) fn first_use(&self) -> bool {
        !self.used.swap(true, Ordering::Relaxed)
    }

    /// Whether nothing has come in since something was last sent, or could not be.
    pub(crate) fn is_silent(&self) -> bool {
        self.silent.load(Ordering::Relaxed)
    }

    /// Notes that an exchange got something out of what came in.
    pub(crate) fn claim(&self) {
        self.frames_unclaimed.store(0, Ordering::Relaxed);
    }

    /// How the connection broke, if it did.
    pub(crate) fn breakage(&self) -> Option<Breakage> {
        self.breakage.get().copied()
    }

    fn note_error(&self, error: &io::Error) {
        let breakage = match tls::rustls_error(error) {
            Some(rustls) => Breakage::Tls(tls::failure_of_rustls(rustls)),
            None if is_reset(error.kind()) => Breakage::Reset,
            None => return,
        };
        // The first one counts; what follows are its consequences.
        let _ = self.breakage.set(breakage);
    }

    fn note_frames(&self, frames: u32) -> io::Result<()> {
        let before = self.frames_unclaimed.fetch_add(frames, Ordering::Relaxed);
        if before.saturating_add(frames) <= FRAMES_UNCLAIMED_MAX {
            return Ok(());
        }
        let _ = self.breakage.set(Breakage::Flood);
        Err(io::ErrorKind::InvalidData.into())
    }
}

/// Whether the peer, or the way to it, cut the connection.
pub(crate) fn is_reset(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected};
    matches!(
        kind,
        BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected
    )
}

/// How many connections are open.
#[derive(Debug, Clone, Default)]
pub(crate) struct OpenCount(Arc<AtomicUsize>);

impl OpenCount {
    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn enter(&self) -> Counted {
        self.0.fetch_add(1, Ordering::Relaxed);
        Counted(self.clone())
    }
}

/// Counts for as long as it is there.
#[derive(Debug)]
struct Counted(OpenCount);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The connection that hyper reads and writes.
#[derive(Debug)]
pub(crate) struct Wire {
    transport: Transport,
    meter: Option<FrameMeter>,
    info: Arc<ConnectionInfo>,
    is_kept: bool,
    _counted: Counted,
}

#[derive(Debug)]
pub(crate) enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Transport {
    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => tls.get_ref().0,
        }
    }

    fn is_http2(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(tls) => tls.get_ref().1.alpn_protocol() == Some(b"h2"),
        }
    }
}

impl Wire {
    /// Takes over a transport to `remote` that is ready for use. It serves one exchange only if more
    /// than `kept_max` are `open`.
    pub(crate) fn new(
        transport: Transport,
        remote: SocketAddr,
        began: Instant,
        dialled: DialTimings,
        (open, kept_max): (&OpenCount, usize),
    ) -> io::Result<Self> {
        let is_http2 = transport.is_http2();
        let info = ConnectionInfo {
            began,
            opened: Instant::now(),
            dialled,
            remote,
            local: transport.tcp().local_addr()?,
            is_http2,
            used: AtomicBool::new(false),
            silent: AtomicBool::new(false),
            frames_unclaimed: AtomicU32::new(0),
            breakage: OnceLock::new(),
        };
        let meter = is_http2.then(FrameMeter::default);
        Ok(Self {
            transport,
            meter,
            info: Arc::new(info),
            is_kept: open.get() < kept_max,
            _counted: open.enter(),
        })
    }

    fn note_read(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.info.silent.store(false, Ordering::Relaxed);
        match &mut self.meter {
            Some(meter) => self.info.note_frames(meter.count(bytes)),
            None => Ok(()),
        }
    }

    fn note_written<T>(&self, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.info.silent.store(true, Ordering::Relaxed);
        }
        if let Poll::Ready(Err(error)) = &polled {
            self.info.note_error(error);
        }
        polled
    }
}

impl Connection for Wire {
    fn connected(&self) -> Connected {
        let connected = Connected::new().extra(Arc::clone(&self.info));
        if !self.is_kept {
            connected.poison();
        }
        match self.info.is_http2 {
            true => connected.negotiated_h2(),
            false => connected,
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let filled_before = buf.filled().len();
        let read = match &mut self.transport {
            Transport::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Transport::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        };
        if let Err(error) = ready!(read) {
            self.info.note_error(&error);
            return Poll::Ready(Err(error));
        }
        Poll::Ready(self.note_read(&buf.filled()[filled_before..]))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = match &mut self.transport {
            Transport::Plain(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Transport::Tls(tls) => Pin::new(tls).poll_write(cx, buf),
        };
        self.note_written(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = match &mut self.transport {
            Transport::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, bufs),
            Transport::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, bufs),
        };
        self.note_written(written)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.transport {
            Transport::Plain(tcp) => tcp.is_write_vectored(),
            Transport::Tls(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Transport::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Transport::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
