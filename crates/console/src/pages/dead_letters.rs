//! What was given up, and sending it again.

use askama::Template;
use axum::extract::Path;
use jiff::Timestamp;
use tidings_core::id::DeliveryId;
use tidings_core::name::Space;
use tidings_core::token::Scope;

use super::answer::{Answer, Confirm, Oops, html, see};
use super::deliveries::Row;
use super::fields::Fields;
use super::frame::Frame;
use super::guard::{Asked, Posted, Visitor, webhook_id};
use super::words::{number, plural};
use crate::log::{Cursor, DeliveryFilter, Status};
use crate::ops::NewReplay;

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
    /// Where all of it is sent again.
    all: String,
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
    let names = visitor.desk.all_names(&space).await?;
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
        all: format!("{here}/redeliver-all?{}", asked.with("cursor", "")),
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

/// Asks before everything is sent again that the list shows, page by page.
pub(crate) async fn ask_all(
    visitor: Visitor,
    Path(space): Path<String>,
    Asked(asked): Asked,
) -> Answer {
    let space = visitor.space(&space, Scope::DeliveriesWrite)?;
    let wanted = all_of(&asked, visitor.now)?;
    let count = visitor.desk.app.count_replay(&space, &wanted).await?;
    let frame = visitor
        .frame("Redeliver dead letters", "dead-letters", &space)
        .await?;
    let back = format!("/s/{space}/dead-letters?{}", asked.with("cursor", ""));
    let which = match (&wanted.webhook, wanted.topics.is_empty()) {
        (None, true) => "of all webhooks",
        (None, false) => "of all webhooks and this topic",
        (Some(_), true) => "of this webhook",
        (Some(_), false) => "of this webhook and topic",
    };
    let paragraphs = vec![
        match count {
            0 => String::from("Nothing was given up that fits: there is nothing to send again."),
            1 => format!("1 dead letter {which} is sent again, under its id."),
            count => format!(
                "{} dead letters {which} are sent again, each under its id.",
                number(count)
            ),
        },
        String::from(
            "It goes slowly, behind everything else, shows its progress and can be cancelled. \
             Those of disabled or deleted webhooks stay dead letters.",
        ),
    ];
    Ok(html(&Confirm {
        heading: String::from("Redeliver dead letters?"),
        frame: Frame {
            live: None,
            ..frame
        },
        paragraphs,
        action: format!("/s/{space}/dead-letters/redeliver-all"),
        hidden: ["webhook", "topic"]
            .map(|name| (name.to_owned(), asked.text(name).to_owned()))
            .into(),
        verb: "Redeliver all",
        dangerous: false,
        problem: String::new(),
        back,
        back_text: String::from("Dead letters"),
    }))
}

/// Sends them again, as a replay with progress.
pub(crate) async fn redeliver_all(
    visitor: Visitor,
    Path(space): Path<String>,
    Posted(fields): Posted,
) -> Answer {
    let space = visitor.space(&space, Scope::DeliveriesWrite)?;
    let wanted = all_of(&fields, visitor.now)?;
    let app = &visitor.desk.app;
    let replay = app.start_replay(&visitor.actor(), &space, &wanted).await?;
    Ok(see(&format!("/s/{space}/replays/{}", replay.id)))
}

/// Everything that was given up until now and that a list shows.
fn all_of(fields: &Fields, now: Timestamp) -> Answer<NewReplay> {
    let webhook = match fields.text("webhook") {
        "" => None,
        id => Some(webhook_id(id)?),
    };
    let topics = match fields.text("topic") {
        "" => Vec::new(),
        topic => {
            let read = topic.parse();
            vec![read.map_err(|error| Oops::Invalid(format!("The topic {topic}: {error}.")))?]
        }
    };
    Ok(NewReplay {
        webhook,
        from: Timestamp::UNIX_EPOCH,
        to: Some(now),
        topics,
        only_failed: true,
    })
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
