//! How the installation is doing.

use askama::Template;

use crate::pages::answer::{Answer, html};
use crate::pages::frame::Frame;
use crate::pages::guard::Visitor;
use crate::pages::words::{Moment, bytes, number, plural, span};

#[derive(Debug)]
struct Stream {
    name: String,
    messages: String,
    waiting: String,
    in_hand: String,
    filled: String,
    oldest: Moment,
}

#[derive(Debug)]
struct Member {
    name: String,
    pool: String,
    seen: Moment,
}

#[derive(Debug, Template)]
#[template(path = "status.html")]
struct Page {
    frame: Frame,
    streams: Vec<Stream>,
    members: Vec<Member>,
    log: String,
}

/// The page.
pub(crate) async fn status(visitor: Visitor) -> Answer {
    visitor.need_admin()?;
    let app = &visitor.desk.app;
    let status = app.manage.status().await?;
    let count = |value: Option<u64>| value.map_or_else(|| String::from("–"), number);
    let stream = |stream: tidings_manage::status::StreamStatus| Stream {
        messages: number(stream.messages),
        waiting: count(stream.waiting),
        in_hand: count(stream.in_hand),
        filled: match stream.bytes_max {
            Some(max) => format!("{} of {}", bytes(stream.bytes), bytes(max)),
            None => bytes(stream.bytes),
        },
        oldest: Moment::maybe(stream.oldest_at, visitor.now),
        name: stream.name,
    };
    let member = |member: tidings_manage::status::Member| Member {
        name: member.name,
        pool: member.pool,
        seen: Moment::maybe(member.seen_at, visitor.now),
    };
    let lag = app.log.lag();
    let log = match lag.seconds {
        0 => String::from("up to date."),
        seconds => format!(
            "{} and {} behind.",
            plural(lag.messages, "message"),
            span(seconds)
        ),
    };
    let mut frame = visitor.admin_frame("Status", "status").await?;
    frame.live = frame.space.as_ref().map(|space| format!("/s/{space}/live"));
    Ok(html(&Page {
        frame,
        streams: status.streams.into_iter().map(stream).collect(),
        members: status.members.into_iter().map(member).collect(),
        log,
    }))
}
