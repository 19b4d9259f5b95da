//! The receiver of a measurement: answers 200 and notes when each delivery arrived first.
//!
//! One thread, HTTP/1.1 with kept connections, nothing allocated per delivery but by hyper. Each
//! delivery is known by its event's number and its place in the fan-out, so that the end of a
//! measurement is exact and duplicates do not count.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};

use crate::clock::now_ns;
use crate::event::number_in;

/// What the sink writes before its address, and services before theirs.
pub(crate) const LISTENING: &str = "listening on ";
/// Where [`Received`] is answered.
pub(crate) const RECEIVED_PATH: &str = "/received";
/// Where the time of each arrival is answered, in nanoseconds since 1970, 0 for none.
pub(crate) const ARRIVALS_PATH: &str = "/arrivals";

/// What a sink is told.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct SinkArgs {
    /// How many events there will be, numbered from 0.
    #[arg(long)]
    pub(crate) events: u64,
    /// How many deliveries each has.
    #[arg(long)]
    pub(crate) fan_out: u64,
}

/// What a sink has seen so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Received {
    /// Different deliveries.
    pub(crate) deliveries: u64,
    /// Requests of deliveries that had arrived before.
    pub(crate) duplicates: u64,
    /// Requests that are no delivery of this measurement.
    pub(crate) strangers: u64,
    /// Connections, those of the measurement itself included.
    pub(crate) connections: u64,
    /// When the last new delivery arrived, in nanoseconds since 1970.
    pub(crate) last_ns: u64,
}

/// Serves until the process is killed. Writes its address to standard output.
///
/// # Errors
/// No port can be listened at.
pub(crate) async fn run(args: SinkArgs) -> anyhow::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("{LISTENING}http://{}", listener.local_addr()?);
    let arrivals = Arc::new(Arrivals::new(args.events, args.fan_out)?);
    loop {
        let (stream, _) = listener.accept().await.context("cannot accept")?;
        stream.set_nodelay(true)?;
        arrivals.connections.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(serve(stream, Arc::clone(&arrivals)));
    }
}

async fn serve(stream: TcpStream, arrivals: Arc<Arrivals>) {
    let answered = service_fn(|request| {
        let arrivals = Arc::clone(&arrivals);
        async move { Ok::<_, Infallible>(answer(&arrivals, request).await) }
    });
    // A connection that breaks is the sender's business: it will send again.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), answered)
        .await;
}

/// The time is taken before the body is read: at the end of the head, whose first byte came with
/// it in the same read.
async fn answer(arrivals: &Arrivals, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let arrived_ns = now_ns();
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    if head.method == Method::POST {
        let place = path.get(1..).and_then(|place| place.parse().ok());
        let Ok(body) = body.collect().await else {
            return status(StatusCode::BAD_REQUEST);
        };
        arrivals.note(number_in(&body.to_bytes()), place, arrived_ns);
        return status(StatusCode::OK);
    }
    match path {
        RECEIVED_PATH => json(&arrivals.received()),
        ARRIVALS_PATH => json(&arrivals.times()),
        _ => status(StatusCode::NOT_FOUND),
    }
}

fn status(status: StatusCode) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    answer
}

fn json(value: &impl Serialize) -> Response<Full<Bytes>> {
    let text = serde_json::to_vec(value).expect("numbers can be written");
    Response::new(Full::new(text.into()))
}

/// When each delivery arrived first: event `number`, place `place` at `number * fan_out + place`.
#[derive(Debug)]
struct Arrivals {
    times_ns: Vec<AtomicU64>,
    fan_out: u64,
    deliveries: AtomicU64,
    duplicates: AtomicU64,
    strangers: AtomicU64,
    connections: AtomicU64,
    last_ns: AtomicU64,
}

impl Arrivals {
    fn new(events: u64, fan_out: u64) -> anyhow::Result<Self> {
        let length = events.checked_mul(fan_out).context("too many deliveries")?;
        Ok(Self {
            times_ns: (0..length).map(|_| AtomicU64::new(0)).collect(),
            fan_out,
            deliveries: AtomicU64::new(0),
            duplicates: AtomicU64::new(0),
            strangers: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            last_ns: AtomicU64::new(0),
        })
    }

    fn note(&self, number: Option<u64>, place: Option<u64>, now_ns: u64) {
        let Some(time_ns) = self.slot(number, place) else {
            self.strangers.fetch_add(1, Ordering::Relaxed);
            return;
        };
        if time_ns.load(Ordering::Relaxed) != 0 {
            self.duplicates.fetch_add(1, Ordering::Relaxed);
            return;
        }
        time_ns.store(now_ns, Ordering::Relaxed);
        self.last_ns.fetch_max(now_ns, Ordering::Relaxed);
        self.deliveries.fetch_add(1, Ordering::Relaxed);
    }

    fn slot(&self, number: Option<u64>, place: Option<u64>) -> Option<&AtomicU64> {
        let place = place.filter(|place| *place < self.fan_out)?;
        let index = number?.checked_mul(self.fan_out)? + place;
        self.times_ns.get(usize::try_from(index).ok()?)
    }

    fn received(&self) -> Received {
        Received {
            deliveries: self.deliveries.load(Ordering::Relaxed),
            duplicates: self.duplicates.load(Ordering::Relaxed),
            strangers: self.strangers.load(Ordering::Relaxed),
            connections: self.connections.load(Ordering::Relaxed),
            last_ns: self.last_ns.load(Ordering::Relaxed),
        }
    }

    fn times(&self) -> Vec<u64> {
        self.times_ns
            .iter()
            .map(|time_ns| time_ns.load(Ordering::Relaxed))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_counts_once_and_strangers_do_not() {
        let arrivals = Arrivals::new(2, 3).unwrap();
        arrivals.note(Some(1), Some(2), 50);
        arrivals.note(Some(1), Some(2), 60);
        arrivals.note(Some(0), Some(0), 40);
        for stranger in [(Some(2), Some(0)), (Some(0), Some(3)), (None, Some(0))] {
            arrivals.note(stranger.0, stranger.1, 70);
        }
        let seen = Received {
            deliveries: 2,
            duplicates: 1,
            strangers: 3,
            connections: 0,
            last_ns: 50,
        };
        assert_eq!(arrivals.received(), seen);
        assert_eq!(arrivals.times(), [40, 0, 0, 0, 0, 50]);
    }
}
