//! Accepting connections: so many and no more, each of which must do something or is closed.
//!
//! axum's own server bounds neither their number nor the time that a request's head may take.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::response::IntoResponse as _;
use hyper::Request;
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tidings_service::lifecycle::Lifecycle;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, Interval, interval_at};
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;
use tracing::{debug, warn};

use super::linger::Lingering;
use super::unreadable::{self, Explained};
use crate::accept::Ingest;

/// How long the head of a request over HTTP/1 may take, idling before it included.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// A connection that begins no request for one to two of these is closed, whatever it sends.
const IDLE_INTERVAL: Duration = Duration::from_secs(15);
/// The same once the process stops, so that no half-sent head holds it up.
const STOP_INTERVAL: Duration = Duration::from_secs(1);
/// The largest head over HTTP/1.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// The largest head over HTTP/2.
const HEADER_LIST_BYTES_MAX: u32 = 16 << 10;
/// How many requests one connection over HTTP/2 may have under way.
const STREAMS_MAX: u32 = 128;
const PING_INTERVAL: Duration = Duration::from_secs(20);
/// How long is waited after the system gave no connection, as when all file handles are in use.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(200);

/// Serves `routes` on at most `connections_max` connections at once until the process is asked to
/// stop; requests under way are finished.
pub(crate) fn serve(
    listener: TcpListener,
    routes: Router,
    connections_max: usize,
    ingest: Arc<Ingest>,
    lifecycle: &Lifecycle,
) {
    let server = Server {
        routes,
        ingest,
        builder: builder(&lifecycle.tasks),
        lifecycle: lifecycle.clone(),
    };
    let accepting = Arc::new(server).accept_all(listener, connections_max);
    lifecycle.tasks.spawn(accepting);
}

struct Server {
    routes: Router,
    ingest: Arc<Ingest>,
    builder: Builder<Spawner>,
    lifecycle: Lifecycle,
}

impl Server {
    async fn accept_all(self: Arc<Self>, listener: TcpListener, connections_max: usize) {
        let slots = Arc::new(Semaphore::new(connections_max));
        let stop = self.lifecycle.stop.clone();
        loop {
            // A free slot comes first: whom we cannot serve waits in the system's queue.
            let next = async {
                let slot = Arc::clone(&slots).acquire_owned().await.ok()?;
                Some((slot, listener.accept().await))
            };
            match stop.run_until_cancelled(next).await.flatten() {
                None => return,
                Some((slot, Ok((stream, _)))) => {
                    let server = Arc::clone(&self);
                    self.lifecycle.tasks.spawn(async move {
                        server.serve_connection(stream).await;
                        drop(slot);
                    });
                }
                Some((_, Err(error))) => {
                    warn!(%error, "cannot accept connections; trying again");
                    tokio::time::sleep(ACCEPT_BACKOFF).await;
                }
            }
        }
    }

    async fn serve_connection(&self, stream: TcpStream) {
        let _open = self.ingest.metrics.connection_begins();
        // Answers are small and must not wait for more.
        let _ = stream.set_nodelay(true);
        let activity = Activity::default();
        let (routes, activity_of_service) = (self.routes.clone(), activity.clone());
        let service = service_fn(move |request: Request<Incoming>| {
            let running = activity_of_service.begin();
            let refused = unreadable::without_host(request.version(), request.headers());
            let answering = routes.clone().oneshot(request);
            async move {
                let answer = match refused {
                    Some(problem) => Ok(problem.into_response()),
                    None => answering.await,
                };
                drop(running);
                answer
            }
        });
        let stream = TokioIo::new(Explained::new(Lingering::new(stream)));
        let connection = self.builder.serve_connection(stream, service);
        let mut connection = pin!(connection);
        let Lifecycle { stop, abort, .. } = &self.lifecycle;
        let mut looks = every(IDLE_INTERVAL);
        let mut is_closing = false;
        loop {
            tokio::select! {
                served = connection.as_mut() => {
                    if let Err(error) = served {
                        debug!(%error, "a connection broke");
                    }
                    return;
                }
                () = abort.cancelled() => return,
                () = stop.cancelled(), if !is_closing => looks = every(STOP_INTERVAL),
                _ = looks.tick() => {
                    if !activity.is_idle_since_last_look() {
                        continue;
                    }
                    if is_closing {
                        return;
                    }
                }
            }
            connection.as_mut().graceful_shutdown();
            is_closing = true;
        }
    }
}

fn every(period: Duration) -> Interval {
    interval_at(Instant::now() + period, period)
}

fn builder(tasks: &TaskTracker) -> Builder<Spawner> {
    let mut builder = Builder::new(Spawner(tasks.clone()));
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEADER_LIST_BYTES_MAX)
        .keep_alive_interval(PING_INTERVAL);
    builder
}

/// Where hyper's tasks run: on the tracker, so that the end waits for them.
#[derive(Debug, Clone)]
struct Spawner(TaskTracker);

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Spawner {
    fn execute(&self, future: F) {
        // The tracker owns it; nobody needs the handle.
        drop(self.0.spawn(future));
    }
}

/// What happens on a connection.
#[derive(Debug, Clone, Default)]
struct Activity {
    running: Arc<AtomicUsize>,
    has_begun: Arc<AtomicBool>,
}

impl Activity {
    /// A request begins; it runs until the guard is dropped.
    fn begin(&self) -> Running {
        self.has_begun.store(true, Ordering::Relaxed);
        self.running.fetch_add(1, Ordering::Relaxed);
        Running(Arc::clone(&self.running))
    }

    /// Whether no request has begun since this was last asked, and none is running.
    fn is_idle_since_last_look(&self) -> bool {
        let has_begun = self.has_begun.swap(false, Ordering::Relaxed);
        !has_begun && self.running.load(Ordering::Relaxed) == 0
    }
}

#[derive(Debug)]
struct Running(Arc<AtomicUsize>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_idles_only_if_nothing_began_and_nothing_runs() {
        let activity = Activity::default();
        let running = activity.begin();
        assert!(!activity.is_idle_since_last_look());
        assert!(!activity.is_idle_since_last_look());
        drop(running);
        assert!(activity.is_idle_since_last_look());
        drop(activity.begin());
        assert!(!activity.is_idle_since_last_look());
        assert!(activity.is_idle_since_last_look());
    }
}
