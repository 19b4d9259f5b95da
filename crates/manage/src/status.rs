//! How the installation is doing: what waits in each stream, and who is alive.

use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::kv::Operation;
use futures_util::TryStreamExt as _;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use tidings_core::name::Pool;
use tidings_nats::topology::{
    ATTEMPTS, AUDIT, DEAD_LETTERS, DELIVERIES, EVENTS, MEMBERS_BUCKET, RETRIES, ROUTER_CONSUMER,
};

use crate::{Error, Manage, Result};

/// Everything at one moment.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The streams.
    pub streams: Vec<StreamStatus>,
    /// Senders that are alive.
    pub members: Vec<Member>,
    /// Pools that were provisioned.
    pub pools: Vec<Pool>,
}

/// A stream.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamStatus {
    /// Its name.
    pub name: String,
    /// Messages in it.
    pub messages: u64,
    /// Bytes in it.
    pub bytes: u64,
    /// Bytes it may hold; absent if it has no bound of its own.
    pub bytes_max: Option<u64>,
    /// When its oldest message was stored, if there is one.
    pub oldest_at: Option<Timestamp>,
    /// Messages that nobody has taken yet, of the streams that somebody takes from.
    pub waiting: Option<u64>,
    /// Messages that somebody took and has not settled.
    pub in_hand: Option<u64>,
}

/// A sender that is alive.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// Its pool.
    pub pool: String,
    /// What it calls itself.
    pub name: String,
    /// When it last gave a sign of life.
    pub seen_at: Option<Timestamp>,
    /// What it says of itself, as it lies in the bucket.
    pub says: Value,
}

impl Manage {
    /// Looks at everything.
    ///
    /// # Errors
    /// The broker was not provisioned, or it does not answer.
    pub async fn status(&self) -> Result<Status> {
        let layout = self.layout().await?;
        let mut streams = Vec::new();
        for name in [EVENTS, DELIVERIES, RETRIES, ATTEMPTS, DEAD_LETTERS, AUDIT] {
            streams.push(self.stream_status(name).await?);
        }
        Ok(Status {
            streams,
            members: self.members().await?,
            pools: layout.pools.into_iter().collect(),
        })
    }

    /// Senders that are alive, by pool and name.
    ///
    /// # Errors
    /// The broker does not answer.
    pub async fn members(&self) -> Result<Vec<Member>> {
        let failed = |error: &dyn std::fmt::Display| Error::broker(MEMBERS_BUCKET, error);
        let bucket = self.bucket(MEMBERS_BUCKET).await?;
        let keys = bucket.keys().await.map_err(|error| failed(&error))?;
        let keys: Result<Vec<String>, _> = keys.try_collect().await;
        let mut keys = keys.map_err(|error| failed(&error))?;
        keys.sort_unstable();
        let mut members = Vec::with_capacity(keys.len());
        for key in keys {
            let entry = bucket.entry(&key).await.map_err(|error| failed(&error))?;
            let Some(entry) = entry.filter(|entry| entry.operation == Operation::Put) else {
                continue;
            };
            let (pool, name) = key.split_once('.').unwrap_or(("", &key));
            members.push(Member {
                pool: pool.to_owned(),
                name: name.to_owned(),
                seen_at: time(entry.created.unix_timestamp_nanos()),
                says: serde_json::from_slice(&entry.value).unwrap_or_default(),
            });
        }
        Ok(members)
    }

    async fn stream_status(&self, name: &'static str) -> Result<StreamStatus> {
        let failed = |error: &dyn std::fmt::Display| Error::broker(name, error);
        let stream = self.context().get_stream(name).await;
        let stream = stream.map_err(|error| failed(&error))?;
        let info = stream.cached_info();
        let (state, config) = (&info.state, &info.config);
        let is_empty = state.messages == 0;
        let (waiting, in_hand) = match name {
            EVENTS => self.lag(name, Some(ROUTER_CONSUMER)).await?,
            DELIVERIES => self.lag(name, None).await?,
            RETRIES => self.lag(name, None).await?,
            _ => (None, None),
        };
        Ok(StreamStatus {
            name: name.to_owned(),
            messages: state.messages,
            bytes: state.bytes,
            bytes_max: u64::try_from(config.max_bytes).ok().filter(|max| *max > 0),
            oldest_at: time(state.first_timestamp.unix_timestamp_nanos()).filter(|_| !is_empty),
            waiting,
            in_hand,
        })
    }

    /// What waits for one consumer of a stream, or for all of them.
    async fn lag(
        &self,
        name: &'static str,
        only: Option<&str>,
    ) -> Result<(Option<u64>, Option<u64>)> {
        let failed = |error: &dyn std::fmt::Display| Error::broker(name, error);
        let stream = self.context().get_stream_no_info(name).await;
        let stream = stream.map_err(|error| failed(&error))?;
        let (mut waiting, mut in_hand) = (0, 0);
        if let Some(consumer) = only {
            let consumer: PullConsumer = match stream.get_consumer(consumer).await {
                Ok(consumer) => consumer,
                Err(error) => return Err(Error::broker(name, error)),
            };
            let info = consumer.cached_info();
            return Ok((
                Some(info.num_pending),
                u64::try_from(info.num_ack_pending).ok(),
            ));
        }
        let mut consumers = stream.consumers();
        while let Some(info) = consumers.try_next().await.map_err(|error| failed(&error))? {
            waiting += info.num_pending;
            in_hand += u64::try_from(info.num_ack_pending).unwrap_or(0);
        }
        Ok((Some(waiting), Some(in_hand)))
    }
}

fn time(nanos: i128) -> Option<Timestamp> {
    Timestamp::from_nanosecond(nanos).ok()
}
