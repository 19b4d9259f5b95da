//! The record of changes.

use askama::Template;
use axum::extract::Path;
use jiff::Timestamp;
use serde_json::{Map, Value};
use tidings_core::name::Space;
use tidings_core::token::Scope;
use tidings_manage::Via;
use tidings_manage::audit::Record;

use super::answer::{Answer, html};
use super::fields::Fields;
use super::frame::Frame;
use super::guard::{Asked, Visitor};
use super::words::Moment;

const PAGE: usize = 50;
const SHOWN_CHARS_MAX: usize = 400;

#[derive(Debug)]
struct Change {
    field: String,
    old: String,
    new: String,
}

#[derive(Debug)]
struct Row {
    action: String,
    target: String,
    who: String,
    via: &'static str,
    space: String,
    at: Moment,
    changes: Vec<Change>,
}

#[derive(Debug, Template)]
#[template(path = "audit.html")]
struct Page {
    frame: Frame,
    rows: Vec<Row>,
    older: Option<String>,
    is_first: bool,
    first: String,
}

/// The list of a space, for administrators.
pub(crate) async fn list(
    visitor: Visitor,
    Path(space): Path<String>,
    Asked(asked): Asked,
) -> Answer {
    visitor.need_admin()?;
    let space = visitor.space(&space, Scope::Admin)?;
    let here = format!("/s/{space}/audit");
    let frame = visitor.frame("Audit log", "audit", &space).await?;
    page(&visitor, Some(&space), here, &asked, frame).await
}

/// The list of the installation, tokens and spaces included, for administrators.
pub(crate) async fn list_all(visitor: Visitor, Asked(asked): Asked) -> Answer {
    visitor.need_admin()?;
    let frame = visitor.admin_frame("All changes", "audit-all").await?;
    page(&visitor, None, String::from("/admin/audit"), &asked, frame).await
}

async fn page(
    visitor: &Visitor,
    space: Option<&Space>,
    here: String,
    asked: &Fields,
    frame: Frame,
) -> Answer {
    let before: Option<u64> = asked.parse("before");
    let manage = &visitor.desk.app.manage;
    let records = manage.records(space, before, PAGE).await?;
    let rows = records.items.iter().map(|record| row(record, visitor.now));
    Ok(html(&Page {
        rows: rows.collect(),
        older: records.next.map(|place| format!("{here}?before={place}")),
        is_first: before.is_none(),
        first: here,
        frame,
    }))
}

fn row(record: &Record, now: Timestamp) -> Row {
    Row {
        action: record.action.clone(),
        target: record.target.clone(),
        who: record.actor.to_string(),
        via: match record.actor.via {
            Via::CommandLine => "command line",
            Via::Api => "management API",
            Via::Dashboard => "dashboard",
        },
        space: record
            .space
            .as_ref()
            .map_or_else(String::new, ToString::to_string),
        at: Moment::new(record.at, now),
        changes: changes(&record.old, &record.new),
    }
}

/// The fields that differ.
fn changes(old: &Value, new: &Value) -> Vec<Change> {
    let none = Map::new();
    let old = old.as_object().unwrap_or(&none);
    let new = new.as_object().unwrap_or(&none);
    let mut fields: Vec<&String> = old.keys().chain(new.keys()).collect();
    fields.sort_unstable();
    fields.dedup();
    let differing = fields
        .into_iter()
        .filter(|field| old.get(*field) != new.get(*field));
    let quiet = ["version", "updatedAt"];
    let differing = differing.filter(|field| !quiet.contains(&field.as_str()));
    differing
        .map(|field| Change {
            field: field.clone(),
            old: shown(old.get(field)),
            new: shown(new.get(field)),
        })
        .collect()
}

fn shown(value: Option<&Value>) -> String {
    let text = match value {
        None | Some(Value::Null) => String::from("–"),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    text.chars().take(SHOWN_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_differs_is_shown() {
        let old = json!({"name": "a", "url": "u", "version": 1});
        let new = json!({"name": "b", "url": "u", "version": 2, "enabled": true});
        let changes = changes(&old, &new);
        let fields: Vec<_> = changes.iter().map(|change| change.field.as_str()).collect();
        assert_eq!(fields, ["enabled", "name"]);
        assert_eq!(changes[0].old, "–");
    }
}
