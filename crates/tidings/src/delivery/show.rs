//! `tidings delivery show`.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use anyhow::Context as _;
use prost::Message as _;
use serde_json::{Value, json};
use tidings_nats::topology::{ATTEMPTS, DEAD_LETTERS};
use tidings_proto::{timestamp_from_wire, v1};

use super::list::status;
use super::summary::{Sighting, Summary};
use super::{ShowArgs, subject_of, waiting};
use crate::client::Client;
use crate::output::{Fields, Output, clean, time};
use crate::scan::{self, Look, Seen};

const BODY_CHARS_MAX: usize = 1_024;

/// Runs the command.
pub(super) async fn run(args: &ShowArgs, client: &Client, output: Output) -> anyhow::Result<()> {
    let attempts = attempts(args, client).await?;
    let sighting = standing(args, client, &attempts).await?;
    let summary = sighting.map(|sighting| sighting.summary).with_context(|| {
        format!(
            "there is no delivery {} in the space {}, or its records are forgotten by now; see \
             `tidings delivery list`",
            args.id, args.space
        )
    })?;
    let mut document = serde_json::to_value(&summary)?;
    document["attemptRecords"] = attempts.iter().map(attempt_json).collect();
    let text = text(&summary, &attempts)?;
    output.answer(&document, text)
}

/// The records of its attempts, in their order. An attempt that was made again after a crash has
/// two.
pub(super) async fn attempts(args: &ShowArgs, client: &Client) -> anyhow::Result<Vec<v1::Attempt>> {
    let mut found = BTreeMap::new();
    let subject = subject_of("attempt", &args.space, args.webhook.as_ref());
    scan::newest_first(client, ATTEMPTS, &subject, |seen| match seen {
        Seen::Message(message) => {
            let read = v1::Attempt::decode(message.payload).ok();
            let own = read.filter(|read| read.delivery_id == args.id.as_str());
            found.extend(own.map(|attempt| ((attempt.number, message.sequence), attempt)));
            Look::Further
        }
        Seen::Stretch => match found.keys().next() {
            Some((1, _)) => Look::Enough,
            _ => Look::Further,
        },
    })
    .await?;
    Ok(found.into_values().collect())
}

/// Where it stands, from everything that lies about it.
async fn standing(
    args: &ShowArgs,
    client: &Client,
    attempts: &[v1::Attempt],
) -> anyhow::Result<Option<Sighting>> {
    let mut sightings: Vec<Sighting> = attempts.iter().filter_map(Sighting::of_record).collect();
    let webhook = match (&args.webhook, attempts.first()) {
        (None, Some(attempt)) => attempt.webhook_id.parse().ok(),
        (given, _) => given.clone(),
    };
    let subject = subject_of("dead", &args.space, webhook.as_ref());
    let mut letter = None;
    scan::newest_first(client, DEAD_LETTERS, &subject, |seen| match seen {
        Seen::Message(message) => {
            let read = v1::DeadLetter::decode(message.payload).ok();
            let sighting = read.and_then(|letter| Sighting::of_letter(&letter));
            let own = sighting.filter(|sighting| sighting.summary.id == args.id.as_str());
            letter = own.or(letter.take());
            Look::Further
        }
        Seen::Stretch if letter.is_some() => Look::Enough,
        Seen::Stretch => Look::Further,
    })
    .await?;
    sightings.extend(letter);
    sightings.extend(waiting::scheduled(client, &args.id).await?);
    let waiting = waiting::read(client, webhook.as_ref()).await?;
    sightings.extend(waiting.into_iter().filter(|sighting| {
        let Summary { id, space, .. } = &sighting.summary;
        id == args.id.as_str() && space == args.space.as_str()
    }));
    Ok(sightings.into_iter().reduce(|mut merged, sighting| {
        merged.merge(sighting);
        merged
    }))
}

fn text(summary: &Summary, attempts: &[v1::Attempt]) -> Result<String, fmt::Error> {
    let mut fields = Fields::default();
    fields.add("id", &summary.id);
    fields.add("webhook", &summary.webhook_id);
    fields.add("space", &summary.space);
    fields.add("environment", &summary.environment);
    fields.add("event", &summary.event_id);
    fields.add_some("topic", &summary.topic);
    fields.add("status", status(summary));
    fields.add("attempts", summary.attempts);
    fields.add_some("last", &summary.last_at.map(time).unwrap_or_default());
    fields.add_some(
        "next",
        &summary.next_attempt_at.map(time).unwrap_or_default(),
    );
    let mut text = fields.to_string();
    for attempt in attempts {
        write!(
            text,
            "\nattempt {}\n{}",
            attempt.number,
            attempt_fields(attempt)
        )?;
    }
    Ok(text)
}

fn attempt_fields(attempt: &v1::Attempt) -> Fields {
    let mut fields = Fields::default();
    fields.add_some("  started", &wire_time(attempt.started_at.as_ref()));
    fields.add("  outcome", &attempt.outcome);
    fields.add_some("  error", &attempt.error);
    if let Some(request) = &attempt.request {
        let v1::Request {
            method,
            url,
            headers,
            body_bytes,
        } = request;
        fields.add(
            "  request",
            format_args!("{method} {url} ({body_bytes} bytes)"),
        );
        add_headers(&mut fields, headers);
    }
    if let Some(response) = &attempt.response {
        fields.add(
            "  response",
            format_args!("{} {}", response.status, attempt.http_version),
        );
        add_headers(&mut fields, &response.headers);
        fields.add_some("  body", &preview(response));
    }
    let reused = if attempt.connection_reused {
        " (connection kept from before)"
    } else {
        ""
    };
    fields.add_some("  from", &format!("{}{reused}", attempt.remote_address));
    if let Some(timings) = &attempt.timings {
        fields.add("  timings", timings_text(timings));
    }
    let next = wire_time(attempt.next_attempt_at.as_ref());
    let next = if next.is_empty() {
        next
    } else {
        format!(", next at {next}")
    };
    fields.add("  verdict", format_args!("{}{next}", attempt.verdict));
    fields.add_some("  sender", &attempt.sender);
    fields
}

fn add_headers(fields: &mut Fields, headers: &[v1::Header]) {
    for v1::Header { name, value } in headers {
        fields.add("", format_args!("{name}: {value}"));
    }
}

fn timings_text(timings: &v1::Timings) -> String {
    let v1::Timings {
        dns_us,
        connect_us,
        tls_us,
        first_byte_us,
        total_us,
    } = *timings;
    let steps = [
        ("dns", dns_us),
        ("connect", connect_us),
        ("tls", tls_us),
        ("first byte", first_byte_us),
        ("total", total_us),
    ];
    let shown = |(step, us): (&str, u64)| {
        (us > 0).then(|| format!("{step} {}.{:03} ms", us / 1_000, us % 1_000))
    };
    steps
        .into_iter()
        .filter_map(shown)
        .collect::<Vec<_>>()
        .join(", ")
}

/// The beginning of the answer's body, on one line.
fn preview(response: &v1::Response) -> String {
    let text = String::from_utf8_lossy(&response.body);
    let shown: String = text.chars().take(BODY_CHARS_MAX).collect();
    let is_cut = shown.len() < text.len() || response.body_truncated;
    format!("{}{}", clean(&shown), if is_cut { " …" } else { "" })
}

fn attempt_json(attempt: &v1::Attempt) -> Value {
    let headers = |headers: &[v1::Header]| -> Vec<Value> {
        headers
            .iter()
            .map(|header| json!({ "name": header.name, "value": header.value }))
            .collect()
    };
    let request = attempt.request.as_ref().map(|request| {
        json!({
            "method": request.method,
            "url": request.url,
            "headers": headers(&request.headers),
            "bodyBytes": request.body_bytes,
        })
    });
    let response = attempt.response.as_ref().map(|response| {
        json!({
            "status": response.status,
            "headers": headers(&response.headers),
            "body": String::from_utf8_lossy(&response.body),
            "bodyTruncated": response.body_truncated,
        })
    });
    let timings = attempt.timings.as_ref().map(|timings| {
        json!({
            "dnsUs": timings.dns_us,
            "connectUs": timings.connect_us,
            "tlsUs": timings.tls_us,
            "firstByteUs": timings.first_byte_us,
            "totalUs": timings.total_us,
        })
    });
    json!({
        "number": attempt.number,
        "startedAt": attempt.started_at.as_ref().and_then(timestamp_from_wire),
        "outcome": attempt.outcome,
        "error": attempt.error,
        "request": request,
        "response": response,
        "timings": timings,
        "remoteAddress": attempt.remote_address,
        "httpVersion": attempt.http_version,
        "connectionReused": attempt.connection_reused,
        "verdict": attempt.verdict,
        "nextAttemptAt": attempt.next_attempt_at.as_ref().and_then(timestamp_from_wire),
        "sender": attempt.sender,
    })
}

fn wire_time(wire: Option<&prost_types::Timestamp>) -> String {
    wire.and_then(timestamp_from_wire)
        .map(time)
        .unwrap_or_default()
}
