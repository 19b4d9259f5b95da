//! The broker as a stage of a measurement sees it.

use std::time::Duration;

use anyhow::Context as _;
use async_nats::Client;
use async_nats::jetstream::Context;
use tidings_nats::connect::{self, NatsArgs};
use tidings_nats::topology::Layout;

const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// A connection, made by the product's own code, and what was provisioned.
#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) client: Client,
    pub(crate) context: Context,
    pub(crate) layout: Layout,
}

/// Connects to a broker that has its streams.
///
/// # Errors
/// It is not there, or was not provisioned.
pub(crate) async fn connect(url: &str) -> anyhow::Result<Broker> {
    let client = open(url).await?;
    let context = connect::jetstream(&client);
    let layout = Layout::read(&context).await?;
    Ok(Broker {
        client,
        context,
        layout,
    })
}

/// Connects.
///
/// # Errors
/// It is not there.
pub(crate) async fn open(url: &str) -> anyhow::Result<Client> {
    connect::connect_within(&NatsArgs::at(url), "tidings-bench", CONNECT_WITHIN)
        .await
        .context("cannot connect to the nats-server that was just started")
}
