//! Signals in the tables of pypowerwall-server 0.13: each value, and of each day the least, the largest and
//! the sum.

use jiff::tz::TimeZone;
use rusqlite::{Transaction, params};

use super::batch::Signal;
use super::days::Day;

/// Adds a value, unless there is one of this second.
pub(super) fn add(
    change: &Transaction<'_>,
    gateway: &str,
    signal: &Signal,
    zone: &TimeZone,
) -> rusqlite::Result<()> {
    let series = "INSERT INTO device_series (gateway_id, device, metric) VALUES (?1, ?2, ?3)
         ON CONFLICT (gateway_id, device, metric) DO UPDATE SET metric = metric RETURNING series_id";
    let values = params![gateway, signal.device, signal.metric];
    let series: i64 = change.prepare_cached(series)?.query_row(values, |row| row.get(0))?;
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
