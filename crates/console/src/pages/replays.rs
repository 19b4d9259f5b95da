//! Replays: spans of deliveries that are sent again.
use super::answer::{Answer, Oops};
pub(crate) async fn list() -> Answer { Err(Oops::not_found("page")) }
pub(crate) async fn show() -> Answer { Err(Oops::not_found("page")) }
pub(crate) async fn ask_cancel() -> Answer { Err(Oops::not_found("page")) }
pub(crate) async fn cancel() -> Answer { Err(Oops::not_found("page")) }
pub(crate) async fn new() -> Answer { Err(Oops::not_found("page")) }
pub(crate) async fn start() -> Answer { Err(Oops::not_found("page")) }
