//! Reading a stream without taking anything out of it.

use std::ops::RangeInclusive;
use std::time::Duration;

use anyhow::Context as _;
use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::pull::OrderedConfig;
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{DirectGetErrorKind, Stream};
use bytes::Bytes;
use futures_util::StreamExt as _;
use tidings_nats::publish::MESSAGE_ID;

use crate::client::Client;
use crate::output::Progress;

/// The newest part of a stream is read first, because most questions end there.
const WINDOW_FIRST: u64 = 4_096;
const WINDOW_FACTOR: u64 = 4;
/// How long the broker may let the next message wait.
const NEXT_WITHIN: Duration = Duration::from_secs(10);

/// A message as it lies in its stream.
#[derive(Debug)]
pub(crate) struct Lying {
    /// Its place.
    pub(crate) sequence: u64,
    /// Its content.
    pub(crate) payload: Bytes,
    /// What its publisher called it.
    pub(crate) message_id: Option<String>,
}

/// What a reader is handed.
#[derive(Debug)]
pub(crate) enum Seen {
    /// A message.
    Message(Lying),
    /// The end of a stretch: everything newer than its beginning was handed over.
    Stretch,
}

/// Whether there is more to look for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// Further back there may be more.
    Further,
    /// Everything was found.
    Enough,
}

/// Hands the messages of `stream` on `subject` to `take`, a stretch at a time: the newest stretch
/// first, the messages of a stretch in their order. Ends when `take` has enough. Nothing is kept
/// here, however long the stream is.
///
/// # Errors
/// The stream is not there, or the broker does not answer.
pub(crate) async fn newest_first(
    client: &Client,
    stream: &str,
    subject: &str,
    mut take: impl FnMut(Seen) -> Look,
) -> anyhow::Result<()> {
    let found = client.jetstream.get_stream(stream).await;
    let stream = found.with_context(|| {
        format!("the stream {stream} cannot be read; was the broker provisioned?")
    })?;
    let state = &stream.cached_info().state;
    let (first, mut end) = (state.first_sequence, state.last_sequence);
    if state.messages == 0 {
        return Ok(());
    }
    let mut progress = Progress::of("reading", end.saturating_sub(first) + 1);
    let mut window = WINDOW_FIRST;
    loop {
        let start = end.saturating_sub(window - 1).max(first);
        let read = stretch(&stream, subject, start..=end, &mut take).await?;
        progress.add(end.saturating_sub(start) + 1);
        if read == Look::Enough || take(Seen::Stretch) == Look::Enough || start <= first {
            return Ok(());
        }
        end = start - 1;
        window = window.saturating_mul(WINDOW_FACTOR);
    }
}

async fn stretch(
    stream: &Stream,
    subject: &str,
    places: RangeInclusive<u64>,
    take: &mut impl FnMut(Seen) -> Look,
) -> anyhow::Result<Look> {
    let config = OrderedConfig {
        filter_subject: subject.to_owned(),
        deliver_policy: DeliverPolicy::ByStartSequence {
            start_sequence: *places.start(),
        },
        ..OrderedConfig::default()
    };
    let consumer = stream.create_consumer(config).await?;
    if consumer.cached_info().num_pending == 0 {
        return Ok(Look::Further);
    }
    let mut messages = consumer.messages().await?;
    loop {
        let next = tokio::time::timeout(NEXT_WITHIN, messages.next()).await;
        let next = next.context("the broker does not hand out the next message")?;
        let Some(message) = next.transpose()? else {
            return Ok(Look::Further);
        };
        let info = message.info().map_err(anyhow::Error::from_boxed)?;
        let (sequence, pending) = (info.stream_sequence, info.pending);
        if sequence > *places.end() {
            return Ok(Look::Further);
        }
        let message = message.message;
        let headers = message.headers.as_ref();
        let look = take(Seen::Message(Lying {
            sequence,
            message_id: headers
                .and_then(|headers| headers.get(MESSAGE_ID))
                .map(ToString::to_string),
            payload: message.payload,
        }));
        if look == Look::Enough || pending == 0 {
            return Ok(look);
        }
    }
}

/// Hands the messages of `stream` on `subject` to `take`, the oldest first, `count_max` at the most;
/// for work queues, which let nobody else read along. Returns how many there were.
///
/// # Errors
/// The stream is not there, or the broker does not answer.
pub(crate) async fn waiting(
    client: &Client,
    stream: &str,
    subject: &str,
    count_max: usize,
    mut take: impl FnMut(&StreamMessage),
) -> anyhow::Result<usize> {
    let stream = client.jetstream.get_stream_no_info(stream).await?;
    let mut progress = Progress::unbounded("looking at what waits");
    let mut sequence = 1;
    for count in 0..count_max {
        let next = stream
            .direct_get_builder()
            .next_by_subject(subject)
            .sequence(sequence);
        match next.send().await {
            Ok(message) => {
                sequence = message.sequence + 1;
                progress.add(1);
                take(&message);
            }
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => return Ok(count),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(count_max)
}
