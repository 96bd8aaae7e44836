//! Energy by day.

use rusqlite::types::Value as Sql;
use rusqlite::{Connection, Row, params_from_iter};

use crate::model::energy::{Flow, Flows};

/// Whether a row `days` of ours is in the table of the server before as well.
pub(super) const IS_THEIRS: &str = "EXISTS (SELECT 1 FROM daily_energy, history_gateways
     WHERE number = days.gateway AND gateway_id = history_gateways.id AND daily_energy.day = days.day)";

/// Which days. Days are `2026-11-25`, by which they sort.
#[derive(Clone, Debug, Default)]
pub struct Days {
    /// `None`: all of them.
    pub gateway: Option<String>,
    /// The first one.
    pub first: Option<String>,
    /// The last one.
    pub last: Option<String>,
    /// Older ones than this one only: where a page ended.
    pub before: Option<String>,
}

/// A day of a gateway.
#[derive(Clone, Debug, PartialEq)]
pub struct DayRow {
    pub gateway: String,
    pub day: String,
    /// kWh, as the table of the server before has it.
    pub energy: Flows<Option<f64>>,
    /// When it was measured last, Unix seconds.
    pub last: Option<f64>,
    /// When it was written last, Unix seconds.
    pub updated: f64,
}

impl Days {
    /// The newest of them, all gateways of at most `most` days, the newest first.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn newest(&self, connection: &Connection, most: usize) -> rusqlite::Result<Vec<DayRow>> {
        let (conditions, values) = self.conditions();
        let ours = format!(
            "SELECT id, day, solar / 1000 AS s, home / 1000, charge / 1000, discharge / 1000, import / 1000,
                 export / 1000, last, updated
             FROM history_days AS days JOIN history_gateways ON number = gateway
             WHERE {} AND NOT {IS_THEIRS}",
            conditions.replace("gateway_id", "id"),
        );
        let theirs = format!(
            "SELECT gateway_id, day, solar_kwh, home_kwh, battery_charge_kwh, battery_discharge_kwh,
                 grid_import_kwh, grid_export_kwh, last_sample_ts, updated_at
             FROM daily_energy WHERE {conditions}"
        );
        let both = format!("{theirs} UNION ALL {ours}");
        // A page ends with a whole day.
        let names = format!("SELECT DISTINCT day FROM ({both}) ORDER BY day DESC LIMIT {most}");
        let query = format!(
            "SELECT * FROM ({both}) WHERE day >= (SELECT min(day) FROM ({names})) ORDER BY day DESC, 1"
        );
        // The numbered values are the same in each part.
        let mut statement = connection.prepare_cached(&query)?;
        statement.query_map(params_from_iter(values), row)?.collect()
    }

    fn conditions(&self) -> (String, Vec<Sql>) {
        let given = [
            ("gateway_id =", &self.gateway),
            ("day >=", &self.first),
            ("day <=", &self.last),
            ("day <", &self.before),
        ];
        let mut conditions = vec!["true".to_owned()];
        let mut values = Vec::new();
        for (condition, value) in given {
            if let Some(value) = value {
                values.push(Sql::from(value.clone()));
                conditions.push(format!("{condition} ?{}", values.len()));
            }
        }
        (conditions.join(" AND "), values)
    }
}

fn row(row: &Row<'_>) -> rusqlite::Result<DayRow> {
    let mut energy = Flows::default();
    for (place, flow) in Flow::ALL.into_iter().enumerate() {
        energy[flow] = row.get(place + 2)?;
    }
    Ok(DayRow { gateway: row.get(0)?, day: row.get(1)?, energy, last: row.get(8)?, updated: row.get(9)? })
}
