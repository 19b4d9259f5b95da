//! Replays: spans of deliveries that are sent again. Counted first, then started, watched, and
//! stopped if need be.

use std::collections::HashMap;

use askama::Template;
use axum::extract::Path;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use tidings_core::id::WebhookId;
use tidings_core::name::Space;
use tidings_core::token::Scope;
use tidings_core::topic::TopicPattern;
use tidings_core::webhook::FieldError;
use tidings_manage::Error;
use tidings_manage::replay::{Replay, State};

use super::answer::{Answer, Confirm, html, see};
use super::desk::shown_name;
use super::fields::{Fields, civil, time};
use super::frame::Frame;
use super::guard::{Asked, Posted, Visitor, webhook_id};
use super::words::{Badge, Moment, number, sentence};
use crate::ops::NewReplay;

/// The span that a form begins with.
const FIRST_SPAN: SignedDuration = SignedDuration::from_hours(24);

#[derive(Debug)]
struct Row {
    id: String,
    badge: Badge,
    webhook_name: String,
    progress: String,
    span: String,
    at: Moment,
}

#[derive(Debug, Template)]
#[template(path = "replays.html")]
struct List {
    frame: Frame,
    base: String,
    rows: Vec<Row>,
}

/// The replays of a space.
pub(crate) async fn list(visitor: Visitor, Path(space): Path<String>) -> Answer {
    let space = visitor.space(&space, Scope::DeliveriesRead)?;
    let mut replays = visitor.desk.app.manage.replays(Some(&space)).await?;
    replays.retain(|replay| !replay.only_count);
    replays.sort_by_key(|replay| std::cmp::Reverse(replay.created_at));
    let wanted = replays
        .iter()
        .filter_map(|replay| replay.range.webhook.as_ref());
    let wanted = wanted.map(WebhookId::as_str);
    let names = visitor.desk.names(&space, wanted).await?;
    let row = |replay: &Replay| Row {
        badge: badge(replay),
        webhook_name: name_of(replay, &names),
        progress: progress(replay),
        span: span(replay),
        at: Moment::new(replay.created_at, visitor.now),
        id: replay.id.clone(),
    };
    Ok(html(&List {
        frame: visitor.frame("Replays", "replays", &space).await?,
        base: format!("/s/{space}"),
        rows: replays.iter().map(row).collect(),
    }))
}

#[derive(Debug, Template)]
#[template(path = "replay.html")]
struct Page {
    frame: Frame,
    base: String,
    id: String,
    webhook: String,
    webhook_name: String,
    badge: Badge,
    progress_text: String,
    is_running: bool,
    total: u64,
    done: u64,
    facts: Vec<(&'static str, String)>,
}

/// A replay and its progress.
pub(crate) async fn show(visitor: Visitor, Path((space, id)): Path<(String, String)>) -> Answer {
    let space = visitor.space(&space, Scope::DeliveriesRead)?;
    let replay = visitor.desk.app.manage.replay(&space, &id).await?;
    let wanted = replay.range.webhook.as_ref().map(WebhookId::as_str);
    let names = visitor.desk.names(&space, wanted).await?;
    let name = name_of(&replay, &names);
    let topics: Vec<String> = replay
        .range
        .topics
        .iter()
        .map(ToString::to_string)
        .collect();
    let mut facts = vec![
        ("Span", span(&replay)),
        (
            "Which",
            match replay.range.only_failed {
                true => String::from("what was given up"),
                false => String::from("everything"),
            },
        ),
        (
            "At most",
            format!("{} a second, behind everything else", replay.rate),
        ),
        ("Started by", replay.by.to_string()),
    ];
    if !topics.is_empty() {
        facts.insert(2, ("Topics", topics.join(", ")));
    }
    if replay.skipped > 0 {
        let skipped = format!(
            "{}: {}",
            number(replay.skipped),
            sentence(&replay.last_skipped)
        );
        facts.push(("Left out", skipped));
    }
    if !replay.detail.is_empty() {
        facts.push(("Note", sentence(&replay.detail)));
    }
    Ok(html(&Page {
        frame: visitor
            .frame(&format!("Replay to {name}"), "replays", &space)
            .await?,
        base: format!("/s/{space}"),
        webhook: replay
            .range
            .webhook
            .as_ref()
            .map_or_else(String::new, ToString::to_string),
        webhook_name: name,
        badge: badge(&replay),
        progress_text: progress(&replay),
        is_running: replay.state == State::Running,
        total: replay.total.unwrap_or(0).max(1),
        done: match replay.state {
            State::Done => replay.total.unwrap_or(0).max(1),
            _ => replay.sent + replay.skipped,
        },
        facts,
        id,
    }))
}

/// Asks before a replay is stopped.
pub(crate) async fn ask_cancel(
    visitor: Visitor,
    Path((space, id)): Path<(String, String)>,
) -> Answer {
    let space = visitor.space(&space, Scope::DeliveriesWrite)?;
    let replay = visitor.desk.app.manage.replay(&space, &id).await?;
    let here = format!("/s/{space}/replays/{}", replay.id);
    let frame = visitor
        .frame("Cancel the replay?", "replays", &space)
        .await?;
    Ok(html(&Confirm {
        heading: frame.title.clone(),
        frame: Frame {
            live: None,
            ..frame
        },
        paragraphs: vec![String::from(
            "What was sent again so far stays sent; the rest stays as it is.",
        )],
        action: format!("{here}/cancel"),
        hidden: Vec::new(),
        verb: "Cancel the replay",
        dangerous: true,
        problem: String::new(),
        back: here,
        back_text: String::from("Back to the replay"),
    }))
}

/// Stops a replay.
pub(crate) async fn cancel(visitor: Visitor, Path((space, id)): Path<(String, String)>) -> Answer {
    let space = visitor.space(&space, Scope::DeliveriesWrite)?;
    let manage = &visitor.desk.app.manage;
    let replay = manage.cancel_replay(&visitor.actor(), &space, &id).await?;
    Ok(see(&format!("/s/{space}/replays/{}", replay.id)))
}

#[derive(Debug, Template)]
#[template(path = "replay_new.html")]
struct New {
    frame: Frame,
    base: String,
    here: String,
    name: String,
    from: String,
    from_fault: String,
    to: String,
    to_fault: String,
    topics: String,
    topics_fault: String,
    failed_only: bool,
    problem: String,
    count: Option<String>,
    can_start: bool,
}

/// The form of a new replay of a webhook.
pub(crate) async fn new(
    visitor: Visitor,
    Path((space, id)): Path<(String, String)>,
    Asked(asked): Asked,
) -> Answer {
    let space = visitor.space(&space, Scope::DeliveriesWrite)?;
    let id = webhook_id(&id)?;
    let from = visitor.now.checked_sub(FIRST_SPAN).unwrap_or(visitor.now);
    // The field holds whole seconds, and what came in this second is meant too.
    let to = visitor.now.checked_add(SignedDuration::from_secs(1));
    let to = to.unwrap_or(visitor.now);
    let begin = |name: &str, fallback: Timestamp| match asked.text(name) {
        "" => civil(fallback),
        text => text.to_owned(),
    };
    let typed = Fields(vec![
        (String::from("from"), begin("from", from)),
        (String::from("to"), begin("to", to)),
        (String::from("status"), asked.text("status").to_owned()),
    ]);
    let page = form(&visitor, &space, &id, &typed, &[]).await?;
    Ok(html(&page))
}

/// Counts, or starts.
pub(crate) async fn start(
    visitor: Visitor,
    Path((space, id)): Path<(String, String)>,
    Posted(fields): Posted,
) -> Answer {
    let space = visitor.space(&space, Scope::DeliveriesWrite)?;
    let id = webhook_id(&id)?;
    let app = &visitor.desk.app;
    let wanted = match read(&fields, &id) {
        Ok(wanted) => wanted,
        Err(faults) => {
            return refused(&visitor, &space, &id, &fields, Error::Invalid(faults)).await;
        }
    };
    if fields.get("act") == "start" {
        return match app.start_replay(&visitor.actor(), &space, &wanted).await {
            Ok(replay) => Ok(see(&format!("/s/{space}/replays/{}", replay.id))),
            Err(error) => refused(&visitor, &space, &id, &fields, error).await,
        };
    }
    match app.count_replay(&space, &wanted).await {
        Err(error) => refused(&visitor, &space, &id, &fields, error).await,
        Ok(count) => {
            let mut page = form(&visitor, &space, &id, &fields, &[]).await?;
            page.can_start = count > 0;
            page.count = Some(match count {
                0 => String::from("Nothing in this span fits: there is nothing to send again."),
                1 => String::from("1 delivery would be sent again."),
                count => format!("{} deliveries would be sent again.", number(count)),
            });
            Ok(html(&page))
        }
    }
}

async fn refused(
    visitor: &Visitor,
    space: &Space,
    id: &WebhookId,
    fields: &Fields,
    error: Error,
) -> Answer<Response> {
    let (status, faults, problem) = match error {
        Error::Invalid(faults) => (StatusCode::UNPROCESSABLE_ENTITY, faults, String::new()),
        Error::Conflict { detail, .. } => (StatusCode::CONFLICT, Vec::new(), sentence(&detail)),
        other => return Err(other.into()),
    };
    let mut page = form(visitor, space, id, fields, &faults).await?;
    page.problem = problem;
    Ok((status, html(&page)).into_response())
}

async fn form(
    visitor: &Visitor,
    space: &Space,
    id: &WebhookId,
    typed: &Fields,
    faults: &[FieldError],
) -> Answer<New> {
    let kept = visitor.desk.app.manage.webhook(space, id).await?;
    let definition = &kept.webhook.definition;
    let name = shown_name(&definition.name, &definition.url);
    let fault = |pointer: &str| {
        let found = faults
            .iter()
            .find(|fault| fault.pointer.starts_with(pointer));
        found.map_or_else(String::new, |fault| sentence(&fault.detail))
    };
    let frame = visitor
        .frame(&format!("Replay to {name}"), "webhooks", space)
        .await?;
    Ok(New {
        frame: Frame {
            live: None,
            ..frame
        },
        base: format!("/s/{space}"),
        here: format!("/s/{space}/webhooks/{id}"),
        name,
        from: typed.text("from").to_owned(),
        from_fault: fault("/from"),
        to: typed.text("to").to_owned(),
        to_fault: fault("/to"),
        topics: typed.text("topics").to_owned(),
        topics_fault: fault("/topics"),
        failed_only: typed.text("status") == "failed",
        problem: String::new(),
        count: None,
        can_start: false,
    })
}

fn read(fields: &Fields, webhook: &WebhookId) -> Result<NewReplay, Vec<FieldError>> {
    let mut faults = Vec::new();
    let mut fault = |pointer: &str, detail: String| {
        faults.push(FieldError {
            pointer: pointer.to_owned(),
            code: "bad_value",
            detail,
        });
    };
    let mut moment = |name: &str| match time(fields.text(name)) {
        Ok(Some(at)) => Some(at),
        Ok(None) => {
            fault(
                &format!("/{name}"),
                String::from("say when, such as 2026-11-25T10:00"),
            );
            None
        }
        Err(problem) => {
            fault(&format!("/{name}"), problem);
            None
        }
    };
    let (from, to) = (moment("from"), moment("to"));
    let mut topics: Vec<TopicPattern> = Vec::new();
    let words = fields.text("topics").split([',', '\n']).map(str::trim);
    for word in words.filter(|word| !word.is_empty()) {
        match word.parse() {
            Ok(topic) => topics.push(topic),
            Err(error) => fault("/topics", format!("{word}: {error}")),
        }
    }
    match (from, to, faults.is_empty()) {
        (Some(from), Some(to), true) => Ok(NewReplay {
            webhook: Some(webhook.clone()),
            from,
            to: Some(to),
            topics,
            only_failed: fields.text("status") == "failed",
        }),
        _ => Err(faults),
    }
}

fn name_of(replay: &Replay, names: &HashMap<String, String>) -> String {
    match &replay.range.webhook {
        None => String::from("all webhooks"),
        Some(id) => {
            let name = names.get(id.as_str());
            name.cloned().unwrap_or_else(|| id.to_string())
        }
    }
}

fn badge(replay: &Replay) -> Badge {
    match replay.state {
        State::Running => Badge::new("info", "running"),
        State::Done => Badge::new("ok", "done"),
        State::Cancelled => Badge::new("warn", "cancelled"),
        State::Failed => Badge::new("bad", "failed"),
    }
}

fn progress(replay: &Replay) -> String {
    let (sent, total) = (number(replay.sent), number(replay.total.unwrap_or(0)));
    match replay.skipped {
        0 => format!("{sent} of {total} sent again"),
        skipped => format!("{sent} of {total} sent again, {} left out", number(skipped)),
    }
}

fn span(replay: &Replay) -> String {
    let show = |at: Timestamp| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
    format!("{} to {}", show(replay.range.from), show(replay.range.to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_replayed_is_told_beside_its_field() {
        let id: WebhookId = "wh_1".parse().unwrap();
        let fields = Fields::read(b"from=yesterday&to=&topics=Entry.publish,nonsense");
        let faults = read(&fields, &id).unwrap_err();
        let pointers: Vec<_> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
        assert_eq!(pointers, ["/from", "/to", "/topics"]);
        let fields = Fields::read(b"from=2026-11-25T10:00&to=2026-11-25T11:00&status=failed");
        assert!(read(&fields, &id).unwrap().only_failed);
    }
}
