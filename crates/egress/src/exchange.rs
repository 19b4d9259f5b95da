//! What goes into an exchange and what comes out of it.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri, Version, header};

use crate::body::BodyError;
use crate::failure::Failure;

/// One request.
#[derive(Clone)]
pub struct OutgoingRequest {
    /// The method.
    pub method: Method,
    /// The absolute URL. Write its host in normal form (as the `url` crate does): an IPv4 address in
    /// another notation than the dotted quad is refused.
    pub url: Uri,
    /// The header fields. `Host` comes from the URL, framing and connection fields from the
    /// transport; what is said here about them is dropped. `Accept-Encoding: identity` is added
    /// unless something else is asked for.
    pub headers: HeaderMap,
    /// The body, empty for none.
    pub body: Bytes,
    /// Whether the body's length is announced. If not, HTTP/1.1 sends it chunked.
    pub content_length: bool,
}

/// What came of a request.
#[derive(Debug)]
pub struct Exchange {
    /// The answer, or why there is none.
    pub result: Result<Response, Failure>,
    /// How long it took.
    pub timings: Timings,
    /// Whom we spoke to, or tried to: the endpoint, also through a proxy.
    pub remote_addr: Option<SocketAddr>,
    /// The address we spoke from, to the endpoint or the proxy.
    pub local_addr: Option<SocketAddr>,
    /// Whether the connection was there before this exchange.
    pub connection_reused: bool,
    /// The version of HTTP that was spoken, as far as it came to that.
    pub http_version: Option<Version>,
    /// How often the request was repeated at once, within the deadline, because
    /// - an HTTP/2 stream was refused, or the peer went away without processing it: it is certain
    ///   that the receiver did nothing, at most 3 times;
    /// - a kept connection ended before the first byte of the response: the peer probably closed it
    ///   before it saw the request, once.
    pub repeats: u8,
}

/// A final response: its head is complete, its body as far as it came.
#[derive(Clone)]
pub struct Response {
    /// The status, 101 or 200 to 999.
    pub status: StatusCode,
    /// The header fields as they came. Values may be any bytes.
    pub headers: HeaderMap,
    /// The body, as it came over the wire (never inflated), up to the limit.
    pub body: Bytes,
    /// Whether there was more body than is kept.
    pub body_truncated: bool,
    /// What went wrong with the body. It does not make a success a failure.
    pub body_error: Option<BodyError>,
}

impl Response {
    /// What is worth noting about the response besides its status, as stable words:
    /// `body_incomplete`, `body_invalid`, `body_timeout`, `body_truncated`, `encoded`,
    /// `ambiguous_framing`.
    pub fn notes(&self) -> impl Iterator<Item = &'static str> {
        let truncated = self.body_truncated.then_some("body_truncated");
        let encoded = is_encoded(&self.headers).then_some("encoded");
        let ambiguous = has_ambiguous_framing(&self.headers).then_some("ambiguous_framing");
        self.body_error
            .map(BodyError::code)
            .into_iter()
            .chain(truncated)
            .chain(encoded)
            .chain(ambiguous)
    }
}

// Neither shows what it carries: headers hold secrets, bodies whatever somebody put there.
impl fmt::Debug for OutgoingRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutgoingRequest")
            .field("method", &self.method)
            .field("host", &self.url.host())
            .field("headers", &self.headers.len())
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("headers", &self.headers.len())
            .field("body_bytes", &self.body.len())
            .field("body_truncated", &self.body_truncated)
            .field("body_error", &self.body_error)
            .finish()
    }
}

/// How long the steps of an exchange took.
///
/// `dns`, `connect` and `tls` are those of the connection, given to the exchange that waited for
/// them: absent on a connection that was there before, and for steps that were not taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timings {
    /// Resolving the name.
    pub dns: Option<Duration>,
    /// Connecting (TCP), through the proxy if there is one.
    pub connect: Option<Duration>,
    /// The TLS handshake.
    pub tls: Option<Duration>,
    /// From the beginning of the exchange to the final head.
    pub first_byte: Option<Duration>,
    /// The whole exchange, with the body.
    pub total: Duration,
}

/// Whether the body is written in a coding, other than the one that changes nothing.
fn is_encoded(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::CONTENT_ENCODING);
    let mut codings = values
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii);
    codings.any(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity"))
}

/// Whether a recipient could take the end of the body to be elsewhere than we do (RFC 9112,
/// section 6.3): both lengths given, or a transfer coding other than plain `chunked`.
pub(crate) fn has_ambiguous_framing(headers: &HeaderMap) -> bool {
    let Some(coding) = headers.get(header::TRANSFER_ENCODING) else {
        return false;
    };
    headers.contains_key(header::CONTENT_LENGTH)
        || !coding
            .as_bytes()
            .trim_ascii()
            .eq_ignore_ascii_case(b"chunked")
        || headers
            .get_all(header::TRANSFER_ENCODING)
            .iter()
            .nth(1)
            .is_some()
}
