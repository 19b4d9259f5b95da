//! How a webhook fared, from its attempts.

use rusqlite::params;

use crate::log::{Log, LogError};

/// Parts of a health window.
const BUCKETS: i64 = 24;
/// The newest attempts of a window that health looks at.
const HEALTH_MAX: u32 = 20_000;

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

impl Log {
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
