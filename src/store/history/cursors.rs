//! How far something long has come that goes on where it was interrupted: an import, or what is sent to
//! another database.

use rusqlite::{Connection, OptionalExtension, params};

/// `usage` is one of [`Usage`], `peer` is where it comes from or goes to, without any secret. `reached` is in
/// Unix seconds.
pub(in crate::store) const TABLE: &str = "
    CREATE TABLE history_cursors (
        usage TEXT NOT NULL, peer TEXT NOT NULL, gateway TEXT NOT NULL, reached REAL NOT NULL,
        PRIMARY KEY (usage, peer, gateway)
    ) WITHOUT ROWID;
";

/// What comes or goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Usage {
    /// An import that was interrupted. One that is finished has no cursor.
    Import,
    /// Slots that are sent to another database.
    SendSlots,
    /// Points of power that are sent there.
    SendPower,
    /// The journal that is sent to a broker: the id of the entry, and not a time.
    SendJournal,
    /// Gateways that a broker has a report of: when the first one was published.
    Report,
    /// A number that no other file has.
    File,
}

impl Usage {
    fn word(self) -> &'static str {
        match self {
            Self::Import => "import",
            Self::SendSlots => "send_slots",
            Self::SendPower => "send_power",
            Self::SendJournal => "send_journal",
            Self::Report => "report",
            Self::File => "file",
        }
    }
}

/// How far `gateway` has come with `peer`.
///
/// # Errors
/// If the file cannot be read.
pub fn reached(
    connection: &Connection,
    (usage, peer): (Usage, &str),
    gateway: &str,
) -> rusqlite::Result<Option<f64>> {
    let query = "SELECT reached FROM history_cursors WHERE usage = ?1 AND peer = ?2 AND gateway = ?3";
    let values = params![usage.word(), peer, gateway];
    connection.prepare_cached(query)?.query_row(values, |row| row.get(0)).optional()
}

/// The gateways of which something is kept with `peer`.
///
/// # Errors
/// If the file cannot be read.
pub fn gateways(connection: &Connection, (usage, peer): (Usage, &str)) -> rusqlite::Result<Vec<String>> {
    let query = "SELECT gateway FROM history_cursors WHERE usage = ?1 AND peer = ?2";
    let mut query = connection.prepare_cached(query)?;
    query.query_map(params![usage.word(), peer], |row| row.get(0))?.collect()
}

/// Keeps how far `gateway` has come with `peer`; `None`: it is finished.
///
/// # Errors
/// If the file cannot be written.
pub fn reach(
    connection: &Connection,
    (usage, peer): (Usage, &str),
    gateway: &str,
    at: Option<f64>,
) -> rusqlite::Result<()> {
    let query = match at {
        Some(_) => "INSERT OR REPLACE INTO history_cursors VALUES (?1, ?2, ?3, ?4)",
        None => "DELETE FROM history_cursors WHERE usage = ?1 AND peer = ?2 AND gateway = ?3 AND ?4 IS NULL",
    };
    let values = params![usage.word(), peer, gateway, at];
    connection.prepare_cached(query)?.execute(values).map(|_| ())
}
