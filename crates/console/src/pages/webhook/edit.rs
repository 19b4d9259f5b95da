//! Creating and changing a webhook: the form, what is wrong with it, and what it would do.

use std::sync::Arc;

use askama::Template;
use axum::Json;
use axum::extract::Path;
use axum::response::IntoResponse as _;
use http::StatusCode;
use serde_json::json;
use tidings_core::id::WebhookId;
use tidings_core::name::Space;
use tidings_core::token::Scope;
use tidings_core::webhook::FieldError;
use tidings_manage::webhook::{Draft, Kept, Saved, Target};
use tidings_manage::{Error, Result};

use super::super::answer::{Answer, html, see};
use super::super::fields::Fields;
use super::super::frame::Frame;
use super::super::guard::{Posted, Visitor, webhook_id};
use super::super::words::sentence;
use super::dry_run;
use super::form::{FilterRow, Form, HeaderRow, definition};
use super::preview::{self, Preview};
use super::secret_page;

const NO_PREVIEW: &str = "Fill the form in to see the request.";

#[derive(Debug, Template)]
#[template(path = "webhook_form.html")]
struct Page {
    frame: Frame,
    base: String,
    action: String,
    back: String,
    id: Option<String>,
    version: String,
    form: Form,
    preview: Option<Preview>,
    preview_problem: String,
}

/// Where a form comes from: of a new webhook, or of one that is there.
struct Origin {
    space: Space,
    old: Option<Kept>,
    version: String,
}

impl Origin {
    fn id(&self) -> Option<&WebhookId> {
        self.old.as_ref().map(|old| &old.webhook.id)
    }

    /// The draft that a form makes.
    fn draft(&self, fields: serde_json::Map<String, serde_json::Value>) -> Draft {
        match &self.old {
            Some(old) => Draft::replacing(&old.webhook.definition, fields),
            None => {
                let mut draft = Draft::default();
                draft.merge(fields);
                draft
            }
        }
    }
}

/// The form of a new webhook.
pub(crate) async fn new(visitor: Visitor, Path(space): Path<String>) -> Answer {
    let space = visitor.space(&space, Scope::WebhooksWrite)?;
    let origin = Origin {
        space,
        old: None,
        version: String::new(),
    };
    let page = page(&visitor, &origin, Form::fresh()).await?;
    Ok(html(&page))
}

/// The form of a webhook that is there.
pub(crate) async fn edit(visitor: Visitor, Path((space, id)): Path<(String, String)>) -> Answer {
    let space = visitor.space(&space, Scope::WebhooksWrite)?;
    let old = visitor
        .desk
        .app
        .manage
        .webhook(&space, &webhook_id(&id)?)
        .await?;
    let form = Form::of(&old.view(), visitor.now);
    let origin = Origin {
        space,
        version: old.webhook.version.to_string(),
        old: Some(old),
    };
    let page = page(&visitor, &origin, form).await?;
    Ok(html(&page))
}

/// Creates a webhook, and shows its secret once.
pub(crate) async fn create(
    visitor: Visitor,
    Path(space): Path<String>,
    Posted(fields): Posted,
) -> Answer {
    let space = visitor.space(&space, Scope::WebhooksWrite)?;
    let app = &visitor.desk.app;
    let origin = Origin {
        space,
        old: None,
        version: String::new(),
    };
    let mut form = Form::typed(&fields);
    let (definition, faults) = definition(&mut form);
    let stored = match faults.is_empty() {
        false => Err(Error::Invalid(faults)),
        true => {
            let draft = origin.draft(definition);
            let actor = visitor.actor();
            app.manage
                .create_webhook(&actor, &origin.space, draft, &app.reach)
                .await
        }
    };
    match stored {
        Ok(saved) => created(&visitor, &origin.space, saved).await,
        Err(error) => refused(&visitor, &origin, form, error).await,
    }
}

/// Changes a webhook.
pub(crate) async fn save(
    visitor: Visitor,
    Path((space, id)): Path<(String, String)>,
    Posted(fields): Posted,
) -> Answer {
    let space = visitor.space(&space, Scope::WebhooksWrite)?;
    let id = webhook_id(&id)?;
    let app = &visitor.desk.app;
    let origin = Origin {
        old: Some(app.manage.webhook(&space, &id).await?),
        version: fields.text("version").to_owned(),
        space,
    };
    let mut form = Form::typed(&fields);
    let (definition, faults) = definition(&mut form);
    let stored = match faults.is_empty() {
        false => Err(Error::Invalid(faults)),
        true => {
            let actor = visitor.actor();
            let target = Target {
                actor: &actor,
                space: &origin.space,
                id: &id,
                version: fields.parse("version"),
            };
            let draft = |old: &Kept| Ok(Draft::replacing(&old.webhook.definition, definition));
            app.manage.update_webhook(target, &app.reach, draft).await
        }
    };
    match stored {
        Ok(saved) if !saved.made.is_empty() => created(&visitor, &origin.space, saved).await,
        Ok(_) => {
            visitor.desk.changed();
            Ok(see(&format!(
                "/s/{}/webhooks/{id}?tab=settings",
                origin.space
            )))
        }
        Err(error) => refused(&visitor, &origin, form, error).await,
    }
}

async fn created(visitor: &Visitor, space: &Space, saved: Saved) -> Answer {
    visitor.desk.changed();
    let kept = &saved.kept;
    if saved.made.is_empty() {
        return Ok(see(&format!("/s/{space}/webhooks/{}", kept.webhook.id)));
    }
    let heading = match kept.webhook.version {
        1 => "Webhook created",
        _ => "Webhook saved",
    };
    let page = secret_page(visitor, space, &saved, heading).await?;
    let page = super::Secret {
        warnings: saved
            .warnings
            .iter()
            .map(|warning| sentence(warning))
            .collect(),
        ..page
    };
    Ok((StatusCode::CREATED, html(&page)).into_response())
}

/// The form again, with what is wrong and everything that was typed.
async fn refused(visitor: &Visitor, origin: &Origin, mut form: Form, error: Error) -> Answer {
    let status = match error {
        Error::Invalid(faults) => {
            form.faults = faults;
            StatusCode::UNPROCESSABLE_ENTITY
        }
        Error::Stale(_) => {
            form.trouble = String::from(
                "Somebody else changed this webhook meanwhile. What you typed is still here: open \
                 the webhook in another tab to compare, then save again from a fresh form.",
            );
            StatusCode::CONFLICT
        }
        Error::Conflict { detail, .. } => {
            form.trouble = sentence(&detail);
            StatusCode::CONFLICT
        }
        other => return Err(other.into()),
    };
    let page = page(visitor, origin, form).await?;
    Ok((status, html(&page)).into_response())
}

/// The form again with a row more or less; for browsers without a script, and for the script.
pub(crate) async fn reshape(
    visitor: Visitor,
    Path(space): Path<String>,
    Posted(fields): Posted,
) -> Answer {
    let origin = origin(&visitor, &space, &fields).await?;
    let mut form = Form::typed(&fields);
    match fields.get("add") {
        "filter" => form.filters.push(FilterRow::default()),
        "header" => form.headers.push(HeaderRow::default()),
        _ => {}
    }
    if let Some((kind, index)) = fields.get("remove").split_once('.') {
        let index: usize = index.parse().unwrap_or(usize::MAX);
        if kind == "filter" && index < form.filters.len() {
            form.filters.remove(index);
        }
        if kind == "header" && index < form.headers.len() {
            form.headers.remove(index);
        }
    }
    let page = page(&visitor, &origin, form).await?;
    Ok(html(&page))
}

/// What is wrong with a form, and what it would send, while somebody types.
pub(crate) async fn check(
    visitor: Visitor,
    Path(space): Path<String>,
    Posted(fields): Posted,
) -> Answer {
    let origin = origin(&visitor, &space, &fields).await?;
    let mut form = Form::typed(&fields);
    form.faults = faults(&visitor, &origin, &mut form).await?;
    let (preview, preview_problem) = preview_of(&visitor, &origin, &mut form);
    let only = preview::Only {
        preview,
        preview_problem,
    };
    let preview = only.render().unwrap_or_default();
    Ok(Json(json!({ "errors": form.faults_by_place(), "preview": preview })).into_response())
}

/// What the form's topics and filters would have done to the last events.
pub(crate) async fn dry_run(
    visitor: Visitor,
    Path(space): Path<String>,
    Posted(fields): Posted,
) -> Answer {
    let origin = origin(&visitor, &space, &fields).await?;
    visitor.space(&space, Scope::DeliveriesRead)?;
    let mut form = Form::typed(&fields);
    let (mut definition, mut faults) = definition(&mut form);
    // A URL and a name have nothing to do with which events match.
    definition.retain(|field, _| ["topics", "contentTypes", "filters"].contains(&field.as_str()));
    faults.retain(|fault| {
        let about = ["/filters", "/rawFilters"];
        about.iter().any(|prefix| fault.pointer.starts_with(prefix))
    });
    if faults.is_empty() {
        let mut draft = Draft::default();
        draft.merge(definition);
        match dry_run::run(&visitor.desk.app, &origin.space, draft).await? {
            Ok(run) => form.dry_run = Some(run),
            Err(wrong) => faults = wrong,
        }
    }
    form.dry_run.get_or_insert_with(dry_run::impossible);
    form.faults = faults;
    let page = page(&visitor, &origin, form).await?;
    Ok(html(&page))
}

async fn origin(visitor: &Visitor, space: &str, fields: &Fields) -> Answer<Origin> {
    let space = visitor.space(space, Scope::WebhooksWrite)?;
    let old = match fields.text("id") {
        "" => None,
        id => Some(
            visitor
                .desk
                .app
                .manage
                .webhook(&space, &webhook_id(id)?)
                .await?,
        ),
    };
    Ok(Origin {
        space,
        old,
        version: fields.text("version").to_owned(),
    })
}

async fn faults(visitor: &Visitor, origin: &Origin, form: &mut Form) -> Answer<Vec<FieldError>> {
    let (definition, mut faults) = definition(form);
    faults.extend(wrong_with(visitor, origin, definition).await?);
    Ok(faults)
}

async fn wrong_with(
    visitor: &Visitor,
    origin: &Origin,
    definition: serde_json::Map<String, serde_json::Value>,
) -> Result<Vec<FieldError>> {
    let app = &visitor.desk.app;
    let old = origin.old.as_ref().map(|old| &old.webhook);
    let draft = origin.draft(definition);
    app.manage
        .check_webhook(draft, &app.reach.policy, old)
        .await
}

fn preview_of(visitor: &Visitor, origin: &Origin, form: &mut Form) -> (Option<Preview>, String) {
    let (definition, _) = definition(form);
    let preview = match origin.draft(definition).finish() {
        Ok(definition) if !definition.topics.is_empty() => {
            let policy = Arc::new(visitor.desk.app.reach.policy.clone());
            preview::render(&origin.space, definition, &policy, visitor.now)
        }
        _ => Err(NO_PREVIEW.to_owned()),
    };
    match preview {
        Ok(preview) => (Some(preview), String::new()),
        Err(problem) => (None, sentence(&problem)),
    }
}

async fn page(visitor: &Visitor, origin: &Origin, mut form: Form) -> Answer<Page> {
    let base = format!("/s/{}", origin.space);
    let pools = visitor.desk.app.manage.layout().await?.pools;
    form.all_pools = pools.iter().map(ToString::to_string).collect();
    if let Some(old) = &origin.old {
        let shown = Form::of(&old.view(), visitor.now);
        form.kept_secrets = shown.kept_secrets;
        form.has_password = shown.has_password;
        for row in &mut form.headers {
            let same = |own: &&HeaderRow| own.key.eq_ignore_ascii_case(&row.key);
            row.is_kept = shown
                .headers
                .iter()
                .find(same)
                .is_some_and(|own| own.is_kept);
        }
    }
    let id = origin.id().map(ToString::to_string);
    let (title, action, back) = match &id {
        Some(id) => {
            let own = format!("{base}/webhooks/{id}");
            let back = format!("{own}?tab=settings");
            (
                format!("Edit {}", form.shown_name()),
                format!("{own}/edit"),
                back,
            )
        }
        None => {
            let list = format!("{base}/webhooks");
            (String::from("New webhook"), list.clone(), list)
        }
    };
    // Rows that are empty stay on the page while somebody fills them in.
    let (preview, preview_problem) = preview_of(visitor, origin, &mut form.clone());
    Ok(Page {
        frame: Frame {
            live: None,
            ..visitor.frame(&title, "webhooks", &origin.space).await?
        },
        base,
        action,
        back,
        id,
        version: origin.version.clone(),
        form,
        preview,
        preview_problem,
    })
}
