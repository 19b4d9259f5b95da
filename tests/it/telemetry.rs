//! What the programs tell a collector: one trace for the way of an event, metrics, and nothing that
//! slows a delivery when the collector does not listen.

mod catalogue;
pub(crate) mod collector;
mod lines;
mod outage;
mod prometheus;
mod shape;
mod tls;

pub(crate) use collector::Collector;
