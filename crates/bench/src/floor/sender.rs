//! Takes a message, POSTs it, acknowledges it.

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use async_nats::jetstream::{AckKind, Message};
use bytes::Bytes;
use http::Request;
use http::header::CONTENT_TYPE;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tidings_core::name::Pool;
use tidings_nats::consume::Work;
use tidings_nats::publish::MESSAGE_ID;
use tidings_nats::topology::{DELIVERIES, delivery_consumer};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::READY;
use crate::broker;

/// Messages of one partition held ready.
const PREFETCH: usize = 64;

/// What the sender stage is told.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct SenderStageArgs {
    /// NATS' address.
    #[arg(long)]
    pub(crate) nats: String,
    /// The sink's address.
    #[arg(long)]
    pub(crate) sink: String,
    /// How many requests are under way at once.
    #[arg(long, default_value_t = 128)]
    pub(crate) in_flight: usize,
}

/// Works until the process is killed.
///
/// # Errors
/// The broker cannot be reached.
pub(crate) async fn run(args: SenderStageArgs) -> anyhow::Result<()> {
    let broker = broker::connect(&args.nats).await?;
    let stage = Arc::new(Stage::new(&args));
    let slots = Arc::new(Semaphore::new(args.in_flight));
    let mut partitions = JoinSet::new();
    for partition in 0..broker.layout.partitions {
        let consumer = delivery_consumer(&Pool::default(), partition);
        let work = Work::new(broker.context.clone(), DELIVERIES, &consumer, PREFETCH);
        partitions.spawn(take(work, Arc::clone(&stage), Arc::clone(&slots)));
    }
    println!("{READY}");
    while let Some(ended) = partitions.join_next().await {
        ended??;
    }
    Ok(())
}

async fn take(mut work: Work, stage: Arc<Stage>, slots: Arc<Semaphore>) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    loop {
        let message = work.next(&stop).await.context("nobody stops this")?;
        let slot = Arc::clone(&slots).acquire_owned().await?;
        let stage = Arc::clone(&stage);
        tokio::spawn(async move {
            let settled = match stage.post(&message).await {
                Ok(()) => message.ack().await,
                Err(error) => {
                    eprintln!("a message comes again: {error:#}");
                    message.ack_with(AckKind::Nak(None)).await
                }
            };
            if let Err(error) = settled {
                eprintln!("a message is not settled: {error}");
            }
            drop(slot);
        });
    }
}

struct Stage {
    client: Client<HttpConnector, Full<Bytes>>,
    sink: String,
}

impl Stage {
    fn new(args: &SenderStageArgs) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(args.in_flight)
            .build(connector);
        Self {
            client,
            sink: args.sink.clone(),
        }
    }

    /// The place in the fan-out stands at the end of the message's id.
    async fn post(&self, message: &Message) -> anyhow::Result<()> {
        let headers = message.headers.as_ref().context("no headers")?;
        let id = headers.get(MESSAGE_ID).context("no id")?.as_str();
        let (_, place) = id.rsplit_once('.').context("no place in the id")?;
        let request = Request::post(format!("{}/{place}", self.sink))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(message.payload.clone()))?;
        let answer = self.client.request(request).await?;
        ensure!(
            answer.status().is_success(),
            "the sink answered {}",
            answer.status()
        );
        // Read to its end, or the connection is not kept.
        answer.into_body().collect().await?;
        Ok(())
    }
}
