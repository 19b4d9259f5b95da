//! One guarded HTTP request, and nothing about webhooks.
//!
//! Every request to a URL that somebody else chose goes through [`EgressClient::exchange`]. It makes
//! one request and tells what came of it: a [`Response`] as soon as a final head arrived in time,
//! else a [`Failure`] with a stable code.
//!
//! # What it guarantees
//! - **Addresses.** Literal hosts and every address a name resolves to pass the one
//!   [`AddressPolicy`](tidings_core::address::AddressPolicy) before a packet leaves; one forbidden
//!   address forbids the name. Only vetted addresses are dialled, and the peer is compared
//!   afterwards. Names are absolute: no search domains, no hosts file.
//! - **Source addresses**, if there are any, are used in turn, one per connection and for as long as
//!   it lasts; an endpoint of a family without one is not reached. One that the machine cannot send
//!   from stops the start. Each connection under way takes a port of its source address, whoever it
//!   is to, so an address is good for as many as `net.ipv4.ip_local_port_range` holds.
//! - **A proxy** ([`EgressOptions::proxy`], HTTP CONNECT or SOCKS5) changes the way and nothing else:
//!   names are resolved and vetted here, the proxy is asked for the vetted address, for `http` too,
//!   and TLS goes through it to the endpoint. Where the proxy is, is not subject to the policy; it is
//!   reached from the source addresses, within the connect budget.
//! - **Pooled connections** were vetted when they were dialled. None starts an exchange when it is
//!   older than [`EgressOptions::connection_age_max`], so a name is looked up again at least that
//!   often. The pool is keyed by scheme, host and port; HTTP/2 connections are never shared between
//!   names. Unused ones are closed after [`EgressOptions::idle_timeout`], and one
//!   that is opened while there are [`EgressOptions::connections_kept_max`] is not kept at all.
//! - **Limits.** Dialling has a budget per step, the way to the final head has the caller's
//!   deadline, the body has a time, a size and a frame budget, the head a size, interim responses a
//!   count, and HTTP/2 frames that bring nothing a count too.
//! - **TLS** verifies against the platform's roots and the operator's, never less. No 0-RTT, no
//!   fallback to plain HTTP. HTTP/2 only where ALPN says so.
//! - **Redirects are never followed**, cookies never kept, bodies never inflated, `Alt-Svc` and
//!   proxies of the environment (`HTTP_PROXY` and the like) ignored.
//! - Dropping the future of an exchange cancels the request.
//!
//! # What it decides
//! - The head decides success. What happens to the body afterwards is noted on the response.
//! - A malformed header line without a colon, with a space before it, or folded is skipped rather
//!   than held against the receiver: who said 200 has the request.
//! - What the proxy does wrong is a failure of ours (`proxy_error`). What it says about the endpoint
//!   is the endpoint's: SOCKS replies 3 to 6 and 8; statuses 502 and 504, another 5xx if a header or
//!   the reason phrase says that the endpoint could not be reached; silence once it was asked.
//! - Three failures are repeated at once, within the same deadline, because the receiver did not see
//!   the request or most probably did not: see [`Exchange::repeats`].
//!
//! Read in this order: [`exchange`](Exchange) (what goes in and comes out), `client` (how one request
//! is made), `connector` (how a connection comes to be), `guard` (where it may go), `route` (which way
//! it takes), `wire` (what is watched on it).

mod body;
mod classify;
mod client;
mod connector;
mod dial;
mod exchange;
mod failure;
mod frames;
mod guard;
mod interim;
mod options;
mod proxy;
mod resolver;
mod route;
mod spawner;
mod tls;
mod tries;
mod wire;

pub use body::BodyError;
pub use client::EgressClient;
pub use exchange::{Exchange, OutgoingRequest, Response, Timings};
pub use failure::{
    DnsFailure, Failure, Http2Failure, OurFailure, ProxyFailure, TimeoutPhase, TlsFailure, UrlFault,
};
pub use options::{EgressError, EgressOptions, NameServers};
pub use proxy::{ProxyOptions, ProxyUrlError};
