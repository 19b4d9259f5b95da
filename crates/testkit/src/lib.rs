//! The real parts that tests of Tidings stand on: a nats-server on a free port, the programs
//! themselves, receivers that answer anything or nothing, certificates, and waiting on conditions.
//!
//! Nothing here is a mock, and nothing here knows Tidings: the crate depends on none of ours, so
//! that a fault in the product cannot hide in its own test tools. Whatever goes wrong panics with
//! what was seen; there are no errors to hand on.
//!
//! Every wait takes a [`Duration`](std::time::Duration) as its deadline and runs on real time: do
//! not use it on a paused clock.

mod eventually;
mod listening;
mod nats_cluster;
mod nats_server;
mod process;
mod raw;
mod receiver;
mod tls;

pub use crate::eventually::{Condition, eventually};
pub use crate::nats_cluster::NatsCluster;
pub use crate::nats_server::{NatsServer, NatsServerBuilder, SyncInterval, nats_server_binary};
pub use crate::process::{Launch, Process, Usage, target_bin};
pub use crate::raw::{RawReceiver, RawSocket};
pub use crate::receiver::{Answer, Answers, Counts, Receiver, ReceiverBuilder, Request};
pub use crate::tls::{TestCa, TestCert};
