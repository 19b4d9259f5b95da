//! The console with a real broker, router and sender, over real HTTP.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic")]
#![expect(clippy::too_many_lines, reason = "what people do is told in one piece")]

mod api;
mod browser;
mod dashboard;
mod http;
mod isolation;
mod log;
mod pending;
mod platform;
mod replay;
mod routes;
mod schemathesis;
