//! The dashboard as somebody sees it who may see everything and follows every link.

use std::collections::BTreeSet;

use http::Request;
use tidings_testkit::eventually;

use super::assert_hidden;
use crate::client::Answer;
use crate::platform::{Platform, SOON, Service, TOKEN};

/// Many more than there are: no list here has several pages.
const PAGES_MAX: usize = 300;

/// Looks at every page that a link leads to, those that must be among them included.
pub(super) async fn look_at_all(platform: &Platform, console: &Service, webhooks: [&str; 2]) {
    let visitor = Visitor::sign_in(platform, console).await;
    let mut seen = BTreeSet::new();
    let mut waiting = vec!["/s/acme/webhooks".to_owned(), "/admin/audit".to_owned()];
    while let Some(path) = waiting.pop() {
        if !seen.insert(path.clone()) {
            continue;
        }
        assert!(seen.len() < PAGES_MAX, "links lead on and on: {seen:?}");
        let page = visitor.look(&path).await;
        let links = page.split("href=\"").skip(1);
        let links = links.filter_map(|rest| rest.split('"').next());
        let own = links.filter(|link| link.starts_with('/') && !link.starts_with("/assets/"));
        waiting.extend(own.map(|link| without_place(link).replace("&#38;", "&")));
    }
    let mut required: Vec<String> = [
        "webhooks/new",
        "events",
        "events/e1",
        "dead-letters",
        "audit",
    ]
    .map(|page| format!("/s/acme/{page}"))
    .into();
    for id in webhooks {
        let own = format!("/s/acme/webhooks/{id}");
        required.extend(["", "/edit", "/rotate"].map(|page| format!("{own}{page}")));
    }
    for page in required {
        assert!(seen.contains(&page), "no link leads to {page}: {seen:?}");
    }
    let deliveries = seen
        .iter()
        .filter(|page| page.starts_with("/s/acme/deliveries/dlv_"));
    assert_eq!(deliveries.count(), 4, "{seen:?}");
    visitor.look_at_a_form_that_comes_back(webhooks[0]).await;
}

fn without_place(link: &str) -> &str {
    link.split('#').next().unwrap_or(link)
}

struct Visitor<'a> {
    platform: &'a Platform,
    console: &'a Service,
    cookie: String,
}

impl<'a> Visitor<'a> {
    async fn sign_in(platform: &'a Platform, console: &'a Service) -> Self {
        let mut visitor = Self {
            platform,
            console,
            cookie: String::new(),
        };
        let answer = visitor.post("/sign-in", &format!("token={TOKEN}")).await;
        let set = answer.header("set-cookie").expect("a session begins");
        visitor.cookie = set.split(';').next().unwrap_or_default().to_owned();
        visitor
    }

    async fn post(&self, path: &str, form: &str) -> Answer {
        let request = Request::post(self.console.url(path).await)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("cookie", &self.cookie)
            .body(form.to_owned().into())
            .expect("it is a request");
        let answer = self.platform.http.send(request).await;
        let answer = answer.expect("it answers");
        assert_hidden(path, &answer.body);
        answer
    }

    /// What a page says, as it is sent.
    async fn look(&self, path: &str) -> String {
        let url = self.console.url(path).await;
        let answer = eventually(SOON, path, async || {
            let request = Request::get(&url).header("cookie", &self.cookie);
            let request = request.body(Default::default()).expect("it is a request");
            let answer = self.platform.http.send(request).await?;
            match answer.status.as_u16() {
                200 | 303 => Ok(answer),
                _ => Err(format!("{answer:?}")),
            }
        })
        .await;
        assert_hidden(path, &answer.body);
        assert_hidden(path, format!("{:?}", answer.headers).as_bytes());
        String::from_utf8_lossy(&answer.body).into_owned()
    }

    /// The secrets are typed again, beside something wrong, and the form comes back without them.
    async fn look_at_a_form_that_comes_back(&self, webhook: &str) {
        let path = format!("/s/acme/webhooks/{webhook}/edit");
        let page = self.look(&path).await;
        let mark = page.split(r#"name="csrf" value=""#).nth(1);
        let mark = mark.and_then(|rest| rest.split('"').next());
        let form: String = [
            ("csrf", mark.expect("the page has a mark")),
            ("url", "no url"),
            ("topics", "Entry.*"),
            ("header.0.key", "Authorization-Of-CMS"),
            ("header.0.value", super::HEADER),
            ("header.0.secret", "true"),
            ("username", super::USER),
            ("password", super::PASSWORD),
        ]
        .iter()
        .map(|(name, value)| format!("{name}={}&", value.replace(' ', "%20")))
        .collect();
        let answer = self.post(&path, &form).await;
        let text = String::from_utf8_lossy(&answer.body);
        assert!(
            text.contains("Authorization-Of-CMS") && text.contains("no url"),
            "the form comes back: {text}"
        );
    }
}
