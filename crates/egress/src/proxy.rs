//! A tunnel through the operator's proxy, to an address that is vetted already.
//!
//! The proxy is asked for an address, never for a name, so it cannot reach anything else than what
//! was vetted here. Where the proxy itself is, is the operator's choice: its address is not subject
//! to the egress policy.
//!
//! Own code for both protocols, because whose fault a failure is hangs on what the proxy answers:
//! hyper-util's `Tunnel` does not tell the status, nor its `SocksV5` the reply code.
//!
//! Whose fault it is: until the proxy is asked for the target, every failure is the proxy's, which
//! is ours ([`OurFailure::Proxy`]). Then silence until the time is up means that the target does not
//! answer, and an answer is read as `http_connect` and `socks5` say. Once the tunnel stands, what
//! ends it cannot be told apart from what the target does.

mod http_connect;
mod options;
mod socks5;

use std::net::{IpAddr, SocketAddr};

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use crate::dial::Dialler;
use crate::failure::{Failure, OurFailure, ProxyFailure};
use crate::options::EgressError;
use crate::resolver::Resolver;

use options::{Protocol, ProxyHost};
pub use options::{ProxyOptions, ProxyUrlError};

/// Opens tunnels.
#[derive(Debug)]
pub(crate) struct Proxy {
    options: ProxyOptions,
    resolver: Resolver,
}

impl Proxy {
    /// # Errors
    /// If the proxy's address is of a family that we have no source address of.
    pub(crate) fn new(
        options: &ProxyOptions,
        resolver: Resolver,
        dialler: &Dialler,
    ) -> Result<Self, EgressError> {
        match options.host {
            ProxyHost::Literal(proxy) if !dialler.has_source_for(proxy) => {
                Err(EgressError::ProxyFamily { proxy })
            }
            _ => Ok(Self {
                options: options.clone(),
                resolver,
            }),
        }
    }

    /// Opens a tunnel to `target`, until `until`.
    pub(crate) async fn tunnel(
        &self,
        dialler: &Dialler,
        target: SocketAddr,
        until: Instant,
    ) -> Result<TcpStream, Failure> {
        let addresses = self.addresses(until).await?;
        let mut tcp = dialler
            .connect(&addresses, self.options.port, until)
            .await
            .map_err(|failed| failure_to_reach(failed.failure))?
            .tcp;
        let credentials = self.options.credentials.as_ref();
        match self.options.protocol {
            Protocol::HttpConnect => {
                http_connect::open(&mut tcp, target, credentials, until).await?;
            }
            Protocol::Socks5 => socks5::open(&mut tcp, target, credentials, until).await?,
        }
        Ok(tcp)
    }

    async fn addresses(&self, until: Instant) -> Result<Vec<IpAddr>, ProxyFailure> {
        let name = match &self.options.host {
            ProxyHost::Literal(address) => return Ok(vec![*address]),
            ProxyHost::Name(name) => name,
        };
        match timeout_at(until, self.resolver.addresses(name)).await {
            Ok(Ok(addresses)) => Ok(addresses),
            Ok(Err(_)) | Err(_) => Err(ProxyFailure::Unresolved),
        }
    }
}

fn failure_to_reach(failure: Failure) -> Failure {
    match failure {
        Failure::Ours(OurFailure::Resources) => failure,
        Failure::ConnectTimeout => ProxyFailure::TimedOut.into(),
        _ => ProxyFailure::Unreachable.into(),
    }
}

async fn send(tcp: &mut TcpStream, bytes: &[u8]) -> Result<(), ProxyFailure> {
    tcp.write_all(bytes).await.map_err(|_| ProxyFailure::Closed)
}
