//! Where events go in: ingest over HTTP, or a stream.

use std::time::Duration;

use anyhow::{Context as _, bail};
use async_nats::HeaderMap;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Request, StatusCode};
use jiff::Timestamp;
use serde::Deserialize;
use tidings_nats::publish::{Bounds, Outgoing, Publisher};
use tokio::time::{Instant, sleep};

use crate::broker;
use crate::event;
use crate::http::Http;
use crate::load::{LoadArgs, Way};

const SINGLE_PATH: &str = "/v1/events";
const BATCH_PATH: &str = "/v1/events:batch";

/// Back-pressure is an answer; no end to it is not.
const REFUSED_MAX: Duration = Duration::from_secs(30);
const REFUSED_WAIT: Duration = Duration::from_millis(20);

/// One producer.
#[derive(Debug)]
pub(super) struct Door {
    way: Way,
    entrance: Entrance,
}

#[derive(Debug)]
enum Entrance {
    Http {
        http: Http,
        authorization: HeaderValue,
    },
    Stream(Publisher),
}

impl Door {
    /// Producers side by side; those of a stream share its connection.
    ///
    /// # Errors
    /// The address cannot be used, or the broker is not there.
    pub(super) async fn open_many(args: &LoadArgs, count: u64) -> anyhow::Result<Vec<Self>> {
        let way = args.way;
        match way {
            Way::Batch | Way::Single => {
                let authorization = HeaderValue::from_str(&format!("Bearer {}", args.token))?;
                let door = |_| {
                    let authorization = authorization.clone();
                    let http = Http::new(&args.url)?;
                    Ok(Self {
                        way,
                        entrance: Entrance::Http {
                            http,
                            authorization,
                        },
                    })
                };
                (0..count).map(door).collect()
            }
            Way::Direct | Way::Floor => {
                let broker = broker::connect(&args.url).await?;
                let publisher =
                    Publisher::new(broker.client, broker.layout.commit, Bounds::default());
                let door = |_| Self {
                    way,
                    entrance: Entrance::Stream(publisher.clone()),
                };
                Ok((0..count).map(door).collect())
            }
        }
    }

    /// Publishes the events of these numbers until all are accepted. Returns how often one had to
    /// be published again.
    ///
    /// # Errors
    /// One was refused for good, or for too long.
    pub(super) async fn publish(
        &mut self,
        mut numbers: Vec<u64>,
        occurred_at: Timestamp,
    ) -> anyhow::Result<u64> {
        let give_up = Instant::now() + REFUSED_MAX;
        let mut retries = 0;
        loop {
            let tried = self.publish_once(&numbers, occurred_at).await;
            let why = match tried {
                Ok(Refused {
                    numbers: refused, ..
                }) if refused.is_empty() => return Ok(retries),
                Ok(refused) => {
                    numbers = refused.numbers;
                    refused.why
                }
                Err(Failed::Final(error)) => return Err(error),
                Err(Failed::ForNow(error)) => format!("{error:#}"),
            };
            if Instant::now() > give_up {
                bail!("events were refused for {REFUSED_MAX:?}: {why}");
            }
            retries += numbers.len() as u64;
            sleep(REFUSED_WAIT).await;
        }
    }

    async fn publish_once(
        &mut self,
        numbers: &[u64],
        occurred_at: Timestamp,
    ) -> Result<Refused, Failed> {
        match &mut self.entrance {
            Entrance::Stream(publisher) => {
                for number in numbers {
                    let outgoing = outgoing(self.way, *number, occurred_at);
                    publisher.publish(outgoing).await.map_err(|error| {
                        match error.is_temporary() {
                            true => Failed::ForNow(error.into()),
                            false => Failed::Final(error.into()),
                        }
                    })?;
                }
                Ok(Refused::default())
            }
            Entrance::Http {
                http,
                authorization,
            } => {
                let request = request(self.way, numbers, occurred_at, authorization.clone())
                    .map_err(Failed::Final)?;
                let answer = http.send(request).await.map_err(Failed::ForNow)?;
                judge(self.way, numbers, answer.status, &answer.body)
            }
        }
    }
}

/// Events that were not taken, and why the last of them was not.
#[derive(Debug, Default, PartialEq, Eq)]
struct Refused {
    numbers: Vec<u64>,
    why: String,
}

/// Nothing was taken.
#[derive(Debug)]
enum Failed {
    ForNow(anyhow::Error),
    Final(anyhow::Error),
}

fn outgoing(way: Way, number: u64, occurred_at: Timestamp) -> Outgoing {
    let payload = match way {
        Way::Floor => Bytes::from(event::payload(number)),
        Way::Batch | Way::Single | Way::Direct => event::wire(number, occurred_at),
    };
    Outgoing {
        subject: event::subject(),
        id: event::message_id(number),
        headers: HeaderMap::new(),
        payload,
    }
}

fn request(
    way: Way,
    numbers: &[u64],
    occurred_at: Timestamp,
    authorization: HeaderValue,
) -> anyhow::Result<Request<http_body_util::Full<Bytes>>> {
    let events: Vec<String> = numbers
        .iter()
        .map(|number| event::json(*number, occurred_at))
        .collect();
    let (path, body) = match way {
        Way::Batch => (BATCH_PATH, format!("[{}]", events.join(","))),
        Way::Single | Way::Direct | Way::Floor => (SINGLE_PATH, events.concat()),
    };
    Request::post(path)
        .header(AUTHORIZATION, authorization)
        .header(CONTENT_TYPE, "application/json")
        .body(Bytes::from(body).into())
        .context("a request that cannot be written")
}

fn judge(way: Way, numbers: &[u64], status: StatusCode, body: &Bytes) -> Result<Refused, Failed> {
    let shown = || {
        anyhow::anyhow!(
            "ingest answered {status}: {}",
            String::from_utf8_lossy(body)
        )
    };
    match (way, status) {
        (Way::Batch, StatusCode::OK) => refused_of_batch(numbers, body).map_err(Failed::Final),
        (_, StatusCode::ACCEPTED) => Ok(Refused::default()),
        (_, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) => {
            Err(Failed::ForNow(shown()))
        }
        _ => Err(Failed::Final(shown())),
    }
}

/// One result for each event of a batch.
#[derive(Debug, Deserialize)]
struct Results {
    results: Vec<Item>,
}

/// Accepted, or a problem (RFC 9457); both have a status.
#[derive(Debug, Deserialize)]
struct Item {
    status: u16,
    #[serde(default)]
    detail: String,
}

fn refused_of_batch(numbers: &[u64], body: &Bytes) -> anyhow::Result<Refused> {
    let Results { results: items } = serde_json::from_slice(body)
        .with_context(|| format!("no batch answer: {}", String::from_utf8_lossy(body)))?;
    if items.len() != numbers.len() {
        bail!(
            "{} events were answered with {} results",
            numbers.len(),
            items.len()
        );
    }
    let mut refused = Refused::default();
    for (number, item) in numbers.iter().zip(items) {
        match item.status {
            202 => {}
            429 | 503 => {
                refused.numbers.push(*number);
                refused.why = item.detail;
            }
            status => bail!("event {number} was refused: {status} {}", item.detail),
        }
    }
    Ok(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_batch_did_not_take_for_now_is_tried_again_and_a_final_refusal_is_an_error() {
        let of =
            |body: &'static str| refused_of_batch(&[7, 8], &Bytes::from_static(body.as_bytes()));
        let taken = r#"{"results":[{"status":202,"id":"7"},{"status":202,"id":"8"}]}"#;
        assert_eq!(of(taken).unwrap(), Refused::default());
        let partly = r#"{"results":[{"status":202},{"status":503,"detail":"full"}]}"#;
        let refused = Refused {
            numbers: vec![8],
            why: "full".into(),
        };
        assert_eq!(of(partly).unwrap(), refused);
        assert!(of(r#"{"results":[{"status":202},{"status":422,"detail":"no"}]}"#).is_err());
        assert!(of(r#"{"results":[{"status":202}]}"#).is_err());
    }
}
