//! `tidings dead-letter redeliver`: a dead letter becomes a delivery again, with the same id and a
//! whole round of attempts, and is removed only once that is stored.

use std::collections::HashMap;

use async_nats::HeaderMap;
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::Stream;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use prost::Message as _;
use serde_json::json;
use tidings_core::delivery::{Delivery, Progress};
use tidings_core::id::DeliveryId;
use tidings_core::partition::partition_of;
use tidings_core::webhook::{EndpointState, Status, Webhook};
use tidings_nats::publish::{Bounds, Outgoing, Publisher};
use tidings_nats::subject;
use tidings_nats::topology::{DEAD_LETTERS, Layout};
use tidings_nats::trace_context::TraceContext;
use tidings_proto::{delivery_from_wire, delivery_to_wire, v1};
use tidings_service::clock;

use super::RedeliverArgs;
use super::letter::Letter;
use crate::client::Client;
use crate::output::{Output, Progress as Shown, Table, confirm};
use crate::scan::{self, Look, Seen};
use crate::webhook::Webhooks;

const AT_ONCE: usize = 32;

/// Runs the command.
pub(super) async fn run(
    args: &RedeliverArgs,
    client: &Client,
    output: Output,
) -> anyhow::Result<()> {
    let chosen = choose(args, client).await?;
    if args.all && !args.yes && !chosen.is_empty() {
        confirm(&format!("Redeliver {} deliveries?", chosen.len()))?;
    }
    let redelivery = Redelivery::open(client).await?;
    let mut shown = Shown::of("redelivering", chosen.len() as u64);
    let mut done = stream::iter(chosen)
        .map(|chosen| redelivery.redeliver(chosen))
        .buffered(AT_ONCE);
    let mut results = Vec::new();
    while let Some(result) = done.next().await {
        results.push(result?);
        shown.add(1);
    }
    drop(shown);
    answer(&results, output)
}

/// A delivery with the places of all its dead letters, the newest last.
struct Chosen {
    delivery_id: DeliveryId,
    places: Vec<u64>,
}

/// Finds the letters that are meant. Those of deliveries that die while this runs are not.
async fn choose(args: &RedeliverArgs, client: &Client) -> anyhow::Result<Vec<Chosen>> {
    let mut places: HashMap<DeliveryId, Vec<u64>> = HashMap::new();
    let mut without_delivery = 0_usize;
    let subject = args.filter.subject();
    scan::newest_first(client, DEAD_LETTERS, &subject, |seen| {
        let Seen::Message(message) = seen else {
            return Look::Further;
        };
        let letter = Letter::read(&message);
        let is_meant = args.filter.is_meant(&letter);
        match letter.delivery_id.parse::<DeliveryId>() {
            Ok(id) if is_meant && (args.all || args.deliveries.contains(&id)) => {
                places.entry(id).or_default().push(letter.sequence);
            }
            Err(_) if is_meant => without_delivery += 1,
            _ => {}
        }
        Look::Further
    })
    .await?;
    let missing: Vec<&str> = args
        .deliveries
        .iter()
        .filter(|id| !places.contains_key(*id))
        .map(DeliveryId::as_str)
        .collect();
    if !missing.is_empty() {
        anyhow::bail!(
            "there is no dead letter of {}; see `tidings dead-letter list`",
            missing.join(", ")
        );
    }
    if args.all && without_delivery > 0 {
        crate::output::note(format_args!(
            "{without_delivery} dead letters are of no delivery and cannot be redelivered: their \
             events have to be published again"
        ));
    }
    let mut chosen: Vec<Chosen> = places
        .into_iter()
        .map(|(delivery_id, mut places)| {
            places.sort_unstable();
            Chosen {
                delivery_id,
                places,
            }
        })
        .collect();
    chosen.sort_by(|a, b| a.places.cmp(&b.places));
    Ok(chosen)
}

/// What became of one.
struct Redelivered {
    delivery_id: DeliveryId,
    /// The number of its next attempt, or why it stays dead.
    outcome: Result<u32, String>,
}

/// What redelivering needs.
struct Redelivery {
    layout: Layout,
    letters: Stream,
    webhooks: Webhooks,
    publisher: Publisher,
}

impl Redelivery {
    async fn open(client: &Client) -> anyhow::Result<Self> {
        let layout = client.layout().await?;
        let publisher = Publisher::new(client.nats.clone(), layout.commit, Bounds::default());
        Ok(Self {
            letters: client.jetstream.get_stream(DEAD_LETTERS).await?,
            webhooks: Webhooks::open(client).await?,
            publisher,
            layout,
        })
    }

    async fn redeliver(&self, chosen: Chosen) -> anyhow::Result<Redelivered> {
        let Chosen {
            delivery_id,
            places,
        } = chosen;
        let newest = places.last().copied().unwrap_or_default();
        let letter = self.letters.direct_get(newest).await?;
        let outcome = match self.prepare(&letter.payload).await? {
            Ok((webhook, delivery)) => {
                let delivery = next_round(delivery, clock::now());
                self.publisher
                    .publish(self.outgoing(&webhook, &delivery, &letter))
                    .await?;
                for place in places {
                    self.letters.delete_message(place).await?;
                }
                Ok(delivery.progress.attempt)
            }
            Err(why) => Err(why),
        };
        Ok(Redelivered {
            delivery_id,
            outcome,
        })
    }

    /// The delivery in a letter and its webhook, or why it cannot be sent again.
    async fn prepare(&self, letter: &Bytes) -> anyhow::Result<Result<(Webhook, Delivery), String>> {
        let wire = v1::DeadLetter::decode(letter.clone())?
            .delivery
            .unwrap_or_default();
        let delivery = match delivery_from_wire(wire) {
            Ok(delivery) => delivery,
            Err(error) => return Ok(Err(format!("its delivery cannot be read: {error}"))),
        };
        if delivery.event.is_empty() {
            let why = "its event was too large to be kept, or there was no room for it; publish \
                       the event again";
            return Ok(Err(why.to_owned()));
        }
        let id = &delivery.webhook_id;
        let Some(kept) = self.webhooks.find(&delivery.space, id).await? else {
            return Ok(Err(format!("the webhook {id} is deleted")));
        };
        let recorded = self.webhooks.state(&kept.webhook).await?;
        let state = EndpointState::effective(&kept.webhook, recorded.as_ref());
        if state.status == Status::Disabled {
            let remedy = format!("`tidings webhook enable {id}`");
            return Ok(Err(format!(
                "the webhook is disabled ({}); {remedy} first",
                state.reason
            )));
        }
        Ok(Ok((kept.webhook, delivery)))
    }

    /// Known by its letter: running this again after a crash stores it once, and a delivery that
    /// died again meanwhile is stored anew.
    fn outgoing(&self, webhook: &Webhook, delivery: &Delivery, letter: &StreamMessage) -> Outgoing {
        let mut headers = HeaderMap::new();
        if let Some(trace) = TraceContext::from_headers(Some(&letter.headers)) {
            trace.write(&mut headers);
        }
        let pool = &webhook.definition.delivery.pool;
        let attempt = delivery.progress.attempt;
        Outgoing {
            subject: subject::delivery(pool, partition_of(&webhook.id, self.layout.partitions)),
            id: format!("{}.{attempt}.{}", delivery.id, letter.sequence),
            headers,
            payload: delivery_to_wire(delivery).encode_to_vec().into(),
        }
    }
}

fn next_round(delivery: Delivery, now: Timestamp) -> Delivery {
    let progress = Progress::redelivery(delivery.progress.attempt, now);
    Delivery {
        progress,
        ..delivery
    }
}

fn answer(results: &[Redelivered], output: Output) -> anyhow::Result<()> {
    let mut table = Table::new(["DELIVERY", "RESULT"], "no dead letters to redeliver");
    let mut refused = 0;
    let mut documents = Vec::new();
    for Redelivered {
        delivery_id,
        outcome,
    } in results
    {
        let text = match outcome {
            Ok(attempt) => format!("redelivered; attempt {attempt} is next"),
            Err(why) => format!("not redelivered: {why}"),
        };
        table.row([delivery_id.to_string(), text]);
        refused += usize::from(outcome.is_err());
        documents.push(json!({
            "deliveryId": delivery_id,
            "redelivered": outcome.is_ok(),
            "nextAttempt": outcome.as_ref().ok(),
            "detail": outcome.as_ref().err(),
        }));
    }
    output.answer(&documents, table)?;
    anyhow::ensure!(
        refused == 0,
        "{refused} of {} deliveries were not redelivered; their dead letters stay",
        results.len()
    );
    Ok(())
}
