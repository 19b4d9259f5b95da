//! Signing in with a token, signing out, and where to begin.

use std::sync::{Arc, PoisonError};

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::header::{COOKIE, SET_COOKIE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use tidings_core::token::hash;
use tidings_service::clock;
use tracing::warn;

use super::answer::{Answer, Oops, html, see};
use super::desk::Desk;
use super::frame::Theme;
use super::guard::{Asked, Posted, THEME_COOKIE, Visitor, address};
use super::words::span;
use crate::session::{Session, find_cookie, read_cookie, write_cookie};

/// A year, for what is no secret.
const THEME_SECONDS: u32 = 365 * 24 * 60 * 60;

#[derive(Debug, Template)]
#[template(path = "sign_in.html")]
struct Page {
    theme: Theme,
    problem: String,
    back: String,
}

/// Where somebody begins: at their first space.
pub(crate) async fn home(visitor: Visitor) -> Answer {
    let token = &visitor.caller.token;
    let space = match &token.space {
        Some(own) => Some(own.to_string()),
        None => visitor.desk.spaces().await?.first().cloned(),
    };
    Ok(match space {
        Some(space) => {
            let may = visitor.admin_frame("", "").await?.may;
            let part = if may.webhooks_read {
                "webhooks"
            } else {
                "deliveries"
            };
            see(&format!("/s/{space}/{part}"))
        }
        None if visitor.caller.is_admin() => see("/admin/spaces"),
        None => see("/egress"),
    })
}

/// The form.
pub(crate) async fn show(
    visitor: Result<Visitor, Oops>,
    Asked(asked): Asked,
    headers: HeaderMap,
) -> Response {
    let back = local(asked.get("back"));
    match visitor {
        Ok(_) => see(&back),
        Err(_) => html(&Page {
            theme: theme_of(&headers),
            problem: String::new(),
            back,
        }),
    }
}

/// Exchanges a token for a session.
pub(crate) async fn sign_in(
    State(desk): State<Arc<Desk>>,
    Posted(fields): Posted,
    parts: Parts,
) -> Answer {
    let now = clock::now();
    let address = address(&parts);
    let back = local(fields.get("back"));
    let refuse = |status: StatusCode, problem: String| {
        let page = Page {
            theme: theme_of(&parts.headers),
            problem,
            back: back.clone(),
        };
        (status, html(&page)).into_response()
    };
    let lockout = || desk.lockout.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(wait) = lockout().wait(address, now) {
        let wait = span(wait.as_secs().max(1));
        let problem = format!("Too many wrong tokens came from here. Try again in {wait}.");
        return Ok(refuse(StatusCode::TOO_MANY_REQUESTS, problem));
    }
    let text = fields.text("token");
    if desk.app.tokens.find(text, now).is_none() {
        if !text.is_empty() {
            lockout().failed(address, now);
            warn!(client.address = %address, "a wrong token was given to sign in with");
        }
        let problem = match text {
            "" => "Paste your access token.",
            _ => "This token is unknown, was revoked or has expired.",
        };
        return Ok(refuse(StatusCode::UNAUTHORIZED, problem.to_owned()));
    }
    lockout().succeeded(address);
    let session = Session::new(hash(text), rand::random(), now);
    let cookie = desk.sessions.begin(&session).await?;
    Ok(with_cookie(&desk, &cookie, &back))
}

/// Ends the session.
pub(crate) async fn sign_out(
    State(desk): State<Arc<Desk>>,
    _: Visitor,
    headers: HeaderMap,
) -> Answer {
    let cookies = headers.get(COOKIE).and_then(|value| value.to_str().ok());
    let is_secure = desk.app.is_cookie_secure();
    if let Some(cookie) = cookies.and_then(|cookies| read_cookie(cookies, is_secure)) {
        desk.sessions.end(cookie).await?;
    }
    Ok(with_cookie(&desk, "", "/sign-in"))
}

/// Keeps the choice of light or dark.
pub(crate) async fn theme(_: Visitor, Posted(fields): Posted) -> Response {
    let theme = Theme::read(fields.get("theme")).name();
    let cookie =
        format!("{THEME_COOKIE}={theme}; Path=/; HttpOnly; SameSite=Lax; Max-Age={THEME_SECONDS}");
    set(see(&local(fields.get("back"))), &cookie)
}

fn with_cookie(desk: &Desk, cookie: &str, url: &str) -> Response {
    set(see(url), &write_cookie(cookie, desk.app.is_cookie_secure()))
}

fn set(mut response: Response, cookie: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(cookie) {
        response.headers_mut().append(SET_COOKIE, value);
    }
    response
}

fn theme_of(headers: &HeaderMap) -> Theme {
    let cookies = headers.get(COOKIE).and_then(|value| value.to_str().ok());
    let theme = cookies.and_then(|cookies| find_cookie(cookies, THEME_COOKIE));
    theme.map_or_else(Theme::default, Theme::read)
}

/// A path of ours to go to; never another site.
fn local(back: &str) -> String {
    let is_path = back.starts_with('/') && !back.starts_with("//") && !back.starts_with("/\\");
    let is_plain = back
        .bytes()
        .all(|byte| (0x21..0x7f).contains(&byte) && byte != b'\\');
    match is_path && is_plain && !back.starts_with("/sign-") {
        true => back.to_owned(),
        false => String::from("/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signing_in_leads_to_pages_of_ours_only() {
        assert_eq!(local("/s/acme/webhooks?q=a"), "/s/acme/webhooks?q=a");
        for bad in [
            "",
            "https://evil.example",
            "//evil.example",
            "/\\evil",
            "/a\r\nb",
            "/sign-in",
        ] {
            assert_eq!(local(bad), "/", "{bad:?}");
        }
    }
}
