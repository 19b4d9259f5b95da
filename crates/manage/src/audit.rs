//! Who changed what, and when: a record of every change in the stream AUDIT, without secrets.

use std::fmt;
use std::time::Duration;

use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::pull::OrderedConfig;
use futures_util::StreamExt as _;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidings_core::name::Space;
use tidings_nats::consume::reader_name;
use tidings_nats::publish::MESSAGE_ID;
use tidings_nats::subject;
use tidings_nats::topology::AUDIT;
use tidings_service::clock;
use tracing::{error, info};

use crate::{Error, Manage, Result, new_ulid};

/// How often the broker is asked to store a record.
const TRIES: usize = 3;
const STORED_WITHIN: Duration = Duration::from_secs(2);
const NEXT_WITHIN: Duration = Duration::from_secs(5);
/// Records a page holds at most.
const PAGE_MAX: usize = 200;
/// How many places of the stream are read at once, newest first.
const STRETCH: u64 = 512;

/// By which way somebody came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// The command line, on the broker itself.
    CommandLine,
    /// The management API.
    Api,
    /// The dashboard.
    Dashboard,
}

/// Who makes a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Actor {
    /// The token's id, or the system's user at the command line.
    pub id: String,
    /// What the token is called.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The way.
    pub via: Via,
}

impl Actor {
    /// Somebody at the command line.
    #[must_use]
    pub fn at_command_line(user: &str) -> Self {
        Self {
            id: user.to_owned(),
            name: String::new(),
            via: Via::CommandLine,
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name.as_str() {
            "" => f.write_str(&self.id),
            name => write!(f, "{name} ({})", self.id),
        }
    }
}

/// A record of one change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Its own id.
    pub id: String,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: Actor,
    /// The space it is about; absent if it is about the installation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub space: Option<Space>,
    /// What was done, such as `webhook.update`.
    pub action: String,
    /// The id of what it was done to.
    pub target: String,
    /// What it was before, as answers show it: without secrets.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub old: Value,
    /// What it is now, in the same form.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub new: Value,
}

/// What is to be recorded.
#[derive(Debug)]
pub struct Change<'a> {
    /// Who.
    pub actor: &'a Actor,
    /// The space it is about.
    pub space: Option<&'a Space>,
    /// What was done.
    pub action: &'static str,
    /// The id of what it was done to.
    pub target: &'a str,
    /// What it was before; null if it was not there.
    pub old: Value,
    /// What it is now; null if it is gone.
    pub new: Value,
}

/// Records, newest first.
#[derive(Debug, Clone, Serialize)]
pub struct Page {
    /// The records.
    pub items: Vec<Record>,
    /// The place before which the next page begins; absent on the last.
    pub next: Option<u64>,
}

impl Manage {
    /// Records a change that was made. It is made whatever happens here, so a record that cannot
    /// be stored goes to the log whole instead.
    pub async fn record(&self, change: Change<'_>) {
        let now = clock::now();
        let record = Record {
            id: format!("aud_{}", new_ulid(now)),
            at: now,
            actor: change.actor.clone(),
            space: change.space.cloned(),
            action: change.action.to_owned(),
            target: change.target.to_owned(),
            old: change.old,
            new: change.new,
        };
        info!(
            audit.id = record.id, audit.action = record.action, audit.target = record.target,
            audit.actor = %record.actor, audit.space = record.space.as_ref().map(Space::as_str),
            "{} {} by {}", record.action, record.target, record.actor
        );
        if let Err(failure) = self.store_record(&record).await {
            let whole = serde_json::to_string(&record).unwrap_or_default();
            error!(error = %failure, audit.record = whole, "an audit record was not stored");
        }
    }

    async fn store_record(&self, record: &Record) -> Result<()> {
        let subject = subject::audit(record.space.as_ref());
        let body = serde_json::to_vec(record).map_err(|error| Error::broker(AUDIT, error))?;
        let mut failure = Error::broker(AUDIT, "no answer");
        for _ in 0..TRIES {
            let mut headers = async_nats::HeaderMap::new();
            headers.insert(MESSAGE_ID, record.id.as_str());
            let publish =
                self.context()
                    .publish_with_headers(subject.clone(), headers, body.clone().into());
            let stored = async { publish.await?.await };
            match tokio::time::timeout(STORED_WITHIN, stored).await {
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(error)) => failure = Error::broker(AUDIT, error),
                Err(_) => {}
            }
        }
        Err(failure)
    }

    /// Records of changes, newest first: those of a space, or all.
    ///
    /// # Errors
    /// The broker does not answer.
    pub async fn records(
        &self,
        space: Option<&Space>,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Page> {
        let limit = limit.clamp(1, PAGE_MAX);
        let failed = |error: &dyn fmt::Display| Error::broker(AUDIT, error);
        let stream = self.context().get_stream(AUDIT).await;
        let stream = stream.map_err(|error| failed(&error))?;
        let state = &stream.cached_info().state;
        let first = state.first_sequence;
        let mut end = before.map_or(state.last_sequence, |place| place.saturating_sub(1));
        end = end.min(state.last_sequence);
        let mut found: Vec<(u64, Record)> = Vec::new();
        let filter = space.map_or_else(
            || subject::AUDIT.to_owned(),
            |own| subject::audit(Some(own)),
        );
        while state.messages > 0 && end >= first && end > 0 && found.len() <= limit {
            let start = end.saturating_sub(STRETCH - 1).max(first).max(1);
            let mut stretch = read(&stream, &filter, start, end).await?;
            stretch.reverse();
            found.extend(stretch);
            end = start - 1;
        }
        let more = found.len() > limit || (end >= first && end > 0 && state.messages > 0);
        found.truncate(limit);
        let next = found.last().map(|(place, _)| *place).filter(|_| more);
        let items = found.into_iter().map(|(_, record)| record).collect();
        Ok(Page { items, next })
    }
}

/// The records from one place to another, oldest first.
async fn read(
    stream: &async_nats::jetstream::stream::Stream,
    filter: &str,
    start: u64,
    end: u64,
) -> Result<Vec<(u64, Record)>> {
    let config = OrderedConfig {
        name: Some(reader_name()),
        filter_subject: filter.to_owned(),
        deliver_policy: DeliverPolicy::ByStartSequence {
            start_sequence: start,
        },
        ..OrderedConfig::default()
    };
    let failed = |error: &dyn fmt::Display| Error::broker(AUDIT, error);
    let consumer = stream.create_consumer(config).await;
    let consumer = consumer.map_err(|error| failed(&error))?;
    let mut records = Vec::new();
    if consumer.cached_info().num_pending == 0 {
        return Ok(records);
    }
    let messages = consumer.messages().await;
    let mut messages = messages.map_err(|error| failed(&error))?;
    loop {
        let next = tokio::time::timeout(NEXT_WITHIN, messages.next()).await;
        let next = next.map_err(|_| failed(&"the next record does not come"))?;
        let Some(message) = next.transpose().map_err(|error| failed(&error))? else {
            return Ok(records);
        };
        let info = message.info().map_err(|error| failed(&error))?;
        if info.stream_sequence > end {
            return Ok(records);
        }
        let (place, pending) = (info.stream_sequence, info.pending);
        // What a newer version wrote in another form is left out.
        let record = serde_json::from_slice(&message.payload).ok();
        records.extend(record.map(|record| (place, record)));
        if pending == 0 {
            return Ok(records);
        }
    }
}
