//! The rules of Tidings, as plain functions over plain types.
//!
//! Nothing here does IO, reads a clock, draws a random number or starts a task: whatever a rule
//! needs is an argument. Read in this order: [`name`] and [`id`] (checked words), [`topic`] and
//! [`event`] (what came in), [`webhook`] (who wants it), [`filter`] and [`matching`] (who gets it),
//! [`delivery`], [`transformation`], [`signature`] and [`mod@format`] (what is sent), [`attempt`]
//! and [`verdict`] (what follows), [`waiting`] (what keeps it), [`dead_letter`] (how it ended). [`address`], [`endpoint_url`] and
//! [`header`] say where and what a tenant may send, [`egress`] from where it comes.

pub mod address;
pub mod attempt;
pub mod dead_letter;
pub mod delivery;
pub mod duration;
pub mod egress;
pub mod endpoint_url;
pub mod event;
pub mod fair_queue;
pub mod filter;
pub mod format;
pub mod header;
pub mod id;
pub mod json;
pub mod matching;
pub mod name;
pub mod partition;
pub mod pause;
mod percent;
pub mod pools;
pub mod rendezvous;
pub mod retry;
pub mod retry_after;
pub mod secret;
mod short_text;
pub mod signature;
pub mod space;
pub mod throttle;
pub mod token;
pub mod topic;
pub mod trace_context;
pub mod transformation;
pub mod verdict;
pub mod waiting;
pub mod webhook;
