//! Who may do what.

use std::time::Duration;

use askama::Template;
use axum::extract::Path;
use axum::response::IntoResponse as _;
use http::StatusCode;
use tidings_core::name::Space;
use tidings_core::token::Scope;
use tidings_core::webhook::FieldError;
use tidings_manage::Error;
use tidings_manage::token::{Expiry, NewToken};

use crate::pages::answer::{Answer, Confirm, Oops, html, see};
use crate::pages::fields::Fields;
use crate::pages::frame::Frame;
use crate::pages::guard::{Posted, Visitor};
use crate::pages::webhook::Secret;
use crate::pages::words::{Moment, sentence};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const EXPIRIES: [(&str, &str, u32); 4] = [
    ("", "never", 0),
    ("30", "30 days", 30),
    ("90", "90 days", 90),
    ("365", "a year", 365),
];
const SCOPES: [(Scope, &str); 6] = [
    (Scope::EventsWrite, "publish events"),
    (Scope::WebhooksRead, "see webhooks"),
    (Scope::WebhooksWrite, "create, change and delete webhooks"),
    (Scope::DeliveriesRead, "see events and deliveries"),
    (Scope::DeliveriesWrite, "redeliver and replay"),
    (Scope::Admin, "everything, in every space"),
];

#[derive(Debug)]
struct Row {
    id: String,
    name: String,
    own: bool,
    space: String,
    scopes: Vec<&'static str>,
    expires: Moment,
}

#[derive(Debug)]
struct Choice {
    value: &'static str,
    text: &'static str,
    chosen: bool,
}

#[derive(Debug, Template)]
#[template(path = "tokens.html")]
struct Page {
    frame: Frame,
    tokens: Vec<Row>,
    name: String,
    name_fault: String,
    space: String,
    space_fault: String,
    scopes: Vec<Choice>,
    scopes_fault: String,
    expiries: Vec<Choice>,
    problem: String,
}

/// The list, and the form of a new one.
pub(crate) async fn tokens(visitor: Visitor) -> Answer {
    visitor.need_admin()?;
    let page = page(&visitor, &Fields::default(), &[]).await?;
    Ok(html(&page))
}

async fn page(visitor: &Visitor, typed: &Fields, faults: &[FieldError]) -> Answer<Page> {
    let tokens = visitor.desk.app.manage.tokens(None).await?;
    let own = &visitor.caller.token.id;
    let row = |token: tidings_core::token::TokenRecord| Row {
        own: token.id == *own,
        name: match token.name.as_str() {
            "" => String::from("without a name"),
            name => name.to_owned(),
        },
        space: match &token.space {
            Some(space) => format!("space {space}"),
            None => String::from("every space"),
        },
        scopes: token.scopes.iter().map(|scope| scope.as_str()).collect(),
        expires: Moment::maybe(token.expires_at, visitor.now),
        id: token.id,
    };
    let fault = |pointer: &str| {
        let found = faults
            .iter()
            .find(|fault| fault.pointer.starts_with(pointer));
        found.map_or_else(String::new, |fault| sentence(&fault.detail))
    };
    let is_ticked = |scope: Scope| typed.all("scope").any(|own| own == scope.as_str());
    Ok(Page {
        frame: visitor.admin_frame("Tokens", "tokens").await?,
        tokens: tokens.into_iter().map(row).collect(),
        name: typed.text("name").to_owned(),
        name_fault: fault("/name"),
        space: typed.text("space").to_owned(),
        space_fault: fault("/space"),
        scopes: SCOPES
            .iter()
            .map(|(scope, text)| Choice {
                value: scope.as_str(),
                text,
                chosen: is_ticked(*scope),
            })
            .collect(),
        scopes_fault: fault("/scopes"),
        expiries: EXPIRIES
            .iter()
            .map(|(value, text, _)| Choice {
                value,
                text,
                chosen: typed.text("expires") == *value,
            })
            .collect(),
        problem: match faults.is_empty() {
            true => String::new(),
            false => String::from("The token was not made: see below."),
        },
    })
}

/// Makes a token, and shows it once.
pub(crate) async fn make_token(visitor: Visitor, Posted(fields): Posted) -> Answer {
    visitor.need_admin()?;
    let made = match read(&fields) {
        Ok(wanted) => {
            let manage = &visitor.desk.app.manage;
            manage.create_token(&visitor.actor(), wanted).await
        }
        Err(error) => Err(error),
    };
    match made {
        Ok((record, token)) => {
            visitor.desk.changed();
            let page = Secret {
                frame: visitor.admin_frame("Token made", "tokens").await?,
                base: String::new(),
                back: String::from("/admin/tokens"),
                name: String::from("Tokens"),
                label: "Access token",
                text: "Whoever has it may do what it is good for.",
                secrets: vec![(String::from("Access token"), token.expose().to_owned())],
                done: "To the tokens",
                warnings: Vec::new(),
            };
            drop(record);
            Ok((StatusCode::CREATED, html(&page)).into_response())
        }
        Err(Error::Invalid(faults)) => {
            let page = page(&visitor, &fields, &faults).await?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, html(&page)).into_response())
        }
        Err(other) => Err(other.into()),
    }
}

fn read(fields: &Fields) -> Result<NewToken, Error> {
    let space = match fields.text("space") {
        "" => None,
        text => {
            let space = text.parse::<Space>();
            let refuse = |error: &dyn std::fmt::Display| {
                Error::field("/space", "bad_value", error.to_string())
            };
            Some(space.map_err(|error| refuse(&error))?)
        }
    };
    let scopes: Result<Vec<Scope>, _> = fields.all("scope").map(str::parse).collect();
    let scopes = scopes.map_err(|error: tidings_core::token::ScopeError| {
        Error::field("/scopes", "bad_value", error.to_string())
    })?;
    if scopes.is_empty() {
        return Err(Error::field("/scopes", "missing", "tick what it may do"));
    }
    let days = EXPIRIES
        .iter()
        .find(|(value, _, _)| *value == fields.text("expires"));
    let days = days.map_or(0, |(_, _, days)| *days);
    let expires = match days {
        0 => Expiry::Never,
        days => Expiry::After(DAY.saturating_mul(days)),
    };
    Ok(NewToken {
        name: fields.text("name").to_owned(),
        space,
        scopes,
        expires,
    })
}

/// Asks before a token is made good for nothing.
pub(crate) async fn ask_revoke(visitor: Visitor, Path(id): Path<String>) -> Answer {
    visitor.need_admin()?;
    let tokens = visitor.desk.app.manage.tokens(None).await?;
    let Some(token) = tokens.into_iter().find(|token| token.id == id) else {
        return Err(Oops::NotFound(String::from("There is no such token.")));
    };
    let name = if token.name.is_empty() {
        &token.id
    } else {
        &token.name
    };
    let heading = format!("Revoke {name}?");
    let mut paragraphs = vec![String::from(
        "It stops working at once, everywhere, and signs out who signed in with it.",
    )];
    if token.id == visitor.caller.token.id {
        paragraphs.push(String::from("It is the one that you are signed in with."));
    }
    Ok(html(&Confirm {
        frame: visitor.admin_frame(&heading, "tokens").await?,
        heading,
        paragraphs,
        action: format!("/admin/tokens/{}/revoke", token.id),
        hidden: Vec::new(),
        verb: "Revoke",
        dangerous: true,
        problem: String::new(),
        back: String::from("/admin/tokens"),
        back_text: String::from("Tokens"),
    }))
}

/// Makes a token good for nothing.
pub(crate) async fn revoke(visitor: Visitor, Path(id): Path<String>) -> Answer {
    visitor.need_admin()?;
    visitor
        .desk
        .app
        .manage
        .revoke_token(&visitor.actor(), &id)
        .await?;
    visitor.desk.changed();
    Ok(see("/admin/tokens"))
}
