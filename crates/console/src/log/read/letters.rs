//! Dead letters: pages, and those of one delivery.

use rusqlite::Row;

use super::{Cursor, PAGE_MAX, Page, Status, Where, page};
use crate::log::{Log, LogError};

/// A dead letter that still lies there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Its place in its stream.
    pub sequence: u64,
    /// Its webhook; empty if none is known.
    pub webhook: String,
    /// Its delivery; empty if it is of none, and cannot be sent again.
    pub delivery: String,
    /// Its event; empty if none is known.
    pub event: String,
    /// The event's topic, if it is known.
    pub topic: String,
    /// When it was given up.
    pub at: i64,
    /// How many attempts were made.
    pub attempts: u32,
    /// The outcome of the last attempt; empty if there was none.
    pub outcome: String,
    /// Why it was given up.
    pub reason: String,
    /// The same for people.
    pub detail: String,
}

/// Which dead letters. What is `None` does not matter.
#[derive(Debug, Clone, Default)]
pub struct LetterFilter {
    /// Of this webhook.
    pub webhook: Option<String>,
    /// Of this reason.
    pub reason: Option<String>,
}

fn letter(row: &Row<'_>) -> rusqlite::Result<Letter> {
    Ok(Letter {
        sequence: row.get(0)?,
        webhook: row.get(1)?,
        delivery: row.get(2)?,
        event: row.get(3)?,
        topic: row.get(4)?,
        at: row.get(5)?,
        attempts: row.get(6)?,
        outcome: row.get(7)?,
        reason: row.get(8)?,
        detail: row.get(9)?,
    })
}

impl Log {
    /// A page of dead letters that were not sent again, at most 200.
    ///
    /// # Errors
    /// SQLite refuses.
    pub async fn letters(
        &self,
        space: &str,
        filter: LetterFilter,
        cursor: Option<Cursor>,
        limit: usize,
    ) -> Result<Page<Letter>, LogError> {
        let mut found = Where::space(space);
        found.and("webhook = ?", filter.webhook);
        found.and("reason = ?", filter.reason);
        found.and("sequence < ?", cursor.map(|cursor| cursor.at));
        // Of a delivery that was sent again, the last word is another one.
        found.sql.push_str(&format!(
            " AND (delivery = '' OR EXISTS (SELECT 1 FROM deliveries AS d
               WHERE d.space = letters.space AND d.id = letters.delivery AND d.status = {}
                 AND d.last_number <= letters.attempts))",
            Status::Dead as i64
        ));
        let limit = limit.clamp(1, PAGE_MAX);
        self.read(move |connection| {
            let sql = format!(
                "SELECT sequence, webhook, delivery, event, topic, at, attempts, outcome, reason,
                   detail FROM letters WHERE {} ORDER BY sequence DESC",
                found.sql
            );
            page(connection, &sql, found.values, limit, letter, |last| {
                Cursor::of_sequence(last.sequence)
            })
        })
        .await
    }

    /// The places of a delivery's dead letters, the newest last.
    ///
    /// # Errors
    /// SQLite refuses.
    pub async fn letters_of(&self, space: &str, delivery: &str) -> Result<Vec<u64>, LogError> {
        let (space, delivery) = (space.to_owned(), delivery.to_owned());
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT sequence FROM letters WHERE space = ? AND delivery = ? ORDER BY sequence",
            )?;
            let rows = statement.query_map([space, delivery], |row| row.get(0))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }
}
