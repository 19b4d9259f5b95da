//! What can be set.

use std::net::SocketAddr;

use tidings_nats::connect::NatsArgs;

/// The router's options.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Router")]
pub struct RouterArgs {
    // Where `/healthz`, `/readyz` and `/metrics` are answered; `None` only inside `tidings dev`.
    /// Address of the HTTP listener for health and metrics.
    #[arg(
        long,
        env = "TIDINGS_LISTEN",
        value_name = "ADDR",
        default_value = "127.0.0.1:8082"
    )]
    pub listen: Option<SocketAddr>,
    /// How many events are routed at once.
    #[arg(long, env = "TIDINGS_CONCURRENCY", value_name = "N", default_value_t = 256,
          value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=10_000))]
    pub concurrency: usize,
    /// How NATS is reached.
    #[command(flatten)]
    pub nats: NatsArgs,
}
