//! Questions, each of one space. Pages are newest first and stay the same while rows come in
//! above them.

use prost::Message as _;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, Row, params, params_from_iter};
use tidings_proto::v1;

use super::{Log, LogError};

/// Rows a page holds at most.
const PAGE_MAX: usize = 200;
/// Parts of a health window.
const BUCKETS: i64 = 24;
/// The newest attempts of a window that health looks at.
const HEALTH_MAX: u32 = 20_000;

/// How a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It waits for another attempt.
    Retrying = 0,
    /// The receiver took it.
    Delivered = 1,
    /// It was given up.
    Dead = 2,
    /// Its first attempt was put off.
    Pending = 3,
}

/// A delivery, as far as the records of its attempts and dead letters tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its id.
    pub id: String,
    /// Its webhook.
    pub webhook: String,
    /// Its event's environment.
    pub environment: String,
    /// Its event.
    pub event: String,
    /// The event's place in its stream.
    pub event_sequence: u64,
    /// The event's topic.
    pub topic: String,
    /// The earliest that is known of it.
    pub at: i64,
    /// The number of the last attempt.
    pub attempts: u32,
    /// When that began, when it was put off, or when it was given up.
    pub last_at: i64,
    /// How it stands.
    pub status: Status,
    /// Why it is not delivered; empty if it is.
    pub reason: String,
    /// Until when it waits for its first attempt, as was foreseen; 0 if it does not or nobody knows.
    pub waits_until: i64,
}

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

/// Where the next page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    at: i64,
    id: String,
}

impl Cursor {
    /// The place of a delivery.
    #[must_use]
    pub fn of(delivery: &Delivery) -> Self {
        let (at, id) = (delivery.at, delivery.id.clone());
        Self { at, id }
    }

    fn of_sequence(sequence: u64) -> Self {
        Self {
            at: i64::try_from(sequence).unwrap_or(i64::MAX),
            id: String::new(),
        }
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.at, self.id)
    }
}

impl std::str::FromStr for Cursor {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (at, id) = text.split_once('.').ok_or("not a cursor of a page")?;
        let at = at.parse().map_err(|_| "not a cursor of a page")?;
        let id = id.to_owned();
        Ok(Self { at, id })
    }
}

/// A page, and where the next begins if there is one.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// Newest first.
    pub items: Vec<T>,
    /// `None` on the last page.
    pub next: Option<Cursor>,
}

/// Which deliveries. What is `None` does not matter.
#[derive(Debug, Clone, Default)]
pub struct DeliveryFilter {
    /// Of this webhook.
    pub webhook: Option<String>,
    /// That stand so.
    pub status: Option<Status>,
    /// Of this topic.
    pub topic: Option<String>,
    /// Of this event.
    pub event: Option<String>,
    /// Not before.
    pub from: Option<i64>,
    /// Before.
    pub to: Option<i64>,
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

/// How a webhook fared in a window: of its newest 20,000 attempts there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// Attempts.
    pub attempts: u64,
    /// Attempts that the receiver took.
    pub delivered: u64,
    /// Median duration in microseconds.
    pub p50_us: u64,
    /// 95th percentile.
    pub p95_us: u64,
    /// 99th percentile.
    pub p99_us: u64,
    /// For each of 24 equal parts of the window: attempts, and those delivered.
    pub buckets: Vec<(u64, u64)>,
    /// For each of them the median and the 95th percentile of durations in microseconds.
    pub latencies: Vec<Option<(u64, u64)>>,
}

/// Conditions and their values.
#[derive(Default)]
struct Where {
    sql: String,
    values: Vec<Value>,
}

impl Where {
    fn space(space: &str) -> Self {
        Self {
            sql: String::from("space = ?"),
            values: vec![Value::from(space.to_owned())],
        }
    }

    fn and(&mut self, condition: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.sql.push_str(" AND ");
            self.sql.push_str(condition);
            self.values.push(value.into());
        }
    }
}

impl DeliveryFilter {
    fn conditions(self, space: &str) -> Where {
        let mut found = Where::space(space);
        // An event has few deliveries: its index is the one to use.
        let webhook = match self.event {
            Some(_) => "+webhook = ?",
            None => "webhook = ?",
        };
        found.and("event = ?", self.event);
        found.and(webhook, self.webhook);
        found.and("status = ?", self.status.map(|status| status as i64));
        found.and("topic = ?", self.topic);
        found.and("at >= ?", self.from);
        found.and("at < ?", self.to);
        found
    }
}

const DELIVERY: &str = "SELECT id, webhook, environment, event, event_sequence, topic, at, \
     last_number, last_at, status, reason, waits_until FROM deliveries";

fn delivery(row: &Row<'_>) -> rusqlite::Result<Delivery> {
    Ok(Delivery {
        id: row.get(0)?,
        webhook: row.get(1)?,
        environment: row.get(2)?,
        event: row.get(3)?,
        event_sequence: row.get(4)?,
        topic: row.get(5)?,
        at: row.get(6)?,
        attempts: row.get(7)?,
        last_at: row.get(8)?,
        status: match row.get(9)? {
            0 => Status::Retrying,
            1 => Status::Delivered,
            3 => Status::Pending,
            _ => Status::Dead,
        },
        reason: row.get(10)?,
        waits_until: row.get(11)?,
    })
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

fn page<T>(
    connection: &Connection,
    sql: &str,
    values: Vec<Value>,
    limit: usize,
    read: fn(&Row<'_>) -> rusqlite::Result<T>,
    cursor: fn(&T) -> Cursor,
) -> Result<Page<T>, LogError> {
    let mut statement = connection.prepare_cached(&format!("{sql} LIMIT {}", limit + 1))?;
    let mut items = statement
        .query_map(params_from_iter(values), read)?
        .collect::<Result<Vec<_>, _>>()?;
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(cursor);
    Ok(Page { items, next })
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

    /// A page of deliveries, the oldest first, after the one at `after`; at most 200.
    ///
    /// # Errors
    /// SQLite refuses.
    pub async fn deliveries_oldest_first(
        &self,
        space: &str,
        mut filter: DeliveryFilter,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Page<Delivery>, LogError> {
        if let Some(cursor) = &after {
            filter.from = Some(filter.from.map_or(cursor.at, |from| from.max(cursor.at)));
        }
        let mut found = filter.conditions(space);
        if let Some(Cursor { at, id }) = after {
            found.and("(at, id) > (?, ?)", Some(at));
            found.values.push(Value::from(id));
        }
        let limit = limit.clamp(1, PAGE_MAX);
        self.read(move |connection| {
            let sql = format!("{DELIVERY} WHERE {} ORDER BY at, id", found.sql);
            page(connection, &sql, found.values, limit, delivery, Cursor::of)
        })
        .await
    }

    /// A page of deliveries, at most 200.
    ///
    /// # Errors
    /// SQLite refuses.
    pub async fn deliveries(
        &self,
        space: &str,
        mut filter: DeliveryFilter,
        cursor: Option<Cursor>,
        limit: usize,
    ) -> Result<Page<Delivery>, LogError> {
        if let Some(cursor) = &cursor {
            // SQLite takes one upper bound to the index: let it be the tighter one.
            let at = cursor.at.saturating_add(1);
            filter.to = Some(filter.to.map_or(at, |to| to.min(at)));
        }
        let mut found = filter.conditions(space);
        if let Some(Cursor { at, id }) = cursor {
            found.and("(at, id) < (?, ?)", Some(at));
            found.values.push(Value::from(id));
        }
        let limit = limit.clamp(1, PAGE_MAX);
        self.read(move |connection| {
            let sql = format!("{DELIVERY} WHERE {} ORDER BY at DESC, id DESC", found.sql);
            page(connection, &sql, found.values, limit, delivery, Cursor::of)
        })
        .await
    }

    /// How many deliveries there are, for the dry run of a replay.
    ///
    /// # Errors
    /// SQLite refuses.
    pub async fn count(&self, space: &str, filter: DeliveryFilter) -> Result<u64, LogError> {
        self.count_upto(space, filter, i64::MAX.unsigned_abs())
            .await
    }

    /// The same, but no further than `max`.
    ///
    /// # Errors
    /// SQLite refuses.
    pub async fn count_upto(
        &self,
        space: &str,
        filter: DeliveryFilter,
        max: u64,
    ) -> Result<u64, LogError> {
        let Where { sql, values } = filter.conditions(space);
        self.read(move |connection| {
            let sql =
                format!("SELECT count(*) FROM (SELECT 1 FROM deliveries WHERE {sql} LIMIT {max})");
            Ok(connection.query_row(&sql, params_from_iter(values), |row| row.get(0))?)
        })
        .await
    }

    /// A delivery with its attempts, oldest first.
    ///
    /// # Errors
    /// SQLite refuses, or a record is broken.
    pub async fn delivery(
        &self,
        space: &str,
        id: &str,
    ) -> Result<Option<(Delivery, Vec<v1::Attempt>)>, LogError> {
        let (space, id) = (space.to_owned(), id.to_owned());
        self.read(move |connection| {
            let found = connection
                .query_row(
                    &format!("{DELIVERY} WHERE space = ? AND id = ?"),
                    [&space, &id],
                    delivery,
                )
                .optional()?;
            let Some(found) = found else {
                return Ok(None);
            };
            let mut statement = connection.prepare_cached(
                "SELECT record FROM attempts WHERE delivery =
                   (SELECT row FROM deliveries WHERE space = ? AND id = ?) ORDER BY number, at",
            )?;
            let attempts = statement
                .query_map([&space, &id], |row| row.get::<_, Vec<u8>>(0))?
                .map(|record| Ok(v1::Attempt::decode(record?.as_slice())?))
                .collect::<Result<_, LogError>>()?;
            Ok(Some((found, attempts)))
        })
        .await
    }

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

    /// How a webhook fared from `from` until before `to`.
    ///
    /// # Errors
    /// SQLite refuses.
    pub async fn health(
        &self,
        space: &str,
        webhook: &str,
        from: i64,
        to: i64,
    ) -> Result<Health, LogError> {
        let (space, webhook) = (space.to_owned(), webhook.to_owned());
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT at, delivered, total_us FROM attempts
                 WHERE space = ? AND webhook = ? AND at >= ? AND at < ? ORDER BY at DESC LIMIT ?",
            )?;
            let rows = statement
                .query_map(params![space, webhook, from, to, HEALTH_MAX], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
                })?
                .collect::<Result<Vec<(i64, bool, u64)>, _>>()?;
            Ok(health(&rows, from, to))
        })
        .await
    }
}

fn health(rows: &[(i64, bool, u64)], from: i64, to: i64) -> Health {
    let count = usize::try_from(BUCKETS).unwrap_or_default();
    let mut found = Health {
        buckets: vec![(0, 0); count],
        ..Health::default()
    };
    let width = (to.saturating_sub(from) / BUCKETS).max(1);
    let mut parts = vec![Vec::new(); count];
    for (at, delivered, duration) in rows {
        let place = usize::try_from((at - from) / width).unwrap_or_default();
        let place = place.min(count - 1);
        parts[place].push(*duration);
        let bucket = &mut found.buckets[place];
        found.attempts += 1;
        found.delivered += u64::from(*delivered);
        bucket.0 += 1;
        bucket.1 += u64::from(*delivered);
    }
    for mut part in parts {
        part.sort_unstable();
        let is_measured = !part.is_empty();
        let pair = (percentile(&part, 50), percentile(&part, 95));
        found.latencies.push(is_measured.then_some(pair));
    }
    let mut durations: Vec<u64> = rows.iter().map(|row| row.2).collect();
    durations.sort_unstable();
    found.p50_us = percentile(&durations, 50);
    found.p95_us = percentile(&durations, 95);
    found.p99_us = percentile(&durations, 99);
    found
}

/// Of sorted values; 0 if there are none.
fn percentile(sorted: &[u64], percent: usize) -> u64 {
    let place = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(place).copied().unwrap_or(0)
}

#[cfg(test)]
mod plans {
    use tempfile::TempDir;

    use super::*;
    use crate::log::LogOptions;

    /// Every combination of what may be asked for.
    fn filters() -> Vec<DeliveryFilter> {
        (0..64_u32)
            .map(|bits| {
                let text = |bit: u32| (bits & bit != 0).then(|| String::from("x"));
                DeliveryFilter {
                    webhook: text(1),
                    status: (bits & 2 != 0).then_some(Status::Dead),
                    topic: text(4),
                    event: text(8),
                    from: (bits & 16 != 0).then_some(1),
                    to: (bits & 32 != 0).then_some(2),
                }
            })
            .collect()
    }

    #[tokio::test]
    async fn every_page_is_read_off_an_index_in_its_order() {
        let folder = TempDir::new().unwrap();
        let log = Log::open(LogOptions::at(folder.path().join("log.db"))).await;
        let log = log.unwrap();
        for filter in filters() {
            let shown = format!("{filter:?}");
            let found = filter.conditions("acme");
            let plan = log.read(move |connection| {
                let sql = format!(
                    "EXPLAIN QUERY PLAN {DELIVERY} WHERE {} ORDER BY at DESC, id DESC LIMIT 51",
                    found.sql
                );
                let mut statement = connection.prepare(&sql)?;
                let rows = statement.query_map(params_from_iter(found.values), |row| {
                    row.get::<_, String>(3)
                })?;
                Ok(rows.collect::<Result<Vec<_>, _>>()?.join("; "))
            });
            let plan = plan.await.unwrap();
            let is_sought = plan.contains("SEARCH deliveries USING INDEX deliveries_");
            assert!(
                is_sought && !plan.contains("TEMP B-TREE"),
                "{shown}: {plan}"
            );
        }
    }
}
