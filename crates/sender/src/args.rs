//! What can be set.

mod list;
mod secrets;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use anyhow::Context as _;
use clap::ArgAction;
use clap::builder::RangedU64ValueParser;
use tidings_core::address::AddressPolicy;
use tidings_core::endpoint_url::UrlPolicy;
use tidings_core::name::{NAME_BYTES_MAX, NameError, Pool, check_word};
use tidings_core::secret::Secret;
use tidings_egress::{EgressClient, EgressError, EgressOptions, NameServers, ProxyOptions};
use tidings_nats::connect::NatsArgs;

pub use list::{List, ListError, NameServer, Network};
pub use secrets::SecretArgs;

/// How many unused connections to one host are kept. With fewer than are used at once, many webhooks
/// of one host would dial and close all the time.
const IDLE_PER_HOST_MAX: usize = 1_024;

/// The sender's options.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Sender")]
pub struct SenderArgs {
    // Where `/healthz`, `/readyz` and `/metrics` are answered; `None` only inside `tidings dev`.
    /// Address of the HTTP listener for health and metrics.
    #[arg(
        long,
        env = "TIDINGS_LISTEN",
        value_name = "ADDR",
        default_value = "127.0.0.1:8083"
    )]
    pub listen: Option<SocketAddr>,
    /// The fleet this sender belongs to: it sends the deliveries of this pool and no others.
    #[arg(
        long,
        env = "TIDINGS_POOL",
        value_name = "NAME",
        default_value = "default"
    )]
    pub pool: Pool,
    /// How many attempts are under way at once. Each takes a connection, and so an open file: the
    /// limit (`ulimit -n`) is raised as far as the system allows, and the start refused if that is
    /// not enough.
    #[arg(long, env = "TIDINGS_CONCURRENCY", value_name = "N", default_value_t = 512,
          value_parser = RangedU64ValueParser::<usize>::new().range(1..=65_536))]
    pub concurrency: usize,
    /// How many attempts at one host are under way at once in this sender, whatever number of
    /// webhooks call it.
    #[arg(long, env = "TIDINGS_HOST_SLOTS", value_name = "N", default_value_t = 64,
          value_parser = RangedU64ValueParser::<usize>::new().range(1..=65_536))]
    pub host_slots: usize,
    /// What this sender calls itself, different from all others of its pool [default: the
    /// machine's name, the process id and a random word].
    #[arg(long, env = "TIDINGS_NAME", value_name = "NAME", value_parser = name)]
    pub name: Option<String>,
    /// What opens the secrets of webhooks.
    #[command(flatten)]
    pub secrets: SecretArgs,
    /// Where requests may go and how they leave.
    #[command(flatten)]
    pub egress: EgressArgs,
    /// How NATS is reached.
    #[command(flatten)]
    pub nats: NatsArgs,
}

/// Where requests may go and how they leave.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Egress")]
pub struct EgressArgs {
    /// Networks that may be called although they are not public, with commas between them; empty
    /// for none.
    #[arg(long, env = "TIDINGS_EGRESS_ALLOW", value_name = "CIDR,…")]
    pub egress_allow: Vec<List<Network>>,
    /// Networks that may never be called, with commas between them. Stronger than --egress-allow.
    #[arg(long, env = "TIDINGS_EGRESS_DENY", value_name = "CIDR,…")]
    pub egress_deny: Vec<List<Network>>,
    /// Refuses to call plain `http://` URLs.
    #[arg(long, env = "TIDINGS_HTTPS_ONLY", value_name = "BOOL", action = ArgAction::Set,
          default_value = "false", num_args = 0..=1, default_missing_value = "true",
          require_equals = true)]
    pub https_only: bool,
    /// File with certificates (PEM) of further authorities that may sign endpoints' certificates.
    #[arg(long, env = "TIDINGS_EGRESS_CA", value_name = "FILE")]
    pub egress_ca: Option<PathBuf>,
    /// Addresses of this machine to send from, in turn, with commas between them; empty to let the
    /// system choose. They are published as addresses of the pool (`tidings egress list`), unless
    /// there is a proxy.
    #[arg(long, env = "TIDINGS_EGRESS_IPS", value_name = "IP,…")]
    pub egress_ips: Vec<List<IpAddr>>,
    /// Proxy that all requests go through: `http://host:port` (CONNECT) or `socks5://host:port`,
    /// with `user:password@` before the host if it asks for them. Names are still looked up and
    /// checked here.
    // Kept as text: clap would print a wrong one, password included.
    #[arg(long, env = "TIDINGS_EGRESS_PROXY", value_name = "URL", hide_env_values = true,
          value_parser = |text: &str| Ok::<_, std::convert::Infallible>(Secret::new(text)))]
    pub egress_proxy: Option<Secret>,
    /// Name servers to ask instead of the system's, with commas between them.
    #[arg(long, env = "TIDINGS_DNS_SERVER", value_name = "ADDR,…")]
    pub dns_server: Vec<List<NameServer>>,
}

impl EgressArgs {
    /// Which URLs of webhooks are called. Names are the creation policy's affair; the addresses
    /// behind them are checked on every connection.
    #[must_use]
    pub fn url_policy(&self) -> UrlPolicy {
        UrlPolicy {
            address: self.address_policy(),
            https_only: self.https_only,
            allow_local_names: true,
        }
    }

    /// The client that makes at most `in_flight_max` requests at once.
    ///
    /// # Errors
    /// It could not work as asked; the message names the option.
    pub fn client(&self, in_flight_max: usize) -> anyhow::Result<EgressClient> {
        let kept = EgressOptions::default().connections_kept_max;
        self.client_that_keeps(in_flight_max, kept)
    }

    /// The same, of which no more than `kept_max` connections are kept unused, over all hosts.
    ///
    /// # Errors
    /// As [`client`](Self::client).
    pub fn client_that_keeps(
        &self,
        in_flight_max: usize,
        kept_max: usize,
    ) -> anyhow::Result<EgressClient> {
        let options = EgressOptions {
            connections_kept_max: kept_max,
            ..self.options(in_flight_max)?
        };
        EgressClient::new(options).map_err(|error| {
            let option = match &error {
                EgressError::NameServers { .. } => "--dns-server",
                EgressError::SourceAddress { .. } => "--egress-ips",
                EgressError::ProxyFamily { .. } => "--egress-proxy with --egress-ips",
                EgressError::ExtraCa { .. } | EgressError::NoTrustedRoots => "--egress-ca",
                _ => "the egress options",
            };
            anyhow::Error::new(error).context(option)
        })
    }

    /// The addresses that receivers see, as far as they are known here: a proxy has its own.
    #[must_use]
    pub fn seen_addresses(&self) -> Vec<IpAddr> {
        match self.egress_proxy {
            Some(_) => Vec::new(),
            None => items(&self.egress_ips).copied().collect(),
        }
    }

    fn options(&self, in_flight_max: usize) -> anyhow::Result<EgressOptions> {
        let read = |path: &PathBuf| {
            std::fs::read(path).with_context(|| format!("--egress-ca {}", path.display()))
        };
        let proxy = self
            .egress_proxy
            .as_ref()
            .map(|url| url.expose().parse::<ProxyOptions>());
        let servers: Vec<SocketAddr> = items(&self.dns_server).map(|server| server.0).collect();
        Ok(EgressOptions {
            addresses: self.address_policy(),
            https_only: self.https_only,
            name_servers: match servers.is_empty() {
                true => NameServers::System,
                false => NameServers::Explicit(servers),
            },
            extra_ca_pem: self.egress_ca.as_ref().map(read).transpose()?,
            proxy: proxy.transpose().context("--egress-proxy")?,
            source_addresses: items(&self.egress_ips).copied().collect(),
            idle_per_host_max: in_flight_max.min(IDLE_PER_HOST_MAX),
            ..EgressOptions::default()
        })
    }

    fn address_policy(&self) -> AddressPolicy {
        let networks =
            |lists: &[List<Network>]| items(lists).map(|network| network.0).collect::<Vec<_>>();
        AddressPolicy {
            allow: networks(&self.egress_allow),
            deny: networks(&self.egress_deny),
        }
    }
}

fn items<T>(lists: &[List<T>]) -> impl Iterator<Item = &T> {
    lists.iter().flat_map(|list| &list.0)
}

fn name(text: &str) -> Result<String, NameError> {
    check_word(text, NAME_BYTES_MAX)?;
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use clap::Parser;
    use tidings_service::settings::{SettingsError, parse_from};

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        sender: SenderArgs,
    }

    fn with(arguments: &[&str]) -> Result<SenderArgs, SettingsError> {
        let program = std::iter::once("sender").chain(arguments.iter().copied());
        let arguments: Vec<OsString> = program.map(OsString::from).collect();
        parse_from::<Program>(arguments).map(|program| program.sender)
    }

    #[test]
    fn nothing_private_may_be_called_unless_allowed() {
        let check = |args: SenderArgs| {
            let policy = args.egress.url_policy().address;
            policy.check("127.0.0.1".parse().unwrap()).is_ok()
        };
        assert!(!check(with(&[]).unwrap()));
        assert!(check(
            with(&["--egress-allow", "10.0.0.0/8, 127.0.0.0/8"]).unwrap()
        ));
        assert!(!check(with(&["--egress-allow", ""]).unwrap()));
        let denied = [
            "--egress-allow",
            "127.0.0.0/8",
            "--egress-deny",
            "127.0.0.1",
        ];
        assert!(!check(with(&denied).unwrap()));
    }

    #[test]
    fn a_wrong_value_names_its_option() {
        for (option, value) in [
            ("--egress-allow", "10.0.0.0/33"),
            ("--egress-ips", "nowhere"),
            ("--dns-server", "a:b"),
            ("--concurrency", "0"),
            ("--name", "a b"),
            ("--pool", "a.b"),
        ] {
            let error = with(&[option, value]).unwrap_err().to_string();
            assert!(error.contains(option), "{error}");
        }
    }

    #[test]
    fn a_wrong_proxy_names_its_option_and_not_its_password() {
        let args = with(&["--egress-proxy", "ftp://u:s3cret@a:1"]).unwrap();
        let error = format!("{:#}", args.egress.client(1).unwrap_err());
        assert!(
            error.contains("--egress-proxy") && !error.contains("s3cret"),
            "{error}"
        );
        let args = with(&["--egress-proxy", "http://u:s3cret@127.0.0.1:3128"]).unwrap();
        assert!(args.egress.client(1).is_ok());
        assert!(!format!("{args:?}").contains("s3cret"));
    }

    #[test]
    fn https_only_is_a_switch_that_can_be_set_back() {
        assert!(!with(&[]).unwrap().egress.https_only);
        assert!(with(&["--https-only"]).unwrap().egress.https_only);
        assert!(!with(&["--https-only=false"]).unwrap().egress.https_only);
    }

    #[test]
    fn name_servers_listen_at_port_53_unless_told() {
        let args = with(&["--dns-server", "127.0.0.1:5353,::1"]).unwrap();
        let servers = ["127.0.0.1:5353", "[::1]:53"].map(|server| server.parse().unwrap());
        let options = args.egress.options(512).unwrap();
        assert_eq!(options.name_servers, NameServers::Explicit(servers.into()));
    }
}
