//! Where hyper's connection tasks run: on a tracker, so that somebody can wait for them.

use hyper::rt::Executor;
use tokio_util::task::TaskTracker;

/// Spawns on a [`TaskTracker`].
#[derive(Debug, Clone)]
pub(crate) struct Spawner(pub(crate) TaskTracker);

impl<F> Executor<F> for Spawner
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, future: F) {
        // The tracker owns it; nobody needs the handle.
        drop(self.0.spawn(future));
    }
}
