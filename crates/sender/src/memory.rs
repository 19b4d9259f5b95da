//! What many connections take.

use tracing::debug;

/// With this many requests under way their buffers are what takes memory.
const MANY: usize = 2_048;

/// Keeps a sender of many requests from taking memory that nobody writes to. A connection has
/// buffers of some 25 KiB and writes to a few of them; in huge pages, which the allocator asks for,
/// all of it is taken. With 10,000 requests that was a quarter of everything. They are a little
/// faster, so that other senders have them.
pub(crate) fn economise(concurrency: usize) {
    if concurrency < MANY {
        return;
    }
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        debug!(%error, "cannot do without huge pages; this sender takes more memory");
    }
    #[cfg(not(target_os = "linux"))]
    debug!("huge pages are a matter of Linux");
}
