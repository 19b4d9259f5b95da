//! Bodies: ours going out, theirs coming in.

use std::convert::Infallible;
use std::error::Error as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::timeout;

use crate::wire::ConnectionInfo;

/// A request body in one piece, whose length may go unannounced.
#[derive(Debug)]
pub(crate) struct Payload {
    bytes: Option<Bytes>,
    announced: bool,
}

impl Payload {
    pub(crate) fn new(bytes: Bytes, announced: bool) -> Self {
        Self {
            bytes: (!bytes.is_empty()).then_some(bytes),
            announced,
        }
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.bytes.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.bytes, self.announced) {
            (None, _) => SizeHint::with_exact(0),
            (Some(bytes), true) => SizeHint::with_exact(bytes.len() as u64),
            (Some(_), false) => SizeHint::default(),
        }
    }
}

/// What went wrong with a response body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The connection or stream ended before the body did.
    #[error("the body is incomplete")]
    Incomplete,
    /// The body's framing is broken.
    #[error("the body is malformed")]
    Invalid,
    /// The body took longer than its budget.
    #[error("the body did not come in time")]
    TimedOut,
}

impl BodyError {
    /// A stable word for records.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Incomplete => "body_incomplete",
            Self::Invalid => "body_invalid",
            Self::TimedOut => "body_timeout",
        }
    }

    fn of(error: &hyper::Error) -> Self {
        let mut cause = error.source();
        while let Some(error) = cause {
            if let Some(h2) = error.downcast_ref::<h2::Error>() {
                return if h2.is_library() {
                    Self::Invalid
                } else {
                    Self::Incomplete
                };
            }
            if let Some(io) = error.downcast_ref::<io::Error>() {
                return match io.kind() {
                    io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => Self::Invalid,
                    _ => Self::Incomplete,
                };
            }
            cause = error.source();
        }
        if error.is_parse() {
            Self::Invalid
        } else {
            Self::Incomplete
        }
    }
}

/// How much of a response body is taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyLimits {
    pub(crate) bytes_max: usize,
    pub(crate) frames_max: usize,
    pub(crate) budget: Duration,
}

/// A response body, as far as it was taken.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    pub(crate) bytes: Bytes,
    pub(crate) truncated: bool,
    pub(crate) error: Option<BodyError>,
}

/// Reads a response body within its limits. Whatever is left unread ends the connection (HTTP/1.1)
/// or the stream (HTTP/2).
pub(crate) async fn collect(
    mut body: Incoming,
    limits: BodyLimits,
    connection: Option<&ConnectionInfo>,
) -> Collected {
    if body.is_end_stream() {
        return Collected::default();
    }
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    // Copied out of the read buffer, which would otherwise be kept as long as the body is.
    let mut bytes = BytesMut::with_capacity(announced.min(limits.bytes_max));
    let reading = read(&mut body, &mut bytes, limits, connection);
    let (truncated, error) = match timeout(limits.budget, reading).await {
        Ok(Ok(truncated)) => (truncated, None),
        Ok(Err(error)) => (false, Some(error)),
        Err(_) => (false, Some(BodyError::TimedOut)),
    };
    Collected {
        bytes: bytes.freeze(),
        truncated,
        error,
    }
}

/// Returns whether there was more than allowed.
async fn read(
    body: &mut Incoming,
    bytes: &mut BytesMut,
    limits: BodyLimits,
    connection: Option<&ConnectionInfo>,
) -> Result<bool, BodyError> {
    for _ in 0..limits.frames_max {
        let Some(frame) = body.frame().await else {
            return Ok(false);
        };
        let frame = frame.map_err(|error| BodyError::of(&error))?;
        if let Some(connection) = connection {
            connection.claim();
        }
        let Some(data) = frame.data_ref() else {
            continue;
        };
        let taken = data.len().min(limits.bytes_max - bytes.len());
        bytes.extend_from_slice(&data[..taken]);
        if taken < data.len() {
            return Ok(true);
        }
    }
    Ok(!body.is_end_stream())
}
