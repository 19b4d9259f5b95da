//! Pages of lists: how many items, from where on, and what narrows them.

use http::StatusCode;
use serde::Deserialize;
use std::str::FromStr as _;
use tidings_core::topic::Topic;
use tidings_service::problem::Problem as Told;
use utoipa::IntoParams;

use crate::log::Cursor;

const LIMIT_DEFAULT: u32 = 50;
const LIMIT_MAX: u32 = 200;

/// How many items a page holds.
pub(in crate::api) fn limit_of(limit: Option<u32>) -> Result<usize, Told> {
    match limit.unwrap_or(LIMIT_DEFAULT) {
        limit @ 1..=LIMIT_MAX => Ok(limit as usize),
        limit => Err(bad_query(format!(
            "`limit` is {limit}; give 1 to {LIMIT_MAX}"
        ))),
    }
}

/// Where a page of the log begins.
pub(in crate::api) fn cursor_of(cursor: Option<&str>) -> Result<Option<Cursor>, Told> {
    let given = cursor.filter(|text| !text.is_empty());
    let read = given.map(Cursor::from_str).transpose();
    read.map_err(|_| bad_cursor())
}

/// Where a page of a stream begins.
pub(in crate::api) fn place_of(cursor: Option<&str>) -> Result<Option<u64>, Told> {
    let given = cursor.filter(|text| !text.is_empty());
    let read = given.map(str::parse).transpose();
    read.map_err(|_| bad_cursor())
}

/// The topic that a list is narrowed to.
pub(in crate::api) fn topic_of(topic: Option<String>) -> Result<Option<String>, Told> {
    let given = topic.filter(|text| !text.is_empty());
    let read = given.as_deref().map(Topic::from_str).transpose();
    read.map_err(|error| {
        bad_query(format!(
            "`topic` is not one topic such as `Entry.publish`: {error}"
        ))
    })?;
    Ok(given)
}

pub(in crate::api) fn bad_cursor() -> Told {
    bad_query(String::from(
        "`cursor` is none; take it from `nextCursor` of the page before",
    ))
}

fn bad_query(detail: String) -> Told {
    Told::new(StatusCode::BAD_REQUEST, "bad_query", detail)
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct PageQuery {
    /// How many items at the most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    pub(in crate::api) limit: Option<u32>,
    /// The `nextCursor` of the page before.
    pub(in crate::api) cursor: Option<String>,
}
