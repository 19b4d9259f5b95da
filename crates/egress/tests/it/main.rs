//! The egress client against real servers on loopback.

mod dns;
mod http1;
mod http2;
mod pool;
mod proxies;
mod proxy;
mod proxy_failures;
mod support;
mod tls;
mod transport;
