//! Closing a connection whose client is still sending.
//!
//! A socket that is closed with unread bytes is reset, and the reset overtakes the answer: a
//! client that is told 413 while it sends would see a broken connection instead. So the end is
//! said first, and what still comes is thrown away for a moment.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES_MAX: usize = 16 << 20;
const BUFFER_BYTES: usize = 16 << 10;

/// A connection that is closed in good order.
#[derive(Debug)]
pub(super) struct Lingering {
    stream: TcpStream,
    closing: Option<Closing>,
}

#[derive(Debug)]
struct Closing {
    deadline: Pin<Box<Sleep>>,
    bytes_left: usize,
}

impl Lingering {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            closing: None,
        }
    }

    /// Throws away what comes until the client ends, or it took too long or too much.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let closing = self.closing.get_or_insert_with(|| Closing {
            deadline: Box::pin(sleep(LINGER)),
            bytes_left: LINGER_BYTES_MAX,
        });
        if closing.deadline.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let mut buffer = [0; BUFFER_BYTES];
        loop {
            let mut read = ReadBuf::new(&mut buffer);
            let result = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read));
            let bytes = read.filled().len();
            if result.is_err() || bytes == 0 || bytes > closing.bytes_left {
                return Poll::Ready(());
            }
            closing.bytes_left -= bytes;
        }
    }
}

impl AsyncRead for Lingering {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Lingering {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
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

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.closing.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        }
        ready!(self.poll_discard(cx));
        Poll::Ready(Ok(()))
    }
}
