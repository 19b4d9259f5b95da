//! `tidings delivery redeliver`.

use anyhow::Context as _;
use prost::Message as _;
use serde_json::json;
use tidings_manage::audit::Change;
use tidings_manage::redeliver::Known;
use tidings_nats::topology::{ATTEMPTS, DEAD_LETTERS};
use tidings_proto::v1;

use super::{ShowArgs, show, subject_of};
use crate::client::Client;
use crate::output::Output;
use crate::scan::{self, Look, Seen};

/// Runs the command.
pub(super) async fn run(args: &ShowArgs, client: &Client, output: Output) -> anyhow::Result<()> {
    let attempts = show::attempts(args, client).await?;
    let letters = letters(args, client).await?;
    let manage = client.manage();
    let redelivery = manage.redelivery().await?;
    let attempt = match attempts.last() {
        Some(last) => redelivery.send(&known(args, last, letters)?).await?,
        None if !letters.is_empty() => redelivery.send_buried(&letters).await?,
        None => anyhow::bail!(
            "there is no attempt of {} in the space {}: it waits for its first, or its records are \
             forgotten by now (the stream {ATTEMPTS})",
            args.id,
            args.space
        ),
    };
    manage
        .record(Change {
            actor: &client.actor,
            space: Some(&args.space),
            action: "delivery.redeliver",
            target: args.id.as_str(),
            old: json!({ "attempts": attempts.len() }),
            new: json!({ "nextAttempt": attempt }),
        })
        .await;
    let document = json!({ "deliveryId": args.id, "nextAttempt": attempt });
    let text = format_args!("redelivered; attempt {attempt} is next").to_string();
    output.answer(&document, text)
}

fn known(args: &ShowArgs, last: &v1::Attempt, letters: Vec<u64>) -> anyhow::Result<Known> {
    Ok(Known {
        delivery: args.id.clone(),
        space: args.space.clone(),
        webhook: last.webhook_id.parse().context("its webhook")?,
        environment: last.environment.parse().context("its environment")?,
        event: last.event_id.parse().context("its event")?,
        event_sequence: last.event_sequence,
        attempts: last.number,
        letters,
        is_waiting: last.verdict == "retry",
    })
}

/// The places of its dead letters, the newest last.
async fn letters(args: &ShowArgs, client: &Client) -> anyhow::Result<Vec<u64>> {
    let subject = subject_of("dead", &args.space, args.webhook.as_ref());
    let mut places = Vec::new();
    scan::newest_first(client, DEAD_LETTERS, &subject, |seen| {
        if let Seen::Message(message) = seen {
            let sequence = message.sequence;
            let read = v1::DeadLetter::decode(message.payload).ok();
            let delivery = read.and_then(|letter| letter.delivery);
            let is_own = delivery.is_some_and(|delivery| delivery.id == args.id.as_str());
            places.extend(is_own.then_some(sequence));
        }
        Look::Further
    })
    .await?;
    places.sort_unstable();
    Ok(places)
}
