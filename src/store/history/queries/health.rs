//! What batteries could hold, month by month.

use rusqlite::{Connection, Row, params};

use crate::model::site::recorded::{CAPACITY, DISCHARGED};

/// What is known of one unit.
#[derive(Clone, Debug, PartialEq)]
pub struct UnitHealth {
    /// The key of its series: its part number and its serial are in it.
    pub device: String,
    /// Months by their names, in order, each with the mean of what it could hold, Wh.
    pub months: Vec<(String, f64)>,
    /// Wh that it has given over its life.
    pub discharged: Option<f64>,
}

/// The units of `gateway`, by their keys.
///
/// # Errors
/// If the file cannot be read.
pub fn health(connection: &Connection, gateway: &str) -> rusqlite::Result<Vec<UnitHealth>> {
    let query = "SELECT device, metric, substr(day, 1, 7), sum(sum_value) / sum(count), max(max_value)
         FROM device_daily JOIN device_series USING (series_id)
         WHERE gateway_id = ?1 AND metric IN (?2, ?3) GROUP BY 1, 2, 3 ORDER BY 1, 2, 3";
    let mut units: Vec<UnitHealth> = Vec::new();
    let mut statement = connection.prepare_cached(query)?;
    let read = |row: &Row<'_>| {
        Ok((row.get(0)?, row.get::<_, String>(1)?, row.get(2)?, row.get::<_, f64>(3)?, row.get::<_, f64>(4)?))
    };
    for row in statement.query_map(params![gateway, CAPACITY, DISCHARGED], read)? {
        let (device, metric, month, mean, most) = row?;
        if units.last().is_none_or(|last| last.device != device) {
            units.push(UnitHealth { device, months: Vec::new(), discharged: None });
        }
        let Some(unit) = units.last_mut() else { continue };
        match metric == CAPACITY {
            true => unit.months.push((month, mean)),
            false => unit.discharged = Some(unit.discharged.map_or(most, |known: f64| known.max(most))),
        }
    }
    Ok(units)
}
