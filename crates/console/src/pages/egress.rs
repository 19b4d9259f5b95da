//! The addresses that requests come from.

use askama::Template;

use super::answer::{Answer, html};
use super::frame::Frame;
use super::guard::Visitor;

#[derive(Debug)]
struct Pool {
    name: String,
    networks: Vec<String>,
}

#[derive(Debug, Template)]
#[template(path = "egress.html")]
struct Page {
    frame: Frame,
    pools: Vec<Pool>,
}

/// The page.
pub(crate) async fn show(visitor: Visitor) -> Answer {
    let published = visitor.desk.app.manage.egress().await?;
    let published = serde_json::to_value(&published).unwrap_or_default();
    let pools = published["pools"].as_array().into_iter().flatten();
    let pool = |pool: &serde_json::Value| {
        let texts = |field: &str| {
            let list = pool[field].as_array().into_iter().flatten();
            let texts = list.filter_map(serde_json::Value::as_str);
            texts.map(str::to_owned).collect::<Vec<_>>()
        };
        let mut networks = texts("addresses");
        networks.extend(texts("cidrs"));
        Pool {
            name: pool["name"].as_str().unwrap_or_default().to_owned(),
            networks,
        }
    };
    let pools = pools.map(pool).collect();
    let frame = visitor.admin_frame("Outgoing addresses", "egress").await?;
    Ok(html(&Page { frame, pools }))
}
