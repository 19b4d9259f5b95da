//! Words for people: times, states, outcomes and reasons.

use jiff::Timestamp;
use tidings_core::webhook::{EndpointState, Status as EndpointStatus};

use crate::log::Status;

/// A moment as pages show it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Moment {
    /// For machines; empty if there is none.
    pub(crate) iso: String,
    /// For people, from the moment at which the page was made.
    pub(crate) text: String,
}

impl Moment {
    pub(crate) fn new(at: Timestamp, now: Timestamp) -> Self {
        Self {
            iso: format!("{at:.3}"),
            text: ago(at, now),
        }
    }

    pub(crate) fn of_micros(at: i64, now: Timestamp) -> Self {
        let at = Timestamp::from_microsecond(at);
        at.map_or_else(|_| Self::default(), |at| Self::new(at, now))
    }

    pub(crate) fn maybe(at: Option<Timestamp>, now: Timestamp) -> Self {
        at.map_or_else(Self::default, |at| Self::new(at, now))
    }
}

/// A state in a word, with its tone: `ok`, `warn`, `bad`, `info`, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Badge {
    pub(crate) tone: &'static str,
    pub(crate) text: String,
}

impl Badge {
    pub(crate) fn new(tone: &'static str, text: &str) -> Self {
        let text = text.to_owned();
        Self { tone, text }
    }

    pub(crate) fn of_endpoint(state: &EndpointState) -> Self {
        match state.status {
            EndpointStatus::Active => Self::new("ok", "active"),
            EndpointStatus::Paused => Self::new("warn", "paused"),
            EndpointStatus::Disabled => Self::new("", "disabled"),
        }
    }

    pub(crate) fn of_delivery(status: Status) -> Self {
        match status {
            Status::Pending => Self::new("info", "waiting"),
            Status::Retrying => Self::new("warn", "retrying"),
            Status::Delivered => Self::new("ok", "delivered"),
            Status::Dead => Self::new("bad", "given up"),
        }
    }
}

/// How long ago, or in how long.
pub(crate) fn ago(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(at).as_secs();
    let text = span(seconds.unsigned_abs());
    match seconds {
        -2..=2 => String::from("just now"),
        3.. => format!("{text} ago"),
        _ => format!("in {text}"),
    }
}

/// Seconds as people read them.
pub(crate) fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// A number with its thousands set apart.
pub(crate) fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 attempt`, `2 attempts`.
pub(crate) fn plural(count: u64, word: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{} {word}{s}", number(count))
}

/// Bytes as people read them.
pub(crate) fn bytes(count: u64) -> String {
    match count {
        0..1_024 => format!("{count} B"),
        1_024..1_048_576 => format!("{:.1} KiB", in_units(count, 10)),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", in_units(count, 20)),
        _ => format!("{:.1} GiB", in_units(count, 30)),
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "one digit after the point is shown"
)]
fn in_units(count: u64, power: u32) -> f64 {
    count as f64 / (1_u64 << power) as f64
}

/// A share in percent, never 100 while something failed, and its tone.
pub(crate) fn rate(good: u64, all: u64) -> (String, &'static str) {
    if all == 0 {
        return (String::from("–"), "muted");
    }
    let tenths = good.min(all) * 1_000 / all;
    let tone = match tenths {
        990.. => "text-ok",
        900..990 => "text-warn",
        _ => "text-bad",
    };
    let text = match (tenths / 10, tenths % 10) {
        (whole, 0) => format!("{whole} %"),
        (whole, part) => format!("{whole}.{part} %"),
    };
    (text, tone)
}

/// What an outcome or a dead letter's reason means.
pub(crate) fn meaning(word: &str) -> &str {
    match word {
        "delivered" => "delivered",
        "redelivered" => "it was sent again",
        "redirect_not_followed" => "it redirects, which is never followed",
        "gone" => "the receiver says it is gone for good (410)",
        "throttled" => "the receiver asks to slow down (429)",
        "http_4xx" => "the receiver refused it (4xx)",
        "http_5xx" => "the receiver failed (5xx)",
        "http_other" => "the receiver answered something else",
        "exhausted" => "every retry failed",
        "expired" => "it became too old",
        "webhook_disabled" => "the webhook was disabled",
        "webhook_deleted" => "the webhook was deleted",
        "invalid_transformation" => "the body could not be made from the event",
        "oversized" => "it was too large",
        "invalid_event" | "invalid_delivery" => "it could not be read",
        "space_mismatch" => "it belongs to another space",
        "newer_schema" => "a newer version of Tidings wrote it",
        "quarantined" => "it brought senders down five times",
        "invalid_url" => "the URL cannot be called",
        "blocked" => "the address is not allowed",
        "dns_error" => "the name does not resolve",
        "connect_refused" => "nobody listens at that address",
        "connect_timeout" => "no connection in time",
        "connect_error" => "the connection failed",
        "tls_error" => "TLS failed",
        "tls_timeout" => "TLS took too long",
        "timeout" => "no answer in time",
        "connection_reset" | "connection_closed" => "the connection broke off",
        "invalid_response" => "the answer is not HTTP",
        "head_too_large" => "the answer’s headers are too large",
        "body_incomplete" | "body_invalid" | "body_timeout" => "the answer’s body broke off",
        "proxy_error" => "the outgoing proxy failed",
        "paused" => "the webhook is paused",
        "rate" => "its turn under the webhook’s rate limit is still to come",
        "slots" => "as many requests of the webhook are under way as may be",
        "host" => "as many requests to its host are under way as may be",
        "permits" => "the senders are busy",
        "locked" => "no key opens the webhook’s secrets",
        "not_known" => "its sender does not know the webhook yet",
        "payload" => "its payload could not be fetched yet",
        other => other,
    }
}

/// What keeps a delivery from its first attempt. While its webhook is paused that is the reason,
/// whatever was told before.
pub(crate) fn hindrance(word: &str, endpoint: Option<&EndpointState>) -> String {
    let paused = endpoint.filter(|state| state.status == EndpointStatus::Paused);
    match paused.map(|state| state.until) {
        Some(Some(until)) => until
            .strftime("the webhook is paused until %F %T UTC")
            .to_string(),
        Some(None) => String::from("the webhook is paused until somebody resumes it"),
        None if word == "paused" => String::from("the webhook was paused; its turn comes soon"),
        None => meaning(word).to_owned(),
    }
}

/// What a person can do about an outcome.
pub(crate) fn advice(word: &str) -> &'static str {
    match word {
        "redirect_not_followed" => "Give the webhook the final URL.",
        "gone" => "The webhook was disabled; enable it when the receiver is back.",
        "throttled" => "Set a lower rate under Delivery, or let the receiver take more.",
        "http_4xx" => "Look at the response: often a wrong path, or a missing credential.",
        "http_5xx" => "Look at the receiver’s log at this time.",
        "dns_error" => "Check the host name in the URL.",
        "connect_refused" | "connect_timeout" | "connect_error" => {
            "Check that the receiver runs, and that its firewall lets our addresses in."
        }
        "tls_error" => "Check the receiver’s certificate: its name, its chain, its end.",
        "timeout" => "Answer first and work later, or set a longer timeout under Delivery.",
        "blocked" => "An operator can allow it with --egress-allow.",
        _ => "",
    }
}

/// Why an endpoint is paused.
pub(crate) fn pause_reason(state: &EndpointState) -> String {
    match state.reason.as_str() {
        "manual" => String::from("Somebody paused it."),
        "failing" => String::from("It failed several times in a row."),
        "asked" => String::from("The receiver asked to slow down."),
        "slow" => String::from("The receiver is too slow to keep up."),
        "" => String::new(),
        other => format!("{}.", other.replace('_', " ")),
    }
}

/// The same words, as the beginning of a sentence and with its end.
pub(crate) fn sentence(text: &str) -> String {
    let mut chars = text.trim().chars();
    let Some(first) = chars.next() else {
        return String::new();
    };
    let mut sentence: String = first.to_uppercase().chain(chars).collect();
    if !sentence.ends_with(['.', '!', '?', '…']) {
        sentence.push('.');
    }
    sentence
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_from_now() {
        let now = Timestamp::from_second(100_000).unwrap();
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(ago(at(99_999), now), "just now");
        assert_eq!(ago(at(99_990), now), "10 s ago");
        assert_eq!(ago(at(99_000), now), "16 min ago");
        assert_eq!(ago(at(103_700), now), "in 1 h");
        assert_eq!(Moment::maybe(None, now).iso, "");
    }

    #[test]
    fn a_single_failure_is_never_rounded_away() {
        assert_eq!(rate(9_999, 10_000), (String::from("99.9 %"), "text-ok"));
        assert_eq!(rate(10, 10), (String::from("100 %"), "text-ok"));
        assert_eq!(rate(0, 3), (String::from("0 %"), "text-bad"));
        assert_eq!(rate(0, 0).0, "–");
    }

    #[test]
    fn numbers_and_sentences_read_well() {
        assert_eq!(number(1_234_567), "1,234,567");
        assert_eq!(plural(1, "attempt"), "1 attempt");
        assert_eq!(plural(0, "attempt"), "0 attempts");
        assert_eq!(bytes(1_536), "1.5 KiB");
        assert_eq!(sentence("it must be above 0"), "It must be above 0.");
        assert_eq!(sentence(""), "");
    }
}
