//! The delivery log: an index of events, deliveries and attempts in a SQLite file.
//!
//! Made of the streams and of nothing else, so it may be deleted at any time: it is built again.
//! Each console has its own. One connection writes, a few read, all on blocking threads; the
//! place in each stream is stored in the transaction of the rows.
//!
//! All times are microseconds since 1970.

mod follow;
mod read;
mod schema;
mod write;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{Semaphore, broadcast};

pub use follow::{Lag, follow};
pub use read::{
    Cursor, Delivery, DeliveryFilter, Event, EventFilter, Health, Letter, LetterFilter, Page,
    Status,
};
pub use write::{Batch, Entry, EventEntry};

/// Connections that read.
const READERS: usize = 4;
/// Stored batches that somebody who follows may be behind.
const CHANGES_KEPT: usize = 64;

/// Where the log lies and how much it may hold.
#[derive(Debug, Clone)]
pub struct LogOptions {
    /// The file. Deleted and made again if its schema is another one.
    pub path: PathBuf,
    /// What is older is forgotten.
    pub max_age: Duration,
    /// Bytes in use; beyond them the oldest is forgotten.
    pub max_bytes: u64,
}

impl LogOptions {
    /// 7 days and 8 GiB in the file `path`.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            max_age: Duration::from_secs(7 * 24 * 60 * 60),
            max_bytes: 8 << 30,
        }
    }
}

/// Why the log does not answer.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// SQLite refused.
    #[error("the delivery log: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The file cannot be removed or made.
    #[error("the delivery log's file: {0}")]
    File(#[from] std::io::Error),
    /// A record in the file cannot be read.
    #[error("the delivery log holds a broken record: {0}")]
    Record(#[from] prost::DecodeError),
    /// The process is stopping.
    #[error("the delivery log is closed")]
    Closed,
}

/// The delivery log. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Log {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    options: LogOptions,
    writer: Mutex<Connection>,
    readers: Mutex<Vec<Connection>>,
    /// As many permits as there are readers.
    free: Semaphore,
    lags: follow::Lags,
    changes: broadcast::Sender<Arc<BTreeSet<String>>>,
}

impl Log {
    /// Opens the file, or makes it. A file of another schema, or one that is no database, is
    /// deleted first.
    ///
    /// # Errors
    /// The file cannot be made.
    pub async fn open(options: LogOptions) -> Result<Self, LogError> {
        let made = tokio::task::spawn_blocking(move || {
            let writer = schema::open(&options.path)?;
            let readers = (0..READERS)
                .map(|_| schema::open_reader(&options.path))
                .collect::<Result<_, LogError>>()?;
            Ok::<_, LogError>(Inner {
                options,
                writer: Mutex::new(writer),
                readers: Mutex::new(readers),
                free: Semaphore::new(READERS),
                lags: follow::Lags::default(),
                changes: broadcast::Sender::new(CHANGES_KEPT),
            })
        });
        let inner = made.await.map_err(|_| LogError::Closed)??;
        let inner = Arc::new(inner);
        Ok(Self { inner })
    }

    /// Tells of every batch that is stored, for which spaces it holds anything. Whoever falls
    /// behind is told that they did.
    #[must_use]
    pub fn changes(&self) -> broadcast::Receiver<Arc<BTreeSet<String>>> {
        self.inner.changes.subscribe()
    }

    /// How far the log is behind the streams. Belongs beside every answer.
    #[must_use]
    pub fn lag(&self) -> Lag {
        self.inner.lags.total()
    }

    async fn write<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Connection) -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, LogError> {
        let inner = Arc::clone(&self.inner);
        let done = tokio::task::spawn_blocking(move || {
            // A panic rolls its transaction back, so the connection is sound.
            act(&mut inner.writer.lock().unwrap_or_else(PoisonError::into_inner))
        });
        done.await.map_err(|_| LogError::Closed)?
    }

    async fn read<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Connection) -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, LogError> {
        let inner = Arc::clone(&self.inner);
        let done = tokio::task::spawn_blocking({
            let permit = self.inner.free.acquire().await;
            let permit = permit.map_err(|_| LogError::Closed)?;
            permit.forget();
            move || {
                let readers = || inner.readers.lock().unwrap_or_else(PoisonError::into_inner);
                let taken = readers().pop();
                let reader = match taken {
                    Some(reader) => Ok(reader),
                    // One was lost to a panic.
                    None => schema::open_reader(&inner.options.path),
                };
                let answer = reader.and_then(|reader| {
                    let answer = act(&reader);
                    readers().push(reader);
                    answer
                });
                inner.free.add_permits(1);
                answer
            }
        });
        done.await.map_err(|_| LogError::Closed)?
    }
}
