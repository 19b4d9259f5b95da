//! Connecting to NATS, and waiting for it when it is away.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, ConnectOptions, Event, ServerAddr, jetstream};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::access::User;

/// How long the broker may take to acknowledge a published message before it is published again.
pub const ACK_TIMEOUT: Duration = Duration::from_millis(1_500);
/// How long any other request to the broker may take.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const PING_INTERVAL: Duration = Duration::from_secs(10);
const RECONNECT_DELAY_MAX: Duration = Duration::from_secs(2);

// How to reach NATS. No doc comment: clap would make it the program's description.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "NATS")]
pub struct NatsArgs {
    /// Addresses of NATS servers, with commas between them: nats:// or, with TLS, tls://. A server
    /// of a cluster tells of the others.
    #[arg(
        long,
        env = "TIDINGS_NATS_URL",
        value_name = "URL",
        default_value = "nats://127.0.0.1:4222",
        hide_env_values = true,
        value_parser = checked_addresses
    )]
    pub nats_url: String,
    /// File with NATS credentials (JWT and seed).
    #[arg(long, env = "TIDINGS_NATS_CREDS", value_name = "FILE", value_parser = readable_file)]
    pub nats_creds: Option<PathBuf>,
    /// File with an nkey seed.
    #[arg(
        long,
        env = "TIDINGS_NATS_NKEY",
        value_name = "FILE",
        value_parser = readable_file,
        conflicts_with = "nats_creds"
    )]
    pub nats_nkey: Option<PathBuf>,
    /// User name, with --nats-password-file.
    #[arg(
        long,
        env = "TIDINGS_NATS_USER",
        value_name = "NAME",
        requires = "nats_password_file",
        conflicts_with_all = ["nats_creds", "nats_nkey"]
    )]
    pub nats_user: Option<String>,
    /// File with the password of --nats-user.
    #[arg(
        long,
        env = "TIDINGS_NATS_PASSWORD_FILE",
        value_name = "FILE",
        value_parser = readable_file,
        requires = "nats_user"
    )]
    pub nats_password_file: Option<PathBuf>,
    /// File with certificates of authorities (PEM) that may sign the servers' certificates. With
    /// it, a server without TLS is refused.
    #[arg(long, env = "TIDINGS_NATS_CA", value_name = "FILE", value_parser = readable_file)]
    pub nats_ca: Option<PathBuf>,
    /// File with this client's certificate (PEM), for mutual TLS.
    #[arg(
        long,
        env = "TIDINGS_NATS_CERT",
        value_name = "FILE",
        value_parser = readable_file,
        requires = "nats_key"
    )]
    pub nats_cert: Option<PathBuf>,
    /// File with the key of this client's certificate (PEM).
    #[arg(
        long,
        env = "TIDINGS_NATS_KEY",
        value_name = "FILE",
        value_parser = readable_file,
        requires = "nats_cert"
    )]
    pub nats_key: Option<PathBuf>,
}

impl NatsArgs {
    /// The settings for a server at `url`, without credentials.
    #[must_use]
    pub fn at(url: impl Into<String>) -> Self {
        Self {
            nats_url: url.into(),
            nats_creds: None,
            nats_nkey: None,
            nats_user: None,
            nats_password_file: None,
            nats_ca: None,
            nats_cert: None,
            nats_key: None,
        }
    }
}

/// Who connects.
#[derive(Debug, Clone)]
pub struct Who {
    /// What the broker shows of the connection.
    pub name: String,
    /// The beginning of all subjects that answers go to. The user's permissions name it, so that
    /// nobody else can listen ([`crate::access`]).
    pub inbox: String,
}

impl Who {
    /// One of a service's processes, called `name`, under the permissions of `user`.
    #[must_use]
    pub fn new(user: &User, name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            inbox: user.inbox(),
        }
    }
}

/// A program that has the inbox of its name.
impl From<&str> for Who {
    fn from(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            inbox: format!("_INBOX.{name}"),
        }
    }
}

/// Why no connection can be made, however long one waits.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// A file that was named cannot be used.
    #[error("the file {path} given by --{option} cannot be used")]
    File {
        /// Which option named it.
        option: &'static str,
        /// The file.
        path: PathBuf,
        /// What happened.
        source: std::io::Error,
    },
    /// The addresses or settings make no sense.
    #[error("NATS at {url} cannot be used: {detail}; check --nats-url")]
    Settings {
        /// The addresses.
        url: String,
        /// What is wrong.
        detail: String,
    },
    /// The process was told to stop while it waited.
    #[error("told to stop before NATS at {url} could be reached")]
    Stopped {
        /// The addresses.
        url: String,
    },
    /// Nobody answered in time.
    #[error(
        "NATS at {url} did not answer within {waited:?}; is it running, and is --nats-url right?"
    )]
    Unreachable {
        /// The addresses.
        url: String,
        /// How long was waited.
        waited: Duration,
    },
}

/// Connects as `who` and waits, for as long as it takes, until NATS is there. Says once that it
/// waits. Afterwards the client reconnects by itself.
///
/// # Errors
/// The settings cannot be used, or `stop` was cancelled.
pub async fn connect(
    args: &NatsArgs,
    who: impl Into<Who>,
    stop: &CancellationToken,
) -> Result<Client, ConnectError> {
    let client = start(args, who.into()).await?;
    if wait_connected(&client, Duration::from_secs(1)).await {
        return Ok(client);
    }
    info!(nats.url = %shown(args), "waiting for NATS at {}", shown(args));
    let waiting = async { while !wait_connected(&client, Duration::from_secs(60)).await {} };
    match stop.run_until_cancelled(waiting).await {
        Some(()) => Ok(client),
        None => Err(ConnectError::Stopped { url: shown(args) }),
    }
}

/// Connects as `who` or fails within `patience`: for commands that a person waits for.
///
/// # Errors
/// The settings cannot be used, or nobody answered in time.
pub async fn connect_within(
    args: &NatsArgs,
    who: impl Into<Who>,
    patience: Duration,
) -> Result<Client, ConnectError> {
    let client = start(args, who.into()).await?;
    match wait_connected(&client, patience).await {
        true => Ok(client),
        false => Err(ConnectError::Unreachable {
            url: shown(args),
            waited: patience,
        }),
    }
}

/// A JetStream context with our time limits.
#[must_use]
pub fn jetstream(client: &Client) -> jetstream::Context {
    jetstream::context::ContextBuilder::new()
        .timeout(REQUEST_TIMEOUT)
        .build(client.clone())
}

/// Whether the client is connected right now.
#[must_use]
pub fn is_connected(client: &Client) -> bool {
    client.connection_state() == State::Connected
}

/// Reads addresses with commas between them. What an error says has no password in it.
fn addresses(text: &str) -> Result<Vec<ServerAddr>, String> {
    let address = |server: &str| {
        let wrong = |detail: &str| format!("{detail}; write it like nats://127.0.0.1:4222");
        let address: ServerAddr = server
            .trim()
            .parse()
            .map_err(|error| wrong(&format!("{error}")))?;
        match address.clone().into_inner().host_str() {
            None | Some("") => Err(wrong("an address has no host")),
            Some(_) => Ok(address),
        }
    };
    text.split(',').map(address).collect()
}

/// For clap: an address that can never work stops the start.
fn checked_addresses(text: &str) -> Result<String, String> {
    addresses(text).map(|_| text.to_owned())
}

/// For clap: a file that cannot be read stops the start.
fn readable_file(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    match std::fs::read(&path) {
        Ok(_) => Ok(path),
        Err(error) => Err(format!("the file cannot be read: {error}")),
    }
}

/// Connects as `who` in the background: the client may be used at once, and its requests fail
/// until NATS is there.
///
/// # Errors
/// The settings cannot be used.
pub async fn start(args: &NatsArgs, who: impl Into<Who>) -> Result<Client, ConnectError> {
    let settings = |detail: String| ConnectError::Settings {
        url: shown(args),
        detail,
    };
    let addresses = addresses(&args.nats_url).map_err(settings)?;
    let options = options(args, who.into()).await?;
    options
        .connect(addresses)
        .await
        .map_err(|error| settings(error.to_string()))
}

async fn options(args: &NatsArgs, who: Who) -> Result<ConnectOptions, ConnectError> {
    let mut options = ConnectOptions::new()
        .name(who.name)
        .custom_inbox_prefix(who.inbox)
        .retry_on_initial_connect()
        .connection_timeout(CONNECT_TIMEOUT)
        .request_timeout(Some(REQUEST_TIMEOUT))
        .ping_interval(PING_INTERVAL)
        .reconnect_delay_callback(|attempts| {
            Duration::from_millis(50 * (1 << attempts.min(6)) as u64).min(RECONNECT_DELAY_MAX)
        })
        .event_callback(|event| async move { report(&event) });
    options = with_credentials(options, args).await?;
    with_tls(options, args).await
}

async fn with_credentials(
    mut options: ConnectOptions,
    args: &NatsArgs,
) -> Result<ConnectOptions, ConnectError> {
    if let Some(path) = &args.nats_creds {
        let read = options.credentials_file(path).await;
        options = read.map_err(unusable("nats-creds", path))?;
    }
    if let Some(path) = &args.nats_nkey {
        let seed = tokio::fs::read_to_string(path).await;
        let seed = seed.map_err(unusable("nats-nkey", path))?;
        options = options.nkey(seed.trim().to_owned());
    }
    if let (Some(user), Some(path)) = (&args.nats_user, &args.nats_password_file) {
        let password = tokio::fs::read_to_string(path).await;
        let password = password.map_err(unusable("nats-password-file", path))?;
        options = options.user_and_password(user.clone(), password.trim_end().to_owned());
    }
    Ok(options)
}

async fn with_tls(
    mut options: ConnectOptions,
    args: &NatsArgs,
) -> Result<ConnectOptions, ConnectError> {
    // The client reads these files at each connecting, and would try again for ever.
    for (option, path) in [
        ("nats-ca", &args.nats_ca),
        ("nats-cert", &args.nats_cert),
        ("nats-key", &args.nats_key),
    ] {
        let Some(path) = path else { continue };
        let read = tokio::fs::read(path).await;
        read.map_err(unusable(option, path))?;
    }
    if let Some(path) = &args.nats_ca {
        options = options
            .add_root_certificates(path.clone())
            .require_tls(true);
    }
    if let (Some(cert), Some(key)) = (&args.nats_cert, &args.nats_key) {
        let (cert, key) = (cert.clone(), key.clone());
        options = options.add_client_certificate(cert, key).require_tls(true);
    }
    Ok(options)
}

fn unusable(option: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> ConnectError {
    let path = path.to_path_buf();
    move |source| ConnectError::File {
        option,
        path,
        source,
    }
}

async fn wait_connected(client: &Client, patience: Duration) -> bool {
    let poll = async {
        while !is_connected(client) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(patience, poll).await.is_ok()
}

/// The addresses without user names and passwords.
fn shown(args: &NatsArgs) -> String {
    let strip = |server: &str| match (server.split_once("://"), server.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
        (None, Some((_, host))) => host.to_owned(),
        (_, None) => server.to_owned(),
    };
    args.nats_url
        .split(',')
        .map(|server| strip(server.trim()))
        .collect::<Vec<_>>()
        .join(",")
}

fn report(event: &Event) {
    match event {
        Event::Connected => info!("connected to NATS"),
        Event::Disconnected => warn!("lost the connection to NATS; reconnecting"),
        Event::SlowConsumer(_) => warn!("NATS: {event}"),
        Event::ClientError(error) => debug!(%error, "NATS client"),
        other => debug!("NATS: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_in_an_address_are_not_shown() {
        let args = NatsArgs::at("nats://u:p@a:4222, tls://b:4222");
        assert_eq!(shown(&args), "nats://a:4222,tls://b:4222");
    }

    #[test]
    fn addresses_that_can_never_work_are_refused() {
        for good in [
            "nats://a:4222",
            "a",
            "a:4222, tls://u:p@[::1]:4222",
            "wss://a",
        ] {
            assert!(addresses(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "/tmp/x",
            "http://a",
            "nats://",
            "a,",
            "nats://a:b",
            "nats://u:secret@:1",
        ] {
            let error = addresses(bad).unwrap_err();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
