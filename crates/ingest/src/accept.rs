//! The one way of an event into the stream, whoever brought it: check, limit, publish, answer.

use std::sync::OnceLock;

use jiff::Timestamp;
use rand::RngExt as _;
use serde::Serialize;
use tidings_core::id::EventId;
use tidings_nats::trace_context::TraceContext;
use tidings_service::clock;
use tidings_service::problem::Problem;
use tokio::time::Instant;
use tracing::debug;
use ulid::Ulid;

use crate::args::IngestArgs;
use crate::auth::{Caller, Tokens};
use crate::check::{Checked, check, problem};
use crate::decode::Candidate;
use crate::metrics::{Metrics, Transport};
use crate::rate::SpaceRate;
use crate::store::{Store, not_ready};

/// An event that the stream has acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Accepted {
    /// Its id: the producer's own, or a new one.
    pub(crate) id: EventId,
    /// Its place in the stream of events.
    pub(crate) sequence: u64,
    /// Whether the stream had it already.
    pub(crate) duplicate: bool,
}

/// What ingest needs for accepting events.
#[derive(Debug)]
pub(crate) struct Ingest {
    pub(crate) tokens: Tokens,
    pub(crate) metrics: Metrics,
    pub(crate) rate: SpaceRate,
    /// The largest event in bytes, as it comes over the wire.
    pub(crate) event_bytes_max: usize,
    store: OnceLock<Store>,
}

impl Ingest {
    pub(crate) fn new(args: &IngestArgs) -> Self {
        Self {
            tokens: Tokens::default(),
            metrics: Metrics::new(),
            rate: SpaceRate::new(args.space_rate()),
            event_bytes_max: args.max_event_size.0,
            store: OnceLock::new(),
        }
    }

    /// From now on events are taken: the broker, its streams and the tokens are there.
    pub(crate) fn open(&self, store: Store) {
        // Opened once; a second store would be the same.
        let _ = self.store.set(store);
    }

    /// Whether events are taken yet.
    pub(crate) fn check_open(&self) -> Result<(), Problem> {
        self.store().map(drop)
    }

    /// Takes an event that `caller` brought. `trace` is the trace of the request that brought it.
    pub(crate) async fn accept(
        &self,
        candidate: Candidate,
        caller: &Caller,
        trace: Option<&TraceContext>,
        transport: Transport,
    ) -> Result<Accepted, Problem> {
        let accepted = self.take(candidate, caller, trace).await?;
        let Accepted {
            id,
            sequence,
            duplicate,
        } = &accepted;
        self.metrics.accepted(transport, *duplicate);
        debug!(event.id = %id, event.sequence = sequence, event.duplicate = duplicate, "accepted {id}");
        Ok(accepted)
    }

    /// Tells of what was refused. Whoever answers calls this.
    pub(crate) fn refused(&self, problem: &Problem, transport: Transport) {
        self.metrics.refused(transport, problem);
        debug!(problem.code, "refused an event: {}", problem.detail);
    }

    async fn take(
        &self,
        candidate: Candidate,
        caller: &Caller,
        trace: Option<&TraceContext>,
    ) -> Result<Accepted, Problem> {
        let store = self.store()?;
        let now = clock::now();
        let space = caller.space(&candidate.event.space)?;
        let own_trace = candidate.trace.clone();
        let checked =
            check(candidate, space, now, new_ulid(now)).map_err(|fault| problem(&fault))?;
        self.rate.take(&checked.event.space)?;
        self.publish(store, checked, own_trace.as_ref(), trace)
            .await
    }

    async fn publish(
        &self,
        store: &Store,
        checked: Checked,
        own_trace: Option<&TraceContext>,
        trace: Option<&TraceContext>,
    ) -> Result<Accepted, Problem> {
        let running = self.metrics.publish_begins();
        let begun = Instant::now();
        let stored = store.put(&checked, own_trace, trace).await?;
        self.metrics.published(begun.elapsed());
        drop(running);
        // Only a producer's own id can be another event's. If a new one is known to the stream,
        // it is from a try of ours whose acknowledgement was lost.
        let duplicate = stored.duplicate && checked.has_own_id;
        if duplicate {
            store.compare(&checked, stored.sequence).await?;
        }
        Ok(Accepted {
            id: checked.event.id,
            sequence: stored.sequence,
            duplicate,
        })
    }

    fn store(&self) -> Result<&Store, Problem> {
        self.store.get().ok_or_else(not_ready)
    }
}

/// The id of an event that came without one. This is the edge where chance comes in.
#[expect(
    clippy::disallowed_methods,
    reason = "the edge: rules take the id that is drawn here"
)]
fn new_ulid(now: Timestamp) -> Ulid {
    let millisecond = u64::try_from(now.as_millisecond()).unwrap_or_default();
    Ulid::from_parts(millisecond, rand::rng().random())
}
