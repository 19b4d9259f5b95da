//! Deliveries: pages, counts, and one with its attempts.

use prost::Message as _;
use rusqlite::types::Value;
use rusqlite::{OptionalExtension as _, Row, params_from_iter};
use tidings_proto::v1;

use super::{Cursor, PAGE_MAX, Page, Where, page};
use crate::log::{Log, LogError};

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

impl Log {
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
