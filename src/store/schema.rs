//! The tables of the file, and how a file of an earlier version becomes one of this version.
//!
//! The version is SQLite's `user_version`. The history file of pypowerwall-server 0.13 has version 0; its
//! tables stay as they are, so that it can be taken back.

use rusqlite::Connection;

use super::history::{costs, cursors, tables};

/// The n-th step leads from version n to version n + 1. Steps are added, never changed.
const STEPS: &[&str] = &[
    JOURNAL,
    tables::OF_BEFORE,
    tables::OURS,
    tables::BY_TIME,
    cursors::TABLE,
    tables::MONTHS,
    costs::TABLES,
];

const JOURNAL: &str = "
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
";

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

/// Empty tables, for this connection alone, in the place of those that the file does not have yet.
pub(super) fn stand_in(connection: &Connection) -> rusqlite::Result<()> {
    let steps = [JOURNAL, tables::OF_BEFORE, tables::OURS, cursors::TABLE, tables::MONTHS, costs::TABLES];
    let statements = steps.into_iter().flat_map(|step| step.split(';'));
    for statement in statements.map(str::trim).filter(|statement| statement.starts_with("CREATE TABLE")) {
        let rest = statement.trim_start_matches("CREATE TABLE").trim_start();
        let rest = rest.trim_start_matches("IF NOT EXISTS").trim_start();
        let name = rest.split(|character: char| character.is_whitespace() || character == '(').next();
        let is_there = "SELECT count(*) FROM main.sqlite_master WHERE type = 'table' AND name = ?1";
        let is_there: i64 = connection.query_row(is_there, [name], |row| row.get(0))?;
        if is_there == 0 {
            connection.execute_batch(&format!("CREATE TEMP TABLE {rest}"))?;
        }
    }
    Ok(())
}
