//! A steady load over HTTP, from a producer that repeats what was not accepted.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

use crate::client::{Http, post};
use crate::event::{Event, event};
use crate::platform::{Platform, TOKEN};

/// How many requests are under way at once.
const WORKERS: usize = 32;
/// How long the producer goes on with one event. Longer than any outage of these tests.
const PATIENCE: Duration = Duration::from_secs(60);
const REPEAT_AFTER: Duration = Duration::from_millis(50);

/// The event that a load publishes as its `number`th.
pub(crate) fn event_of(number: u32) -> Event {
    let filler = "x".repeat(200 + (number as usize * 37) % 400);
    event("Entry.publish")
        .id(&format!("e{number}"))
        .payload(format!(
            r#"{{"number":{number},"big":12345678901234567890,"filler":"{filler}"}}"#
        ))
}

/// Publishes [`event_of`] 0, 1, 2, … until it is told to stop.
#[derive(Debug)]
pub(crate) struct Load {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<u64>>,
}

/// What a load has done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Published {
    /// Events accepted: all from number 0 to here.
    pub(crate) events: u32,
    /// Requests that were refused or broke, and were repeated.
    pub(crate) repeated: u64,
}

#[derive(Debug)]
struct Shared {
    http: Http,
    url: Mutex<String>,
    per_second: u32,
    begun: Instant,
    next: AtomicU32,
    is_over: AtomicBool,
    accepted: Mutex<Accepted>,
}

/// When events were accepted.
#[derive(Debug)]
struct Accepted {
    last: Instant,
    longest_gap: Duration,
}

impl Load {
    /// Starts to publish `per_second` events a second.
    pub(crate) async fn start(platform: &Platform, per_second: u32) -> Self {
        let shared = Arc::new(Shared {
            http: platform.http.clone(),
            url: Mutex::new(platform.ingest.url("/v1/events").await),
            per_second,
            begun: Instant::now(),
            next: AtomicU32::new(0),
            is_over: AtomicBool::new(false),
            accepted: Mutex::new(Accepted {
                last: Instant::now(),
                longest_gap: Duration::ZERO,
            }),
        });
        let workers = (0..WORKERS)
            .map(|_| tokio::spawn(Arc::clone(&shared).work()))
            .collect();
        Self { shared, workers }
    }

    /// Tells the producer where ingest listens since it was restarted.
    pub(crate) fn ingest_is_at(&self, url: &str) {
        *self
            .shared
            .url
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = url.to_owned();
    }

    /// How many events were begun so far.
    pub(crate) fn begun(&self) -> u32 {
        self.shared.next.load(Ordering::Relaxed)
    }

    /// The longest time since the last call in which no event was accepted.
    pub(crate) fn take_longest_gap(&self) -> Duration {
        let mut accepted = self.shared.accepted();
        let since = accepted.last.elapsed();
        std::mem::take(&mut accepted.longest_gap).max(since)
    }

    /// Stops, once everything that was begun is accepted.
    pub(crate) async fn finish(self) -> Published {
        self.shared.is_over.store(true, Ordering::Relaxed);
        let repeated = join_all(self.workers).await.into_iter();
        Published {
            repeated: repeated
                .map(|worker| worker.expect("no worker failed"))
                .sum(),
            events: self.shared.next.load(Ordering::Relaxed),
        }
    }
}

impl Accepted {
    fn note(&mut self, now: Instant) {
        self.longest_gap = self.longest_gap.max(now - self.last);
        self.last = now;
    }
}

impl Shared {
    fn accepted(&self) -> MutexGuard<'_, Accepted> {
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes number after number, each at its time, and returns how often it had to repeat.
    async fn work(self: Arc<Self>) -> u64 {
        let mut repeated = 0;
        while !self.is_over.load(Ordering::Relaxed) {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            sleep_until(self.begun + Duration::from_secs(1) * number / self.per_second).await;
            repeated += self.publish(number).await;
        }
        repeated
    }

    /// Publishes until it is accepted, and returns how often that did not work.
    async fn publish(&self, number: u32) -> u64 {
        let deadline = Instant::now() + PATIENCE;
        let body = event_of(number).json();
        let bearer = format!("Bearer {TOKEN}");
        let headers = [
            ("content-type", "application/json"),
            ("authorization", bearer.as_str()),
        ];
        let mut failures = 0;
        loop {
            let url = self
                .url
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            let answer = self.http.send(post(&url, &headers, body.clone())).await;
            match &answer {
                Ok(answer) if answer.status.as_u16() == 202 => {
                    self.accepted().note(Instant::now());
                    return failures;
                }
                Ok(answer) if answer.status.is_client_error() => panic!("{answer:?}"),
                _ => {}
            }
            assert!(
                Instant::now() < deadline,
                "event {number} is not accepted: {answer:?}"
            );
            failures += 1;
            sleep(REPEAT_AFTER).await;
        }
    }
}
