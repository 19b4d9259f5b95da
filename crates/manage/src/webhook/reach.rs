//! Whether an endpoint may be called, as far as only the network can tell (CONTRACT.md section 6,
//! last paragraph): what its name resolves to, and whether it redirects.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{LOCATION, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method};
use tidings_core::endpoint_url::{EndpointUrl, Host, UrlPolicy, check_resolved};
use tidings_core::format::USER_AGENT_VALUE;
use tidings_core::transformation::Address;
use tidings_egress::{EgressClient, Failure, OutgoingRequest, Response};
use tidings_sender::args::EgressArgs;

use crate::{Error, Result};

const RESOLVE_WITHIN: Duration = Duration::from_secs(3);
const PROBE_WITHIN: Duration = Duration::from_secs(5);
const PROBES_AT_ONCE: usize = 16;
const LOCATION_CHARS_MAX: usize = 200;

// Which endpoints may be called, and how that is found out: as senders are told.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ReachArgs {
    // As senders are told.
    #[command(flatten)]
    pub egress: EgressArgs,
    /// Take localhost and other names that are not public, for development. What they stand for
    /// has to be in --egress-allow all the same.
    #[arg(long, env = "TIDINGS_ALLOW_LOCAL", help_heading = "Egress")]
    pub allow_local: bool,
    /// Do not ask the endpoint whether it redirects.
    #[arg(long, env = "TIDINGS_NO_PROBE", help_heading = "Egress")]
    pub no_probe: bool,
}

impl ReachArgs {
    /// What these options mean.
    ///
    /// # Errors
    /// An option cannot be used; the message names it.
    pub fn reach(&self) -> anyhow::Result<Reach> {
        let policy = UrlPolicy {
            allow_local_names: self.allow_local,
            ..self.egress.url_policy()
        };
        let client = match self.no_probe {
            true => None,
            false => Some(Arc::new(self.egress.client(PROBES_AT_ONCE)?)),
        };
        Ok(Reach { policy, client })
    }
}

/// Which URLs a webhook may have. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Reach {
    /// What is told from the text alone.
    pub policy: UrlPolicy,
    /// Asks endpoints whether they redirect; `None` asks nobody.
    client: Option<Arc<EgressClient>>,
}

impl Reach {
    /// A policy without a request to the endpoint.
    #[must_use]
    pub fn without_probe(policy: UrlPolicy) -> Self {
        Self {
            policy,
            client: None,
        }
    }
}

/// Refuses an endpoint that must not be called. Returns what could not be found out, as a warning:
/// an endpoint that is not up yet may be configured all the same.
pub(super) async fn check(address: &Address, reach: &Reach) -> Result<Option<String>> {
    let url = address.sample();
    let mut warning = None;
    if let Host::Name(name) = url.host() {
        match resolve(name, url.port()).await {
            Ok(addresses) => check_resolved(&addresses, &reach.policy.address)
                .map_err(|error| Error::field("/url", "name_denied", error.to_string()))?,
            Err(error) => warning = Some(format!("the name {name} does not resolve now: {error}")),
        }
    }
    // Of a URL that is rendered for each event, none is known yet.
    match (&reach.client, address) {
        (None, _) | (Some(_), Address::Template { .. }) => Ok(warning),
        (Some(client), Address::Fixed(url)) => probe(url, client).await,
    }
}

async fn resolve(name: &str, port: u16) -> std::io::Result<Vec<IpAddr>> {
    let lookup = tokio::net::lookup_host((name, port));
    let found = tokio::time::timeout(RESOLVE_WITHIN, lookup).await??;
    Ok(found.map(|address| address.ip()).collect())
}

/// One request without a body, through the same guarded client that deliveries take.
async fn probe(url: &EndpointUrl, client: &EgressClient) -> Result<Option<String>> {
    let agent = HeaderValue::from_static(USER_AGENT_VALUE);
    let request = OutgoingRequest {
        method: Method::HEAD,
        url: url.uri().clone(),
        headers: HeaderMap::from_iter([(USER_AGENT, agent)]),
        body: Bytes::new(),
        content_length: true,
    };
    let exchange = client.exchange(&request, PROBE_WITHIN).await;
    match exchange.result {
        Ok(response) if response.status.is_redirection() => Err(redirects(&response)),
        Ok(_) => Ok(None),
        Err(Failure::Blocked(denied)) => {
            let detail = denied.map_or_else(String::new, |denied| format!(": {denied}"));
            let detail = format!("the address is not allowed{detail}");
            Err(Error::field("/url", "blocked", detail))
        }
        Err(failure) => Ok(Some(format!("the endpoint does not answer now: {failure}"))),
    }
}

fn redirects(response: &Response) -> Error {
    let status = response.status.as_u16();
    let location = response.headers.get(LOCATION).map(|to| {
        let text: String = String::from_utf8_lossy(to.as_bytes())
            .chars()
            .take(LOCATION_CHARS_MAX)
            .collect();
        let shown = |c: char| match c.is_control() {
            true => c.escape_default().to_string(),
            false => c.to_string(),
        };
        format!(" to {}", text.chars().map(shown).collect::<String>())
    });
    let location = location.unwrap_or_default();
    let detail = format!(
        "it redirects{location} (status {status}), and redirects are never followed; give the \
         final URL, or --no-probe if only HEAD requests are redirected"
    );
    Error::field("/url", "redirects", detail)
}
