//! What lies in the streams after a test.

use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::stream::LastRawMessageErrorKind;
use prost::Message;
use tidings_nats::topology::{
    ATTEMPTS, DEAD_LETTERS, DELIVERIES, EVENTS, RETRIES, ROUTER_CONSUMER,
};
use tidings_proto::v1;
use tidings_testkit::eventually;
use tokio::time::{Instant, sleep};

use super::{Platform, SOON};

/// How often the streams are looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

impl Platform {
    /// Waits for `count` attempts, and returns all that were recorded by then, oldest first.
    pub(crate) async fn attempts(&self, count: usize) -> Vec<v1::Attempt> {
        eventually(SOON, &format!("{count} attempts"), async || {
            let records = self.read_after::<v1::Attempt>(ATTEMPTS, 0).await;
            let mut records = records.map_err(|error| error.to_string())?;
            records.retain(|record| record.waiting.is_none());
            match records.len() >= count {
                true => Ok(records),
                false => Err(format!("{} attempts", records.len())),
            }
        })
        .await
    }

    /// Waits for `count` dead letters, and returns all there are by then, oldest first.
    pub(crate) async fn dead_letters(&self, count: usize) -> Vec<v1::DeadLetter> {
        let letters = self.records(DEAD_LETTERS, count).await;
        let stream = self.context.get_stream(DEAD_LETTERS).await;
        let last = stream
            .expect("the stream is there")
            .cached_info()
            .state
            .last_sequence;
        self.dead_letter_seen.fetch_max(last, Ordering::Relaxed);
        letters
    }

    /// Asserts that nothing is left over: every event is routed, no delivery waits, and there is no
    /// dead letter that the test has not looked at.
    pub(crate) async fn assert_settled(&self) {
        self.assert_settled_within(SOON).await;
    }

    /// As [`assert_settled`](Self::assert_settled), after a load that takes its time.
    pub(crate) async fn assert_settled_within(&self, within: Duration) {
        if let Err(left_over) = self.until_settled(within).await {
            panic!("not settled within {within:?}: {left_over}");
        }
        let seen = self.dead_letter_seen.load(Ordering::Relaxed);
        let letters: Vec<v1::DeadLetter> = self.records_after(DEAD_LETTERS, seen, 0).await;
        assert!(
            letters.is_empty(),
            "dead letters nobody looked at: {letters:?}"
        );
    }

    /// Waits until every event is routed and no delivery waits.
    ///
    /// # Errors
    /// Says what is left over after `within`.
    pub(crate) async fn until_settled(&self, within: Duration) -> Result<(), String> {
        let deadline = Instant::now() + within;
        loop {
            let Err(left_over) = self.left_over().await else {
                return Ok(());
            };
            if Instant::now() > deadline {
                return Err(left_over.to_string());
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// How many messages a stream holds.
    ///
    /// # Errors
    /// The broker did not answer.
    pub(crate) async fn held(&self, stream: &str) -> Result<u64, async_nats::Error> {
        Ok(self
            .context
            .get_stream(stream)
            .await?
            .cached_info()
            .state
            .messages)
    }

    /// Does `work`, and tells the most bytes that were seen in each of `streams` meanwhile.
    pub(crate) async fn most_bytes_while<T, const N: usize>(
        &self,
        streams: [&str; N],
        work: impl Future<Output = T>,
    ) -> ([u64; N], T) {
        let mut most = [0; N];
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return (most, done),
                () = sleep(LOOK_AGAIN) => {}
            }
            for (most, stream) in most.iter_mut().zip(streams) {
                let stream = self.context.get_stream(stream).await;
                let bytes = stream
                    .expect("the stream is there")
                    .cached_info()
                    .state
                    .bytes;
                *most = bytes.max(*most);
            }
        }
    }

    /// Looks in the order in which an event goes: what has left one place by the time of the look
    /// is in the next one or further on.
    async fn left_over(&self) -> Result<(), async_nats::Error> {
        let events = self.context.get_stream(EVENTS).await?;
        let last = events.cached_info().state.last_sequence;
        let router: PullConsumer = events.get_consumer(ROUTER_CONSUMER).await?;
        let info = router.cached_info();
        let (routed, taken) = (info.ack_floor.stream_sequence, info.num_ack_pending);
        let deliveries = self.held(DELIVERIES).await?;
        let retries = self.held(RETRIES).await?;
        if routed >= last && deliveries == 0 && retries == 0 {
            return Ok(());
        }
        let left_over = format!(
            "{deliveries} deliveries, {retries} retries, {taken} events in a router, and all events \
             are routed up to {routed} of {last}"
        );
        Err(left_over.into())
    }

    async fn records<R: Message + Default>(&self, stream: &str, count: usize) -> Vec<R> {
        self.records_after(stream, 0, count).await
    }

    async fn records_after<R: Message + Default>(
        &self,
        stream: &str,
        sequence: u64,
        count: usize,
    ) -> Vec<R> {
        let what = format!("{count} messages in {stream}");
        eventually(SOON, &what, async || {
            let records = self
                .read_after(stream, sequence)
                .await
                .map_err(|error| error.to_string())?;
            match records.len() >= count {
                true => Ok(records),
                false => Err(format!("{} messages", records.len())),
            }
        })
        .await
    }

    async fn read_after<R: Message + Default>(
        &self,
        stream: &str,
        sequence: u64,
    ) -> Result<Vec<R>, async_nats::Error> {
        let stream = self.context.get_stream(stream).await?;
        let state = stream.cached_info().state.clone();
        let mut records = Vec::new();
        for sequence in state.first_sequence.max(sequence + 1)..=state.last_sequence {
            // What was redelivered is no dead letter any more, and leaves a gap.
            let message = match stream.get_raw_message(sequence).await {
                Ok(message) => message,
                Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => continue,
                Err(error) => return Err(error.into()),
            };
            records.push(R::decode(message.payload)?);
        }
        Ok(records)
    }
}
