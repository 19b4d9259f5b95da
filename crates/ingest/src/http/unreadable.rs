//! Requests that are refused before anybody sees them.
//!
//! What cannot be read as HTTP hyper refuses by itself, with a head and no body, and offers no place
//! to say more. So that such an answer tells what is wrong like every other (RFC 9457), it is
//! exchanged on its way out. What HTTP/1.1 forbids but hyper lets through is refused here as well.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::header::HOST;
use http::{HeaderMap, StatusCode, Version};
use tidings_service::problem::Problem;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What a head without a body has, and no answer of our own that is an error.
const NO_BODY: &str = "\r\ncontent-length: 0\r\n";

/// The problem of a request that does not say which host it is for (RFC 9112, section 3.2).
pub(super) fn without_host(version: Version, headers: &HeaderMap) -> Option<Problem> {
    let hosts = headers.get_all(HOST).iter().count();
    let detail = match (version, hosts) {
        (Version::HTTP_11, 0) => "the header `Host` is missing",
        (Version::HTTP_10 | Version::HTTP_11, 2..) => "the header `Host` is there twice",
        _ => return None,
    };
    Some(Problem::new(StatusCode::BAD_REQUEST, "bad_request", detail))
}

/// The answer to be given in the place of one by hyper; `None` for every other.
fn in_place_of(answer: &[u8]) -> Option<Vec<u8>> {
    if !answer.starts_with(b"HTTP/1.1 4") {
        return None;
    }
    let head = std::str::from_utf8(answer).ok()?;
    let (before, after) = head.split_once(NO_BODY)?;
    let problem = match before.get(9..12)? {
        "400" => Problem::new(
            StatusCode::BAD_REQUEST,
            "bad_request",
            "what was sent cannot be read as a request of HTTP/1.1",
        ),
        "414" => Problem::new(
            StatusCode::URI_TOO_LONG,
            "uri_too_long",
            "the request's target is too long; events are published to /v1/events",
        ),
        "431" => Problem::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "head_too_large",
            "the head of a request may have 64 KiB and 100 headers",
        ),
        _ => return None,
    };
    let body = serde_json::to_string(&problem).ok()?;
    let length = body.len();
    let media = "application/problem+json";
    let whole =
        format!("{before}\r\ncontent-type: {media}\r\ncontent-length: {length}\r\n{after}{body}");
    Some(whole.into_bytes())
}

/// A connection on which answers without a body become problems.
#[derive(Debug)]
pub(super) struct Explained<S> {
    stream: S,
    /// What is written in the place of what was given to be, as far as it is not yet.
    instead: Option<Vec<u8>>,
}

impl<S: AsyncWrite + Unpin> Explained<S> {
    pub(super) fn new(stream: S) -> Self {
        let instead = None;
        Self { stream, instead }
    }

    /// Writes `instead` whole. The caller comes with the same bytes until then, as it must.
    fn poll_instead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.instead.as_mut().filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => drop(rest.drain(..written)),
            }
        }
        self.instead = None;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Explained<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Explained<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.instead.is_none() {
            self.instead = in_place_of(bytes);
        }
        if self.instead.is_none() {
            return Pin::new(&mut self.stream).poll_write(cx, bytes);
        }
        ready!(self.poll_instead(cx))?;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match slices.iter().find(|slice| !slice.is_empty()) {
            Some(first) if self.instead.is_some() || in_place_of(first).is_some() => {
                self.poll_write(cx, first)
            }
            _ => Pin::new(&mut self.stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_our_own_is_left_alone() {
        for ours in [
            "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\n{}",
            "HTTP/1.1 405 Method Not Allowed\r\ncontent-length: 0\r\n\r\n",
            "{\"detail\":\"HTTP/1.1 431\"}",
            "",
        ] {
            assert_eq!(in_place_of(ours.as_bytes()), None, "{ours}");
        }
    }

    #[test]
    fn an_answer_without_a_body_becomes_a_problem() {
        let given = "HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n\
                     content-length: 0\r\ndate: now\r\n\r\n";
        let whole = String::from_utf8(in_place_of(given.as_bytes()).unwrap()).unwrap();
        let (head, body) = whole.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("connection: close") && head.contains("date: now"));
        assert!(head.contains(&format!("content-length: {}", body.len())));
        assert!(body.contains("head_too_large"), "{body}");
    }

    #[test]
    fn a_request_of_http_1_1_names_one_host() {
        let named = |count: usize| {
            let mut headers = HeaderMap::new();
            for _ in 0..count {
                headers.append(HOST, "a".parse().unwrap());
            }
            headers
        };
        for (version, hosts, is_refused) in [
            (Version::HTTP_11, 0, true),
            (Version::HTTP_11, 1, false),
            (Version::HTTP_11, 2, true),
            (Version::HTTP_10, 0, false),
            (Version::HTTP_2, 0, false),
        ] {
            let refused = without_host(version, &named(hosts)).is_some();
            assert_eq!(refused, is_refused, "{version:?} {hosts}");
        }
    }
}
