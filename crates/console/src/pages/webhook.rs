//! A webhook's page: how it fares, its deliveries, its settings.

pub(crate) mod act;
mod dry_run;
pub(crate) mod edit;
mod form;
mod preview;

use askama::Template;
use axum::extract::Path;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tidings_core::name::Space;
use tidings_core::token::Scope;
use tidings_core::webhook::{SigningSecret, Status as EndpointStatus};
use tidings_manage::webhook::{Kept, Saved};

use super::answer::{Answer, html};
use super::chart;
use super::deliveries::{Filter, Row, Shown, page_of};
use super::desk::shown_name;
use super::frame::Frame;
use super::guard::{Asked, Visitor, webhook_id};
use super::words::{Badge, Moment, ago, number, pause_reason, plural, rate, sentence};
use crate::log::{DeliveryFilter, Health, Status};
use form::SecretRow;

const DAY: SignedDuration = SignedDuration::from_hours(24);
const LATEST: usize = 8;
/// Beyond it nobody counts.
const COUNT_MAX: u64 = 100_000;

/// A page that shows a secret once.
#[derive(Debug, Template)]
#[template(path = "secret.html")]
pub(crate) struct Secret {
    pub(crate) frame: Frame,
    pub(crate) base: String,
    pub(crate) back: String,
    pub(crate) name: String,
    pub(crate) label: &'static str,
    pub(crate) text: &'static str,
    /// Each with its label.
    pub(crate) secrets: Vec<(String, String)>,
    pub(crate) done: &'static str,
    pub(crate) warnings: Vec<String>,
}

/// That page for the signing secrets that were made for a webhook.
async fn secret_page(
    visitor: &Visitor,
    space: &Space,
    saved: &Saved,
    heading: &str,
) -> Answer<Secret> {
    let (webhook, made) = (&saved.kept.webhook, &saved.made);
    let frame = visitor.frame(heading, "webhooks", space).await?;
    Ok(Secret {
        frame: Frame {
            live: None,
            ..frame
        },
        base: format!("/s/{space}"),
        back: format!("/s/{space}/webhooks/{}", webhook.id),
        name: shown_name(&webhook.definition.name, &webhook.definition.url),
        label: match made.len() {
            0 | 1 => "Signing secret",
            _ => "Signing secrets",
        },
        text: "Your receiver needs it to verify that requests come from here.",
        secrets: made.iter().map(labelled).collect(),
        done: "To the webhook",
        warnings: Vec::new(),
    })
}

/// A secret with what it is for.
fn labelled(secret: &SigningSecret) -> (String, String) {
    let label = match secret.schemes.as_slice() {
        [] => String::from("Signing secret"),
        schemes => {
            let names: Vec<_> = schemes.iter().map(ToString::to_string).collect();
            format!("Signing secret for {}", names.join(", "))
        }
    };
    (label, secret.key.expose().to_owned())
}

/// That an endpoint is paused, and until when.
#[derive(Debug)]
struct Paused {
    text: String,
    until: String,
    until_text: String,
}

#[derive(Debug, Template)]
#[template(path = "webhook.html")]
struct Page {
    frame: Frame,
    base: String,
    here: String,
    tab: &'static str,
    id: String,
    name: String,
    url: String,
    description: String,
    enabled: bool,
    can_pause: bool,
    can_send: bool,
    badge: Badge,
    pause: Option<Paused>,
    disabled: String,
    version: u64,
    created: Moment,
    updated: Moment,
    topics: Vec<String>,
    content_types: String,
    filters: Vec<String>,
    request: Vec<(&'static str, String)>,
    delivery: Vec<(&'static str, String)>,
    secrets: Vec<SecretRow>,
    rate: String,
    rate_tone: &'static str,
    attempts: String,
    backlog: String,
    backlog_text: String,
    dead: String,
    p50: String,
    p95: String,
    attempts_chart: String,
    latency_chart: String,
    shows_webhook: bool,
    rows: Vec<Row>,
    filter: Filter,
    older: Option<String>,
    is_first: bool,
    first: String,
}

/// A webhook's page.
pub(crate) async fn show(
    visitor: Visitor,
    Path((space, id)): Path<(String, String)>,
    Asked(asked): Asked,
) -> Answer {
    let space = visitor.space(&space, Scope::WebhooksRead)?;
    let app = &visitor.desk.app;
    let kept = app.manage.webhook(&space, &webhook_id(&id)?).await?;
    let definition = &kept.webhook.definition;
    let name = shown_name(&definition.name, &definition.url);
    let frame = visitor.frame(&name, "webhooks", &space).await?;
    let tab = match asked.get("tab") {
        "deliveries" if frame.may.deliveries_read => "deliveries",
        "settings" => "settings",
        _ => "",
    };
    let mut page = described(&kept, frame, &space, visitor.now);
    page.tab = tab;
    let may_read = page.frame.may.deliveries_read;
    match tab {
        "" if may_read => fares(&visitor, &space, &mut page).await?,
        "deliveries" => {
            let base = page.here.clone();
            let webhook = Some(page.id.clone());
            let shown = page_of(&visitor, &space, &asked, webhook, &base).await?;
            let Shown {
                rows,
                filter,
                older,
                is_first,
                first,
            } = shown;
            page = Page {
                rows,
                filter,
                older,
                is_first,
                first,
                ..page
            };
        }
        _ => {}
    }
    Ok(html(&page))
}

/// Fills in how it fared in the last day.
async fn fares(visitor: &Visitor, space: &Space, page: &mut Page) -> Answer<()> {
    let log = &visitor.desk.app.log;
    let (from, to) = last_day(visitor.now);
    let health = log.health(space.as_str(), &page.id, from, to).await?;
    let count = |status, from| {
        let filter = DeliveryFilter {
            webhook: Some(page.id.clone()),
            status: Some(status),
            from,
            ..DeliveryFilter::default()
        };
        log.count_upto(space.as_str(), filter, COUNT_MAX)
    };
    let first = count(Status::Pending, None).await?;
    let again = count(Status::Retrying, None).await?;
    page.backlog = number(first + again);
    page.backlog_text = match (first, again) {
        (0, 0) => String::from("nothing waits"),
        (0, _) => String::from("for another attempt"),
        (_, 0) => String::from("for their first attempt"),
        _ => format!("{} of them for their first attempt", number(first)),
    };
    page.dead = number(count(Status::Dead, Some(from)).await?);
    (page.rate, page.rate_tone) = rate(health.delivered, health.attempts);
    page.attempts = plural(health.attempts, "attempt");
    if health.attempts > 0 {
        page.p50 = chart::micros(health.p50_us);
        page.p95 = chart::micros(health.p95_us);
    }
    let labels = hours(&health, visitor.now);
    page.attempts_chart = chart::attempts(&health.buckets, &labels);
    page.latency_chart = chart::latency(&health.latencies, &labels);
    let filter = DeliveryFilter {
        webhook: Some(page.id.clone()),
        ..DeliveryFilter::default()
    };
    let latest = log.deliveries(space.as_str(), filter, None, LATEST).await?;
    let row = |delivery| Row::new(delivery, &page.name, visitor.now);
    page.rows = latest.items.iter().map(row).collect();
    Ok(())
}

/// What is told of a webhook without the log.
fn described(kept: &Kept, frame: Frame, space: &Space, now: Timestamp) -> Page {
    let webhook = &kept.webhook;
    let definition = &webhook.definition;
    let view = kept.view();
    let state = kept.effective();
    let is_paused = state.status == EndpointStatus::Paused;
    let until = Moment::maybe(state.until, now);
    let disabled = match (state.status, definition.enabled) {
        (EndpointStatus::Disabled, false) => String::from("Somebody switched it off."),
        (EndpointStatus::Disabled, true) => match state.reason.as_str() {
            "gone" => String::from("The receiver said that it is gone for good (410)."),
            other => sentence(other),
        },
        _ => String::new(),
    };
    let base = format!("/s/{space}");
    Page {
        here: format!("{base}/webhooks/{}", webhook.id),
        base,
        tab: "",
        id: webhook.id.to_string(),
        name: shown_name(&definition.name, &definition.url),
        url: definition.url.clone(),
        description: definition.description.clone(),
        enabled: definition.enabled,
        can_pause: state.status == EndpointStatus::Active,
        can_send: state.status != EndpointStatus::Disabled,
        badge: Badge::of_endpoint(&state),
        pause: is_paused.then(|| Paused {
            text: pause_reason(&state),
            until: until.iso,
            until_text: state.until.map_or_else(String::new, |at| {
                ago(at, now).trim_start_matches("in ").to_owned()
            }),
        }),
        disabled,
        version: webhook.version,
        created: Moment::new(webhook.created_at, now),
        updated: Moment::new(webhook.updated_at, now),
        topics: definition.topics.iter().map(ToString::to_string).collect(),
        content_types: match definition.content_types.as_slice() {
            [] => String::from("all"),
            some => some.join(", "),
        },
        filters: definition.filters.iter().map(form::told).collect(),
        request: request_facts(&view),
        delivery: delivery_facts(&view),
        secrets: form::secrets(&view, now),
        rate: String::from("–"),
        rate_tone: "muted",
        attempts: String::new(),
        backlog: String::from("–"),
        backlog_text: String::new(),
        dead: String::from("–"),
        p50: String::from("–"),
        p95: String::from("–"),
        attempts_chart: String::new(),
        latency_chart: String::new(),
        shows_webhook: false,
        rows: Vec::new(),
        filter: Filter::default(),
        older: None,
        is_first: true,
        first: String::new(),
        frame,
    }
}

fn request_facts(view: &Value) -> Vec<(&'static str, String)> {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut facts = vec![("Format", form::format_text(&text(&view["format"])))];
    for header in view["headers"].as_array().into_iter().flatten() {
        let value = match header["secret"] == true {
            true => String::from("•••"),
            false => text(&header["value"]),
        };
        facts.push(("Header", format!("{}: {value}", text(&header["key"]))));
    }
    if let Some(user) = view.pointer("/basicAuth/username") {
        facts.push(("Basic authentication", text(user)));
    }
    if let Some(transformation) = view.get("transformation") {
        facts.push(("Transformation", transformation.to_string()));
    }
    facts
}

fn delivery_facts(view: &Value) -> Vec<(&'static str, String)> {
    let plan = &view["delivery"];
    let text = |pointer: &str| match plan.pointer(pointer) {
        None | Some(Value::Null) => String::from("–"),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(list)) => {
            let parts: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
            parts.join(", ")
        }
        Some(other) => other.to_string(),
    };
    let rate = format!(
        "{} in {}",
        text("/rateLimit/requests"),
        text("/rateLimit/per")
    );
    vec![
        ("Retries", text("/maxRetries")),
        ("Waits", text("/retrySchedule")),
        ("Timeout", text("/timeout")),
        ("Gives up after", text("/maxAge")),
        ("Requests at most", rate),
        ("Under way at once", text("/maxInFlight")),
        ("Pool", text("/pool")),
    ]
}

/// The last 24 hours, in microseconds.
pub(super) fn last_day(now: Timestamp) -> (i64, i64) {
    let from = now.checked_sub(DAY).unwrap_or(Timestamp::MIN);
    // What happens this moment is in it.
    (
        from.as_microsecond(),
        now.as_microsecond().saturating_add(1),
    )
}

/// The hour at which each part of the day began.
fn hours(health: &Health, now: Timestamp) -> Vec<String> {
    let count = i64::try_from(health.buckets.len()).unwrap_or(24);
    let label = |index: i64| {
        let back = SignedDuration::from_hours(24 - index * 24 / count.max(1));
        let at = now.checked_sub(back).unwrap_or(now);
        at.strftime("%H:%M UTC").to_string()
    };
    (0..count).map(label).collect()
}
