//! An event's page: what came in, and what became of it for every webhook of the space.

use std::collections::HashMap;

use askama::Template;
use axum::extract::Path;
use tidings_core::filter::Truth;
use tidings_core::matching::{Check, Explanation, Saw, explain};
use tidings_core::token::Scope;
use tidings_manage::StoredEvent;
use tidings_manage::webhook::Kept;

use super::answer::{Answer, Oops, html};
use super::delivery::BODY_CHARS_MAX;
use super::desk::shown_name;
use super::frame::Frame;
use super::guard::Visitor;
use super::layout::readable;
use super::words::{Badge, Moment, meaning};
use crate::log::{Delivery, DeliveryFilter, EventFilter, Status};

/// How deep conditions are shown.
const DEPTH_MAX: usize = 3;
const DELIVERIES_MAX: usize = 200;

#[derive(Debug)]
struct Line {
    depth: usize,
    tone: &'static str,
    text: String,
}

#[derive(Debug)]
struct Judged {
    id: String,
    name: String,
    badge: Badge,
    why: String,
    note: &'static str,
    delivery: String,
    open: bool,
    checks: Vec<Line>,
}

#[derive(Debug, Template)]
#[template(path = "event.html")]
struct Page {
    frame: Frame,
    base: String,
    id: String,
    topic: String,
    at: Moment,
    facts: Vec<(&'static str, String)>,
    payload: String,
    webhooks: Vec<Judged>,
}

/// The page.
pub(crate) async fn show(visitor: Visitor, Path((space, id)): Path<(String, String)>) -> Answer {
    let space = visitor.space(&space, Scope::DeliveriesRead)?;
    let app = &visitor.desk.app;
    let filter = EventFilter {
        id: Some(id.clone()),
        ..EventFilter::default()
    };
    let found = app.log.events(space.as_str(), filter, None, 1).await?;
    let Some(event) = found.items.into_iter().next() else {
        return Err(Oops::NotFound(String::from(
            "There is no such event in this space, or the log no longer remembers it.",
        )));
    };
    let stored = app.manage.event(&space, event.sequence).await?;
    let of_event = DeliveryFilter {
        event: Some(id.clone()),
        ..DeliveryFilter::default()
    };
    let deliveries = app
        .log
        .deliveries(space.as_str(), of_event, None, DELIVERIES_MAX)
        .await?;
    let deliveries: HashMap<String, Delivery> = deliveries
        .items
        .into_iter()
        .map(|delivery| (delivery.webhook.clone(), delivery))
        .collect();
    let kept = app.manage.webhooks(Some(&space)).await?;
    let mut webhooks: Vec<Judged> = kept
        .iter()
        .map(|kept| judge(kept, stored.as_ref(), &deliveries))
        .collect();
    webhooks.sort_by_key(|judged| judged.delivery.is_empty());
    let frame = visitor.frame(&event.topic, "events", &space).await?;
    Ok(html(&Page {
        frame,
        base: format!("/s/{space}"),
        facts: facts(&event, stored.as_ref()),
        payload: stored.map_or_else(String::new, |stored| {
            readable(&stored.event.payload, BODY_CHARS_MAX)
        }),
        at: Moment::of_micros(event.at, visitor.now),
        id,
        topic: event.topic,
        webhooks,
    }))
}

fn facts(event: &crate::log::Event, stored: Option<&StoredEvent>) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("Id", event.id.clone()),
        ("Environment", event.environment.clone()),
        ("Place in the stream", event.sequence.to_string()),
    ];
    let Some(StoredEvent { event, .. }) = stored else {
        return facts;
    };
    facts.push(("Happened", event.occurred_at.to_string()));
    let entity = &event.entity;
    let revision = match entity.revision {
        0 => String::new(),
        revision => revision.to_string(),
    };
    for (name, value) in [
        ("Entity", entity.id.clone()),
        ("Type", entity.kind.clone()),
        ("Content type", entity.content_type.clone()),
        ("Revision", revision),
        ("Locales", entity.locales.join(", ")),
        ("Actor", event.actor.clone()),
    ] {
        if !value.is_empty() {
            facts.push((name, value));
        }
    }
    for (name, value) in &event.context {
        facts.push(("Context", format!("{name}: {value}")));
    }
    facts
}

fn judge(
    kept: &Kept,
    stored: Option<&StoredEvent>,
    deliveries: &HashMap<String, Delivery>,
) -> Judged {
    let webhook = &kept.webhook;
    let id = webhook.id.to_string();
    let delivery = deliveries.get(&id);
    let explanation = stored.map(|stored| explain(webhook, &stored.event));
    let matches = explanation
        .as_ref()
        .is_some_and(|explanation| explanation.matches);
    let (badge, why) = match (delivery, matches, explanation.is_some()) {
        (Some(delivery), _, _) => (
            Badge::of_delivery(delivery.status),
            match delivery.status {
                Status::Delivered => String::from("matched"),
                Status::Pending => format!("matched; waits: {}", meaning(&delivery.reason)),
                _ => meaning(&delivery.reason).to_owned(),
            },
        ),
        (None, true, _) => (Badge::new("warn", "no attempt"), String::from("matches")),
        (None, false, true) => (Badge::new("", "not wanted"), first_no(explanation.as_ref())),
        (None, false, false) => (Badge::new("", "unknown"), String::from("no longer kept")),
    };
    let note = match (delivery.is_some(), matches) {
        (true, false) if stored.is_some() => {
            "It was sent although the webhook as it is now would not get it: its settings were \
             changed since, or this is a test."
        }
        (false, true) => {
            "The webhook as it is now would get it. Nothing was attempted so far: it is on its \
             way, or the webhook was changed since."
        }
        _ => "",
    };
    let mut checks = Vec::new();
    if let Some(explanation) = &explanation {
        lines(&explanation.checks, 0, &mut checks);
        checks.extend(explanation.faults.iter().map(|fault| Line {
            depth: 0,
            tone: "bad",
            text: format!("{}: {}", fault.pointer, fault.detail),
        }));
    }
    Judged {
        name: shown_name(&webhook.definition.name, &webhook.definition.url),
        badge,
        why,
        note,
        delivery: delivery.map_or_else(String::new, |delivery| delivery.id.clone()),
        open: false,
        checks,
        id,
    }
}

/// The first condition that says no, in a word.
fn first_no(explanation: Option<&Explanation>) -> String {
    let Some(explanation) = explanation else {
        return String::new();
    };
    let failed = explanation
        .checks
        .iter()
        .find(|check| check.verdict != Truth::Yes);
    match failed.map(|check| check.operator.as_str()) {
        Some("enabled") => String::from("it is disabled"),
        Some("topics") => String::from("another topic"),
        Some("contentTypes") => String::from("another content type"),
        Some(_) => String::from("a filter says no"),
        None => String::from("a filter is not understood"),
    }
}

fn lines(checks: &[Check], depth: usize, into: &mut Vec<Line>) {
    for check in checks {
        into.push(Line {
            depth: depth.min(DEPTH_MAX),
            tone: if check.verdict == Truth::Yes {
                "ok"
            } else {
                "bad"
            },
            text: told(check),
        });
        lines(&check.checks, depth + 1, into);
    }
}

/// A condition and what it saw, as a sentence.
fn told(check: &Check) -> String {
    let wanted = check
        .wanted
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default();
    let saw = match &check.saw {
        None => String::from("nothing"),
        Some(saw) => seen(saw),
    };
    match (check.operator.as_str(), &check.doc) {
        ("enabled", _) => String::from("The webhook is enabled."),
        ("space", _) => format!("The space is {saw}."),
        ("topics", _) => format!("One of the topics {wanted} fits {saw}."),
        ("contentTypes", _) => format!("The content type {saw} is one of {wanted}."),
        (operator, Some(doc)) => format!("{doc} {operator} {wanted}: it saw {saw}."),
        (operator, None) => format!("{operator} of:"),
    }
}

fn seen(saw: &Saw) -> String {
    match saw {
        Saw::Value(value) => value.get().to_owned(),
        Saw::Beginning { beginning, .. } => format!("{beginning}…"),
        Saw::Change { before, after } => {
            let show = |saw: &Option<Box<Saw>>| {
                saw.as_ref()
                    .map_or_else(|| String::from("nothing"), |saw| seen(saw))
            };
            format!("{} before and {} after", show(before), show(after))
        }
    }
}
