//! What the streams say becomes rows. The order in which streams are read does not matter.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};
use tidings_proto::v1;

use super::{Log, LogError, Status};

/// Of a response's body, this much is kept.
const BODY_MAX: usize = 64 << 10;
/// What a delivery waits for that was sent again.
const REDELIVERED: &str = "redelivered";
/// Rows that are forgotten in one transaction.
const FORGET: usize = 2_000;
/// Pages given back to the file system at a time.
const VACUUM_PAGES: u32 = 2_000;

/// An event, as its subject and message id name it. The payload stays in the stream.
#[derive(Debug, Clone)]
pub struct EventEntry {
    /// Its place in the events stream.
    pub sequence: u64,
    /// Its space.
    pub space: String,
    /// Its environment.
    pub environment: String,
    /// Its id.
    pub id: String,
    /// Its topic.
    pub topic: String,
    /// When the stream stored it.
    pub at: i64,
}

/// One message of a stream.
#[derive(Debug, Clone)]
pub enum Entry {
    /// Of EVENTS.
    Event(EventEntry),
    /// Of ATTEMPTS.
    Attempt(Box<v1::Attempt>),
    /// Of ATTEMPTS, where the first one is put off.
    Waiting(Box<v1::Waiting>),
    /// Of DEAD_LETTERS, with its place there.
    DeadLetter(u64, Box<v1::DeadLetter>),
}

impl Entry {
    /// The space that it is about.
    fn space(&self) -> String {
        match self {
            Self::Event(event) => event.space.clone(),
            Self::Attempt(attempt) => attempt.space.clone(),
            Self::Waiting(waiting) => waiting.space.clone(),
            Self::DeadLetter(_, letter) => letter.space.clone(),
        }
    }
}

/// Messages of one stream, in its order.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The stream's name.
    pub stream: String,
    /// The place before the first message: where the log must be.
    pub after: u64,
    /// The place of the last message.
    pub upto: u64,
    /// What could be read.
    pub entries: Vec<Entry>,
}

impl Log {
    /// Stores a batch and its place at once. `false`, and nothing is stored, if the log is at
    /// another place, as after [`Log::clear`].
    ///
    /// # Errors
    /// SQLite refuses.
    pub async fn store(&self, batch: Batch) -> Result<bool, LogError> {
        let spaces: BTreeSet<String> = batch.entries.iter().map(Entry::space).collect();
        let stored = self.write(move |connection| store(connection, &batch));
        let is_stored = stored.await?;
        if is_stored && !spaces.is_empty() {
            // Nobody may be there to hear it.
            let _heard = self.inner.changes.send(Arc::new(spaces));
        }
        Ok(is_stored)
    }

    /// The place in `stream` up to which the log has read.
    ///
    /// # Errors
    /// SQLite refuses.
    pub async fn position(&self, stream: &str) -> Result<u64, LogError> {
        let stream = stream.to_owned();
        self.write(move |connection| Ok(position(connection, &stream)?))
            .await
    }

    /// Forgets everything, so that it is built again.
    ///
    /// # Errors
    /// SQLite refuses.
    pub async fn clear(&self) -> Result<(), LogError> {
        self.write(|connection| {
            Ok(connection.execute_batch(
                "BEGIN; DELETE FROM attempts; DELETE FROM letters; DELETE FROM deliveries; DELETE FROM events;
                 DELETE FROM positions; COMMIT;",
            )?)
        })
        .await
    }

    /// Notes that a delivery was sent again just now, unless its next attempt has told so
    /// itself. Its dead letters are gone.
    ///
    /// # Errors
    /// SQLite refuses.
    pub async fn note_redelivery(
        &self,
        space: &str,
        id: &str,
        next_attempt: u32,
    ) -> Result<(), LogError> {
        let (space, id) = (space.to_owned(), id.to_owned());
        self.write(move |connection| {
            let transaction = connection.transaction()?;
            transaction.execute(
                "DELETE FROM letters WHERE space = ?1 AND delivery = ?2",
                [&space, &id],
            )?;
            transaction.execute(
                "UPDATE deliveries SET status = ?3, reason = ?4, waits_until = 0
                 WHERE space = ?1 AND id = ?2 AND last_number < ?5",
                params![
                    space,
                    id,
                    Status::Retrying as i64,
                    REDELIVERED,
                    next_attempt
                ],
            )?;
            transaction.commit()?;
            Ok(())
        })
        .await
    }

    /// Forgets some of what is too old or too much at the time `now`, and gives pages back.
    /// `true` if there is more to forget.
    ///
    /// # Errors
    /// SQLite refuses.
    pub async fn forget(&self, now: i64) -> Result<bool, LogError> {
        let oldest = now.saturating_sub(micros(self.inner.options.max_age));
        let max_bytes = self.inner.options.max_bytes;
        self.write(move |connection| {
            let before = match used_bytes(connection)? > max_bytes {
                true => i64::MAX,
                false => oldest,
            };
            let forgotten = forget(connection, before)?;
            let mut vacuum =
                connection.prepare(&format!("PRAGMA incremental_vacuum({VACUUM_PAGES})"))?;
            let mut freed = vacuum.query([])?;
            while freed.next()?.is_some() {}
            Ok(forgotten >= FORGET)
        })
        .await
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

fn used_bytes(connection: &Connection) -> rusqlite::Result<u64> {
    let pragma = |name| connection.query_row(name, [], |row| row.get::<_, u64>(0));
    let pages = pragma("PRAGMA page_count")? - pragma("PRAGMA freelist_count")?;
    Ok(pages * pragma("PRAGMA page_size")?)
}

fn forget(connection: &mut Connection, before: i64) -> rusqlite::Result<usize> {
    let transaction = connection.transaction()?;
    let oldest = "SELECT row FROM deliveries WHERE at < ?1 ORDER BY at LIMIT ?2";
    transaction.execute(
        &format!("DELETE FROM attempts WHERE delivery IN ({oldest})"),
        params![before, FORGET],
    )?;
    let deliveries = transaction.execute(
        &format!("DELETE FROM deliveries WHERE row IN ({oldest})"),
        params![before, FORGET],
    )?;
    // The stream's order is that of time.
    let events = transaction.execute(
        "DELETE FROM events WHERE sequence IN
           (SELECT sequence FROM events ORDER BY sequence LIMIT ?2) AND at < ?1",
        params![before, FORGET],
    )?;
    transaction.execute(
        "DELETE FROM letters WHERE sequence IN
           (SELECT sequence FROM letters ORDER BY sequence LIMIT ?2) AND at < ?1",
        params![before, FORGET],
    )?;
    transaction.commit()?;
    Ok(deliveries.max(events))
}

fn position(connection: &Connection, stream: &str) -> rusqlite::Result<u64> {
    let found = connection
        .query_row(
            "SELECT sequence FROM positions WHERE stream = ?1",
            [stream],
            |row| row.get(0),
        )
        .optional()?;
    Ok(found.unwrap_or(0))
}

fn store(connection: &mut Connection, batch: &Batch) -> Result<bool, LogError> {
    let transaction = connection.transaction()?;
    if position(&transaction, &batch.stream)? != batch.after {
        return Ok(false);
    }
    for entry in &batch.entries {
        match entry {
            Entry::Event(event) => store_event(&transaction, event)?,
            Entry::Attempt(attempt) => store_attempt(&transaction, attempt)?,
            Entry::Waiting(waiting) => store_waiting(&transaction, waiting)?,
            Entry::DeadLetter(sequence, letter) => {
                store_dead_letter(&transaction, *sequence, letter)?;
            }
        }
    }
    transaction.execute(
        "INSERT INTO positions VALUES (?1, ?2)
         ON CONFLICT DO UPDATE SET sequence = excluded.sequence",
        params![batch.stream, batch.upto],
    )?;
    transaction.commit()?;
    Ok(true)
}

fn store_event(transaction: &Transaction<'_>, event: &EventEntry) -> rusqlite::Result<()> {
    let EventEntry {
        sequence,
        space,
        environment,
        id,
        topic,
        at,
    } = event;
    transaction
        .prepare_cached("INSERT OR IGNORE INTO events VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
        .execute(params![sequence, space, environment, id, topic, at])?;
    Ok(())
}

fn store_attempt(transaction: &Transaction<'_>, attempt: &v1::Attempt) -> rusqlite::Result<()> {
    let at = at(attempt.started_at.as_ref());
    let (status, reason) = match attempt.verdict.as_str() {
        "delivered" => (Status::Delivered, ""),
        "retry" => (Status::Retrying, attempt.outcome.as_str()),
        reason => (Status::Dead, reason),
    };
    let known = Known {
        space: &attempt.space,
        id: &attempt.delivery_id,
        webhook: &attempt.webhook_id,
        environment: &attempt.environment,
        event: &attempt.event_id,
        event_sequence: attempt.event_sequence,
        topic: &attempt.topic,
        at,
        last_at: at,
        number: attempt.number,
        status,
        reason,
        waits_until: 0,
    };
    let row = store_delivery(transaction, &known)?;
    let mut kept = attempt.clone();
    if let Some(response) = kept.response.as_mut().filter(|r| r.body.len() > BODY_MAX) {
        response.body.truncate(BODY_MAX);
        response.body_truncated = true;
    }
    let total_us = attempt
        .timings
        .as_ref()
        .map_or(0, |timings| timings.total_us);
    transaction
        .prepare_cached("INSERT OR IGNORE INTO attempts VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?
        .execute(params![
            row,
            attempt.number,
            at,
            attempt.space,
            attempt.webhook_id,
            status == Status::Delivered,
            i64::try_from(total_us).unwrap_or(i64::MAX),
            kept.encode_to_vec(),
        ])?;
    Ok(())
}

fn store_dead_letter(
    transaction: &Transaction<'_>,
    sequence: u64,
    letter: &v1::DeadLetter,
) -> rusqlite::Result<()> {
    let delivery = letter.delivery.clone().unwrap_or_default();
    let event = v1::Event::decode(delivery.event.as_ref()).unwrap_or_default();
    transaction
        .prepare_cached(
            "INSERT OR IGNORE INTO letters
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            sequence,
            letter.space,
            letter.webhook_id,
            delivery.id,
            delivery.event_id,
            event.topic,
            at(letter.at.as_ref()),
            delivery.attempt.saturating_sub(1),
            letter.last_outcome,
            letter.reason,
            letter.detail,
        ])?;
    // Without a delivery it is an event or a message that nobody could read.
    if delivery.id.is_empty() {
        return Ok(());
    }
    let known = Known {
        space: &delivery.space,
        id: &delivery.id,
        webhook: &delivery.webhook_id,
        environment: &delivery.environment,
        event: &delivery.event_id,
        event_sequence: delivery.event_sequence,
        topic: &event.topic,
        at: at(letter.at.as_ref()),
        last_at: at(letter.at.as_ref()),
        number: delivery.attempt.saturating_sub(1),
        status: Status::Dead,
        reason: &letter.reason,
        waits_until: 0,
    };
    store_delivery(transaction, &known)?;
    Ok(())
}

/// The first attempt has the number 1, so whatever is known of it or later ones is newer than this.
fn store_waiting(transaction: &Transaction<'_>, waiting: &v1::Waiting) -> rusqlite::Result<()> {
    let known = Known {
        space: &waiting.space,
        id: &waiting.delivery_id,
        webhook: &waiting.webhook_id,
        environment: &waiting.environment,
        event: &waiting.event_id,
        event_sequence: waiting.event_sequence,
        topic: &waiting.topic,
        at: at(waiting.created_at.as_ref()),
        last_at: at(waiting.at.as_ref()),
        number: 0,
        status: Status::Pending,
        reason: &waiting.reason,
        waits_until: at(waiting.until.as_ref()),
    };
    store_delivery(transaction, &known)?;
    Ok(())
}

/// What one message says of its delivery.
struct Known<'a> {
    space: &'a str,
    id: &'a str,
    webhook: &'a str,
    environment: &'a str,
    event: &'a str,
    event_sequence: u64,
    topic: &'a str,
    /// The earliest that it knows of.
    at: i64,
    /// When what it tells happened.
    last_at: i64,
    number: u32,
    status: Status,
    reason: &'a str,
    waits_until: i64,
}

/// The delivery begins with the earliest that is known of it, and stands as the last attempt left
/// it, whichever message comes first.
fn store_delivery(transaction: &Transaction<'_>, known: &Known<'_>) -> rusqlite::Result<i64> {
    transaction
        .prepare_cached(
            "INSERT INTO deliveries (space, id, webhook, environment, event, event_sequence, topic,
               at, last_number, last_at, status, reason, waits_until)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
             ON CONFLICT (space, id) DO UPDATE SET
               at = min(at, excluded.at),
               topic = max(topic, excluded.topic),
               status = iif((excluded.last_number, excluded.last_at) >= (last_number, last_at),
                 excluded.status, status),
               reason = iif((excluded.last_number, excluded.last_at) >= (last_number, last_at),
                 excluded.reason, reason),
               waits_until = iif((excluded.last_number, excluded.last_at) >= (last_number, last_at),
                 excluded.waits_until, waits_until),
               last_at = iif((excluded.last_number, excluded.last_at) >= (last_number, last_at),
                 excluded.last_at, last_at),
               last_number = max(last_number, excluded.last_number)
             RETURNING row",
        )?
        .query_row(
            params![
                known.space,
                known.id,
                known.webhook,
                known.environment,
                known.event,
                known.event_sequence,
                known.topic,
                known.at,
                known.number,
                known.last_at,
                known.status as i64,
                known.reason,
                known.waits_until,
            ],
            |row| row.get(0),
        )
}

fn at(wire: Option<&prost_types::Timestamp>) -> i64 {
    wire.map_or(0, |wire| {
        wire.seconds
            .saturating_mul(1_000_000)
            .saturating_add(i64::from(wire.nanos / 1_000))
    })
}
