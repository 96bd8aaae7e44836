//! Power as it was recorded, poll by poll.

use rusqlite::types::Value as Sql;
use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};

use crate::model::energy::{Flow, Flows};
use crate::store::history::batch::Sample;

/// Which samples.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    /// `None`: of all gateways.
    pub gateway: Option<String>,
    /// From here on, Unix seconds.
    pub start: Option<f64>,
    /// Up to here, Unix seconds.
    pub end: Option<f64>,
}

/// The columns of a sample: gateway, time, the six flows, charge.
const COLUMNS: &str = "gateway_id, ts, solar_w, home_w, battery_charge_w, battery_discharge_w, grid_import_w,
     grid_export_w, soe";

/// The gateway of a row with these columns, and the sample.
fn read(row: &Row<'_>) -> rusqlite::Result<(String, Sample)> {
    let mut power = Flows::default();
    for (place, flow) in Flow::ALL.into_iter().enumerate() {
        power[flow] = row.get(place + 2)?;
    }
    Ok((row.get(0)?, Sample { at: row.get(1)?, power, soe: row.get(8)? }))
}

impl Samples {
    /// The newest `most` of them, the oldest of these first.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn newest(&self, connection: &Connection, most: u32) -> rusqlite::Result<Vec<(String, Sample)>> {
        let (source, values) = self.source();
        // SQLite takes both parts by their indices and merges them: neither is sorted as a whole.
        let query = format!(
            "SELECT * FROM (SELECT {COLUMNS} FROM ({source}) ORDER BY ts DESC, gateway_id DESC LIMIT {most})
             ORDER BY ts, gateway_id"
        );
        let mut statement = connection.prepare_cached(&query)?;
        statement.query_map(params_from_iter(values), read)?.collect()
    }

    /// The oldest `most` of them, in order.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn oldest(&self, connection: &Connection, most: u32) -> rusqlite::Result<Vec<(String, Sample)>> {
        let (source, values) = self.source();
        let query = format!("SELECT * FROM ({source}) ORDER BY ts, gateway_id LIMIT {most}");
        let mut statement = connection.prepare_cached(&query)?;
        statement.query_map(params_from_iter(values), read)?.collect()
    }

    /// When the first and the last of them were taken.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn span(&self, connection: &Connection) -> rusqlite::Result<Option<(f64, f64)>> {
        let mut ends: Vec<f64> = Vec::new();
        for order in ["", " DESC"] {
            // By the index, and not over all of them.
            let (source, values) = self.source();
            let query = format!("SELECT ts FROM ({source}) ORDER BY ts{order} LIMIT 1");
            let found = connection.query_row(&query, params_from_iter(values), |row| row.get::<_, f64>(0));
            let found: Option<f64> = found.optional()?;
            ends.extend(found);
        }
        Ok(ends.first().copied().zip(ends.last().copied()))
    }

    /// A query for all of them, complete ones and others, and its values.
    pub(super) fn source(&self) -> (String, Vec<Sql>) {
        let mut conditions = vec!["true".to_owned()];
        let mut values: Vec<Sql> = Vec::new();
        let times = [("ts >=", self.start), ("ts <=", self.end)];
        let times = times.into_iter().filter_map(|(text, at)| Some((text, Sql::from(at?))));
        let gateway = self.gateway.iter().map(|id| ("gateway_id =", Sql::from(id.clone())));
        for (condition, value) in times.chain(gateway) {
            values.push(value);
            conditions.push(format!("{condition} ?{}", values.len()));
        }
        let conditions = conditions.join(" AND ");
        let ours = conditions.replace("gateway_id", "id").replace("ts ", "at ");
        let source = format!(
            "SELECT {COLUMNS} FROM samples WHERE {conditions} UNION ALL
             SELECT id, at, solar, home, charge, discharge, import, export, soe
             FROM history_gateways CROSS JOIN history_samples ON number = gateway WHERE {ours}"
        );
        (source, values)
    }
}
