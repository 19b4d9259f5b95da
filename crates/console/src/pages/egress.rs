//! The addresses that requests come from.

use askama::Template;
use jiff::Timestamp;
use tidings_core::egress::PublishedPool;

use super::answer::{Answer, html};
use super::frame::Frame;
use super::guard::Visitor;

#[derive(Debug)]
struct Network {
    text: String,
    /// From when on requests may come from it; empty if they may already.
    from: String,
}

#[derive(Debug)]
struct Pool {
    name: String,
    networks: Vec<Network>,
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
    let pools = published.pools.iter();
    let pools = pools.map(|pool| shown(pool, visitor.now)).collect();
    let frame = visitor.admin_frame("Outgoing addresses", "egress").await?;
    Ok(html(&Page { frame, pools }))
}

fn shown(pool: &PublishedPool, now: Timestamp) -> Pool {
    let network = |text: String, from: Timestamp| Network {
        text,
        from: match from > now {
            true => from.strftime("%Y-%m-%d %H:%M UTC").to_string(),
            false => String::new(),
        },
    };
    let single = pool.addresses.iter();
    let single = single.map(|own| network(own.address.to_string(), own.valid_from));
    let blocks = pool.cidrs.iter();
    let blocks = blocks.map(|own| network(own.cidr.to_string(), own.valid_from));
    Pool {
        name: pool.pool.to_string(),
        networks: single.chain(blocks).collect(),
    }
}
