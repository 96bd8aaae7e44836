//! Months of the history: of days that are no longer kept, what was in them stays.

use std::collections::BTreeMap;

use rusqlite::types::Value as Sql;
use rusqlite::{Connection, Row, Transaction, params, params_from_iter};

use super::batch::Sum;
use super::days::{self, columns, sum_in, values};

/// Before every day.
const FIRST: &str = "";

/// The month of a day: `2026-11` of `2026-11-25`.
pub(super) fn month_of(day: &str) -> &str {
    day.get(..7).unwrap_or(day)
}

/// What is left of days that were removed, in the months of a gateway from the first to the last of these.
pub(super) fn between(
    connection: &Connection,
    gateway: &str,
    (first, last): (&str, &str),
) -> rusqlite::Result<BTreeMap<String, Sum>> {
    let query = format!(
        "SELECT {}, ways, month FROM history_months JOIN history_gateways ON number = gateway
         WHERE id = ?1 AND month >= ?2 AND month <= ?3",
        columns(),
    );
    let read = |row: &Row<'_>| Ok((row.get(13)?, sum_in(row)?));
    connection.prepare_cached(&query)?.query_map(params![gateway, first, last], read)?.collect()
}

/// Adds to their months what is in the days before `day`, which are to be removed.
pub(super) fn keep_days_before(change: &Transaction<'_>, day: &str) -> rusqlite::Result<()> {
    let query = "SELECT DISTINCT gateway_id FROM daily_energy WHERE day < ?1
         UNION SELECT id FROM history_days JOIN history_gateways ON number = gateway WHERE day < ?1";
    let gateways: Vec<String> =
        change.prepare_cached(query)?.query_map([day], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    for id in gateways {
        let number = "INSERT INTO history_gateways (id) VALUES (?1)
             ON CONFLICT (id) DO UPDATE SET id = id RETURNING number";
        let number: i64 = change.query_row(number, [&id], |row| row.get(0))?;
        let mut months: BTreeMap<String, Sum> = BTreeMap::new();
        for (name, sum) in days::between(change, &id, (FIRST, day))? {
            if name.as_str() < day {
                months.entry(month_of(&name).to_owned()).or_default().add_all(&sum);
            }
        }
        for (month, mut sum) in months {
            let before = between(change, &id, (&month, &month))?;
            before.values().for_each(|before| sum.add_all(before));
            write(change, number, month, &sum)?;
        }
    }
    Ok(())
}

fn write(change: &Transaction<'_>, gateway: i64, month: String, sum: &Sum) -> rusqlite::Result<()> {
    let query = format!(
        "INSERT OR REPLACE INTO history_months (gateway, month, {}, ways) VALUES ({})",
        columns(),
        ["?"; 15].join(", "),
    );
    let key = [Sql::from(gateway), Sql::from(month)];
    let values = key.into_iter().chain(values(sum)).chain([Sql::from(sum.ways)]);
    change.prepare_cached(&query)?.execute(params_from_iter(values)).map(|_| ())
}
