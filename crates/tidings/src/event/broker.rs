//! Events over NATS: requests to the service of `tidings-ingest`, or straight into the stream.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::client::RequestErrorKind;
use async_nats::service::{NATS_SERVICE_ERROR, NATS_SERVICE_ERROR_CODE};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use prost::Message as _;
use tidings_core::event::EventError;
use tidings_core::name::Space;
use tidings_ingest::check::{self, Checked};
use tidings_ingest::decode::{Candidate, json};
use tidings_manage::new_ulid;
use tidings_nats::publish::{Bounds, Outgoing, PublishError, Publisher};
use tidings_nats::subject;
use tidings_proto::v1::PublishReply;
use tidings_service::clock;

use super::{Accepted, Outcome, Refusal};
use crate::client::Client;
use crate::output::Progress;

const AT_ONCE: usize = 64;
const REPLY_WITHIN: Duration = Duration::from_secs(10);

/// Publishes `events` by requests to the NATS service of `tidings-ingest`.
///
/// # Errors
/// Nobody serves them.
pub(super) async fn request(
    client: &Client,
    events: &[Bytes],
    progress: &mut Progress,
) -> anyhow::Result<Vec<Outcome>> {
    let requests = stream::iter(events).map(|event| request_one(client, event));
    collect(requests.buffered(AT_ONCE), progress).await
}

/// Publishes `events` straight into the stream, as trusted producers do.
///
/// # Errors
/// The stream is not there.
pub(super) async fn publish(
    client: &Client,
    events: &[Bytes],
    progress: &mut Progress,
) -> anyhow::Result<Vec<Outcome>> {
    let layout = client.layout().await?;
    let publisher = Publisher::new(client.nats.clone(), layout.commit, Bounds::default());
    let publishing = stream::iter(events).map(|event| publish_one(&publisher, event));
    collect(publishing.buffered(AT_ONCE), progress).await
}

async fn collect(
    mut outcomes: impl stream::Stream<Item = anyhow::Result<Outcome>> + Unpin,
    progress: &mut Progress,
) -> anyhow::Result<Vec<Outcome>> {
    let mut all = Vec::new();
    while let Some(outcome) = outcomes.next().await {
        all.push(outcome?);
        progress.add(1);
    }
    Ok(all)
}

async fn request_one(client: &Client, event: &Bytes) -> anyhow::Result<Outcome> {
    let read = json::event(event).and_then(|candidate| Ok((space_of(&candidate)?, candidate)));
    let (space, Candidate { event, .. }) = match read {
        Ok(read) => read,
        Err(fault) => return Ok(refused(&fault)),
    };
    let subject = format!("{}.{space}", subject::INGEST);
    let request = async_nats::Request::new()
        .payload(event.encode_to_vec().into())
        .timeout(Some(REPLY_WITHIN));
    let reply = client
        .nats
        .send_request(subject, request)
        .await
        .map_err(|error| {
            let remedy = match error.kind() {
                RequestErrorKind::NoResponders => {
                    "no tidings-ingest serves this broker; is it running?"
                }
                _ => "tidings-ingest did not reply",
            };
            anyhow::Error::new(error).context(remedy)
        })?;
    let headers = reply.headers.unwrap_or_default();
    if let Some(error) = headers.get(NATS_SERVICE_ERROR) {
        let status = headers
            .get(NATS_SERVICE_ERROR_CODE)
            .and_then(|code| code.as_str().parse().ok());
        let (code, detail) = error
            .as_str()
            .split_once(": ")
            .unwrap_or(("", error.as_str()));
        let error = Refusal::new(status.unwrap_or(0), code, detail);
        return Ok(Outcome::Refused { error });
    }
    let PublishReply {
        id,
        sequence,
        duplicate,
    } = PublishReply::decode(reply.payload)?;
    Ok(Outcome::Accepted(Accepted {
        id,
        sequence,
        duplicate,
    }))
}

async fn publish_one(publisher: &Publisher, event: &Bytes) -> anyhow::Result<Outcome> {
    let Checked { event, message, .. } = match checked(event, clock::now()) {
        Ok(checked) => checked,
        Err(fault) => return Ok(refused(&fault)),
    };
    let outgoing = Outgoing {
        subject: subject::event(&event.space, &event.environment, &event.topic),
        id: format!("{}.{}.{}", event.space, event.environment, event.id),
        headers: HeaderMap::new(),
        payload: message,
    };
    match publisher.publish(outgoing).await {
        Ok(stored) => Ok(Outcome::Accepted(Accepted {
            id: event.id.to_string(),
            sequence: stored.sequence,
            duplicate: stored.duplicate,
        })),
        Err(error @ (PublishError::TooLarge { .. } | PublishError::Refused { .. })) => {
            let error = Refusal::new(0, "refused", error.to_string());
            Ok(Outcome::Refused { error })
        }
        Err(error) => Err(error.into()),
    }
}

/// The event held against the same rules as in ingest: what the stream takes is trusted.
fn checked(event: &Bytes, now: Timestamp) -> Result<Checked, EventError> {
    let candidate = json::event(event)?;
    let space = space_of(&candidate)?;
    check::check(candidate, space, now, new_ulid(now))
}

fn space_of(candidate: &Candidate) -> Result<Space, EventError> {
    let space = &candidate.event.space;
    if space.is_empty() {
        let detail = "it is missing; name it in the event, or give --space";
        return Err(EventError::new("missing_field", "/space", detail));
    }
    space
        .parse()
        .map_err(|error: tidings_core::name::NameError| {
            EventError::new("bad_space", "/space", error.to_string())
        })
}

fn refused(fault: &EventError) -> Outcome {
    let problem = check::problem(fault);
    let error = Refusal::new(problem.status.as_u16(), problem.code, problem.detail);
    Outcome::Refused { error }
}
