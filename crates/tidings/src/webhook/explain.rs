//! `tidings webhook explain`: why a webhook gets an event, or why not. Told by the code that routes.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use async_nats::jetstream::stream::DirectGetErrorKind;
use bytes::Bytes;
use prost::Message as _;
use serde::Serialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use tidings_core::event::Event;
use tidings_core::id::{EventId, WebhookId};
use tidings_core::matching::{Check, Explanation, explain};
use tidings_core::name::Space;
use tidings_core::webhook::{EndpointState, Status, Webhook};
use tidings_ingest::check::check;
use tidings_ingest::decode::{cloudevents, json as json_event};
use tidings_manage::{Manage, new_ulid};
use tidings_nats::stored_event::open_stored;
use tidings_nats::topology::EVENTS;
use tidings_proto::v1;
use tidings_service::clock;

use crate::client::Client;
use crate::input;
use crate::output::{Output, clean};
use crate::scan::{self, Look, Seen};

#[derive(Debug, clap::Args)]
pub(super) struct ExplainArgs {
    #[command(flatten)]
    event: WhichEvent,
    /// The webhook's id; may be given several times. All webhooks of the space if left out.
    #[arg(long = "webhook", value_name = "ID")]
    webhooks: Vec<WebhookId>,
    /// The space of the webhooks, and of an event that does not name its own; the event's if left
    /// out.
    #[arg(long, env = "TIDINGS_SPACE", value_name = "NAME")]
    space: Option<Space>,
}

/// The event that is meant.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct WhichEvent {
    /// File with an event in JSON, as it would be published, or - for standard input. A CloudEvent
    /// in structured mode will do as well.
    #[arg(long, value_name = "FILE|-")]
    event: Option<PathBuf>,
    /// The id of an event that was published and is still kept.
    #[arg(long, value_name = "ID")]
    event_id: Option<EventId>,
    /// The sequence of an event that was published and is still kept.
    #[arg(long, value_name = "NUMBER")]
    sequence: Option<u64>,
}

/// What is told about one webhook.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    webhook_id: WebhookId,
    name: String,
    /// Whether the endpoint was disabled by a sender, so that it gets nothing all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    disabled: Option<String>,
    matches: bool,
    checks: Vec<Check>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    faults: Vec<Value>,
}

/// Runs the command.
pub(super) async fn run(
    args: &ExplainArgs,
    client: &Client,
    manage: &Manage,
    output: Output,
) -> anyhow::Result<()> {
    let event = read_event(args, client).await?;
    let space = args.space.as_ref().unwrap_or(&event.space);
    let mut all = Vec::new();
    match args.webhooks.as_slice() {
        [] => all = manage.webhooks(Some(space)).await?,
        chosen => {
            for id in chosen {
                all.push(manage.webhook(space, id).await?);
            }
        }
    }
    let told: Vec<Told> = all
        .iter()
        .map(|kept| tell(&kept.webhook, kept.state.as_ref(), &event))
        .collect();
    let document = json!({
        "event": {
            "id": event.id,
            "space": event.space,
            "environment": event.environment,
            "topic": event.topic,
        },
        "webhooks": told,
    });
    output.answer(&document, text(&event, &told)?)
}

fn tell(webhook: &Webhook, recorded: Option<&EndpointState>, event: &Event) -> Told {
    let Explanation {
        matches,
        checks,
        faults,
    } = explain(webhook, event);
    let state = EndpointState::effective(webhook, recorded);
    let is_disabled = webhook.definition.enabled && state.status == Status::Disabled;
    Told {
        webhook_id: webhook.id.clone(),
        name: webhook.definition.name.clone(),
        disabled: is_disabled.then_some(state.reason),
        matches,
        checks,
        faults: faults.iter().map(|fault| json!(fault)).collect(),
    }
}

async fn read_event(args: &ExplainArgs, client: &Client) -> anyhow::Result<Event> {
    let WhichEvent {
        event,
        event_id,
        sequence,
    } = &args.event;
    if let Some(path) = event {
        return read_file(path, args.space.as_ref()).await;
    }
    let sequence = match (sequence, event_id) {
        (Some(sequence), _) => *sequence,
        (None, Some(id)) => find(id, args.space.as_ref(), client).await?,
        (None, None) => anyhow::bail!("give --event, --event-id or --sequence"),
    };
    let stream = client.jetstream.get_stream(EVENTS).await?;
    let message = match stream.direct_get(sequence).await {
        Err(error) if error.kind() == DirectGetErrorKind::NotFound => {
            anyhow::bail!("there is no event {sequence}, or it is forgotten by now")
        }
        read => read?,
    };
    let opened = open_stored(&message);
    let opened = opened.map_err(|fault| anyhow::anyhow!("{}: {fault}", fault.pointer));
    Ok(opened.context("what lies there is no event")?.event)
}

async fn read_file(path: &Path, space: Option<&Space>) -> anyhow::Result<Event> {
    let body = Bytes::from(input::read(path).await?);
    let fault = |fault: tidings_core::event::EventError| match fault.pointer.is_empty() {
        true => anyhow::anyhow!("{fault}"),
        false => anyhow::anyhow!("{}: {fault}", fault.pointer),
    };
    let candidate = match is_cloudevent(&body) {
        true => cloudevents::structured(&body),
        false => json_event::event(&body),
    };
    let candidate = candidate
        .map_err(fault)
        .context("the event cannot be read")?;
    let own = match candidate.event.space.as_str() {
        "" => None,
        own => Some(own.parse().context("/space")?),
    };
    let space = own.or_else(|| space.cloned());
    let space = space.context("the event names no space; give --space")?;
    let now = clock::now();
    let checked = check(candidate, space, now, new_ulid(now));
    Ok(checked
        .map_err(fault)
        .context("the event would be refused")?
        .event)
}

fn is_cloudevent(body: &[u8]) -> bool {
    let members = serde_json::from_slice::<HashMap<String, IgnoredAny>>(body);
    members.is_ok_and(|members| members.contains_key("specversion"))
}

/// The place of the newest event with this id.
async fn find(id: &EventId, space: Option<&Space>, client: &Client) -> anyhow::Result<u64> {
    let subject = format!("tidings.event.{}.>", space.map_or("*", Space::as_str));
    let mut found = None;
    scan::newest_first(client, EVENTS, &subject, |seen| match seen {
        Seen::Message(message) => {
            let own = v1::Event::decode(message.payload).map(|event| event.id);
            let own = own.unwrap_or_default();
            let header = message.message_id.as_deref().unwrap_or_default();
            let is_named = match own.is_empty() {
                true => header == id.as_str() || header.ends_with(&format!(".{id}")),
                false => own == id.as_str(),
            };
            if is_named || *id == EventId::of_sequence(message.sequence) {
                found = Some(message.sequence);
            }
            Look::Further
        }
        Seen::Stretch if found.is_some() => Look::Enough,
        Seen::Stretch => Look::Further,
    })
    .await?;
    found.with_context(|| format!("there is no event {id}, or it is forgotten by now"))
}

fn text(event: &Event, told: &[Told]) -> anyhow::Result<String> {
    let mut text = format!(
        "event {} {} in {}/{}\n",
        event.id, event.topic, event.space, event.environment
    );
    if told.is_empty() {
        writeln!(text, "\nno webhooks")?;
    }
    for webhook in told {
        let verdict = match (webhook.matches, &webhook.disabled) {
            (true, None) => String::from("gets it"),
            (true, Some(reason)) => format!("would get it, but is disabled ({})", clean(reason)),
            (false, _) => String::from("does not get it"),
        };
        let name = clean(&webhook.name);
        writeln!(text, "\nwebhook {} {name}: {verdict}", webhook.webhook_id)?;
        for check in &webhook.checks {
            line(&mut text, check, 1)?;
        }
        for fault in &webhook.faults {
            writeln!(text, "  not understood: {fault}")?;
        }
    }
    Ok(text)
}

fn line(text: &mut String, check: &Check, depth: usize) -> anyhow::Result<()> {
    let indent = "  ".repeat(depth);
    let verdict = serde_json::to_value(check.verdict)?;
    let verdict = verdict.as_str().unwrap_or_default();
    write!(text, "{indent}{verdict:<8}{}", check.pointer)?;
    if check.checks.is_empty() {
        if check.pointer != format!("/{}", check.operator) {
            write!(text, " {}", clean(&check.operator))?;
        }
        if let Some(doc) = &check.doc {
            write!(text, " {}", clean(doc))?;
        }
        if let Some(wanted) = &check.wanted {
            write!(text, " {}", clean(&wanted.to_string()))?;
        }
        let saw = match &check.saw {
            Some(saw) => clean(&serde_json::to_string(saw)?),
            None => String::from("nothing"),
        };
        write!(text, "; saw {saw}")?;
    }
    writeln!(text)?;
    for part in &check.checks {
        line(text, part, depth + 1)?;
    }
    Ok(())
}
