//! The list of webhooks.

use askama::Template;
use axum::extract::Path;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tidings_core::id::WebhookId;
use tidings_core::name::Space;
use tidings_core::token::Scope;
use tidings_core::webhook::Status;
use tidings_manage::webhook::Kept;

use super::answer::{Answer, html};
use super::chart;
use super::desk::shown_name;
use super::fields::Fields;
use super::frame::Frame;
use super::guard::{Asked, Visitor};
use super::webhook::last_day;
use super::words::{Badge, ago, plural, rate};
use crate::log::Health;

const PAGE: usize = 25;
const TOPICS_SHOWN: usize = 4;
const READS_AT_ONCE: usize = 4;

#[derive(Debug)]
struct Row {
    id: String,
    name: String,
    url: String,
    enabled: bool,
    topics: Vec<String>,
    more_topics: usize,
    badge: Badge,
    until: String,
    until_text: String,
    spark: String,
    rate: String,
    rate_tone: &'static str,
    attempts: String,
}

#[derive(Debug, Template)]
#[template(path = "webhooks.html")]
struct Page {
    frame: Frame,
    base: String,
    q: String,
    state: String,
    total: usize,
    rows: Vec<Row>,
    page: usize,
    pages: usize,
    previous: Option<String>,
    next: Option<String>,
}

/// The list.
pub(crate) async fn list(
    visitor: Visitor,
    Path(space): Path<String>,
    Asked(asked): Asked,
) -> Answer {
    let space = visitor.space(&space, Scope::WebhooksRead)?;
    let frame = visitor.frame("Webhooks", "webhooks", &space).await?;
    let Found {
        total,
        page,
        pages,
        shown,
    } = find(&visitor, &space, &asked).await?;
    let may_see_health = frame.may.deliveries_read;
    let rows: Vec<_> = shown
        .iter()
        .map(|kept| row(&visitor, &space, kept, may_see_health))
        .collect();
    let rows = stream::iter(rows).buffered(READS_AT_ONCE);
    let rows: Vec<Row> = rows.try_collect().await?;
    let base = format!("/s/{space}");
    let to = |page: usize| format!("{base}/webhooks?{}", asked.with("page", &page.to_string()));
    Ok(html(&Page {
        q: asked.text("q").to_owned(),
        state: asked.text("state").to_owned(),
        total,
        rows,
        page,
        pages,
        previous: (page > 1).then(|| to(page - 1)),
        next: (page < pages).then(|| to(page + 1)),
        base,
        frame,
    }))
}

/// A page of the webhooks that are looked for.
struct Found {
    total: usize,
    page: usize,
    pages: usize,
    shown: Vec<Kept>,
}

/// The newest first, as in every other list. Only who searches makes all definitions be read.
async fn find(visitor: &Visitor, space: &Space, asked: &Fields) -> Answer<Found> {
    let manage = &visitor.desk.app.manage;
    let place = |count: usize| {
        let pages = count.div_ceil(PAGE).max(1);
        let page: usize = asked.parse("page").unwrap_or(1).clamp(1, pages);
        (page, pages)
    };
    let is_search = !asked.text("q").is_empty() || !asked.text("state").is_empty();
    if !is_search {
        let ids = manage.webhook_ids(space).await?;
        let (page, pages) = place(ids.len());
        let shown = ids.iter().rev().skip((page - 1) * PAGE).take(PAGE);
        let shown: Vec<WebhookId> = shown.cloned().collect();
        return Ok(Found {
            total: ids.len(),
            page,
            pages,
            shown: manage.webhooks_of(space, &shown).await?,
        });
    }
    let mut all = manage.webhooks(Some(space)).await?;
    let total = all.len();
    all.retain(|kept| is_wanted(kept, asked));
    let (page, pages) = place(all.len());
    let shown = all.into_iter().rev().skip((page - 1) * PAGE).take(PAGE);
    Ok(Found {
        total,
        page,
        pages,
        shown: shown.collect(),
    })
}

fn is_wanted(kept: &Kept, asked: &Fields) -> bool {
    let definition = &kept.webhook.definition;
    let wanted = asked.text("q").to_lowercase();
    let has = |text: &str| text.to_lowercase().contains(&wanted);
    let is_found = has(&definition.name)
        || has(&definition.url)
        || has(kept.webhook.id.as_str())
        || definition
            .topics
            .iter()
            .any(|topic| has(&topic.to_string()));
    let status = kept.effective().status;
    let is_state = match asked.text("state") {
        "active" => status == Status::Active,
        "paused" => status == Status::Paused,
        "disabled" => status == Status::Disabled,
        _ => true,
    };
    is_found && is_state
}

async fn row(visitor: &Visitor, space: &Space, kept: &Kept, shows_health: bool) -> Answer<Row> {
    let webhook = &kept.webhook;
    let definition = &webhook.definition;
    let state = kept.effective();
    let (from, to) = last_day(visitor.now);
    let log = &visitor.desk.app.log;
    let health = match shows_health {
        true => {
            log.health(space.as_str(), webhook.id.as_str(), from, to)
                .await?
        }
        false => Health::default(),
    };
    let (rate, rate_tone) = rate(health.delivered, health.attempts);
    let until = state.until.filter(|_| state.status == Status::Paused);
    let topics = definition.topics.iter().map(ToString::to_string);
    Ok(Row {
        id: webhook.id.to_string(),
        name: shown_name(&definition.name, &definition.url),
        url: definition.url.clone(),
        enabled: definition.enabled,
        topics: topics.take(TOPICS_SHOWN).collect(),
        more_topics: definition.topics.len().saturating_sub(TOPICS_SHOWN),
        badge: Badge::of_endpoint(&state),
        until: until.map_or_else(String::new, |at| at.to_string()),
        until_text: until.map_or_else(String::new, |at| {
            ago(at, visitor.now).trim_start_matches("in ").to_owned()
        }),
        spark: match shows_health {
            true => chart::spark(&health.buckets),
            false => String::new(),
        },
        rate,
        rate_tone,
        attempts: match shows_health {
            true => plural(health.attempts, "attempt"),
            false => String::new(),
        },
    })
}
