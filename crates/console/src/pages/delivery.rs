//! A delivery's page: its attempts one after the other, each with request, response and timings.

use askama::Template;
use axum::extract::Path;
use bytes::Bytes;
use jiff::Timestamp;
use tidings_core::id::DeliveryId;
use tidings_core::token::Scope;
use tidings_proto::{timestamp_from_wire, v1};

use super::answer::{Answer, Oops, html, see};
use super::chart;
use super::frame::Frame;
use super::guard::{Asked, Visitor};
use super::layout::readable;
use super::words::{Badge, Moment, advice, ago, bytes, hindrance, meaning, plural, sentence, span};
use crate::log::{Delivery, Status};
use crate::ops::Waits;

/// Of the event that the body was made of, so much is shown.
pub(super) const BODY_CHARS_MAX: usize = 64 << 10;
/// A longer body is left to a file.
const CURL_BODY_BYTES_MAX: usize = 32 << 10;
const HIDDEN: &str = "***";

/// A phase of a request.
#[derive(Debug)]
struct Part {
    class: &'static str,
    text: String,
}

/// An attempt as it is shown.
#[derive(Debug)]
struct Attempt {
    number: u32,
    at: Moment,
    open: bool,
    tone: &'static str,
    status: String,
    outcome: String,
    error: String,
    advice: &'static str,
    total: String,
    bar: String,
    parts: Vec<Part>,
    method: String,
    url: String,
    request_headers: Vec<(String, String)>,
    body_bytes: String,
    /// Empty if it is not known any more.
    body: String,
    is_body_unknown: bool,
    curl: String,
    http_version: String,
    response_headers: Vec<(String, String)>,
    response_body: String,
    truncated: bool,
    footnote: String,
}

#[derive(Debug, Template)]
#[template(path = "delivery.html")]
struct Page {
    frame: Frame,
    base: String,
    id: String,
    topic: String,
    webhook: String,
    webhook_name: String,
    event: String,
    environment: String,
    badge: Badge,
    summary: String,
    at: Moment,
    reason_label: &'static str,
    reason: String,
    /// Whether it waits for its first attempt.
    waits: bool,
    next: String,
    next_text: String,
    notice: &'static str,
    notice_tone: &'static str,
    /// The event's, empty if the event is gone.
    payload: String,
    attempts: Vec<Attempt>,
}

/// A delivery of which nothing is known yet.
#[derive(Debug, Template)]
#[template(path = "waiting.html")]
struct Waiting {
    frame: Frame,
    back: String,
    back_text: &'static str,
}

/// The page.
pub(crate) async fn show(
    visitor: Visitor,
    Path((space, id)): Path<(String, String)>,
    Asked(asked): Asked,
) -> Answer {
    let is_test = asked.has("test");
    let space = visitor.space(&space, Scope::DeliveriesRead)?;
    let app = &visitor.desk.app;
    let base = format!("/s/{space}");
    let Some((delivery, attempts)) = app.log.delivery(space.as_str(), &id).await? else {
        if !is_test {
            return Err(Oops::NotFound(String::from(
                "There is no such delivery in this space, or the log no longer remembers it.",
            )));
        }
        let frame = visitor.frame("Test", "deliveries", &space).await?;
        return Ok(html(&Waiting {
            frame,
            back: format!("{base}/webhooks"),
            back_text: "Webhooks",
        }));
    };
    let names = visitor
        .desk
        .names(&space, [delivery.webhook.as_str()])
        .await?;
    let name = names.get(&delivery.webhook).cloned();
    let name = name.unwrap_or_else(|| format!("{} (deleted)", delivery.webhook));
    let (notice, notice_tone) = notice(asked.has("redelivered"), is_test);
    let stored = app.manage.event(&space, delivery.event_sequence).await?;
    let event = stored.map(|stored| stored.event);
    let bodies = app.bodies(&space, &delivery, event.as_ref(), &attempts);
    let bodies = bodies.await?;
    let waits = match delivery.status {
        Status::Pending => app.waits(&space, &delivery).await?,
        _ => Waits::default(),
    };
    let next = match delivery.status {
        Status::Retrying => attempts.last().and_then(|last| time(last.next_attempt_at)),
        _ => waits.until,
    };
    let (reason_label, reason) = reason(&delivery, &waits);
    let frame = visitor.frame(&delivery.topic, "deliveries", &space).await?;
    Ok(html(&Page {
        frame,
        base,
        badge: Badge::of_delivery(delivery.status),
        summary: summary(&delivery, &attempts),
        at: Moment::of_micros(delivery.at, visitor.now),
        reason_label,
        reason,
        waits: delivery.status == Status::Pending,
        next: next.map_or_else(String::new, |at| at.to_string()),
        next_text: next.map_or_else(String::new, |at| {
            ago(at, visitor.now).trim_start_matches("in ").to_owned()
        }),
        notice,
        notice_tone,
        payload: event.map_or_else(String::new, |event| {
            readable(&event.payload, BODY_CHARS_MAX)
        }),
        attempts: shown(&attempts, &bodies, visitor.now),
        id: delivery.id,
        topic: delivery.topic,
        webhook: delivery.webhook,
        webhook_name: name,
        event: delivery.event,
        environment: delivery.environment,
    }))
}

/// What is to be said at the top, and its tone.
fn notice(is_redelivered: bool, is_test: bool) -> (&'static str, &'static str) {
    match (is_redelivered, is_test) {
        (true, _) => (
            "It is sent again, under the same id. Its next attempt appears here.",
            "ok",
        ),
        (_, true) => (
            "This is a test event. It went through the whole pipeline.",
            "info",
        ),
        _ => ("", ""),
    }
}

/// Sends it again.
pub(crate) async fn redeliver(
    visitor: Visitor,
    Path((space, id)): Path<(String, String)>,
) -> Answer {
    let space = visitor.space(&space, Scope::DeliveriesWrite)?;
    let app = &visitor.desk.app;
    let id: DeliveryId = id.parse().map_err(|_| Oops::not_found("delivery"))?;
    app.redeliver(&visitor.actor(), &space, &id).await?;
    Ok(see(&format!("/s/{space}/deliveries/{id}?redelivered")))
}

fn reason(delivery: &Delivery, waits: &Waits) -> (&'static str, String) {
    match (delivery.status, delivery.reason.as_str()) {
        (Status::Delivered, _) | (_, "") => ("", String::new()),
        (Status::Pending, word) => ("Waits", sentence(&hindrance(word, waits.endpoint.as_ref()))),
        (Status::Dead, word) => ("Given up", sentence(meaning(word))),
        (Status::Retrying, word) => ("Last answer", sentence(meaning(word))),
    }
}

fn summary(delivery: &Delivery, attempts: &[v1::Attempt]) -> String {
    let count = plural(u64::from(delivery.attempts), "attempt");
    let last = attempts.last().and_then(|last| last.timings);
    let took = last.map(|timings| chart::micros(timings.total_us));
    match (delivery.attempts, took) {
        (0, _) => String::new(),
        (_, Some(took)) => format!("{count}, the last took {took}"),
        (_, None) => count,
    }
}

fn time(wire: Option<prost_types::Timestamp>) -> Option<Timestamp> {
    wire.and_then(|wire| timestamp_from_wire(&wire))
}

/// The newest first.
fn shown(attempts: &[v1::Attempt], bodies: &[Option<Bytes>], now: Timestamp) -> Vec<Attempt> {
    let newest_first = attempts.iter().zip(bodies).rev().enumerate();
    newest_first
        .map(|(index, (attempt, body))| Attempt {
            open: index == 0,
            ..one(attempt, body.as_deref(), now)
        })
        .collect()
}

fn one(attempt: &v1::Attempt, body: Option<&[u8]>, now: Timestamp) -> Attempt {
    let request = attempt.request.clone().unwrap_or_default();
    let response = attempt.response.clone().unwrap_or_default();
    let timings = attempt.timings.unwrap_or_default();
    let is_good = attempt.outcome == "delivered";
    let parts = phases(&timings);
    Attempt {
        number: attempt.number,
        at: Moment::maybe(time(attempt.started_at), now),
        open: false,
        tone: if is_good { "ok" } else { "bad" },
        status: match response.status {
            0 => String::new(),
            status => status.to_string(),
        },
        outcome: meaning(&attempt.outcome).to_owned(),
        error: sentence(&attempt.error),
        advice: advice(&attempt.outcome),
        total: chart::micros(timings.total_us),
        bar: chart::timing_bar(
            &parts
                .iter()
                .map(|(class, _, us)| (*class, *us))
                .collect::<Vec<_>>(),
        ),
        parts: parts
            .iter()
            .map(|(class, text, us)| Part {
                class,
                text: format!("{text} {}", chart::micros(*us)),
            })
            .collect(),
        curl: curl(&request, body),
        body: body.map_or_else(String::new, |body| readable(body, BODY_CHARS_MAX)),
        is_body_unknown: body.is_none() && request.body_bytes > 0,
        method: request.method,
        url: request.url,
        request_headers: pairs(&request.headers),
        body_bytes: bytes(request.body_bytes),
        http_version: match attempt.http_version.as_str() {
            "" => String::from("HTTP"),
            version => version.to_owned(),
        },
        response_headers: pairs(&response.headers),
        response_body: readable(&response.body, BODY_CHARS_MAX),
        truncated: response.body_truncated,
        footnote: footnote(attempt, now),
    }
}

fn footnote(attempt: &v1::Attempt, now: Timestamp) -> String {
    let mut notes = Vec::new();
    if !attempt.remote_address.is_empty() {
        let connection = if attempt.connection_reused {
            "kept"
        } else {
            "new"
        };
        notes.push(format!(
            "To {} on a {connection} connection",
            attempt.remote_address
        ));
    }
    if !attempt.sender.is_empty() {
        notes.push(format!("by the sender {}", attempt.sender));
    }
    if let Some(next) = time(attempt.next_attempt_at) {
        let started = time(attempt.started_at).unwrap_or(now);
        let wait = next.duration_since(started).as_secs();
        notes.push(format!(
            "the next attempt was due {} later",
            span(wait.unsigned_abs())
        ));
    }
    notes.join(", ")
}

/// The phases that took time, in order.
fn phases(timings: &v1::Timings) -> Vec<(&'static str, &'static str, u64)> {
    let set_up = timings.dns_us + timings.connect_us + timings.tls_us;
    // The first byte and the total are counted from the beginning.
    let wait = timings.first_byte_us.saturating_sub(set_up);
    let rest = timings
        .total_us
        .saturating_sub(timings.first_byte_us.max(set_up));
    let (wait, rest) = match timings.first_byte_us {
        0 => (timings.total_us.saturating_sub(set_up), 0),
        _ => (wait, rest),
    };
    let all = [
        ("dns", "DNS", timings.dns_us),
        ("connect", "connect", timings.connect_us),
        ("tls", "TLS", timings.tls_us),
        ("wait", "wait for the answer", wait),
        ("rest", "read the answer", rest),
    ];
    all.into_iter().filter(|(_, _, us)| *us > 0).collect()
}

fn pairs(headers: &[v1::Header]) -> Vec<(String, String)> {
    let pair = |header: &v1::Header| (header.name.clone(), header.value.clone());
    headers.iter().map(pair).collect()
}

/// The request as a command, without what is secret.
fn curl(request: &v1::Request, body: Option<&[u8]>) -> String {
    let mut command = format!(
        "curl -i -X {} {}",
        quote(&request.method),
        quote(&request.url)
    );
    for header in &request.headers {
        let is_own = header.name.eq_ignore_ascii_case("content-length");
        if !is_own && header.value != HIDDEN {
            command.push_str(" \\\n  -H ");
            command.push_str(&quote(&format!("{}: {}", header.name, header.value)));
        }
    }
    let text = body.filter(|body| body.len() <= CURL_BODY_BYTES_MAX);
    let text = text.and_then(|body| std::str::from_utf8(body).ok());
    match text {
        _ if request.body_bytes == 0 => {}
        // A shell takes no NUL.
        Some(text) if !text.contains('\0') => {
            command.push_str(" \\\n  --data-binary ");
            command.push_str(&quote_body(text));
        }
        _ => command.push_str(" \\\n  --data-binary @body.json"),
    }
    command
}

/// As a word of a shell that curl takes for the body itself.
fn quote_body(text: &str) -> String {
    match text.strip_prefix('@') {
        // It would be the name of a file.
        Some(_) => String::from("@body.json"),
        None => quote(text),
    }
}

/// As a word of a shell.
fn quote(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:".contains(&byte);
    match !text.is_empty() && text.bytes().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(name: &str, value: &str) -> v1::Header {
        v1::Header {
            name: name.to_owned(),
            value: value.to_owned(),
        }
    }

    #[test]
    fn curl_holds_no_secret_and_nothing_that_a_shell_would_run() {
        let request = v1::Request {
            method: String::from("POST"),
            url: String::from("https://a.example/?x=$(id)'"),
            headers: vec![
                header("authorization", HIDDEN),
                header("x-note", "it's `id`"),
                header("content-length", "5"),
            ],
            body_bytes: 5,
        };
        let command = curl(&request, Some(b"it's $x"));
        assert!(
            command.contains(r"'https://a.example/?x=$(id)'\'''"),
            "{command}"
        );
        assert!(command.contains(r"'x-note: it'\''s `id`'"), "{command}");
        assert!(!command.contains("authorization") && !command.contains("content-length"));
        assert!(
            command.ends_with(r"--data-binary 'it'\''s $x'"),
            "{command}"
        );
        for unusable in [None, Some(&b"\xff"[..]), Some(b"@/etc/passwd"), Some(b"\0")] {
            let command = curl(&request, unusable);
            assert!(command.ends_with("--data-binary @body.json"), "{command}");
        }
    }

    #[test]
    fn phases_add_up_to_the_whole() {
        let timings = v1::Timings {
            dns_us: 1,
            connect_us: 2,
            tls_us: 3,
            first_byte_us: 10,
            total_us: 12,
        };
        let sum: u64 = phases(&timings).iter().map(|phase| phase.2).sum();
        assert_eq!(sum, 12);
        let unanswered = v1::Timings {
            first_byte_us: 0,
            ..timings
        };
        let sum: u64 = phases(&unanswered).iter().map(|phase| phase.2).sum();
        assert_eq!(sum, 12);
    }
}
