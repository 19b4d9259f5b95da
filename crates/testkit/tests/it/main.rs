//! The test tools themselves, on real sockets and real processes.

mod client;
mod eventually;
mod nats_server;
mod process;
mod raw;
mod receiver;
mod tls;

use std::time::Duration;

/// Long enough for a busy machine; nothing waits for it unless something is broken.
const SOON: Duration = Duration::from_secs(20);
