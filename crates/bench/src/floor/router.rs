//! Takes a message, stores it as often as the fan-out says, acknowledges it.

use std::sync::Arc;

use anyhow::Context as _;
use async_nats::HeaderMap;
use async_nats::jetstream::Message;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tidings_core::name::Pool;
use tidings_nats::consume::Work;
use tidings_nats::publish::{Bounds, Outgoing, Publisher};
use tidings_nats::subject;
use tidings_nats::topology::{EVENTS, ROUTER_CONSUMER};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::READY;
use crate::broker;
use crate::event::number_in;

/// As `tidings-router --concurrency` by default.
const EVENTS_IN_HAND: usize = 256;
/// As the router's: how many deliveries of one event are stored at once.
const FAN_OUT_CONCURRENCY: usize = 256;

/// What the router stage is told.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct RouterStageArgs {
    /// NATS' address.
    #[arg(long)]
    pub(crate) nats: String,
    /// How often each message is stored.
    #[arg(long)]
    pub(crate) fan_out: u64,
}

/// Works until the process is killed.
///
/// # Errors
/// The broker cannot be reached.
pub(crate) async fn run(args: RouterStageArgs) -> anyhow::Result<()> {
    let broker = broker::connect(&args.nats).await?;
    let stage = Arc::new(Stage {
        deliveries: Publisher::new(broker.client, broker.layout.commit, Bounds::default()),
        partitions: u64::from(broker.layout.partitions),
        fan_out: args.fan_out,
        pool: Pool::default(),
    });
    let slots = Arc::new(Semaphore::new(EVENTS_IN_HAND));
    let mut work = Work::new(broker.context, EVENTS, ROUTER_CONSUMER, EVENTS_IN_HAND);
    let stop = CancellationToken::new();
    println!("{READY}");
    loop {
        let slot = Arc::clone(&slots).acquire_owned().await?;
        let message = work.next(&stop).await.context("nobody stops this")?;
        let stage = Arc::clone(&stage);
        tokio::spawn(async move {
            if let Err(error) = stage.route(&message).await {
                eprintln!("a message comes again: {error:#}");
            }
            drop(slot);
        });
    }
}

struct Stage {
    deliveries: Publisher,
    partitions: u64,
    fan_out: u64,
    pool: Pool,
}

impl Stage {
    async fn route(&self, message: &Message) -> anyhow::Result<()> {
        let number = number_in(&message.payload).context("no number in the message")?;
        stream::iter(0..self.fan_out)
            .map(|place| async move {
                let partition = (number * self.fan_out + place) % self.partitions;
                let outgoing = Outgoing {
                    subject: subject::delivery(&self.pool, u16::try_from(partition)?),
                    id: format!("{number}.{place}"),
                    headers: HeaderMap::new(),
                    payload: message.payload.clone(),
                };
                self.deliveries.publish(outgoing).await?;
                anyhow::Ok(())
            })
            .buffer_unordered(FAN_OUT_CONCURRENCY)
            .try_collect::<()>()
            .await?;
        message.ack().await.map_err(anyhow::Error::from_boxed)
    }
}
