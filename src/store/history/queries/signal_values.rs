//! Every value of every signal, and every day of one, in order: for lists of any length.

use rusqlite::{Connection, Row, params};

use super::super::signals::Series;

/// A series, and the gateway that it is of.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    number: i64,
    pub gateway: String,
    pub series: Series,
}

/// Values of a day.
#[derive(Clone, Debug, PartialEq)]
pub struct Day {
    /// `2026-11-25`
    pub name: String,
    pub least: f64,
    pub largest: f64,
    pub mean: f64,
    pub count: i64,
}

/// All series, by gateway, device and metric.
///
/// # Errors
/// If the file cannot be read.
pub fn series(connection: &Connection) -> rusqlite::Result<Vec<Known>> {
    let query = "SELECT series_id, gateway_id, device, metric FROM device_series ORDER BY 2, 3, 4";
    let read = |row: &Row<'_>| {
        let series = Series { device: row.get(2)?, metric: row.get(3)? };
        Ok(Known { number: row.get(0)?, gateway: row.get(1)?, series })
    };
    connection.prepare_cached(query)?.query_map([], read)?.collect()
}

impl Known {
    /// The first `most` values from `start` to `end`, Unix seconds.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn values(
        &self,
        connection: &Connection,
        (start, end): (f64, f64),
        most: usize,
    ) -> rusqlite::Result<Vec<(i64, f64)>> {
        let query = "SELECT ts, value FROM device_samples
             WHERE series_id = ?1 AND ts >= ?2 AND ts <= ?3 ORDER BY ts LIMIT ?4";
        let values = params![self.number, start, end, i64::try_from(most).unwrap_or(i64::MAX)];
        connection.prepare_cached(query)?.query_map(values, |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
    }

    /// Its days, in order.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn days(&self, connection: &Connection) -> rusqlite::Result<Vec<Day>> {
        let query = "SELECT day, min_value, max_value, sum_value / count, count FROM device_daily
             WHERE series_id = ?1 AND count > 0 ORDER BY day";
        let read = |row: &Row<'_>| {
            let (name, least, largest) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(Day { name, least, largest, mean: row.get(3)?, count: row.get(4)? })
        };
        connection.prepare_cached(query)?.query_map([self.number], read)?.collect()
    }
}
