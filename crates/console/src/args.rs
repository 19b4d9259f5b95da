//! What can be set.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::ArgAction;
use clap::builder::RangedU64ValueParser;
use tidings_core::duration;
use tidings_manage::webhook::ReachArgs;
use url::Url;

/// The console's options.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Console")]
pub struct ConsoleArgs {
    /// Address of the dashboard, the management API, health and metrics.
    #[arg(
        long,
        env = "TIDINGS_CONSOLE_LISTEN",
        value_name = "ADDR",
        default_value = "127.0.0.1:8081"
    )]
    pub listen: SocketAddr,
    /// Folder of the delivery log. It may be lost: the log is built again from the streams. Each
    /// console has its own.
    #[arg(
        long,
        env = "TIDINGS_CONSOLE_DATA_DIR",
        value_name = "DIR",
        default_value = "./.tidings/console"
    )]
    pub data_dir: PathBuf,
    /// Where people reach the console, such as <https://webhooks.example.com>; at --listen if left
    /// out.
    #[arg(long, env = "TIDINGS_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<Url>,
    /// Let browsers send the session's cookie over TLS only [default: if --public-url is https].
    #[arg(long, env = "TIDINGS_COOKIE_SECURE", value_name = "BOOL", action = ArgAction::Set)]
    pub cookie_secure: Option<bool>,
    /// How long the delivery log remembers.
    #[arg(long, env = "TIDINGS_LOG_MAX_AGE", value_name = "DURATION", default_value = "168h",
          value_parser = duration::parse)]
    pub log_max_age: Duration,
    /// How large the delivery log may become, in MiB; the oldest is forgotten beyond it.
    #[arg(long, env = "TIDINGS_LOG_MAX_MB", value_name = "MIB", default_value_t = 8192,
          value_parser = RangedU64ValueParser::<u64>::new().range(16..=1 << 24))]
    pub log_max_mb: u64,
    /// How many requests per second a token may make at the management API.
    #[arg(
        long,
        env = "TIDINGS_API_RATE",
        value_name = "COUNT",
        default_value = "50"
    )]
    pub api_rate: NonZeroU32,
    /// How many requests a token may make at once before that rate holds.
    #[arg(
        long,
        env = "TIDINGS_API_BURST",
        value_name = "COUNT",
        default_value = "200"
    )]
    pub api_burst: NonZeroU32,
    /// How many deliveries per second a replay sends again at most. It sends fewer while anything
    /// else waits.
    #[arg(
        long,
        env = "TIDINGS_REPLAY_RATE",
        value_name = "COUNT",
        default_value = "50"
    )]
    pub replay_rate: NonZeroU32,
    /// Store secrets readable for who can read the broker's bucket, if there is no key to encrypt
    /// them with.
    #[arg(long, env = "TIDINGS_PLAIN_SECRETS")]
    pub plain_secrets: bool,
    // Which endpoints may be called.
    #[command(flatten)]
    pub reach: ReachArgs,
}
