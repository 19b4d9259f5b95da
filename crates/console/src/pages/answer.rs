//! What handlers answer: pages, and what went wrong in words for people.

use askama::Template;
use axum::response::{Html, IntoResponse, Redirect, Response};
use http::StatusCode;
use http::header::LOCATION;
use tidings_manage::Error;

use super::frame::Frame;
use crate::log::LogError;

/// What handlers return.
pub(crate) type Answer<T = Response> = Result<T, Oops>;

const TOO_MUCH: &str = "Too many pages were asked for with this token. Try again in a moment.";

/// Why there is no page. [`super::guard::enter`] makes a page of it.
#[derive(Debug, Clone)]
pub(crate) enum Oops {
    /// Somebody has to sign in first.
    SignIn,
    /// They may not.
    Forbidden(String),
    /// It is not there.
    NotFound(String),
    /// What came with the request cannot be used.
    Invalid(String),
    /// It cannot be done as things stand.
    Conflict(String),
    /// Too much is asked with this token.
    TooMuch,
    /// The broker or the log does not answer.
    Unavailable(String),
}

impl Oops {
    pub(crate) fn not_found(what: &str) -> Self {
        Self::NotFound(format!("There is no such {what} in this space."))
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::SignIn => StatusCode::SEE_OTHER,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::TooMuch => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// A page that says so.
    pub(crate) fn page(&self, frame: Frame) -> Response {
        let (heading, text) = match self {
            Self::SignIn => return Redirect::to("/sign-in").into_response(),
            Self::Forbidden(text) => ("That is not allowed", text.as_str()),
            Self::NotFound(text) => ("Nothing here", text.as_str()),
            Self::Invalid(text) => ("That cannot be used", text.as_str()),
            Self::Conflict(text) => ("That cannot be done now", text.as_str()),
            Self::TooMuch => ("Too much at once", TOO_MUCH),
            Self::Unavailable(text) => ("Not available now", text.as_str()),
        };
        let page = Message {
            heading,
            text,
            back: "/",
            back_text: "To the start",
            frame: Frame {
                title: heading.to_owned(),
                ..frame
            },
        };
        (self.status(), html(&page)).into_response()
    }
}

impl IntoResponse for Oops {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Error> for Oops {
    fn from(error: Error) -> Self {
        let text = super::words::sentence(&error.to_string());
        match error {
            Error::NotFound { .. } => Self::NotFound(text),
            Error::Stale(_) | Error::Conflict { .. } => Self::Conflict(text),
            Error::Invalid(_) => Self::Invalid(text),
            Error::Unavailable(_) => {
                tracing::warn!(%error, "a page was not made");
                Self::Unavailable(String::from(
                    "The broker does not answer. Nothing was changed; try again in a moment.",
                ))
            }
        }
    }
}

impl From<LogError> for Oops {
    fn from(error: LogError) -> Self {
        tracing::warn!(%error, "a page was not made");
        Self::Unavailable(String::from("The delivery log does not answer."))
    }
}

#[derive(Debug, Template)]
#[template(path = "message.html")]
struct Message<'a> {
    frame: Frame,
    heading: &'a str,
    text: &'a str,
    back: &'a str,
    back_text: &'a str,
}

/// A question before something that cannot be undone, as a form that works everywhere.
#[derive(Debug, Template)]
#[template(path = "confirm.html")]
pub(crate) struct Confirm {
    pub(crate) frame: Frame,
    pub(crate) heading: String,
    pub(crate) paragraphs: Vec<String>,
    pub(crate) action: String,
    pub(crate) hidden: Vec<(String, String)>,
    pub(crate) verb: &'static str,
    pub(crate) dangerous: bool,
    pub(crate) problem: String,
    pub(crate) back: String,
    pub(crate) back_text: String,
}

/// A template as a page.
pub(crate) fn html(template: &impl Template) -> Response {
    match template.render() {
        Ok(text) => Html(text).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page cannot be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// After a form was sent: the page to look at now.
pub(crate) fn see(url: &str) -> Response {
    (StatusCode::SEE_OTHER, [(LOCATION, url)]).into_response()
}

pub(crate) async fn nothing_here() -> Oops {
    Oops::NotFound(String::from("This page does not exist."))
}
