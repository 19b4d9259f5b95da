//! The floor: what is left of the pipeline without our rules, on the same streams, with the same
//! clients, in processes split the same way.
//!
//! A router stage takes messages of EVENTS and stores each as often as the fan-out says in
//! DELIVERIES; a sender stage takes these from the consumers of all partitions, POSTs them over
//! kept connections and acknowledges them. Nothing is decoded, matched, rendered, signed, judged
//! or recorded. The router stage has as many messages in hand as the product's by default; the
//! sender stage as many requests as keep two cores busy.

mod router;
mod sender;

pub(crate) use router::{RouterStageArgs, run as run_router};
pub(crate) use sender::{SenderStageArgs, run as run_sender};

/// What a stage writes once it takes work.
pub(crate) const READY: &str = "ready";
