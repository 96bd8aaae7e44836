//! The tables of the file, and how a file of an earlier version becomes one of this version.
//!
//! The version is SQLite's `user_version`. The history file of pypowerwall-server 0.13 has version 0; its
//! tables stay as they are, so that it can be taken back.

use rusqlite::Connection;

/// The n-th step leads from version n to version n + 1. Steps are added, never changed.
const STEPS: &[&str] = &["
    CREATE TABLE journal (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        at REAL NOT NULL,
        gateway TEXT,
        kind TEXT NOT NULL,
        about INTEGER,
        detail TEXT NOT NULL
    );
    CREATE INDEX journal_kind ON journal (kind, id);
    CREATE INDEX journal_gateway ON journal (gateway, id);
    CREATE INDEX journal_about ON journal (about) WHERE about IS NOT NULL;
"];

/// The version that this program writes.
pub(super) const VERSION: i64 = STEPS.len() as i64;

pub(super) fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Takes the steps from `version` on, all or none.
pub(super) fn migrate(connection: &mut Connection, version: i64) -> rusqlite::Result<()> {
    let change = connection.transaction()?;
    for step in STEPS.iter().skip(usize::try_from(version).unwrap_or(0)) {
        change.execute_batch(step)?;
    }
    change.pragma_update(None, "user_version", VERSION)?;
    change.commit()
}
