//! Lists of deliveries: of a space, or of a webhook.

use std::str::FromStr as _;

use askama::Template;
use axum::extract::Path;
use jiff::Timestamp;
use tidings_core::name::Space;
use tidings_core::token::Scope;
use tidings_core::topic::Topic;

use super::answer::{Answer, html};
use super::fields::{Fields, time};
use super::frame::Frame;
use super::guard::{Asked, Visitor};
use super::words::{Badge, Moment, meaning};
use crate::log::{Cursor, Delivery, DeliveryFilter, Status};

const PAGE: usize = 50;

/// A delivery in a list.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) badge: Badge,
    pub(crate) topic: String,
    pub(crate) event: String,
    pub(crate) webhook: String,
    pub(crate) webhook_name: String,
    pub(crate) attempts: u32,
    pub(crate) reason: String,
    pub(crate) at: Moment,
    pub(crate) last_at: Moment,
}

impl Row {
    pub(crate) fn new(delivery: &Delivery, name: &str, now: Timestamp) -> Self {
        let reason = match (delivery.status, delivery.reason.as_str()) {
            (Status::Delivered, _) => String::from("taken"),
            (_, "") => String::from("–"),
            (Status::Pending, word) => format!("waits: {}", meaning(word)),
            (_, word) => meaning(word).to_owned(),
        };
        Self {
            id: delivery.id.clone(),
            badge: Badge::of_delivery(delivery.status),
            topic: delivery.topic.clone(),
            event: delivery.event.clone(),
            webhook: delivery.webhook.clone(),
            webhook_name: name.to_owned(),
            attempts: delivery.attempts,
            reason,
            at: Moment::of_micros(delivery.at, now),
            last_at: Moment::of_micros(delivery.last_at, now),
        }
    }
}

/// What a list was narrowed to, as it was typed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    pub(crate) tab: String,
    pub(crate) status: String,
    pub(crate) topic: String,
    pub(crate) event: String,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) problem: String,
    /// The list without any of it.
    pub(crate) clear: String,
}

impl Filter {
    fn read(asked: &Fields, clear: String) -> Self {
        let text = |name| asked.text(name).to_owned();
        Self {
            tab: text("tab"),
            status: text("status"),
            topic: text("topic"),
            event: text("event"),
            from: text("from"),
            to: text("to"),
            problem: String::new(),
            clear,
        }
    }

    pub(crate) fn is_set(&self) -> bool {
        let all = [&self.status, &self.topic, &self.event, &self.from, &self.to];
        all.iter().any(|text| !text.is_empty())
    }

    fn conditions(&self, webhook: Option<String>) -> Result<DeliveryFilter, String> {
        let some = |text: &String| (!text.is_empty()).then(|| text.clone());
        let micros = |at: Option<Timestamp>| at.map(Timestamp::as_microsecond);
        Ok(DeliveryFilter {
            webhook,
            status: status(&self.status),
            topic: topic(&self.topic)?,
            event: some(&self.event),
            from: micros(time(&self.from)?),
            to: micros(time(&self.to)?),
        })
    }
}

/// The topic that a person looks for, if any.
pub(super) fn topic(text: &str) -> Result<Option<String>, String> {
    let given = (!text.is_empty()).then_some(text);
    let read = given.map(Topic::from_str).transpose();
    read.map_err(|error| format!("The topic is not one such as Entry.publish: {error}."))?;
    Ok(given.map(str::to_owned))
}

fn status(word: &str) -> Option<Status> {
    match word {
        "delivered" => Some(Status::Delivered),
        "pending" => Some(Status::Pending),
        "retrying" => Some(Status::Retrying),
        "failed" => Some(Status::Dead),
        _ => None,
    }
}

/// A page of a list.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) rows: Vec<Row>,
    pub(crate) filter: Filter,
    pub(crate) older: Option<String>,
    pub(crate) is_first: bool,
    pub(crate) first: String,
}

/// Reads the page that was asked for. `here` is the list's path.
pub(crate) async fn page_of(
    visitor: &Visitor,
    space: &Space,
    asked: &Fields,
    webhook: Option<String>,
    here: &str,
) -> Answer<Shown> {
    let clear = match asked.text("tab") {
        "" => here.to_owned(),
        tab => format!("{here}?tab={tab}"),
    };
    let mut filter = Filter::read(asked, clear);
    let cursor: Option<Cursor> = asked.parse("cursor");
    let mut rows = Vec::new();
    let mut older = None;
    match filter.conditions(webhook) {
        Err(problem) => filter.problem = problem,
        Ok(conditions) => {
            let log = &visitor.desk.app.log;
            let is_first = cursor.clone();
            let page = log
                .deliveries(space.as_str(), conditions, is_first, PAGE)
                .await?;
            let wanted = page.items.iter().map(|delivery| delivery.webhook.as_str());
            let names = visitor.desk.names(space, wanted).await?;
            for delivery in &page.items {
                let name = names.get(&delivery.webhook);
                let name = name.map_or(delivery.webhook.as_str(), String::as_str);
                rows.push(Row::new(delivery, name, visitor.now));
            }
            let url = |next: Cursor| format!("{here}?{}", asked.with("cursor", &next.to_string()));
            older = page.next.map(url);
        }
    }
    Ok(Shown {
        rows,
        filter,
        older,
        is_first: cursor.is_none(),
        first: format!("{here}?{}", asked.with("cursor", "")),
    })
}

#[derive(Debug, Template)]
#[template(path = "deliveries.html")]
struct Page {
    frame: Frame,
    base: String,
    shows_webhook: bool,
    rows: Vec<Row>,
    filter: Filter,
    older: Option<String>,
    is_first: bool,
    first: String,
}

/// The list of a space.
pub(crate) async fn list(
    visitor: Visitor,
    Path(space): Path<String>,
    Asked(asked): Asked,
) -> Answer {
    let space = visitor.space(&space, Scope::DeliveriesRead)?;
    let base = format!("/s/{space}");
    let here = format!("{base}/deliveries");
    let shown = page_of(&visitor, &space, &asked, None, &here).await?;
    let Shown {
        rows,
        filter,
        older,
        is_first,
        first,
    } = shown;
    Ok(html(&Page {
        frame: visitor.frame("Deliveries", "deliveries", &space).await?,
        base,
        shows_webhook: true,
        rows,
        filter,
        older,
        is_first,
        first,
    }))
}
