//! Questions, each of one space. Pages are newest first and stay the same while rows come in
//! above them.

mod deliveries;
mod events;
mod health;
mod letters;

use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};

use super::LogError;

pub use deliveries::{Delivery, DeliveryFilter, Status};
pub use events::{Event, EventFilter};
pub use health::Health;
pub use letters::{Letter, LetterFilter};

/// Rows a page holds at most.
const PAGE_MAX: usize = 200;

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
