//! The list of events.

use askama::Template;
use axum::extract::Path;
use jiff::Timestamp;
use tidings_core::token::Scope;

use super::answer::{Answer, html};
use super::deliveries::topic;
use super::fields::{Fields, time};
use super::frame::Frame;
use super::guard::{Asked, Visitor};
use super::words::Moment;
use crate::log::{Cursor, EventFilter};

const PAGE: usize = 50;

#[derive(Debug)]
struct Row {
    id: String,
    topic: String,
    environment: String,
    at: Moment,
}

#[derive(Debug, Template)]
#[template(path = "events.html")]
struct Page {
    frame: Frame,
    base: String,
    space: String,
    q: String,
    topic: String,
    from: String,
    to: String,
    is_search: bool,
    problem: String,
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
    let base = format!("/s/{space}");
    let here = format!("{base}/events");
    let cursor: Option<Cursor> = asked.parse("cursor");
    let mut page = Page {
        frame: visitor.frame("Events", "events", &space).await?,
        base,
        space: space.to_string(),
        q: asked.text("q").to_owned(),
        topic: asked.text("topic").to_owned(),
        from: asked.text("from").to_owned(),
        to: asked.text("to").to_owned(),
        is_search: ["q", "topic", "from", "to"]
            .iter()
            .any(|name| !asked.text(name).is_empty()),
        problem: String::new(),
        rows: Vec::new(),
        older: None,
        is_first: cursor.is_none(),
        first: format!("{here}?{}", asked.with("cursor", "")),
    };
    match filter(&asked) {
        Err(problem) => page.problem = problem,
        Ok(filter) => {
            let log = &visitor.desk.app.log;
            let found = log.events(space.as_str(), filter, cursor, PAGE).await?;
            let row = |event: crate::log::Event| Row {
                id: event.id,
                topic: event.topic,
                environment: event.environment,
                at: Moment::of_micros(event.at, visitor.now),
            };
            page.rows = found.items.into_iter().map(row).collect();
            let url = |next: Cursor| format!("{here}?{}", asked.with("cursor", &next.to_string()));
            page.older = found.next.map(url);
        }
    }
    Ok(html(&page))
}

fn filter(asked: &Fields) -> Result<EventFilter, String> {
    let some = |name| {
        let text = asked.text(name);
        (!text.is_empty()).then(|| text.to_owned())
    };
    let micros = |at: Option<Timestamp>| at.map(Timestamp::as_microsecond);
    Ok(EventFilter {
        id: some("q"),
        topic: topic(asked.text("topic"))?,
        from: micros(time(asked.text("from"))?),
        to: micros(time(asked.text("to"))?),
    })
}
