//! How a connection comes to be: read the target, resolve, vet, dial, secure.
//!
//! hyper-util's client asks for a connection by scheme and authority when its pool has none. It may
//! go on dialling after the request that wanted the connection got another one; the connection then
//! joins the pool. Whether the way to a vetted address is straight or leads through a proxy, only
//! [`Route`] knows.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tidings_core::address::AddressPolicy;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower::Service;

use crate::failure::{DnsFailure, Failure, OurFailure};
use crate::guard::{self, Host, Target};
use crate::options::{EgressError, EgressOptions};
use crate::resolver::Resolver;
use crate::route::Route;
use crate::tls;
use crate::tries::Reached;
use crate::wire::{DialTimings, OpenCount, Transport, Wire};

/// Makes vetted connections.
#[derive(Clone)]
pub(crate) struct Connector(Arc<Parts>);

struct Parts {
    addresses: AddressPolicy,
    https_only: bool,
    resolver: Resolver,
    route: Route,
    /// Absent if there is nobody to trust.
    tls: Option<TlsConnector>,
    tls_budget: Duration,
    open: OpenCount,
    kept_max: usize,
}

/// Why there is no connection, and how far it came.
#[derive(Debug)]
pub(crate) struct ConnectError {
    pub(crate) failure: Failure,
    pub(crate) dialled: DialTimings,
    pub(crate) remote: Option<SocketAddr>,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.failure.fmt(f)
    }
}

impl std::error::Error for ConnectError {}

impl Connector {
    pub(crate) fn new(options: &EgressOptions) -> Result<Self, EgressError> {
        let resolver = Resolver::new(&options.name_servers, options.dns_timeout)?;
        Ok(Self(Arc::new(Parts {
            addresses: options.addresses.clone(),
            https_only: options.https_only,
            route: Route::new(options, &resolver)?,
            resolver,
            tls: tls_connector(options)?,
            tls_budget: options.tls_timeout,
            open: OpenCount::default(),
            kept_max: options.connections_kept_max,
        })))
    }

    /// How many of its connections are open.
    pub(crate) fn open(&self) -> &OpenCount {
        &self.0.open
    }

    async fn connect(self, url: Uri) -> Result<TokioIo<Wire>, ConnectError> {
        let began = Instant::now();
        let mut dialled = DialTimings::default();
        let mut remote = None;
        let reached = self.reach(&url, &mut dialled, &mut remote).await;
        let (open, kept_max) = (&self.0.open, self.0.kept_max);
        let wired = reached.and_then(|(transport, peer)| {
            // It was there, and is gone before we asked for our address on it.
            Wire::new(transport, peer, began, dialled, (open, kept_max))
                .map_err(|_| Failure::ConnectionReset)
        });
        wired.map(TokioIo::new).map_err(|failure| ConnectError {
            failure,
            dialled,
            remote,
        })
    }

    async fn reach(
        &self,
        url: &Uri,
        dialled: &mut DialTimings,
        remote: &mut Option<SocketAddr>,
    ) -> Result<(Transport, SocketAddr), Failure> {
        let target = Target::of(url, self.0.https_only)?;
        let addresses = self.resolve(target.host, dialled).await?;
        guard::vet(&self.0.addresses, &addresses)?;

        let connecting = Instant::now();
        let reached = self.0.route.connect(&addresses, target.port).await;
        let Reached { tcp, remote: peer } = reached.map_err(|failed| {
            *remote = failed.remote;
            failed.failure
        })?;
        *remote = Some(peer);
        dialled.connect = Some(connecting.elapsed());
        if !target.secure {
            return Ok((Transport::Plain(tcp), peer));
        }

        let securing = Instant::now();
        let stream = self.secure(target.host, tcp).await?;
        dialled.tls = Some(securing.elapsed());
        Ok((Transport::Tls(Box::new(stream)), peer))
    }

    async fn resolve(
        &self,
        host: Host<'_>,
        dialled: &mut DialTimings,
    ) -> Result<Vec<IpAddr>, Failure> {
        let name = match host {
            Host::Literal(address) => return Ok(vec![address]),
            Host::Name(name) => name,
        };
        let asked = Instant::now();
        let addresses = self.0.resolver.addresses(name).await;
        dialled.dns = Some(asked.elapsed());
        addresses.map_err(Failure::Dns)
    }

    async fn secure(
        &self,
        host: Host<'_>,
        tcp: TcpStream,
    ) -> Result<TlsStream<TcpStream>, Failure> {
        let Some(connector) = &self.0.tls else {
            return Err(Failure::Ours(OurFailure::NoTrustedRoots));
        };
        let name = match host {
            Host::Literal(address) => ServerName::from(address),
            Host::Name(name) => ServerName::try_from(name.to_owned())
                .map_err(|_| Failure::Dns(DnsFailure::InvalidName))?,
        };
        match timeout(self.0.tls_budget, connector.connect(name, tcp)).await {
            Ok(secured) => secured.map_err(|error| Failure::Tls(tls::failure_of(&error))),
            Err(_) => Err(Failure::TlsTimeout),
        }
    }
}

/// A machine without roots can still send to `http` URLs; whoever sends to `https` only learns of it
/// at once.
fn tls_connector(options: &EgressOptions) -> Result<Option<TlsConnector>, EgressError> {
    match tls::connector(options.extra_ca_pem.as_deref()) {
        Ok(connector) => Ok(Some(connector)),
        Err(EgressError::NoTrustedRoots) if !options.https_only => {
            tracing::warn!(
                "no trusted root certificates on this system: requests to https URLs will fail"
            );
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Wire>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        Box::pin(self.clone().connect(url))
    }
}
