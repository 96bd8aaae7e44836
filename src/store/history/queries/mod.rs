//! What can be asked of the history. Each question takes a connection that only reads, and brings rows; what
//! becomes of them is the business of who asks.

pub mod daily;
pub mod energy;
pub mod health;
pub mod outages;
pub mod samples;
pub mod signal_values;
pub mod signals;
pub mod trend;
pub mod waiting;

use rusqlite::Connection;

/// What is in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Of complete power samples.
    pub samples: u64,
    /// Of power samples with something unknown.
    pub partial_samples: u64,
    /// Of days, whatever is known of them.
    pub days: u64,
    /// Of quarters of an hour.
    pub slots: u64,
    /// Of intervals that were counted over an outage or a restart.
    pub recovered: u64,
    pub signal_series: u64,
    pub signal_samples: u64,
    pub signal_days: u64,
}

/// Counts everything: on a large file, for a second.
///
/// # Errors
/// If the file cannot be read.
pub fn counts(connection: &Connection) -> rusqlite::Result<Counts> {
    let rows = |of: &str| -> rusqlite::Result<u64> {
        let count = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
        Ok(connection.query_row(&format!("SELECT count(*) FROM {of}"), [], count)?.unsigned_abs())
    };
    Ok(Counts {
        samples: rows("samples")?,
        partial_samples: rows("history_samples")?,
        days: rows("daily_energy")? + rows(&format!("history_days AS days WHERE NOT {}", daily::IS_THEIRS))?,
        slots: rows("history_slots")?,
        recovered: rows("history_recovered")?,
        signal_series: rows("device_series")?,
        signal_samples: rows("device_samples")?,
        signal_days: rows("device_daily")?,
    })
}

/// The gateways of which the file says where to go on from, sorted by id.
///
/// # Errors
/// If the file cannot be read.
pub fn gateways(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let query = "SELECT gateway_id FROM integration_state
         UNION SELECT id FROM history_gateways WHERE state IS NOT NULL ORDER BY 1";
    connection.prepare(query)?.query_map([], |row| row.get(0))?.collect()
}

/// The zone of the site of `gateway`, if it is known.
///
/// # Errors
/// If the file cannot be read.
pub fn zone(connection: &Connection, gateway: &str) -> rusqlite::Result<Option<String>> {
    use rusqlite::OptionalExtension;

    let query = "SELECT zone FROM history_gateways WHERE id = ?1";
    Ok(connection.query_row(query, [gateway], |row| row.get(0)).optional()?.flatten())
}
