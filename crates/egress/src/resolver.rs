//! Names to addresses: hickory, asked for absolute names only.

use std::net::IpAddr;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RecordType};
use tokio::time::timeout;

use crate::failure::DnsFailure;
use crate::options::{EgressError, NameServers};

/// More addresses than this for one name are an attack or a mistake.
const ADDRESSES_MAX: usize = 64;
/// How many names are remembered.
const CACHE_SIZE: u64 = 8192;
/// Within these bounds the name's owner decides how long an answer is remembered.
const POSITIVE_TTL: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));
const NEGATIVE_TTL: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(30));
/// Lookups under way over one TCP connection to a name server.
const ACTIVE_REQUESTS_MAX: usize = 1024;

/// Resolves names within a time budget and remembers answers by their TTL.
#[derive(Debug, Clone)]
pub(crate) struct Resolver {
    hickory: TokioResolver,
    budget: Duration,
}

impl Resolver {
    pub(crate) fn new(servers: &NameServers, budget: Duration) -> Result<Self, EgressError> {
        let unusable = |error: NetError| EgressError::NameServers {
            reason: error.to_string(),
        };
        let mut builder = match servers {
            NameServers::System => TokioResolver::builder_tokio().map_err(unusable)?,
            NameServers::Explicit(addresses) => {
                let servers = addresses
                    .iter()
                    .map(|&address| name_server(address))
                    .collect();
                let config = ResolverConfig::from_parts(None, Vec::new(), servers);
                TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            }
        };
        set_options(builder.options_mut(), budget);
        let hickory = builder.build().map_err(unusable)?;
        Ok(Self { hickory, budget })
    }

    /// All addresses of `name`, IPv4 first, at least one.
    ///
    /// A and AAAA are asked for at the same time. If only one of them is answered, that answer
    /// counts: the addresses that were not learned are not dialled either.
    pub(crate) async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, DnsFailure> {
        let mut absolute = Name::from_ascii(name).map_err(|_| DnsFailure::InvalidName)?;
        absolute.set_fqdn(true);
        let (v4, v6) = tokio::join!(
            self.lookup(absolute.clone(), RecordType::A),
            self.lookup(absolute.clone(), RecordType::AAAA),
        );
        let addresses = match (v4, v6) {
            (Ok(mut v4), Ok(v6)) => {
                v4.extend(v6);
                v4
            }
            (Ok(one), Err(_)) | (Err(_), Ok(one)) if !one.is_empty() => one,
            (Err(failure), _) | (_, Err(failure)) => return Err(failure),
        };
        match addresses.len() {
            0 => Err(DnsFailure::NoAddress),
            1..=ADDRESSES_MAX => Ok(addresses),
            _ => Err(DnsFailure::TooManyAddresses),
        }
    }

    async fn lookup(&self, name: Name, kind: RecordType) -> Result<Vec<IpAddr>, DnsFailure> {
        match timeout(self.budget, self.hickory.lookup(name, kind)).await {
            Ok(Ok(found)) => Ok(found
                .answers()
                .iter()
                .filter_map(|record| record.data.ip_addr())
                .collect()),
            Ok(Err(error)) => no_records(&error).unwrap_or_else(|| Err(failure_of(&error))),
            Err(_) => Err(DnsFailure::TimedOut),
        }
    }
}

fn name_server(address: std::net::SocketAddr) -> NameServerConfig {
    let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
    for connection in &mut connections {
        connection.port = address.port();
    }
    NameServerConfig::new(address.ip(), true, connections)
}

fn set_options(options: &mut ResolverOpts, budget: Duration) {
    // Two tries fit into the budget, which is kept outside of the resolver as well.
    options.timeout = budget / 2;
    options.attempts = 1;
    options.use_hosts_file = ResolveHosts::Never;
    options.preserve_intermediates = false;
    options.cache_size = CACHE_SIZE;
    options.max_active_requests = ACTIVE_REQUESTS_MAX;
    (options.positive_min_ttl, options.positive_max_ttl) =
        (Some(POSITIVE_TTL.0), Some(POSITIVE_TTL.1));
    (options.negative_min_ttl, options.negative_max_ttl) =
        (Some(NEGATIVE_TTL.0), Some(NEGATIVE_TTL.1));
}

/// "No such records" is an answer: the name may have addresses of the other kind.
fn no_records(error: &NetError) -> Option<Result<Vec<IpAddr>, DnsFailure>> {
    let NetError::Dns(DnsError::NoRecordsFound(none)) = error else {
        return None;
    };
    Some(match none.response_code {
        ResponseCode::NXDomain => Err(DnsFailure::NoSuchName),
        _ => Ok(Vec::new()),
    })
}

fn failure_of(error: &NetError) -> DnsFailure {
    match error {
        NetError::Timeout => DnsFailure::TimedOut,
        NetError::Busy | NetError::NoConnections | NetError::Io(_) => DnsFailure::Unavailable,
        _ => DnsFailure::ServerError,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Failure;

    #[test]
    fn a_resolver_that_cannot_be_asked_is_our_fault() {
        for error in [NetError::Busy, NetError::NoConnections] {
            assert!(Failure::Dns(failure_of(&error)).is_ours(), "{error}");
        }
        assert!(!Failure::Dns(failure_of(&NetError::Timeout)).is_ours());
    }
}
