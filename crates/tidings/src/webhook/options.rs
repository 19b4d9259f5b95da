//! The options that define a webhook.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};
use tidings_core::duration;
use tidings_core::name::{Pool, Space};
use tidings_core::retry::RetrySchedule;
use tidings_core::secret::Secret;
use tidings_core::topic::TopicPattern;
use tidings_core::webhook::{Format, RateLimit, Scheme};
use tidings_manage::webhook::Draft;

use super::file::File;
use crate::input;

// What defines a webhook, in `create` and `update`.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Webhook")]
pub(super) struct DefinitionArgs {
    /// File with a webhook in JSON, or - for standard input; options win over it.
    #[arg(long, value_name = "FILE|-")]
    file: Option<PathBuf>,
    /// Where deliveries go.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// A topic it wants, such as Entry.publish, Entry.* or *.*; repeat it for each.
    #[arg(long = "topic", value_name = "TOPIC")]
    topics: Vec<TopicPattern>,
    /// A content type it wants; repeat it for each. All if never given.
    #[arg(long = "content-type", value_name = "TYPE")]
    content_types: Vec<String>,
    /// What people call it.
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// What it is for.
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// A header that is sent with each request; repeat it for each.
    #[arg(long = "header", value_name = "KEY: VALUE")]
    headers: Vec<HeaderPair>,
    /// A header whose value is never shown again; repeat it for each. What stands on a command
    /// line can be read by others on this machine: --file - keeps it away from them.
    #[arg(long = "secret-header", value_name = "KEY: VALUE", hide_env_values = true, value_parser = parse_secret)]
    secret_headers: Vec<Secret>,
    /// User name and password for HTTP basic authentication; the password is never shown again.
    #[arg(long, value_name = "USER:PASSWORD", hide_env_values = true, value_parser = parse_secret)]
    basic_auth: Option<Secret>,
    /// The shape of what the receiver sees: standard, contentful, umbraco, heartcore,
    /// cloudevents-binary or cloudevents-structured.
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    /// How requests are signed: standard-v1, standard-v1a or contentful-v1; repeat it for each.
    /// What fits format and secrets if never given.
    #[arg(long = "scheme", value_name = "SCHEME")]
    schemes: Vec<Scheme>,
    /// Whether requests carry the Standard Webhooks headers, in whatever format.
    #[arg(long, value_name = "true|false")]
    standard_headers: Option<bool>,
    /// File with a transformation in JSON (method, contentType, includeContentLength, body), or -
    /// for standard input.
    #[arg(long, value_name = "FILE|-")]
    transformation: Option<PathBuf>,
    /// How often a failed delivery is tried again.
    #[arg(long, value_name = "COUNT")]
    max_retries: Option<u32>,
    /// The waits between attempts, such as 5s,30s,5m; the last one repeats.
    #[arg(long, value_name = "DURATIONS", value_parser = parse_schedule)]
    retry_schedule: Option<RetrySchedule>,
    /// How long an attempt may take, such as 15s.
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    timeout: Option<Duration>,
    /// How old a delivery may become, such as 96h.
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    max_age: Option<Duration>,
    /// How fast requests are made, such as 50/1s.
    #[arg(long, value_name = "COUNT/DURATION", value_parser = parse_rate)]
    rate_limit: Option<RateLimit>,
    /// How many requests are under way at once.
    #[arg(long, value_name = "COUNT")]
    max_in_flight: Option<NonZeroU32>,
    /// Which senders send it.
    #[arg(long, value_name = "NAME")]
    pool: Option<Pool>,
    /// Send nothing yet.
    #[arg(long)]
    disabled: bool,
    /// A signing secret that the receiver has already, instead of a new one: whsec_…, whsk_…, or
    /// 64 characters for Contentful (see also --secret-header); repeat it for each.
    #[arg(long = "signing-secret", value_name = "SECRET", hide_env_values = true,
          value_parser = parse_secret)]
    signing_secrets: Vec<Secret>,
}

// What takes something away, in `update`.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Taking away")]
pub(super) struct ChangeArgs {
    /// A header that is no longer sent; repeat it for each.
    #[arg(long = "remove-header", value_name = "KEY")]
    remove_headers: Vec<String>,
    /// Want all content types.
    #[arg(long, conflicts_with = "content_types")]
    any_content_type: bool,
    /// Send the format's own requests again.
    #[arg(long, conflicts_with = "transformation")]
    no_transformation: bool,
    /// Stop HTTP basic authentication.
    #[arg(long, conflicts_with = "basic_auth")]
    no_basic_auth: bool,
}

impl DefinitionArgs {
    /// Reads the file that was given, if one was.
    pub(super) async fn read_file(&self, space: &Space) -> anyhow::Result<Option<File>> {
        let Some(path) = &self.file else {
            return Ok(None);
        };
        let text = input::read(path).await?;
        File::parse(&text, space).map(Some)
    }

    /// Reads the transformation that was given, if one was.
    pub(super) async fn read_transformation(&self) -> anyhow::Result<Option<Value>> {
        let Some(path) = &self.transformation else {
            return Ok(None);
        };
        let text = input::read(path).await?;
        let read = serde_json::from_slice(&text).context("--transformation: it is no JSON")?;
        Ok(Some(read))
    }

    /// Writes the options that were given over what is there.
    ///
    /// # Errors
    /// An option with a secret in it is of another form. Clap does not look at these, because it
    /// shows what it refuses.
    pub(super) fn apply(
        &self,
        draft: &mut Draft,
        transformation: Option<Value>,
    ) -> anyhow::Result<()> {
        draft.set(&["transformation"], transformation);
        let basic_auth = self.basic_auth.as_ref().map(credentials).transpose()?;
        for (field, given) in [
            ("url", self.url.as_ref().map(|url| json!(url))),
            ("name", self.name.as_ref().map(|name| json!(name))),
            (
                "description",
                self.description.as_ref().map(|text| json!(text)),
            ),
            (
                "topics",
                (!self.topics.is_empty()).then(|| json!(self.topics)),
            ),
            (
                "contentTypes",
                (!self.content_types.is_empty()).then(|| json!(self.content_types)),
            ),
            ("format", self.format.map(|format| json!(format))),
            ("enabled", self.disabled.then_some(json!(false))),
            ("basicAuth", basic_auth),
        ] {
            draft.set(&[field], given);
        }
        for (field, given) in [
            ("maxRetries", self.max_retries.map(|count| json!(count))),
            (
                "retrySchedule",
                self.retry_schedule.as_ref().map(|schedule| json!(schedule)),
            ),
            (
                "timeout",
                self.timeout.map(|timeout| json!(duration::print(timeout))),
            ),
            (
                "maxAge",
                self.max_age.map(|age| json!(duration::print(age))),
            ),
            ("rateLimit", self.rate_limit.map(|rate| json!(rate))),
            ("maxInFlight", self.max_in_flight.map(|count| json!(count))),
            ("pool", self.pool.as_ref().map(|pool| json!(pool))),
        ] {
            draft.set(&["delivery", field], given);
        }
        self.apply_signing(draft);
        for HeaderPair { key, value } in &self.headers {
            draft.set_header(key, value, false);
        }
        for header in &self.secret_headers {
            let pair = header.expose().parse::<HeaderPair>();
            let HeaderPair { key, value } =
                pair.map_err(|error| anyhow::anyhow!("--secret-header: {error}"))?;
            draft.set_header(&key, &value, true);
        }
        Ok(())
    }
}

impl DefinitionArgs {
    fn apply_signing(&self, draft: &mut Draft) {
        let keys: Vec<Value> = self
            .signing_secrets
            .iter()
            .map(|key| json!({ "key": key }))
            .collect();
        let schemes = (!self.schemes.is_empty()).then(|| json!(self.schemes));
        for (field, given) in [
            ("secrets", (!keys.is_empty()).then(|| json!(keys))),
            ("schemes", schemes),
            (
                "standardHeaders",
                self.standard_headers.map(|is_on| json!(is_on)),
            ),
        ] {
            draft.set(&["signing", field], given);
        }
    }
}

impl ChangeArgs {
    /// Takes away what was named.
    pub(super) fn apply(&self, draft: &mut Draft) {
        for key in &self.remove_headers {
            draft.remove_header(key);
        }
        draft.set(&["contentTypes"], self.any_content_type.then(|| json!([])));
        draft.set(&["basicAuth"], self.no_basic_auth.then_some(Value::Null));
        let none = self.no_transformation.then_some(Value::Null);
        draft.set(&["transformation"], none);
    }
}

/// A header as `Key: value`.
#[derive(Debug, Clone)]
struct HeaderPair {
    key: String,
    value: Secret,
}

impl FromStr for HeaderPair {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (key, value) = text
            .split_once(':')
            .ok_or("write it like `X-Source: cms`")?;
        Ok(Self {
            key: key.trim().to_owned(),
            value: Secret::new(value.trim()),
        })
    }
}

/// User name and password as `user:password`.
fn credentials(text: &Secret) -> anyhow::Result<Value> {
    let pair = text.expose().split_once(':');
    let (username, password) = pair.context("--basic-auth: write it like `user:password`")?;
    Ok(json!({ "username": username, "password": password }))
}

fn parse_schedule(text: &str) -> Result<RetrySchedule, String> {
    let waits: Result<Vec<Duration>, _> = text.split(',').map(duration::parse).collect();
    let waits = waits.map_err(|error| error.to_string())?;
    RetrySchedule::new(waits).map_err(|error| error.to_string())
}

fn parse_rate(text: &str) -> Result<RateLimit, String> {
    let error = || format!("{text:?} is no rate; write it like 50/1s");
    let (requests, per) = text.split_once('/').ok_or_else(error)?;
    Ok(RateLimit {
        requests: requests.trim().parse().map_err(|_| error())?,
        per: duration::parse(per).map_err(|_| error())?,
        burst: None,
    })
}

pub(super) fn parse_secret(text: &str) -> Result<Secret, std::convert::Infallible> {
    Ok(Secret::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_count_in_a_time() {
        let rate = parse_rate("50/1s").unwrap();
        assert_eq!(
            (rate.requests.get(), rate.per),
            (50, Duration::from_secs(1))
        );
        for bad in ["50", "0/1s", "50/", "/1s", "50/fast"] {
            assert!(parse_rate(bad).is_err(), "{bad}");
        }
    }
}
