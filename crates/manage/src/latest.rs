//! Everything that a bucket holds under some keys, read in one go.
//!
//! Asking for each key alone takes a round trip each; a space may have thousands of webhooks.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::push::OrderedConfig;
use async_nats::jetstream::kv::Store;
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::time::timeout;

use crate::{Error, Result};

/// How long the next value may take.
const NEXT_WITHIN: Duration = Duration::from_secs(5);
/// Set by the broker's clients on what says that a key was deleted.
const OPERATION: &str = "KV-Operation";

/// A value of a bucket.
#[derive(Debug, Clone)]
pub(crate) struct Value {
    pub(crate) bytes: Bytes,
    pub(crate) revision: u64,
}

/// What is stored under `keys`, a name or a wildcard, by key.
pub(crate) async fn latest(
    context: &Context,
    bucket: &Store,
    keys: &str,
) -> Result<BTreeMap<String, Value>> {
    read(context, bucket, keys, false).await
}

/// The same without the values: where there are many, they are most of it.
pub(crate) async fn latest_keys(
    context: &Context,
    bucket: &Store,
    keys: &str,
) -> Result<BTreeSet<String>> {
    let found = read(context, bucket, keys, true).await?;
    Ok(found.into_keys().collect())
}

async fn read(
    context: &Context,
    bucket: &Store,
    keys: &str,
    headers_only: bool,
) -> Result<BTreeMap<String, Value>> {
    let failed = |error: &dyn fmt::Display| Error::broker(&bucket.name, error);
    let config = OrderedConfig {
        deliver_subject: context.client().new_inbox(),
        filter_subject: format!("{}{keys}", bucket.prefix),
        deliver_policy: DeliverPolicy::LastPerSubject,
        headers_only,
        ..OrderedConfig::default()
    };
    let consumer = bucket.stream.create_consumer(config).await;
    let consumer = consumer.map_err(|error| failed(&error))?;
    let mut found = BTreeMap::new();
    if consumer.cached_info().num_pending == 0 {
        return Ok(found);
    }
    let messages = consumer.messages().await;
    let mut messages = messages.map_err(|error| failed(&error))?;
    loop {
        let next = timeout(NEXT_WITHIN, messages.next()).await;
        let next = next.map_err(|_| failed(&"the next value does not come"))?;
        let Some(message) = next.transpose().map_err(|error| failed(&error))? else {
            return Err(failed(&"the values ended early"));
        };
        let info = message.info().map_err(|error| failed(&error))?;
        let (revision, pending) = (info.stream_sequence, info.pending);
        let headers = message.headers.as_ref();
        let is_deleted = headers.is_some_and(|headers| headers.get(OPERATION).is_some());
        if let Some(key) = message.subject.strip_prefix(bucket.prefix.as_str())
            && !is_deleted
        {
            let bytes = message.payload.clone();
            found.insert(key.to_owned(), Value { bytes, revision });
        }
        if pending == 0 {
            return Ok(found);
        }
    }
}
