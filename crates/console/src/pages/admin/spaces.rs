//! Spaces, and what is set for one.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::Path;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use tidings_core::name::Space;
use tidings_core::space::{EventRate, SpaceSettings};
use tidings_core::token::Scope;
use tidings_core::webhook::FieldError;
use tidings_manage::Error;

use crate::pages::answer::{Answer, html, see};
use crate::pages::fields::Fields;
use crate::pages::frame::Frame;
use crate::pages::guard::{Asked, Posted, Visitor};
use crate::pages::words::sentence;

#[derive(Debug)]
struct Row {
    name: String,
    webhooks: u64,
}

#[derive(Debug, Template)]
#[template(path = "spaces.html")]
struct Page {
    frame: Frame,
    spaces: Vec<Row>,
    typed: String,
    fault: String,
}

/// The list.
pub(crate) async fn spaces(visitor: Visitor) -> Answer {
    visitor.need_admin()?;
    page(&visitor, "", String::new()).await
}

async fn page(visitor: &Visitor, typed: &str, fault: String) -> Answer {
    let manage = &visitor.desk.app.manage;
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for space in manage.spaces().await? {
        counts.insert(space.to_string(), 0);
    }
    for kept in manage.webhooks(None).await? {
        *counts.entry(kept.webhook.space.to_string()).or_default() += 1;
    }
    let row = |(name, webhooks)| Row { name, webhooks };
    Ok(html(&Page {
        frame: visitor.admin_frame("Spaces", "spaces").await?,
        spaces: counts.into_iter().map(row).collect(),
        typed: typed.to_owned(),
        fault,
    }))
}

/// Goes to a space, which exists as soon as something belongs to it.
pub(crate) async fn open_space(visitor: Visitor, Posted(fields): Posted) -> Answer {
    visitor.need_admin()?;
    let typed = fields.text("space");
    match typed.parse::<Space>() {
        Ok(space) => Ok(see(&format!("/s/{space}/webhooks"))),
        Err(error) => {
            let page = page(&visitor, typed, sentence(&error.to_string())).await?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
    }
}

#[derive(Debug)]
struct Field {
    name: &'static str,
    label: &'static str,
    value: String,
    placeholder: &'static str,
    hint: &'static str,
    fault: String,
}

#[derive(Debug, Template)]
#[template(path = "space.html")]
struct Settings {
    frame: Frame,
    space: String,
    version: u64,
    notice: &'static str,
    problem: String,
    fields: Vec<Field>,
}

/// What is set for a space.
pub(crate) async fn space_settings(
    visitor: Visitor,
    Path(space): Path<String>,
    Asked(asked): Asked,
) -> Answer {
    visitor.need_admin()?;
    let space = visitor.space(&space, Scope::Admin)?;
    let kept = visitor.desk.app.manage.space(&space).await?;
    let settings = kept.settings;
    let rate = settings.ingest_rate;
    let typed = Fields(vec![
        (String::from("name"), settings.name),
        (
            String::from("rate"),
            text(rate.map(|rate| rate.events_per_second)),
        ),
        (
            String::from("burst"),
            text(rate.and_then(|rate| rate.burst)),
        ),
    ]);
    let mut page = settings_page(&visitor, &space, &typed, &[]).await?;
    page.version = kept.version;
    page.notice = if asked.has("saved") { "Saved." } else { "" };
    Ok(html(&page))
}

/// Sets it anew.
pub(crate) async fn save_space(
    visitor: Visitor,
    Path(space): Path<String>,
    Posted(fields): Posted,
) -> Answer {
    visitor.need_admin()?;
    let space = visitor.space(&space, Scope::Admin)?;
    let version: Option<u64> = fields.parse("version");
    let stored = match read(&fields) {
        Err(faults) => Err(Error::Invalid(faults)),
        Ok(settings) => {
            let manage = &visitor.desk.app.manage;
            manage
                .put_space(&visitor.actor(), &space, settings, version)
                .await
        }
    };
    let (status, faults, problem) = match stored {
        Ok(_) => return Ok(see(&format!("/s/{space}/settings?saved"))),
        Err(Error::Invalid(faults)) => (StatusCode::UNPROCESSABLE_ENTITY, faults, String::new()),
        Err(Error::Stale(detail)) => (StatusCode::CONFLICT, Vec::new(), sentence(&detail)),
        Err(other) => return Err(other.into()),
    };
    let mut page = settings_page(&visitor, &space, &fields, &faults).await?;
    page.version = version.unwrap_or(0);
    page.problem = problem;
    let response: Response = (status, html(&page)).into_response();
    Ok(response)
}

async fn settings_page(
    visitor: &Visitor,
    space: &Space,
    typed: &Fields,
    faults: &[FieldError],
) -> Answer<Settings> {
    let field = |name, label, placeholder, hint, pointer: &str| Field {
        name,
        label,
        value: typed.text(name).to_owned(),
        placeholder,
        hint,
        fault: faults
            .iter()
            .find(|fault| fault.pointer == pointer)
            .map_or_else(String::new, |fault| sentence(&fault.detail)),
    };
    Ok(Settings {
        frame: visitor
            .frame(&format!("Settings of {space}"), "settings", space)
            .await?,
        space: space.to_string(),
        version: 0,
        notice: "",
        problem: String::new(),
        fields: vec![
            field("name", "Name", "", "What people call this space.", "/name"),
            field(
                "rate",
                "Events per second",
                "as the operator set it",
                "How many events it may publish; 0 for any number.",
                "/ingestRate/eventsPerSecond",
            ),
            field(
                "burst",
                "Events at once",
                "as many as in a second",
                "How many may come at once before that rate holds.",
                "/ingestRate/burst",
            ),
        ],
    })
}

fn read(fields: &Fields) -> Result<SpaceSettings, Vec<FieldError>> {
    let mut faults = Vec::new();
    let mut fault = |pointer: &str, detail: &str| {
        faults.push(FieldError {
            pointer: pointer.to_owned(),
            code: "bad_value",
            detail: detail.to_owned(),
        });
    };
    let rate = fields.text("rate");
    let burst = fields.text("burst");
    let events_per_second = rate.parse::<u32>().ok();
    if !rate.is_empty() && events_per_second.is_none() {
        fault(
            "/ingestRate/eventsPerSecond",
            "write a whole number, such as 100",
        );
    }
    if rate.is_empty() && !burst.is_empty() {
        fault(
            "/ingestRate/eventsPerSecond",
            "say how many per second first",
        );
    }
    let at_once = burst.parse().ok();
    if !burst.is_empty() && at_once.is_none() {
        fault("/ingestRate/burst", "write a whole number above 0");
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok(SpaceSettings {
        name: fields.text("name").to_owned(),
        ingest_rate: events_per_second.map(|events_per_second| EventRate {
            events_per_second,
            burst: at_once,
        }),
    })
}

fn text(value: Option<impl ToString>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}
