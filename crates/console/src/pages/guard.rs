//! At the door of every page: who it is, whether a form is theirs, and what browsers may do.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, COOKIE, HOST, ORIGIN, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use jiff::Timestamp;
use tidings_core::id::WebhookId;
use tidings_core::name::Space;
use tidings_core::token::Scope;
use tidings_manage::{Actor, Via};
use tidings_service::clock;

use super::answer::{Answer, Oops, see};
use super::desk::Desk;
use super::fields::Fields;
use super::frame::{Frame, May, Theme};
use crate::auth::Caller;
use crate::session::{Session, find_cookie, read_cookie};

/// The largest form.
const FORM_BYTES_MAX: usize = 512 << 10;
/// Where the choice of light or dark is kept.
pub(crate) const THEME_COOKIE: &str = "tidings_theme";
/// A log that is further behind says so on every page.
const LAG_SECONDS_MAX: u64 = 10;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";
const PERMISSIONS: HeaderName = HeaderName::from_static("permissions-policy");
const OPENER: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Who has a session, as a request's handler finds it.
#[derive(Debug, Clone)]
struct Entered {
    caller: Caller,
    session: Session,
    cookie: String,
    here: String,
}

/// The fields of a form that passed the door.
#[derive(Debug, Clone, Default)]
pub(crate) struct Posted(pub(crate) Fields);

/// Finds the session, refuses forged forms, and sets the security headers.
pub(crate) async fn enter(
    State(desk): State<Arc<Desk>>,
    mut request: Request,
    next: Next,
) -> Response {
    let here = request.uri().path_and_query().map(ToString::to_string);
    let here = here.unwrap_or_default();
    let back = match request.method() {
        &Method::GET => here.clone(),
        // A form cannot be gone back to.
        _ => String::from("/"),
    };
    let theme = theme(request.headers());
    let entered = match session(&desk, request.headers(), clock::now()).await {
        Ok(entered) => entered.map(|entered| Entered {
            here: here.clone(),
            ..entered
        }),
        Err(oops) => return finish(oops.page(blank(theme))),
    };
    if let Some(entered) = &entered {
        if desk.app.limits.take(Some(&entered.caller)).is_err() {
            return finish(Oops::TooMuch.page(blank(theme)));
        }
        request.extensions_mut().insert(entered.clone());
    }
    let request = match request.method() {
        &Method::POST => read_form(request, entered.as_ref()).await,
        _ => Ok(request),
    };
    let response = match request {
        Ok(request) => next.run(request).await,
        Err(oops) => oops.into_response(),
    };
    let Some(oops) = response.extensions().get::<Oops>().cloned() else {
        return finish(response);
    };
    if matches!(oops, Oops::SignIn) {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("back", &back);
        return finish(see(&format!("/sign-in?{}", query.finish())));
    }
    let frame = match entered {
        Some(entered) => visitor(&desk, entered, theme).plain_frame(),
        None => blank(theme),
    };
    finish(oops.page(frame))
}

/// Takes a form in, if it comes from a page of ours and from this session.
async fn read_form(request: Request, entered: Option<&Entered>) -> Answer<Request> {
    let (mut parts, body) = request.into_parts();
    if !is_own_origin(&parts.headers) {
        return Err(forged());
    }
    let body = to_bytes(body, FORM_BYTES_MAX).await.map_err(|_| {
        let text = "The form is too large, or did not come whole. Nothing was changed.";
        Oops::Invalid(text.to_owned())
    })?;
    let fields = Fields::read(&body);
    // Without a session there is only the form for signing in, which has nothing to forge but
    // the session itself: that is what the origin is for.
    if let Some(entered) = entered
        && !entered.session.is_own_mark(fields.get("csrf"))
        && parts.uri.path() != "/sign-in"
    {
        return Err(forged());
    }
    parts.extensions.insert(Posted(fields));
    Ok(Request::from_parts(parts, Body::empty()))
}

fn forged() -> Oops {
    Oops::Forbidden(String::from(
        "The form did not come from a page of this session. Nothing was changed; go back, reload \
         the page and try again.",
    ))
}

/// Whether a browser says that a request comes from a page of ours. What is no browser says
/// nothing and has no cookie that anybody could abuse.
fn is_own_origin(headers: &HeaderMap) -> bool {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text(&FETCH_SITE) {
        return matches!(site, "same-origin" | "none");
    }
    let Some(origin) = text(&ORIGIN) else {
        return true;
    };
    let host = origin.split_once("://").map(|(_, host)| host);
    host.is_some() && host == text(&HOST)
}

async fn session(desk: &Desk, headers: &HeaderMap, now: Timestamp) -> Answer<Option<Entered>> {
    let cookies = headers.get(COOKIE).and_then(|value| value.to_str().ok());
    let is_secure = desk.app.is_cookie_secure();
    let Some(cookie) = cookies.and_then(|cookies| read_cookie(cookies, is_secure)) else {
        return Ok(None);
    };
    let session = desk.sessions.find(cookie).await?;
    let Some(session) = session.filter(|session| session.holds(now)) else {
        return Ok(None);
    };
    let token = desk.app.tokens.find_hash(&session.token_hash, now);
    Ok(token.map(|token| Entered {
        caller: Caller {
            token,
            via: Via::Dashboard,
        },
        session,
        cookie: cookie.to_owned(),
        here: String::new(),
    }))
}

fn theme(headers: &HeaderMap) -> Theme {
    let cookies = headers.get(COOKIE).and_then(|value| value.to_str().ok());
    let theme = cookies.and_then(|cookies| find_cookie(cookies, THEME_COOKIE));
    theme.map_or_else(Theme::default, Theme::read)
}

fn blank(theme: Theme) -> Frame {
    Frame {
        theme,
        ..Frame::default()
    }
}

fn finish(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_FRAME_OPTIONS, "DENY"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "same-origin"),
        (OPENER, "same-origin"),
        (PERMISSIONS, "camera=(), microphone=(), geolocation=()"),
        (CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Where a request comes from, for counting wrong tokens. A proxy on a network of our own is
/// believed about whom it speaks for.
pub(crate) fn address(parts: &Parts) -> IpAddr {
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip());
    let is_near = match peer.to_canonical() {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local(),
    };
    let forwarded = parts.headers.get(FORWARDED_FOR);
    let forwarded = forwarded.and_then(|value| value.to_str().ok()?.rsplit(',').next());
    let client = forwarded.and_then(|text| text.trim().parse().ok());
    client.filter(|_| is_near).unwrap_or(peer)
}

fn visitor(desk: &Arc<Desk>, entered: Entered, theme: Theme) -> Visitor {
    Visitor {
        desk: Arc::clone(desk),
        caller: entered.caller,
        session: entered.session,
        cookie: entered.cookie,
        theme,
        here: entered.here,
        now: clock::now(),
    }
}

/// Who looks at a page.
#[derive(Debug, Clone)]
pub(crate) struct Visitor {
    pub(crate) desk: Arc<Desk>,
    pub(crate) caller: Caller,
    pub(crate) session: Session,
    pub(crate) cookie: String,
    theme: Theme,
    /// Path and query of the page.
    pub(crate) here: String,
    pub(crate) now: Timestamp,
}

impl FromRequestParts<Arc<Desk>> for Visitor {
    type Rejection = Oops;

    async fn from_request_parts(parts: &mut Parts, desk: &Arc<Desk>) -> Result<Self, Oops> {
        let entered = parts.extensions.get::<Entered>().cloned();
        let entered = entered.ok_or(Oops::SignIn)?;
        let theme = theme(&parts.headers);
        Ok(visitor(desk, entered, theme))
    }
}

impl FromRequestParts<Arc<Desk>> for Posted {
    type Rejection = Oops;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Desk>) -> Result<Self, Oops> {
        Ok(parts.extensions.get().cloned().unwrap_or_default())
    }
}

/// The fields of a page's query.
#[derive(Debug, Clone)]
pub(crate) struct Asked(pub(crate) Fields);

impl FromRequestParts<Arc<Desk>> for Asked {
    type Rejection = Oops;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Desk>) -> Result<Self, Oops> {
        let query = parts.uri.query().unwrap_or_default();
        Ok(Self(Fields::read(query.as_bytes())))
    }
}

impl Visitor {
    /// By which changes are recorded.
    pub(crate) fn actor(&self) -> Actor {
        self.caller.actor()
    }

    /// The space of a page, if they may do what needs `scope` there.
    pub(crate) fn space(&self, name: &str, scope: Scope) -> Answer<Space> {
        let Ok(space) = name.parse::<Space>() else {
            return Err(Oops::NotFound(String::from("There is no such space.")));
        };
        if self.caller.may(scope, &space) {
            return Ok(space);
        }
        let own = self.caller.token.space.as_ref();
        Err(match own.is_some_and(|own| *own != space) {
            // Nobody learns which spaces there are.
            true => Oops::NotFound(String::from("There is no such space.")),
            false => Oops::Forbidden(format!(
                "Your token has not the scope {scope}. Ask an administrator for one that has."
            )),
        })
    }

    /// That they are an administrator.
    pub(crate) fn need_admin(&self) -> Answer<()> {
        match self.caller.is_admin() {
            true => Ok(()),
            false => Err(Oops::Forbidden(String::from(
                "This page is for administrators of the installation.",
            ))),
        }
    }

    /// What is around a page of a space.
    pub(crate) async fn frame(
        &self,
        title: &str,
        section: &'static str,
        space: &Space,
    ) -> Answer<Frame> {
        let lag = self.desk.app.log.lag();
        let is_late = lag.seconds > LAG_SECONDS_MAX;
        let text = || {
            format!(
                "The delivery log is {} behind; what happened since is not shown yet.",
                super::words::span(lag.seconds)
            )
        };
        Ok(Frame {
            title: title.to_owned(),
            section,
            space: Some(space.to_string()),
            live: Some(format!("/s/{space}/live")),
            lag: is_late.then(text),
            ..self.wide_frame().await?
        })
    }

    /// What is around a page of the installation.
    pub(crate) async fn admin_frame(&self, title: &str, section: &'static str) -> Answer<Frame> {
        Ok(Frame {
            title: title.to_owned(),
            section,
            ..self.wide_frame().await?
        })
    }

    async fn wide_frame(&self) -> Answer<Frame> {
        let mut frame = self.plain_frame();
        frame.spaces = match &self.caller.token.space {
            Some(own) => vec![own.to_string()],
            None => self.desk.spaces().await?,
        };
        // Pages of the installation keep a way back to a space.
        frame.space = frame.spaces.first().cloned();
        Ok(frame)
    }

    /// What is around a page if nothing can be asked.
    fn plain_frame(&self) -> Frame {
        let token = &self.caller.token;
        let has = |scope| token.scopes.contains(&scope) || token.scopes.contains(&Scope::Admin);
        Frame {
            who: match token.name.as_str() {
                "" => token.id.clone(),
                name => name.to_owned(),
            },
            csrf: self.session.csrf.clone(),
            space: token.space.as_ref().map(ToString::to_string),
            spaces: token.space.iter().map(ToString::to_string).collect(),
            theme: self.theme,
            here: self.here.clone(),
            may: May {
                webhooks_read: has(Scope::WebhooksRead),
                webhooks_write: has(Scope::WebhooksWrite),
                deliveries_read: has(Scope::DeliveriesRead),
                deliveries_write: has(Scope::DeliveriesWrite),
                admin: self.caller.is_admin(),
            },
            ..Frame::default()
        }
    }
}

/// The id of a webhook in a page's path.
pub(crate) fn webhook_id(text: &str) -> Answer<WebhookId> {
    text.parse().map_err(|_| Oops::not_found("webhook"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            let name = HeaderName::from_static(name);
            (name, HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn a_form_of_another_site_is_refused() {
        for (pairs, expected) in [
            (vec![("sec-fetch-site", "same-origin")], true),
            (vec![("sec-fetch-site", "cross-site")], false),
            (vec![("sec-fetch-site", "same-site")], false),
            (
                vec![("origin", "https://a.example"), ("host", "a.example")],
                true,
            ),
            (
                vec![("origin", "https://b.example"), ("host", "a.example")],
                false,
            ),
            (vec![("origin", "null"), ("host", "a.example")], false),
            (vec![("host", "a.example")], true),
        ] {
            assert_eq!(is_own_origin(&headers(&pairs)), expected, "{pairs:?}");
        }
    }

    #[test]
    fn only_a_proxy_nearby_is_believed_about_its_client() {
        let ask = |peer: &str, forwarded: &'static str| {
            let request = Request::builder().header(FORWARDED_FOR, forwarded);
            let (mut parts, ()) = request.body(()).unwrap().into_parts();
            let peer: SocketAddr = peer.parse().unwrap();
            parts.extensions.insert(ConnectInfo(peer));
            address(&parts).to_string()
        };
        assert_eq!(ask("127.0.0.1:9", "6.6.6.6, 198.51.100.7"), "198.51.100.7");
        assert_eq!(ask("203.0.113.1:9", "198.51.100.7"), "203.0.113.1");
        assert_eq!(ask("10.0.0.1:9", "nonsense"), "10.0.0.1");
    }
}
