//! A request as it arrived, and the account of all that did.

use std::collections::HashMap;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Method, Uri, Version};
use jiff::Timestamp;
use tokio::time::Instant;

/// The header in which every format carries the delivery's id.
const DELIVERY_ID: &str = "webhook-id";

/// What one receiver keeps at most. A test that sends more counts instead.
const REQUESTS_KEPT_MAX: usize = 100_000;
const BODY_BYTES_KEPT_MAX: usize = 512 * 1024 * 1024;

/// A request that arrived whole, with its body.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its method.
    pub method: Method,
    /// Its target: path and query; over HTTP/2 the authority too.
    pub uri: Uri,
    /// `HTTP_11` or `HTTP_2`.
    pub version: Version,
    /// Its headers, names in lower case, values as bytes.
    pub headers: HeaderMap,
    /// Its body; empty where the receiver does not keep bodies.
    pub body: Bytes,
    /// When its head had arrived.
    pub at: Instant,
    /// The same by the clock on the wall.
    pub arrived: Timestamp,
    /// The connection it came on; 1 is the receiver's first.
    pub connection: u64,
    /// The other end of that connection.
    pub remote: SocketAddr,
    /// How many requests with the same delivery id came before it, on any path.
    pub repeat: usize,
}

impl Request {
    /// Its path without the query.
    pub fn path(&self) -> &str {
        self.uri.path()
    }

    /// A header's first value, if there is one and it is printable ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The delivery's id, from `webhook-id`.
    ///
    /// # Panics
    /// If the request has none.
    pub fn delivery_id(&self) -> &str {
        let id = self.header(DELIVERY_ID);
        id.unwrap_or_else(|| panic!("no `{DELIVERY_ID}` in {:?}", self.headers))
    }

    /// Its body as JSON.
    ///
    /// # Panics
    /// If it is not JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {:?}", self.body))
    }
}

/// How often each delivery arrived.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// All requests, those without a delivery id included.
    pub requests: u64,
    /// Requests by delivery id.
    pub by_delivery: HashMap<String, u64>,
}

impl Counts {
    /// How many deliveries arrived at least once.
    pub fn deliveries(&self) -> usize {
        self.by_delivery.len()
    }

    /// How many requests repeated a delivery that had arrived before.
    pub fn repeats(&self) -> u64 {
        self.by_delivery.values().map(|requests| requests - 1).sum()
    }
}

/// How much of each request is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    Everything,
    AllButBodies,
    Counts,
}

/// All that arrived.
#[derive(Debug)]
pub(super) struct Account {
    keep: Keep,
    requests: Vec<Request>,
    body_bytes: usize,
    overflowed: bool,
    counts: Counts,
}

impl Account {
    pub(super) fn new(keep: Keep) -> Self {
        Self {
            keep,
            requests: Vec::new(),
            body_bytes: 0,
            overflowed: false,
            counts: Counts::default(),
        }
    }

    /// Counts the request and returns how many of its delivery came before.
    pub(super) fn count(&mut self, headers: &HeaderMap) -> usize {
        self.counts.requests += 1;
        let Some(id) = headers.get(DELIVERY_ID) else {
            return 0;
        };
        let id = String::from_utf8_lossy(id.as_bytes()).into_owned();
        let requests = self.counts.by_delivery.entry(id).or_insert(0);
        *requests += 1;
        usize::try_from(*requests - 1).expect("fewer requests than memory")
    }

    /// Keeps what is to be kept of it.
    pub(super) fn keep(&mut self, mut request: Request) {
        match self.keep {
            Keep::Counts => return,
            Keep::AllButBodies => request.body = Bytes::new(),
            Keep::Everything => self.body_bytes += request.body.len(),
        }
        self.overflowed |=
            self.requests.len() >= REQUESTS_KEPT_MAX || self.body_bytes > BODY_BYTES_KEPT_MAX;
        if !self.overflowed {
            self.requests.push(request);
        }
    }

    pub(super) fn requests(&self) -> &[Request] {
        assert!(
            self.keep != Keep::Counts,
            "this receiver counts and keeps no requests"
        );
        assert!(
            !self.overflowed,
            "too many requests to keep them all: use `Receiver::counting`"
        );
        &self.requests
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// What arrived, in a few words, for a message.
    pub(super) fn summary(&self) -> String {
        let Counts {
            requests,
            by_delivery,
        } = &self.counts;
        let last = self.requests.iter().rev().take(5).map(|request| {
            let id = request.header(DELIVERY_ID).unwrap_or("-");
            format!("\n  {} {} {id}", request.method, request.uri)
        });
        let last: String = last.collect();
        format!(
            "{requests} requests of {} deliveries, the last of them:{last}",
            by_delivery.len()
        )
    }
}
