//! What the API takes and answers, as its description tells. Webhooks pass through as JSON: the
//! definition's own rules read them, so that there is one place that knows its fields.

mod deliveries;
mod installation;
mod list;
mod problems;
mod replays;
mod webhooks;

pub(super) use deliveries::*;
pub(super) use installation::*;
pub(super) use list::*;
pub(super) use problems::*;
pub(super) use replays::*;
pub(super) use webhooks::*;
