//! Many events in one request, each with its own answer.

use axum::Json;
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::StatusCode;
use serde::Serialize;
use tidings_core::event::EventError;
use tidings_nats::trace_context::TraceContext;
use tidings_service::problem::Problem;

use super::Api;
use super::media::Many;
use crate::accept::Accepted;
use crate::auth::Caller;
use crate::check;
use crate::decode::Candidate;
use crate::metrics::Transport;

/// The largest batch in bytes (CONTRACT.md section 3).
const BATCH_BYTES_MAX: usize = 8 << 20;

/// The answer to a batch: one result for each event, in their order.
#[derive(Debug, Serialize)]
struct Results {
    results: Vec<Item>,
}

/// What became of one event. Both forms have a `status`.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Item {
    Accepted {
        status: u16,
        #[serde(flatten)]
        accepted: Accepted,
    },
    Refused {
        #[serde(flatten)]
        problem: Problem,
        /// In seconds; a batch's items have no header of their own.
        #[serde(rename = "retryAfter", skip_serializing_if = "Option::is_none")]
        retry_after: Option<u64>,
    },
}

impl From<Result<Accepted, Problem>> for Item {
    fn from(taken: Result<Accepted, Problem>) -> Self {
        match taken {
            Ok(accepted) => Self::Accepted {
                status: StatusCode::ACCEPTED.as_u16(),
                accepted,
            },
            Err(problem) => Self::Refused {
                retry_after: problem.retry_after.map(|wait| wait.as_secs()),
                problem,
            },
        }
    }
}

impl Api {
    pub(super) async fn publish_batch(
        &self,
        request: Request,
        trace: Option<&TraceContext>,
    ) -> Result<Response, Problem> {
        let (head, body) = request.into_parts();
        let caller = self.authenticate(&head)?;
        let media = Many::of(&head.headers)?;
        let held = self.read(&head, body, BATCH_BYTES_MAX).await?;
        let items = media.split(&held.bytes)?;
        let publishing = stream::iter(items.into_iter().enumerate())
            .map(|(index, item)| self.publish_item(media, index, item, &caller, trace))
            .buffered(self.batch_concurrency());
        let results = publishing.map(Item::from).collect().await;
        drop(held);
        Ok(Json(Results { results }).into_response())
    }

    async fn publish_item(
        &self,
        media: Many,
        index: usize,
        item: Bytes,
        caller: &Caller,
        trace: Option<&TraceContext>,
    ) -> Result<Accepted, Problem> {
        let taken = match self.decode_item(media, &item) {
            Ok(candidate) => {
                let accepting = self
                    .ingest
                    .accept(candidate, caller, trace, Transport::Http);
                accepting.await
            }
            Err(fault) => Err(check::problem(&fault)),
        };
        taken.map_err(|problem| {
            self.ingest.refused(&problem, Transport::Http);
            at_index(problem, index)
        })
    }

    fn decode_item(&self, media: Many, item: &Bytes) -> Result<Candidate, EventError> {
        let bytes_max = self.ingest.event_bytes_max;
        if item.len() > bytes_max {
            let detail = format!(
                "the event has {} bytes, the limit is {bytes_max}",
                item.len()
            );
            return Err(EventError::new("too_large", "", detail));
        }
        media.decode(item)
    }

    /// A quarter of what may be unacknowledged, so that a batch cannot crowd itself out.
    fn batch_concurrency(&self) -> usize {
        (self.max_unacked / 4).max(1)
    }
}

/// The same problem with pointers into the batch: to the event itself if it is about no field.
fn at_index(mut problem: Problem, index: usize) -> Problem {
    if problem.errors.is_empty() && problem.status.is_client_error() {
        let detail = problem.detail.clone();
        problem = problem.at("", detail);
    }
    for error in &mut problem.errors {
        error.pointer.insert_str(0, &format!("/{index}"));
    }
    problem
}
