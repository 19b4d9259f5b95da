//! Whether an endpoint may be called, as far as only the network can tell (CONTRACT.md section 6,
//! last paragraph): what its name resolves to, and whether it redirects.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{LOCATION, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method};
use tidings_core::endpoint_url::{EndpointUrl, Host, UrlPolicy, check_resolved};
use tidings_core::format::USER_AGENT_VALUE;
use tidings_egress::{Failure, OutgoingRequest, Response};

use super::Invalid;
use super::options::ReachArgs;
use crate::output::clean;

const RESOLVE_WITHIN: Duration = Duration::from_secs(3);
const PROBE_WITHIN: Duration = Duration::from_secs(5);
const LOCATION_CHARS_MAX: usize = 200;

/// Refuses an endpoint that must not be called. Returns what could not be found out, for the
/// person at the terminal: an endpoint that is not up yet may be configured all the same.
pub(super) async fn check(
    url: &EndpointUrl,
    policy: &UrlPolicy,
    args: &ReachArgs,
) -> anyhow::Result<Option<String>> {
    let mut warning = None;
    if let Host::Name(name) = url.host() {
        match resolve(name, url.port()).await {
            Ok(addresses) => check_resolved(&addresses, &policy.address)
                .map_err(|error| Invalid::field("/url", "name_denied", error.to_string()))?,
            Err(error) => warning = Some(format!("the name {name} does not resolve now: {error}")),
        }
    }
    match args.no_probe {
        true => Ok(warning),
        false => probe(url, args).await,
    }
}

async fn resolve(name: &str, port: u16) -> std::io::Result<Vec<IpAddr>> {
    let lookup = tokio::net::lookup_host((name, port));
    let found = tokio::time::timeout(RESOLVE_WITHIN, lookup).await??;
    Ok(found.map(|address| address.ip()).collect())
}

/// One request without a body, through the same guarded client that deliveries take.
async fn probe(url: &EndpointUrl, args: &ReachArgs) -> anyhow::Result<Option<String>> {
    let client = args.egress.client(1)?;
    let agent = HeaderValue::from_static(USER_AGENT_VALUE);
    let request = OutgoingRequest {
        method: Method::HEAD,
        url: url.uri().clone(),
        headers: HeaderMap::from_iter([(USER_AGENT, agent)]),
        body: Bytes::new(),
        content_length: true,
    };
    let exchange = client.exchange(request, PROBE_WITHIN).await;
    client.close().await;
    match exchange.result {
        Ok(response) if response.status.is_redirection() => Err(redirects(&response).into()),
        Ok(_) => Ok(None),
        Err(Failure::Blocked(denied)) => {
            let detail = denied.map_or_else(String::new, |denied| format!(": {denied}"));
            let detail = format!("the address is not allowed{detail}");
            Err(Invalid::field("/url", "blocked", detail).into())
        }
        Err(failure) => Ok(Some(format!("the endpoint does not answer now: {failure}"))),
    }
}

fn redirects(response: &Response) -> Invalid {
    let status = response.status.as_u16();
    let location = response.headers.get(LOCATION).map(|to| {
        let text: String = String::from_utf8_lossy(to.as_bytes())
            .chars()
            .take(LOCATION_CHARS_MAX)
            .collect();
        format!(" to {}", clean(&text))
    });
    let location = location.unwrap_or_default();
    let detail = format!(
        "it redirects{location} (status {status}), and redirects are never followed; give the \
         final URL, or --no-probe if only HEAD requests are redirected"
    );
    Invalid::field("/url", "redirects", detail)
}
