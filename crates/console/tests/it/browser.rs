//! A browser without a screen: cookies and forms, over real HTTP.

use http::Method;

use crate::http::{Answer, Http};
use crate::platform::Platform;

pub(crate) const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// A browser with a session, as far as cookies and forms go.
pub(crate) struct Browser {
    pub(crate) http: Http,
    pub(crate) cookie: String,
    pub(crate) mark: String,
}

impl Browser {
    pub(crate) async fn sign_in(platform: &Platform, token: &str) -> Self {
        let http = anybody(platform);
        let answer = give_token(&http, token).await;
        assert_eq!(answer.status, 303, "{answer:?}");
        let set = answer.header("set-cookie");
        assert!(
            set.contains("HttpOnly") && set.contains("SameSite=Lax"),
            "{set}"
        );
        let cookie = set.split(';').next().unwrap().to_owned();
        let mut browser = Self {
            http,
            cookie,
            mark: String::new(),
        };
        let page = browser.get("/egress").await;
        let mark = page.text.split(r#"name="csrf" value=""#).nth(1);
        browser.mark = mark.unwrap().split('"').next().unwrap().to_owned();
        browser
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        let headers = [("cookie", self.cookie.as_str())];
        self.http.send(Method::GET, path, &headers, None).await
    }

    /// Sends a form of this session.
    pub(crate) async fn post(&self, path: &str, fields: &str) -> Answer {
        self.send(path, &format!("csrf={}&{fields}", self.mark), &[])
            .await
    }

    pub(crate) async fn send(&self, path: &str, form: &str, more: &[(&str, &str)]) -> Answer {
        let headers = [("cookie", self.cookie.as_str()), FORM];
        let headers = [&headers, more].concat();
        let form = Some(form.to_owned());
        self.http.send(Method::POST, path, &headers, form).await
    }
}

pub(crate) fn anybody(platform: &Platform) -> Http {
    Http::new(format!("http://{}", platform.address), None)
}

pub(crate) async fn give_token(http: &Http, token: &str) -> Answer {
    let form = Some(format!("token={token}"));
    http.send(Method::POST, "/sign-in", &[FORM], form).await
}
