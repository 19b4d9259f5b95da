//! What an [`EgressClient`](crate::EgressClient) may be told, and why it may refuse to start.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tidings_core::address::AddressPolicy;

use crate::proxy::ProxyOptions;

/// How requests leave. The defaults are those of `DESIGN.md`, section 10.
#[derive(Debug, Clone)]
pub struct EgressOptions {
    /// Which addresses may be called.
    pub addresses: AddressPolicy,
    /// Whether plain `http://` URLs are refused.
    pub https_only: bool,
    /// Who resolves names.
    pub name_servers: NameServers,
    /// Certificates (PEM, any number) of further roots to trust, besides the platform's.
    pub extra_ca_pem: Option<Vec<u8>>,
    /// Local addresses to send from, in turn, one per connection, of the family of whom we connect
    /// to. Empty: the system chooses. With a proxy, these are what the proxy sees.
    pub source_addresses: Vec<IpAddr>,
    /// The proxy that every connection goes through. What it may reach is vetted here all the same,
    /// but [`addresses`](Self::addresses) means what the proxy sees: whoever allows loopback allows
    /// the proxy's.
    pub proxy: Option<ProxyOptions>,
    /// How long resolving a name may take.
    pub dns_timeout: Duration,
    /// How long connecting (TCP) may take, over all addresses of a name together. With a proxy, also
    /// how long it may take until the tunnel is there.
    pub connect_timeout: Duration,
    /// How long the TLS handshake may take.
    pub tls_timeout: Duration,
    /// How long an unused connection is kept.
    pub idle_timeout: Duration,
    /// How many unused connections are kept for one scheme, host and port.
    pub idle_per_host_max: usize,
    /// A connection that is opened while there are as many as this, whoever they are to, serves one
    /// exchange only. So there are never more than this and those that are in use.
    pub connections_kept_max: usize,
    /// No exchange starts on a connection older than this. A connection is given up
    /// [`idle_timeout`](Self::idle_timeout) earlier, at the end of an exchange.
    pub connection_age_max: Duration,
    /// The longest response head, in bytes. At least 8,192.
    pub head_bytes_max: usize,
    /// How many header fields a response may have (HTTP/1.1; in HTTP/2 the size limits them).
    pub headers_max: usize,
    /// How many interim responses (1xx) may come before the final one (HTTP/1.1).
    pub informational_max: u32,
    /// How many bytes of a response body are kept.
    pub body_bytes_max: usize,
    /// How long a response body may take, from its head on.
    pub body_timeout: Duration,
    /// In how many pieces a response body may come.
    pub body_frames_max: usize,
}

impl Default for EgressOptions {
    fn default() -> Self {
        Self {
            addresses: AddressPolicy::default(),
            https_only: false,
            name_servers: NameServers::System,
            extra_ca_pem: None,
            source_addresses: Vec::new(),
            proxy: None,
            dns_timeout: Duration::from_secs(3),
            connect_timeout: Duration::from_secs(5),
            tls_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(30),
            idle_per_host_max: 16,
            connections_kept_max: 1024,
            connection_age_max: Duration::from_secs(300),
            head_bytes_max: 16 * 1024,
            headers_max: 100,
            informational_max: 10,
            body_bytes_max: 64 * 1024,
            body_timeout: Duration::from_secs(2),
            body_frames_max: 1024,
        }
    }
}

impl EgressOptions {
    /// The smallest read buffer hyper takes.
    const HEAD_BYTES_MIN: usize = 8192;

    pub(crate) fn checked(self) -> Result<Self, EgressError> {
        if self.head_bytes_max < Self::HEAD_BYTES_MIN || self.head_bytes_max > u32::MAX as usize {
            return Err(EgressError::HeadLimit {
                bytes: self.head_bytes_max,
            });
        }
        Ok(self)
    }
}

/// Who resolves names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameServers {
    /// Those of the system (`/etc/resolv.conf`), without its search domains.
    System,
    /// These.
    Explicit(Vec<SocketAddr>),
}

/// Why a client cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    /// There is nobody to resolve names.
    #[error("no usable name server: {reason}")]
    NameServers {
        /// What the resolver said.
        reason: String,
    },
    /// A source address is not an address of this machine, or of no single one.
    #[error("cannot send from {address}")]
    SourceAddress {
        /// The address.
        address: IpAddr,
        /// What the system said.
        source: io::Error,
    },
    /// There are source addresses, but none that could reach the proxy.
    #[error("no source address is of the same family as the proxy's address {proxy}")]
    ProxyFamily {
        /// The proxy's address.
        proxy: IpAddr,
    },
    /// The extra certificates are not PEM, hold none, or hold one that is no certificate.
    #[error("the extra CA certificates are unusable: {reason}")]
    ExtraCa {
        /// What is wrong with them.
        reason: String,
    },
    /// `https` is required, but the platform has no root certificates and no extra ones are given.
    #[error(
        "no trusted root certificates: install the system's CA certificates or give an extra CA"
    )]
    NoTrustedRoots,
    /// The head limit is outside of what the HTTP library takes.
    #[error("a response head limit of {bytes} bytes is not possible, take at least 8192")]
    HeadLimit {
        /// The limit that was asked for.
        bytes: usize,
    },
}
