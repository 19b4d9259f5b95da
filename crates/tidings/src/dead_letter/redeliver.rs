//! `tidings dead-letter redeliver`: a dead letter becomes a delivery again, with the same id and a
//! whole round of attempts, and is removed only once that is stored. An event that routers were too
//! old for is published again as it was.

use std::collections::HashMap;

use futures_util::{StreamExt as _, stream};
use serde_json::json;
use tidings_core::dead_letter::Reason;
use tidings_core::id::DeliveryId;
use tidings_manage::Error;
use tidings_manage::redeliver::Redelivery;
use tidings_nats::topology::DEAD_LETTERS;

use super::RedeliverArgs;
use super::letter::Letter;
use crate::client::Client;
use crate::output::{Output, Progress as Shown, Table, confirm};
use crate::scan::{self, Look, Seen};

const AT_ONCE: usize = 32;

/// Runs the command.
pub(super) async fn run(
    args: &RedeliverArgs,
    client: &Client,
    output: Output,
) -> anyhow::Result<()> {
    let chosen = choose(args, client).await?;
    if args.all && !args.yes && !chosen.is_empty() {
        let events = chosen.iter().filter(|chosen| chosen.delivery_id.is_none());
        let question = match (events.count(), chosen.len()) {
            (0, deliveries) => format!("Redeliver {deliveries} deliveries?"),
            (events, all) => format!(
                "Redeliver {} deliveries and publish {events} events again?",
                all - events
            ),
        };
        confirm(&question)?;
    }
    let manage = client.manage();
    let redelivery = manage.redelivery().await?;
    let mut shown = Shown::of("redelivering", chosen.len() as u64);
    let mut done = stream::iter(chosen)
        .map(|chosen| redeliver(&redelivery, chosen))
        .buffered(AT_ONCE);
    let mut results = Vec::new();
    while let Some(result) = done.next().await {
        results.push(result?);
        shown.add(1);
    }
    drop(shown);
    answer(&results, output)
}

/// A delivery with the places of all its dead letters, the newest last; or the one of an event.
struct Chosen {
    /// `None` if it is an event that no router could read.
    delivery_id: Option<DeliveryId>,
    places: Vec<u64>,
}

/// Finds the letters that are meant. Those of deliveries that die while this runs are not.
async fn choose(args: &RedeliverArgs, client: &Client) -> anyhow::Result<Vec<Chosen>> {
    let mut places: HashMap<DeliveryId, Vec<u64>> = HashMap::new();
    let mut events: Vec<u64> = Vec::new();
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
            Err(_) if is_meant && letter.reason == Reason::NewerSchema.as_str() => {
                events.push(letter.sequence);
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
                delivery_id: Some(delivery_id),
                places,
            }
        })
        .collect();
    if args.all {
        chosen.extend(events.into_iter().map(|place| Chosen {
            delivery_id: None,
            places: vec![place],
        }));
    }
    chosen.sort_by(|a, b| a.places.cmp(&b.places));
    Ok(chosen)
}

/// What became of one.
struct Redelivered {
    delivery_id: Option<DeliveryId>,
    /// The number of its next attempt, none for an event, or why it stays dead.
    outcome: Result<Option<u32>, String>,
}

async fn redeliver(redelivery: &Redelivery, chosen: Chosen) -> anyhow::Result<Redelivered> {
    let Chosen {
        delivery_id,
        places,
    } = chosen;
    let sent = match (&delivery_id, places.last()) {
        (None, Some(place)) => redelivery.publish_again(*place).await.map(|()| None),
        _ => redelivery.send_buried(&places).await.map(Some),
    };
    let outcome = match sent {
        Ok(attempt) => Ok(attempt),
        Err(Error::Conflict { code, detail }) => Err(match code {
            "webhook_disabled" => format!("{detail}: `tidings webhook enable`"),
            _ => detail,
        }),
        Err(other) => return Err(other.into()),
    };
    Ok(Redelivered {
        delivery_id,
        outcome,
    })
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
            Ok(Some(attempt)) => format!("redelivered; attempt {attempt} is next"),
            Ok(None) => String::from("published again"),
            Err(why) => format!("not redelivered: {why}"),
        };
        let shown = delivery_id.as_ref().map(ToString::to_string);
        table.row([shown.unwrap_or_else(|| String::from("(event)")), text]);
        refused += usize::from(outcome.is_err());
        documents.push(json!({
            "deliveryId": delivery_id,
            "redelivered": outcome.is_ok(),
            "nextAttempt": outcome.as_ref().ok().copied().flatten(),
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
