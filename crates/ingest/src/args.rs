//! What can be set.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::time::Duration;

use clap::builder::RangedU64ValueParser;
use tidings_core::duration;
use tidings_core::space::{EVENTS_PER_SECOND_MAX, EventRate};
use tidings_nats::connect::NatsArgs;

const KIB: usize = 1_024;
const MIB: usize = 1_024 * KIB;

const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
const EVENT_SIZE: ByteSize = ByteSize(512 * KIB);
const UNACKED: usize = 4_096;
const UNACKED_BYTES: ByteSize = ByteSize(64 * MIB);
const BUFFERED_BYTES: ByteSize = ByteSize(256 * MIB);
const CONNECTIONS: usize = 4_096;
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
const NATS_CONCURRENCY: usize = 256;

/// Ingest's options.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Ingest")]
pub struct IngestArgs {
    /// Address of the HTTP listener: events, health and metrics.
    #[arg(long, env = "TIDINGS_LISTEN", value_name = "ADDR", default_value_t = LISTEN)]
    pub listen: SocketAddr,
    /// The largest event, in bytes or like 512KiB. The broker must take a little more than this
    /// (its `max_payload` is 1MiB by default).
    #[arg(long, env = "TIDINGS_MAX_EVENT_SIZE", value_name = "BYTES", default_value_t = EVENT_SIZE)]
    pub max_event_size: ByteSize,
    /// How many events may wait for the stream's acknowledgement; beyond it publishers get 503.
    #[arg(long, env = "TIDINGS_MAX_UNACKED", value_name = "N", default_value_t = UNACKED,
          value_parser = count(1_000_000))]
    pub max_unacked: usize,
    /// How many bytes of events may wait for the stream's acknowledgement.
    #[arg(long, env = "TIDINGS_MAX_UNACKED_BYTES", value_name = "BYTES",
          default_value_t = UNACKED_BYTES)]
    pub max_unacked_bytes: ByteSize,
    /// How many bytes of request bodies may be held at once; beyond it publishers get 503.
    #[arg(long, env = "TIDINGS_MAX_BUFFERED_BYTES", value_name = "BYTES",
          default_value_t = BUFFERED_BYTES)]
    pub max_buffered_bytes: ByteSize,
    /// How many HTTP connections may be open at once; further ones wait to be accepted.
    #[arg(long, env = "TIDINGS_MAX_CONNECTIONS", value_name = "N", default_value_t = CONNECTIONS,
          value_parser = count(1_000_000))]
    pub max_connections: usize,
    /// How long a request's body may take to arrive as a whole.
    #[arg(long, env = "TIDINGS_BODY_TIMEOUT", value_name = "DURATION", default_value = "10s",
          value_parser = duration::parse)]
    pub body_timeout: Duration,
    /// How many events a second each space may publish that has no rate of its own in its
    /// settings; 0 for no limit. Each ingest counts for itself.
    #[arg(long, env = "TIDINGS_SPACE_RATE", value_name = "N", default_value_t = 0,
          value_parser = clap::value_parser!(u32).range(..=i64::from(EVENTS_PER_SECOND_MAX)))]
    pub space_rate: u32,
    /// How many events a space may publish at once before its rate holds [default: the rate].
    #[arg(long, env = "TIDINGS_SPACE_BURST", value_name = "N")]
    pub space_burst: Option<NonZeroU32>,
    /// How many requests over NATS are served at once; beyond it publishers get 503.
    #[arg(long, env = "TIDINGS_NATS_CONCURRENCY", value_name = "N",
          default_value_t = NATS_CONCURRENCY, value_parser = count(100_000))]
    pub nats_concurrency: usize,
    /// How NATS is reached.
    #[command(flatten)]
    pub nats: NatsArgs,
}

impl IngestArgs {
    /// The defaults, listening at `listen` and reaching NATS as `nats` says.
    #[must_use]
    pub fn new(listen: SocketAddr, nats: NatsArgs) -> Self {
        Self {
            listen,
            max_event_size: EVENT_SIZE,
            max_unacked: UNACKED,
            max_unacked_bytes: UNACKED_BYTES,
            max_buffered_bytes: BUFFERED_BYTES,
            max_connections: CONNECTIONS,
            body_timeout: BODY_TIMEOUT,
            space_rate: 0,
            space_burst: None,
            nats_concurrency: NATS_CONCURRENCY,
            nats,
        }
    }
}

impl IngestArgs {
    /// What a space may publish that has no rate of its own.
    pub(crate) fn space_rate(&self) -> EventRate {
        EventRate {
            events_per_second: self.space_rate,
            burst: self.space_burst,
        }
    }
}

fn count(max: u64) -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=max)
}

/// A size in bytes, written `524288`, `512KiB` or `64MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub usize);

/// Why a text is no size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no size from 1KiB to 1GiB; write it like 524288, 512KiB or 64MiB")]
pub struct ByteSizeError {
    text: String,
}

impl std::str::FromStr for ByteSize {
    type Err = ByteSizeError;

    fn from_str(text: &str) -> Result<Self, ByteSizeError> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = match text[digits.len()..].to_ascii_lowercase().as_str() {
            "" | "b" => Some(1),
            "kib" | "k" => Some(KIB),
            "mib" | "m" => Some(MIB),
            "gib" | "g" => Some(1_024 * MIB),
            _ => None,
        };
        let number: Option<usize> = digits.trim().parse().ok();
        number
            .zip(unit)
            .and_then(|(number, unit)| number.checked_mul(unit))
            .filter(|bytes| (KIB..=1_024 * MIB).contains(bytes))
            .map(Self)
            .ok_or_else(|| ByteSizeError {
                text: text.chars().take(40).collect(),
            })
    }
}

impl std::fmt::Display for ByteSize {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            bytes if bytes.is_multiple_of(MIB) => write!(f, "{}MiB", bytes / MIB),
            bytes if bytes.is_multiple_of(KIB) => write!(f, "{}KiB", bytes / KIB),
            bytes => write!(f, "{bytes}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        ingest: IngestArgs,
    }

    #[test]
    fn the_defaults_of_the_command_line_are_the_defaults() {
        let parsed = Program::parse_from(["tidings-ingest"]).ingest;
        let built = IngestArgs::new(parsed.listen, parsed.nats.clone());
        assert_eq!(format!("{parsed:?}"), format!("{built:?}"));
        assert_eq!(parsed.listen, LISTEN);
    }

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("1024", 1_024),
            ("512KiB", 524_288),
            ("2 MiB", 2_097_152),
            ("1g", 1 << 30),
        ] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
        for bad in [
            "",
            "0",
            "KiB",
            "-1",
            "512KB",
            "2GiB",
            "1.5MiB",
            "99999999999999999999",
        ] {
            assert!(bad.parse::<ByteSize>().is_err(), "{bad}");
        }
        assert_eq!(ByteSize(512 * KIB).to_string(), "512KiB");
    }

    #[test]
    fn a_wrong_value_names_its_option() {
        for (option, value) in [
            ("--listen", "here"),
            ("--max-event-size", "lots"),
            ("--max-unacked", "0"),
            ("--body-timeout", "soon"),
            ("--space-rate", "1000001"),
            ("--space-burst", "0"),
        ] {
            let error = Program::try_parse_from(["tidings-ingest", option, value]).unwrap_err();
            assert!(error.to_string().contains(option), "{error}");
        }
    }
}
