//! `tidings status`: what waits in each stream, and which senders are alive.

use crate::client::Client;
use crate::output::{Output, Table, time};

/// Runs the command.
pub(crate) async fn run(client: &Client, output: Output) -> anyhow::Result<()> {
    let status = client.manage().status().await?;
    let headings = [
        "STREAM", "MESSAGES", "MIB", "FULL", "WAITING", "IN HAND", "OLDEST",
    ];
    let mut streams = Table::new(headings, "no streams");
    let or_none = |text: Option<String>| text.unwrap_or_else(|| String::from("-"));
    for stream in &status.streams {
        let percent = |max: u64| format!("{}%", stream.bytes.saturating_mul(100) / max.max(1));
        streams.row([
            stream.name.clone(),
            stream.messages.to_string(),
            (stream.bytes >> 20).to_string(),
            or_none(stream.bytes_max.map(percent)),
            or_none(stream.waiting.map(|count| count.to_string())),
            or_none(stream.in_hand.map(|count| count.to_string())),
            or_none(stream.oldest_at.map(time)),
        ]);
    }
    let headings = ["POOL", "SENDER", "LAST SEEN"];
    let mut members = Table::new(headings, "no sender is alive; deliveries wait");
    for member in &status.members {
        let seen = member.seen_at.map(time);
        members.row([member.pool.clone(), member.name.clone(), or_none(seen)]);
    }
    output.answer(&status, format!("{streams}\n{members}"))
}
