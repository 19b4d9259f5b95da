//! A bound on interim responses, which hyper does not have: one endpoint can push millions through
//! one connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use http::Request;
use tokio::sync::Notify;

/// Counts the interim responses (1xx) to one request.
#[derive(Debug)]
pub(crate) struct InterimCount {
    seen: AtomicU32,
    seen_max: u32,
    exceeded: Notify,
}

impl InterimCount {
    /// Starts counting for `request`.
    pub(crate) fn of<B>(request: &mut Request<B>, seen_max: u32) -> Arc<Self> {
        let count = Arc::new(Self {
            seen: AtomicU32::new(0),
            seen_max,
            exceeded: Notify::new(),
        });
        let counted = Arc::clone(&count);
        hyper::ext::on_informational(request, move |_| counted.add());
        count
    }

    /// Ends when there have been more than allowed.
    pub(crate) async fn exceeded(&self) {
        self.exceeded.notified().await;
    }

    fn add(&self) {
        if self.seen.fetch_add(1, Ordering::Relaxed) >= self.seen_max {
            self.exceeded.notify_one();
        }
    }
}
