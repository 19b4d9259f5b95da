//! Events over HTTP, to `tidings-ingest`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use bytes::{BufMut as _, Bytes, BytesMut};
use http::header::{AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use serde::Deserialize;
use serde_json::value::RawValue;
use tidings_core::address::AddressPolicy;
use tidings_core::format::USER_AGENT_VALUE;
use tidings_core::secret::Secret;
use tidings_egress::{EgressClient, EgressOptions, OutgoingRequest, Response};

use super::{Accepted, Outcome, Refusal};
use crate::input;
use crate::output::Progress;

/// The limits of a batch (CONTRACT.md section 3), with room for brackets and commas.
const BATCH_EVENTS_MAX: usize = 1_000;
const BATCH_BYTES_MAX: usize = 7 << 20;
const ANSWER_BYTES_MAX: usize = 4 << 20;
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

// How tidings-ingest is reached, for --via http.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "HTTP")]
pub(super) struct HttpArgs {
    /// Where tidings-ingest listens.
    #[arg(
        long,
        env = "TIDINGS_INGEST_URL",
        value_name = "URL",
        default_value = "http://127.0.0.1:8080"
    )]
    ingest_url: String,
    /// Token with the scope events:write.
    #[arg(long, env = "TIDINGS_TOKEN", value_name = "TOKEN", hide_env_values = true, value_parser = parse_secret)]
    token: Option<Secret>,
    /// File with that token.
    #[arg(
        long,
        env = "TIDINGS_TOKEN_FILE",
        value_name = "FILE",
        conflicts_with = "token"
    )]
    token_file: Option<PathBuf>,
}

fn parse_secret(text: &str) -> Result<Secret, std::convert::Infallible> {
    Ok(Secret::new(text))
}

/// Publishes `events`, many in batches.
///
/// # Errors
/// Ingest cannot be reached, or does not answer as one.
pub(super) async fn send(
    args: &HttpArgs,
    events: &[Bytes],
    progress: &mut Progress,
) -> anyhow::Result<Vec<Outcome>> {
    let ingest = Ingest::new(args).await?;
    if let [event] = events {
        return Ok(vec![ingest.publish(event).await?]);
    }
    let mut outcomes = Vec::with_capacity(events.len());
    for batch in batches(events) {
        let answered = ingest.publish_batch(batch).await;
        let answered = answered.with_context(|| {
            format!(
                "{} of {} events were published before",
                outcomes.len(),
                events.len()
            )
        })?;
        progress.add(batch.len() as u64);
        outcomes.extend(answered);
    }
    Ok(outcomes)
}

struct Ingest {
    client: EgressClient,
    root: String,
    headers: HeaderMap,
}

impl Ingest {
    async fn new(args: &HttpArgs) -> anyhow::Result<Self> {
        // The operator's own service may be anywhere.
        let everywhere = ["0.0.0.0/0", "::/0"].map(|net| net.parse().expect("it is a network"));
        let client = EgressClient::new(EgressOptions {
            addresses: AddressPolicy {
                allow: everywhere.to_vec(),
                deny: Vec::new(),
            },
            body_bytes_max: ANSWER_BYTES_MAX,
            body_timeout: ANSWER_WITHIN,
            body_frames_max: ANSWER_BYTES_MAX,
            ..EgressOptions::default()
        })?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static(USER_AGENT_VALUE));
        if let Some(token) = token(args).await? {
            let bearer = format!("Bearer {}", token.expose());
            let mut value = HeaderValue::from_str(&bearer)
                .context("the token has characters that no header can carry")?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        Ok(Self {
            client,
            root: args.ingest_url.trim_end_matches('/').to_owned(),
            headers,
        })
    }

    async fn publish(&self, event: &Bytes) -> anyhow::Result<Outcome> {
        let answer = self.post("/v1/events", event.clone()).await?;
        match answer.status {
            StatusCode::ACCEPTED => {
                let accepted: Accepted =
                    serde_json::from_slice(&answer.body).context("the answer cannot be read")?;
                Ok(Outcome::Accepted(accepted))
            }
            _ => Ok(Outcome::Refused {
                error: refusal(&answer),
            }),
        }
    }

    async fn publish_batch(&self, events: &[Bytes]) -> anyhow::Result<Vec<Outcome>> {
        let answer = self.post("/v1/events:batch", join(events)).await?;
        if answer.status != StatusCode::OK {
            anyhow::bail!("the batch was refused: {}", refusal(&answer));
        }
        let Results { results } =
            serde_json::from_slice(&answer.body).context("the answer cannot be read")?;
        anyhow::ensure!(
            results.len() == events.len(),
            "the answer is not about every event"
        );
        results.iter().map(|result| outcome(result)).collect()
    }

    async fn post(&self, path: &str, body: Bytes) -> anyhow::Result<Response> {
        let url = format!("{}{path}", self.root);
        let request = OutgoingRequest {
            method: Method::POST,
            url: Uri::try_from(&url).with_context(|| {
                format!(
                    "--ingest-url {} cannot be used; write it like http://127.0.0.1:8080",
                    self.root
                )
            })?,
            headers: self.headers.clone(),
            body,
            content_length: true,
        };
        let exchange = self.client.exchange(&request, ANSWER_WITHIN).await;
        let reach = || {
            format!(
                "tidings-ingest at {} did not answer; see --ingest-url",
                self.root
            )
        };
        exchange.result.with_context(reach)
    }
}

async fn token(args: &HttpArgs) -> anyhow::Result<Option<Secret>> {
    let Some(path) = &args.token_file else {
        return Ok(args.token.clone());
    };
    let text = String::from_utf8(input::read(path).await?).context("--token-file is no text")?;
    Ok(Some(Secret::new(text.trim())))
}

/// The answer to a batch.
#[derive(Deserialize)]
struct Results<'a> {
    #[serde(borrow)]
    results: Vec<&'a RawValue>,
}

/// What becomes of one event of a batch: its receipt or its problem, told apart by their status.
fn outcome(result: &RawValue) -> anyhow::Result<Outcome> {
    #[derive(Deserialize)]
    struct Status {
        status: u16,
    }
    let Status { status } = serde_json::from_str(result.get())?;
    Ok(match status {
        200..=299 => Outcome::Accepted(serde_json::from_str(result.get())?),
        _ => Outcome::Refused {
            error: serde_json::from_str(result.get())?,
        },
    })
}

/// What a problem answer says, or that there was none.
fn refusal(answer: &Response) -> Refusal {
    let status = answer.status.as_u16();
    let read: Result<Refusal, _> = serde_json::from_slice(&answer.body);
    match read {
        Ok(refusal) if !refusal.detail.is_empty() => refusal,
        _ => Refusal::new(status, "http", format!("status {}", answer.status)),
    }
}

fn batches(events: &[Bytes]) -> impl Iterator<Item = &[Bytes]> {
    let mut rest = events;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = rest.iter().take(BATCH_EVENTS_MAX).take_while(|event| {
            bytes += event.len() + 1;
            bytes <= BATCH_BYTES_MAX
        });
        // An event that is too large goes alone, so that it alone is refused.
        let count = fits.count().max(1).min(rest.len());
        let (batch, others) = rest.split_at(count);
        rest = others;
        (!batch.is_empty()).then_some(batch)
    })
}

fn join(events: &[Bytes]) -> Bytes {
    let mut text = BytesMut::new();
    text.put_u8(b'[');
    for (index, event) in events.iter().enumerate() {
        if index > 0 {
            text.put_u8(b',');
        }
        text.put_slice(event);
    }
    text.put_u8(b']');
    text.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_keep_to_both_limits() {
        let small = vec![Bytes::from_static(b"{}"); 2_001];
        let counts: Vec<usize> = batches(&small).map(<[Bytes]>::len).collect();
        assert_eq!(counts, [1_000, 1_000, 1]);
        let half = Bytes::from(vec![b' '; BATCH_BYTES_MAX / 2]);
        let huge = Bytes::from(vec![b' '; BATCH_BYTES_MAX * 2]);
        let large = [huge.clone(), half.clone(), half, huge];
        let counts: Vec<usize> = batches(&large).map(<[Bytes]>::len).collect();
        assert_eq!(counts, [1, 1, 1, 1]);
    }
}
