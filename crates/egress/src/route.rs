//! The way to a vetted address: straight, or through the operator's proxy.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::time::Instant;

use crate::dial::Dialler;
use crate::options::{EgressError, EgressOptions};
use crate::proxy::Proxy;
use crate::resolver::Resolver;
use crate::tries::{self, Reached, TryFailure};

/// Connects within a time budget.
#[derive(Debug)]
pub(crate) struct Route {
    dialler: Dialler,
    proxy: Option<Proxy>,
    budget: Duration,
}

impl Route {
    /// # Errors
    /// If the machine cannot send from one of the source addresses, or not to the proxy.
    pub(crate) fn new(options: &EgressOptions, resolver: &Resolver) -> Result<Self, EgressError> {
        let dialler = Dialler::new(&options.source_addresses)?;
        let proxy = options
            .proxy
            .as_ref()
            .map(|proxy| Proxy::new(proxy, resolver.clone(), &dialler))
            .transpose()?;
        Ok(Self {
            dialler,
            proxy,
            budget: options.connect_timeout,
        })
    }

    /// Connects to the first of the addresses that lets us. They are vetted already; [`Reached`]
    /// and [`TryFailure`] name one of them, never the proxy.
    pub(crate) async fn connect(
        &self,
        addresses: &[IpAddr],
        port: u16,
    ) -> Result<Reached, TryFailure> {
        let until = Instant::now() + self.budget;
        let Some(proxy) = &self.proxy else {
            return self.dialler.connect(addresses, port, until).await;
        };
        let targets: Vec<_> = addresses
            .iter()
            .map(|&address| SocketAddr::new(address, port))
            .collect();
        tries::in_turn(&targets, until, |target, until| {
            proxy.tunnel(&self.dialler, target, until)
        })
        .await
    }
}
