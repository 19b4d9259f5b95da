//! An event made of options.

use std::path::Path;

use anyhow::Context as _;
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use tidings_core::id::EventId;
use tidings_core::topic::Topic;

use crate::input;

// What an event says.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Event")]
pub(super) struct EventFields {
    /// What happened, such as Entry.publish.
    #[arg(long, value_name = "TOPIC", required_unless_present = "file")]
    topic: Option<Topic>,
    /// What the receiver gets: JSON, @FILE, or - for standard input. Carried byte for byte.
    #[arg(long, value_name = "JSON|@FILE|-", required_unless_present = "file")]
    payload: Option<String>,
    /// The event's own id, by which publishing it again is noticed; made if left out.
    #[arg(long, value_name = "ID", conflicts_with = "file")]
    id: Option<EventId>,
    /// The id of what it happened to.
    #[arg(long, value_name = "ID", conflicts_with = "file")]
    entity_id: Option<String>,
    /// The type of what it happened to, such as Entry.
    #[arg(long, value_name = "TYPE", conflicts_with = "file")]
    entity_type: Option<String>,
    /// The content type of what it happened to, such as article.
    #[arg(long, value_name = "TYPE", conflicts_with = "file")]
    content_type: Option<String>,
    /// The revision of what it happened to.
    #[arg(long, value_name = "NUMBER", conflicts_with = "file")]
    revision: Option<u32>,
    /// A locale it concerns, such as en-US; repeat it for each.
    #[arg(long = "locale", value_name = "LOCALE", conflicts_with = "file")]
    locales: Vec<String>,
    /// When it happened, such as 2026-11-22T10:00:00Z; now if left out.
    #[arg(long, value_name = "TIME", conflicts_with = "file")]
    occurred_at: Option<Timestamp>,
    /// Who did it.
    #[arg(long, value_name = "NAME", conflicts_with = "file")]
    actor: Option<String>,
    /// A grouping such as releaseId=r1; repeat it for each.
    #[arg(long = "context", value_name = "KEY=VALUE", value_parser = parse_pair, conflicts_with = "file")]
    context: Vec<(String, String)>,
}

impl EventFields {
    /// The event in JSON. The payload is carried as it was typed.
    pub(super) async fn compose(&self) -> anyhow::Result<Bytes> {
        let payload = read_payload(self.payload.as_deref().unwrap_or_default()).await?;
        let mut fields = Map::new();
        let context: Map<String, Value> = self
            .context
            .iter()
            .map(|(key, value)| (key.clone(), json!(value)))
            .collect();
        let entity = self.entity();
        for (field, value) in [
            ("id", self.id.as_ref().map(|id| json!(id))),
            ("topic", self.topic.as_ref().map(|topic| json!(topic))),
            (
                "entity",
                (!entity.is_empty()).then_some(Value::Object(entity)),
            ),
            ("occurredAt", self.occurred_at.map(|at| json!(at))),
            ("actor", self.actor.as_ref().map(|actor| json!(actor))),
            (
                "context",
                (!context.is_empty()).then_some(Value::Object(context)),
            ),
        ] {
            fields.extend(value.map(|value| (field.to_owned(), value)));
        }
        let mut text = serde_json::to_string(&fields)?;
        text.truncate(text.len() - 1);
        let comma = if fields.is_empty() { "" } else { "," };
        Ok(Bytes::from(format!("{text}{comma}\"payload\":{payload}}}")))
    }

    fn entity(&self) -> Map<String, Value> {
        let fields = [
            ("id", self.entity_id.as_ref().map(|id| json!(id))),
            ("type", self.entity_type.as_ref().map(|kind| json!(kind))),
            (
                "contentType",
                self.content_type.as_ref().map(|kind| json!(kind)),
            ),
            ("revision", self.revision.map(|revision| json!(revision))),
            (
                "locales",
                (!self.locales.is_empty()).then(|| json!(self.locales)),
            ),
        ];
        let given = |(field, value): (&str, Option<Value>)| Some((field.to_owned(), value?));
        fields.into_iter().filter_map(given).collect()
    }
}

async fn read_payload(given: &str) -> anyhow::Result<Box<RawValue>> {
    let text = match given.strip_prefix('@') {
        Some(path) => input::read(Path::new(path)).await?,
        None if given == "-" => input::read(Path::new("-")).await?,
        None => given.as_bytes().to_vec(),
    };
    serde_json::from_slice(&text).context("--payload: it is no JSON")
}

fn parse_pair(text: &str) -> Result<(String, String), &'static str> {
    let (key, value) = text.split_once('=').ok_or("write it like releaseId=r1")?;
    Ok((key.to_owned(), value.to_owned()))
}
