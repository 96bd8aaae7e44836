//! Signals in the tables of pypowerwall-server 0.13: each value, and of each day the least, the largest and
//! the sum.

use jiff::tz::TimeZone;
use rusqlite::{Transaction, params};

use super::batch::Signal;
use super::days::Day;

/// Where a value belongs, as the server before names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    /// The key of its block in the vitals.
    pub device: String,
    /// The id of a signal.
    pub metric: String,
}

/// What an import brings of a series.
#[derive(Clone, Debug, PartialEq)]
pub enum Brought {
    /// A value at a time in Unix seconds.
    Value {
        at: i64,
        value: f64,
    },
    Day {
        day: String,
        least: f64,
        largest: f64,
        sum: f64,
        count: i64,
        last: i64,
    },
}

/// Adds what is not there. The days come by themselves: values add nothing to them.
pub(super) fn fill(
    change: &Transaction<'_>,
    gateway: &str,
    series: &Series,
    brought: &Brought,
) -> rusqlite::Result<u64> {
    let series = number(change, gateway, &series.device, &series.metric)?;
    let added = match brought {
        Brought::Value { at, value } => {
            let query = "INSERT OR IGNORE INTO device_samples (series_id, ts, value) VALUES (?1, ?2, ?3)";
            change.prepare_cached(query)?.execute(params![series, at, value])?
        }
        Brought::Day { day, least, largest, sum, count, last } => {
            let query = "INSERT OR IGNORE INTO device_daily
                 (series_id, day, min_value, max_value, sum_value, count, last_ts)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
            change.prepare_cached(query)?.execute(params![series, day, least, largest, sum, count, last])?
        }
    };
    Ok(added as u64)
}

/// The number of a series, which is made if there is none.
fn number(change: &Transaction<'_>, gateway: &str, device: &str, metric: &str) -> rusqlite::Result<i64> {
    let series = "INSERT INTO device_series (gateway_id, device, metric) VALUES (?1, ?2, ?3)
         ON CONFLICT (gateway_id, device, metric) DO UPDATE SET metric = metric RETURNING series_id";
    change.prepare_cached(series)?.query_row(params![gateway, device, metric], |row| row.get(0))
}

/// Adds a value, unless there is one of this second.
pub(super) fn add(
    change: &Transaction<'_>,
    gateway: &str,
    signal: &Signal,
    zone: &TimeZone,
) -> rusqlite::Result<()> {
    let series = number(change, gateway, &signal.device, signal.metric)?;
    let value = "INSERT OR IGNORE INTO device_samples (series_id, ts, value) VALUES (?1, ?2, ?3)";
    let added = change.prepare_cached(value)?.execute(params![series, signal.at, signal.value])?;
    let Some(day) = Day::of(signal.at as f64, zone).filter(|_| added > 0) else { return Ok(()) };
    let of_day = "INSERT INTO device_daily (series_id, day, min_value, max_value, sum_value, count, last_ts)
         VALUES (?1, ?2, ?3, ?3, ?3, 1, ?4)
         ON CONFLICT (series_id, day) DO UPDATE SET
             min_value = min(min_value, excluded.min_value), max_value = max(max_value, excluded.max_value),
             sum_value = sum_value + excluded.sum_value, count = count + 1,
             last_ts = max(last_ts, excluded.last_ts)";
    let values = params![series, day.name, signal.value, signal.at];
    change.prepare_cached(of_day)?.execute(values).map(|_| ())
}
