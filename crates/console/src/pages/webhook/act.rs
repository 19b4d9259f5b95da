//! What is done to a webhook with one button: enable, pause, rotate, delete, test.
//!
//! What cannot be undone, or stops deliveries, asks on a page of its own first.

use std::time::Duration;

use axum::extract::Path;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use tidings_core::id::WebhookId;
use tidings_core::name::Space;
use tidings_core::token::Scope;
use tidings_manage::webhook::{Kept, Target};
use tidings_manage::{Actor, Error};

use super::super::answer::{Answer, Confirm, Oops, html, see};
use super::super::desk::shown_name;
use super::super::frame::Frame;
use super::super::guard::{Posted, Visitor, webhook_id};
use super::secret_page;

/// How long a replaced secret goes on signing.
const GRACE: Duration = Duration::from_secs(24 * 60 * 60);

type Place = Path<(String, String)>;

/// The webhook that is meant, for whoever may change it.
struct Meant {
    visitor: Visitor,
    space: Space,
    id: WebhookId,
}

impl Meant {
    fn new(visitor: Visitor, Path((space, id)): Place) -> Answer<Self> {
        Ok(Self {
            space: visitor.space(&space, Scope::WebhooksWrite)?,
            id: webhook_id(&id)?,
            visitor,
        })
    }

    fn url(&self) -> String {
        format!("/s/{}/webhooks/{}", self.space, self.id)
    }

    fn target<'a>(&'a self, actor: &'a Actor) -> Target<'a> {
        Target {
            actor,
            space: &self.space,
            id: &self.id,
            version: None,
        }
    }

    async fn kept(&self) -> Answer<Kept> {
        let manage = &self.visitor.desk.app.manage;
        Ok(manage.webhook(&self.space, &self.id).await?)
    }

    /// A page that asks before `verb`.
    async fn ask(&self, verb: &'static str, paragraphs: &[&str]) -> Answer<Confirm> {
        let kept = self.kept().await?;
        let definition = &kept.webhook.definition;
        let name = shown_name(&definition.name, &definition.url);
        let heading = format!("{verb} {name}?");
        let frame = self
            .visitor
            .frame(&heading, "webhooks", &self.space)
            .await?;
        Ok(Confirm {
            frame: Frame {
                live: None,
                ..frame
            },
            heading,
            paragraphs: paragraphs.iter().map(|&text| text.to_owned()).collect(),
            action: String::new(),
            hidden: Vec::new(),
            verb,
            dangerous: false,
            problem: String::new(),
            back: self.url(),
            back_text: name,
        })
    }

    /// After a change: the webhook's page, or the list if the form was sent from there.
    fn done(&self, tab: &str) -> Response {
        self.visitor.desk.changed();
        see(&format!("{}{tab}", self.url()))
    }
}

/// The toggle of the list.
pub(crate) async fn enable(visitor: Visitor, place: Place, Posted(fields): Posted) -> Answer {
    let meant = Meant::new(visitor, place)?;
    let actor = meant.visitor.actor();
    let enabled = fields.get("enabled") == "true";
    let manage = &meant.visitor.desk.app.manage;
    manage.enable_webhook(meant.target(&actor), enabled).await?;
    meant.visitor.desk.changed();
    Ok(see(&format!("/s/{}/webhooks", meant.space)))
}

pub(crate) async fn ask_disable(visitor: Visitor, place: Place) -> Answer {
    let meant = Meant::new(visitor, place)?;
    let paragraphs = [
        "Nothing is sent to it any more. Events that come in meanwhile are not kept for it.",
        "Deliveries under way end as dead letters, which can be redelivered once it is enabled \
         again.",
    ];
    let action = format!("{}/disable", meant.url());
    let page = meant.ask("Disable", &paragraphs).await?;
    Ok(html(&Confirm { action, ..page }))
}

pub(crate) async fn disable(visitor: Visitor, place: Place) -> Answer {
    let meant = Meant::new(visitor, place)?;
    let actor = meant.visitor.actor();
    let manage = &meant.visitor.desk.app.manage;
    manage.enable_webhook(meant.target(&actor), false).await?;
    Ok(meant.done(""))
}

pub(crate) async fn ask_pause(visitor: Visitor, place: Place) -> Answer {
    let meant = Meant::new(visitor, place)?;
    let paragraphs = [
        "Its deliveries wait until somebody resumes it. None of them uses up an \
                       attempt, none is lost.",
    ];
    let action = format!("{}/pause", meant.url());
    let page = meant.ask("Pause", &paragraphs).await?;
    Ok(html(&Confirm { action, ..page }))
}

pub(crate) async fn pause(visitor: Visitor, place: Place) -> Answer {
    let meant = Meant::new(visitor, place)?;
    let actor = meant.visitor.actor();
    let manage = &meant.visitor.desk.app.manage;
    manage.pause_webhook(meant.target(&actor), None).await?;
    Ok(meant.done(""))
}

pub(crate) async fn resume(visitor: Visitor, place: Place) -> Answer {
    let meant = Meant::new(visitor, place)?;
    let actor = meant.visitor.actor();
    let manage = &meant.visitor.desk.app.manage;
    manage.resume_webhook(meant.target(&actor)).await?;
    Ok(meant.done(""))
}

pub(crate) async fn ask_delete(visitor: Visitor, place: Place) -> Answer {
    let meant = Meant::new(visitor, place)?;
    let paragraphs = [
        "Its settings and secrets are gone for good; its deliveries so far stay in the log.",
        "Deliveries under way end as dead letters. To stop it for a while, disable it instead.",
    ];
    let action = format!("{}/delete", meant.url());
    let page = meant.ask("Delete", &paragraphs).await?;
    Ok(html(&Confirm {
        action,
        dangerous: true,
        ..page
    }))
}

pub(crate) async fn delete(visitor: Visitor, place: Place) -> Answer {
    let meant = Meant::new(visitor, place)?;
    let actor = meant.visitor.actor();
    let manage = &meant.visitor.desk.app.manage;
    manage.delete_webhook(meant.target(&actor)).await?;
    meant.visitor.desk.changed();
    Ok(see(&format!("/s/{}/webhooks", meant.space)))
}

pub(crate) async fn ask_rotate(visitor: Visitor, place: Place) -> Answer {
    let meant = Meant::new(visitor, place)?;
    let paragraphs = [
        "A new signing secret is made and shown once.",
        "The present one goes on signing beside it for 24 hours, so that your receiver can change \
         over without a gap.",
    ];
    let action = format!("{}/rotate", meant.url());
    let page = meant.ask("Rotate the secret of", &paragraphs).await?;
    Ok(html(&Confirm {
        action,
        verb: "Make a new secret",
        ..page
    }))
}

pub(crate) async fn rotate(visitor: Visitor, place: Place) -> Answer {
    let meant = Meant::new(visitor, place)?;
    let actor = meant.visitor.actor();
    let manage = &meant.visitor.desk.app.manage;
    let saved = manage
        .add_signing_secret(meant.target(&actor), None, GRACE)
        .await?;
    if saved.made.is_empty() {
        return Ok(meant.done("?tab=settings"));
    }
    let heading = "New signing secret";
    let page = secret_page(&meant.visitor, &meant.space, &saved, heading).await?;
    Ok((StatusCode::CREATED, html(&page)).into_response())
}

type SecretPlace = Path<(String, String, String)>;

pub(crate) async fn ask_remove_secret(
    visitor: Visitor,
    Path((space, id, secret)): SecretPlace,
) -> Answer {
    let meant = Meant::new(visitor, Path((space, id)))?;
    if !is_word(&secret) {
        return Err(Oops::not_found("secret"));
    }
    let paragraphs = [
        "It stops signing at once. A receiver that only knows this secret refuses \
                       what comes from then on.",
    ];
    let action = format!("{}/secrets/{secret}/remove", meant.url());
    let page = meant.ask("Remove a signing secret of", &paragraphs).await?;
    Ok(html(&Confirm {
        action,
        verb: "Remove the secret",
        dangerous: true,
        ..page
    }))
}

pub(crate) async fn remove_secret(
    visitor: Visitor,
    Path((space, id, secret)): SecretPlace,
) -> Answer {
    let meant = Meant::new(visitor, Path((space, id)))?;
    let actor = meant.visitor.actor();
    let manage = &meant.visitor.desk.app.manage;
    manage
        .remove_signing_secret(meant.target(&actor), &secret)
        .await?;
    Ok(meant.done("?tab=settings"))
}

/// Sends a test event, and leads to its delivery.
pub(crate) async fn test(visitor: Visitor, place: Place) -> Answer {
    let meant = Meant::new(visitor, place)?;
    let actor = meant.visitor.actor();
    let manage = &meant.visitor.desk.app.manage;
    let sent = manage.send_test(meant.target(&actor)).await;
    let sent = sent.map_err(|error| match error {
        Error::Conflict { .. } => Oops::Conflict(String::from(
            "The webhook is disabled; enable it to send it a test.",
        )),
        other => other.into(),
    })?;
    let id = &sent.delivery_id;
    Ok(see(&format!("/s/{}/deliveries/{id}?test", meant.space)))
}

fn is_word(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}
