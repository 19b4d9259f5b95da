//! `tidings dead-letter list`.

use std::cmp::Reverse;

use tidings_nats::topology::DEAD_LETTERS;

use super::ListArgs;
use super::letter::Letter;
use crate::client::Client;
use crate::output::{Output, Table, time};
use crate::scan::{self, Look, Seen};

/// Runs the command.
pub(super) async fn run(args: &ListArgs, client: &Client, output: Output) -> anyhow::Result<()> {
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let mut letters: Vec<Letter> = Vec::new();
    let subject = args.filter.subject();
    scan::newest_first(client, DEAD_LETTERS, &subject, |seen| match seen {
        Seen::Message(message) => {
            let letter = Letter::read(&message);
            letters.extend(Some(letter).filter(|letter| args.filter.is_meant(letter)));
            Look::Further
        }
        Seen::Stretch => {
            letters.sort_unstable_by_key(|letter| Reverse(letter.sequence));
            letters.truncate(limit);
            if letters.len() == limit {
                Look::Enough
            } else {
                Look::Further
            }
        }
    })
    .await?;
    let headings = [
        "DELIVERY", "SPACE", "WEBHOOK", "EVENT", "REASON", "ATTEMPTS", "OUTCOME", "TIME", "DETAIL",
    ];
    let mut table = Table::new(headings, "no dead letters");
    for letter in &letters {
        let or_none = |text: &str| {
            if text.is_empty() {
                String::from("-")
            } else {
                text.to_owned()
            }
        };
        table.row([
            or_none(&letter.delivery_id),
            or_none(&letter.space),
            or_none(&letter.webhook_id),
            or_none(&letter.event_id),
            letter.reason.clone(),
            letter.attempts.to_string(),
            or_none(&letter.last_outcome),
            letter.at.map(time).unwrap_or_default(),
            letter.detail.clone(),
        ]);
    }
    output.answer(&letters, table)
}
