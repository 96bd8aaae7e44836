//! Power over time, as means of equal stretches of it.

use std::collections::BTreeMap;

use rusqlite::{Connection, Row, params_from_iter};

use super::samples::Samples;

/// Means of one gateway in one stretch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Means {
    /// W; what is unknown in all samples is unknown.
    pub solar: Option<f64>,
    pub home: Option<f64>,
    /// + discharge
    pub battery: Option<f64>,
    /// + import
    pub grid: Option<f64>,
    /// App percent.
    pub soe: Option<f64>,
}

/// By the beginning of the stretch, Unix seconds, and gateway.
pub type Trend = BTreeMap<i64, Vec<(String, Means)>>;

/// Means of `samples` over stretches of `seconds`, which begin at multiples of it. Stretches without a sample
/// are absent.
///
/// # Errors
/// If the file cannot be read.
pub fn trend(connection: &Connection, samples: &Samples, seconds: u32) -> rusqlite::Result<Trend> {
    let (source, values) = samples.source();
    let query = format!(
        "SELECT gateway_id, CAST(ts / {seconds} AS INTEGER) * {seconds} AS stretch, avg(solar_w), avg(home_w),
             avg(battery_discharge_w) - avg(battery_charge_w), avg(grid_import_w) - avg(grid_export_w),
             avg(soe)
         FROM ({source}) GROUP BY stretch, gateway_id ORDER BY stretch, gateway_id"
    );
    let mut statement = connection.prepare_cached(&query)?;
    let read = |row: &Row<'_>| {
        let means = Means {
            solar: row.get(2)?,
            home: row.get(3)?,
            battery: row.get(4)?,
            grid: row.get(5)?,
            soe: row.get(6)?,
        };
        Ok((row.get(1)?, row.get(0)?, means))
    };
    let mut found = Trend::new();
    for row in statement.query_map(params_from_iter(values), read)? {
        let (stretch, gateway, means): (i64, String, Means) = row?;
        found.entry(stretch).or_default().push((gateway, means));
    }
    Ok(found)
}
