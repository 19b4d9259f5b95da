//! What was given up, and sending it again.

use askama::Template;
use axum::extract::Path;
use tidings_core::id::DeliveryId;
use tidings_core::name::Space;
use tidings_core::token::Scope;

use super::answer::{Answer, Oops, html, see};
use super::deliveries::Row;
use super::frame::Frame;
use super::guard::{Asked, Posted, Visitor};
use super::words::plural;
use crate::log::{Cursor, DeliveryFilter, Status};

const PAGE: usize = 50;

#[derive(Debug, Template)]
#[template(path = "dead_letters.html")]
struct Page {
    frame: Frame,
    base: String,
    webhook: String,
    topic: String,
    choices: Vec<(String, String)>,
    notice: String,
    notice_tone: &'static str,
    rows: Vec<Row>,
    older: Option<String>,
    is_first: bool,
    first: String,
}

/// The list.
pub(crate) async fn list(
    visitor: Visitor,
    Path(space): Path<String>,
    Asked(asked): Asked,
) -> Answer {
    let space = visitor.space(&space, Scope::DeliveriesRead)?;
    let some = |name| {
        let text = asked.text(name);
        (!text.is_empty()).then(|| text.to_owned())
    };
    let filter = DeliveryFilter {
        webhook: some("webhook"),
        topic: some("topic"),
        status: Some(Status::Dead),
        ..DeliveryFilter::default()
    };
    let cursor: Option<Cursor> = asked.parse("cursor");
    let is_first = cursor.is_none();
    let log = &visitor.desk.app.log;
    let found = log.deliveries(space.as_str(), filter, cursor, PAGE).await?;
    let names = visitor.desk.names(&space).await?;
    let row = |delivery: &crate::log::Delivery| {
        let name = names.get(&delivery.webhook);
        let name = name.map_or(delivery.webhook.as_str(), String::as_str);
        Row::new(delivery, name, visitor.now)
    };
    let base = format!("/s/{space}");
    let here = format!("{base}/dead-letters");
    let url = |next: Cursor| format!("{here}?{}", asked.with("cursor", &next.to_string()));
    let mut choices: Vec<(String, String)> = names
        .iter()
        .map(|(id, name)| (id.clone(), name.clone()))
        .collect();
    choices.sort_by(|(_, a), (_, b)| a.cmp(b));
    let (notice, notice_tone) = notice(asked.parse("sent"), asked.parse("failed"));
    Ok(html(&Page {
        frame: visitor
            .frame("Dead letters", "dead-letters", &space)
            .await?,
        webhook: asked.text("webhook").to_owned(),
        topic: asked.text("topic").to_owned(),
        choices,
        notice,
        notice_tone,
        rows: found.items.iter().map(row).collect(),
        older: found.next.map(url),
        is_first,
        first: format!("{here}?{}", asked.with("cursor", "")),
        base,
    }))
}

fn notice(sent: Option<u64>, failed: Option<u64>) -> (String, &'static str) {
    match (sent, failed.unwrap_or(0)) {
        (None, _) => (String::new(), ""),
        (Some(0), 0) => (String::from("Tick what is to be sent again first."), "warn"),
        (Some(sent), 0) => {
            let sent = plural(sent, "delivery").replace("deliverys", "deliveries");
            (
                format!("Sent again: {sent}. Each leaves this list with its next attempt."),
                "ok",
            )
        }
        (Some(sent), failed) => {
            let text = format!(
                "Sent again: {sent}. Not sent: {failed}, as their webhooks are disabled or \
                 deleted, or their events are no longer kept."
            );
            (text, "warn")
        }
    }
}

/// Sends the ticked ones again.
pub(crate) async fn redeliver(
    visitor: Visitor,
    Path(space): Path<String>,
    Posted(fields): Posted,
) -> Answer {
    let space: Space = visitor.space(&space, Scope::DeliveriesWrite)?;
    let (mut sent, mut failed) = (0_u32, 0_u32);
    for id in fields.all("id").take(PAGE) {
        match again(&visitor, &space, id).await {
            Ok(()) => sent += 1,
            Err(Oops::Conflict(_) | Oops::NotFound(_)) => failed += 1,
            Err(other) => return Err(other),
        }
    }
    let webhook = match fields.text("webhook") {
        "" => String::new(),
        webhook => format!("&webhook={webhook}"),
    };
    let webhook = webhook.replace(
        |c: char| !c.is_ascii_alphanumeric() && !"&=_-".contains(c),
        "",
    );
    Ok(see(&format!(
        "/s/{space}/dead-letters?sent={sent}&failed={failed}{webhook}"
    )))
}

async fn again(visitor: &Visitor, space: &Space, id: &str) -> Answer<()> {
    let id: DeliveryId = id.parse().map_err(|_| Oops::not_found("delivery"))?;
    visitor
        .desk
        .app
        .redeliver(&visitor.actor(), space, &id)
        .await?;
    Ok(())
}
