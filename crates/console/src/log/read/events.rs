//! Events: pages.

use rusqlite::Row;

use super::{Cursor, PAGE_MAX, Page, Where, page};
use crate::log::{Log, LogError};

/// An event, as far as its subject and message id tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its place in its stream, where the payload is.
    pub sequence: u64,
    /// Its environment.
    pub environment: String,
    /// Its id.
    pub id: String,
    /// Its topic.
    pub topic: String,
    /// When the stream stored it.
    pub at: i64,
}

/// Which events. What is `None` does not matter.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// Of this id.
    pub id: Option<String>,
    /// Of this topic.
    pub topic: Option<String>,
    /// Not before.
    pub from: Option<i64>,
    /// Before.
    pub to: Option<i64>,
}

fn event(row: &Row<'_>) -> rusqlite::Result<Event> {
    Ok(Event {
        sequence: row.get(0)?,
        environment: row.get(1)?,
        id: row.get(2)?,
        topic: row.get(3)?,
        at: row.get(4)?,
    })
}

impl Log {
    /// A page of events, at most 200; an event by its id with a filter of that.
    ///
    /// # Errors
    /// SQLite refuses.
    pub async fn events(
        &self,
        space: &str,
        filter: EventFilter,
        cursor: Option<Cursor>,
        limit: usize,
    ) -> Result<Page<Event>, LogError> {
        let mut found = Where::space(space);
        found.and("id = ?", filter.id);
        found.and("topic = ?", filter.topic);
        found.and("at >= ?", filter.from);
        found.and("at < ?", filter.to);
        found.and("sequence < ?", cursor.map(|cursor| cursor.at));
        let limit = limit.clamp(1, PAGE_MAX);
        self.read(move |connection| {
            let sql = format!(
                "SELECT sequence, environment, id, topic, at FROM events WHERE {}
                 ORDER BY sequence DESC",
                found.sql
            );
            page(connection, &sql, found.values, limit, event, |last| {
                Cursor::of_sequence(last.sequence)
            })
        })
        .await
    }
}
