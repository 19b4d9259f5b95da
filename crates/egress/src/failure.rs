//! Why no answer came.
//!
//! The texts are for the webhook's owner: they name what went wrong at the endpoint and hold no byte
//! the endpoint sent, no address and nothing secret, so that they tell a port scanner nothing
//! (`reference/reliability.md`, S15).

use std::io;

use tidings_core::address::AddressError;

/// Why an exchange has no response. [`Failure::code`] is stable, the text is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The URL is not one that can be called.
    #[error("the URL cannot be called: {0}")]
    InvalidUrl(UrlFault),
    /// The egress policy forbids the address, or one of the name's addresses. All alike on the
    /// outside; the error, if there is one, is for the operator's audit line.
    #[error("the address is not allowed")]
    Blocked(Option<AddressError>),
    /// The name did not resolve.
    #[error("the name could not be resolved: {0}")]
    Dns(DnsFailure),
    /// Nothing listens there.
    #[error("the connection was refused")]
    ConnectRefused,
    /// No connection within the connect budget.
    #[error("the connection could not be established in time")]
    ConnectTimeout,
    /// No connection for another reason.
    #[error("the connection could not be established: {0}")]
    ConnectFailed(io::ErrorKind),
    /// No secure connection.
    #[error("TLS: {0}")]
    Tls(TlsFailure),
    /// The TLS handshake took longer than its budget.
    #[error("the TLS handshake was not finished in time")]
    TlsTimeout,
    /// The deadline passed.
    #[error("{0} before the deadline")]
    Timeout(TimeoutPhase),
    /// The peer reset the connection before the head was complete.
    #[error("the connection was reset before the response")]
    ConnectionReset,
    /// The peer closed the connection before the head was complete.
    #[error("the connection was closed before the response")]
    ConnectionClosed,
    /// What came is not an HTTP response. The text is one of the HTTP parser's fixed phrases.
    #[error("not a valid HTTP response: {0}")]
    InvalidResponse(String),
    /// The head is longer or has more fields than allowed.
    #[error("the response head is too large")]
    HeadTooLarge,
    /// More interim responses than allowed.
    #[error("too many interim responses")]
    TooManyInformational,
    /// HTTP/2 went wrong.
    #[error("HTTP/2: {0}")]
    Http2(Http2Failure),
    /// It is our fault: nothing was said about the endpoint.
    #[error("not sent: {0}")]
    Ours(OurFailure),
}

impl Failure {
    /// A stable word for metrics, records and the API.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidUrl(_) => "invalid_url",
            Self::Blocked(_) => "blocked",
            Self::Dns(_) => "dns_error",
            Self::ConnectRefused => "connect_refused",
            Self::ConnectTimeout => "connect_timeout",
            Self::ConnectFailed(_) => "connect_error",
            Self::Tls(_) => "tls_error",
            Self::TlsTimeout => "tls_timeout",
            Self::Timeout(_) => "timeout",
            Self::ConnectionReset => "connection_reset",
            Self::ConnectionClosed => "connection_closed",
            Self::InvalidResponse(_) => "invalid_response",
            Self::HeadTooLarge => "head_too_large",
            Self::TooManyInformational => "too_many_1xx",
            Self::Http2(failure) => failure.code(),
            Self::Ours(failure) => failure.code(),
        }
    }

    /// Whether the cause lies with us rather than the endpoint, so that the endpoint should not be
    /// charged for it.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        matches!(self, Self::Ours(_) | Self::Dns(DnsFailure::Unavailable))
    }
}

/// What is wrong with a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlFault {
    /// Neither `http` nor `https`, or not absolute.
    #[error("it is neither http nor https")]
    Scheme,
    /// Plain `http` although only `https` is allowed.
    #[error("only https is allowed")]
    Insecure,
    /// It carries a user name or password.
    #[error("it holds user information")]
    UserInfo,
    /// No host, or one that is neither a name nor an address.
    #[error("its host is not valid")]
    Host,
    /// The port is not a number from 1 to 65535.
    #[error("its port is not valid")]
    Port,
}

/// Why a name did not resolve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DnsFailure {
    /// It is no valid name.
    #[error("it is not a valid name")]
    InvalidName,
    /// The name does not exist.
    #[error("it does not exist")]
    NoSuchName,
    /// The name exists without an address.
    #[error("it has no address")]
    NoAddress,
    /// More addresses than anyone needs.
    #[error("it has too many addresses")]
    TooManyAddresses,
    /// The name servers answered with an error.
    #[error("the name servers report an error")]
    ServerError,
    /// No answer in time.
    #[error("no answer in time")]
    TimedOut,
    /// Our resolver cannot be asked. This one is ours.
    #[error("the resolver is not available")]
    Unavailable,
}

/// Why there is no secure connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TlsFailure {
    /// The certificate is no longer valid.
    #[error("the certificate has expired")]
    Expired,
    /// The certificate is not valid yet.
    #[error("the certificate is not valid yet")]
    NotYetValid,
    /// The certificate is for another name.
    #[error("the certificate is not valid for this name")]
    WrongName,
    /// Nobody we trust signed the certificate.
    #[error("the certificate's issuer is not trusted")]
    UnknownIssuer,
    /// The certificate was revoked.
    #[error("the certificate is revoked")]
    Revoked,
    /// Another fault of the certificate.
    #[error("the certificate is not valid")]
    BadCertificate,
    /// The peer wants a certificate of ours.
    #[error("the endpoint requires a client certificate")]
    ClientCertificateRequired,
    /// The peer ended the handshake with an alert.
    #[error("the endpoint refused the handshake")]
    Refused,
    /// No protocol version or cipher in common.
    #[error("no protocol version or cipher in common")]
    Incompatible,
    /// What came was not TLS.
    #[error("the endpoint did not speak TLS")]
    NotTls,
    /// The connection ended during the handshake.
    #[error("the connection ended during the handshake")]
    Closed,
    /// Anything else the peer did wrong.
    #[error("the endpoint broke the protocol")]
    Protocol,
}

/// How far an exchange came before its deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TimeoutPhase {
    /// There was no connection yet.
    #[error("no connection")]
    Dialling,
    /// The request was under way.
    #[error("no response")]
    Waiting,
}

/// What went wrong with HTTP/2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Http2Failure {
    /// The peer broke the protocol.
    #[error("protocol error")]
    Protocol,
    /// The peer refused the stream before it did anything with it.
    #[error("the stream was refused")]
    Refused,
    /// The peer reset the stream.
    #[error("the stream was reset")]
    Reset,
    /// The peer is going away, without having processed the request.
    #[error("the endpoint is going away")]
    GoingAway,
    /// The peer ended the connection with an error.
    #[error("the endpoint ended the connection")]
    GoAwayError,
    /// The peer sent frames or headers without end or use.
    #[error("too many frames or headers")]
    Flood,
}

impl Http2Failure {
    fn code(self) -> &'static str {
        match self {
            Self::Protocol => "h2_protocol",
            Self::Refused => "h2_refused",
            Self::Reset => "h2_reset",
            Self::GoingAway | Self::GoAwayError => "h2_goaway",
            Self::Flood => "h2_flood",
        }
    }
}

/// What went wrong on our side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OurFailure {
    /// File descriptors, ports or memory have run out.
    #[error("out of sockets")]
    Resources,
    /// There is no certificate to verify an https endpoint with.
    #[error("no trusted root certificates")]
    NoTrustedRoots,
    /// The proxy that all requests go through did not do its part.
    #[error("the egress proxy: {0}")]
    Proxy(ProxyFailure),
}

impl OurFailure {
    fn code(self) -> &'static str {
        match self {
            Self::Resources => "local_resources",
            Self::NoTrustedRoots => "local_trust",
            Self::Proxy(_) => "proxy_error",
        }
    }
}

/// What went wrong at the proxy, rather than between it and the endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProxyFailure {
    /// The proxy's own name did not resolve.
    #[error("its name could not be resolved")]
    Unresolved,
    /// There is no connection to the proxy.
    #[error("it cannot be reached")]
    Unreachable,
    /// The proxy took too long to accept the connection, to agree with us, or to finish its answer.
    #[error("it did not answer in time")]
    TimedOut,
    /// The proxy wants a user name and password, or others than ours.
    #[error("it wants other credentials than it got")]
    Credentials,
    /// The proxy's rules forbid the connection.
    #[error("it does not allow this connection")]
    Forbidden,
    /// Another HTTP status.
    #[error("it answered with status {0}")]
    Status(u16),
    /// Another SOCKS reply code.
    #[error("it answered with SOCKS code {0}")]
    Reply(u8),
    /// The proxy ended the connection.
    #[error("it ended the connection")]
    Closed,
    /// What came is not what a proxy of this kind answers.
    #[error("it did not answer like a proxy of this kind")]
    Malformed,
}

impl From<ProxyFailure> for Failure {
    fn from(failure: ProxyFailure) -> Self {
        Self::Ours(OurFailure::Proxy(failure))
    }
}
