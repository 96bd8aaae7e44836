//! The days of the history: which one a moment is in, and how energy is added to one.
//!
//! A day stands twice in the file: in a table of ours, which knows what is unknown, and, once nothing in it
//! is unknown, in that of pypowerwall-server 0.13. Where that server has written since, its row is taken
//! over first: it was the one that measured.

use jiff::tz::TimeZone;
use rusqlite::types::Value as Sql;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params, params_from_iter};

use super::batch::{Source, Sum};
use crate::model::energy::{Flow, Flows};

/// A day at a site.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Day {
    /// `2026-11-25`
    pub name: String,
    /// When the next one begins, Unix seconds.
    pub end: f64,
}

impl Day {
    /// The day that `at` is in, where the clocks show the time of `zone`.
    pub fn of(at: f64, zone: &TimeZone) -> Option<Self> {
        let at = jiff::Timestamp::from_second(at.floor() as i64).ok()?;
        let date = at.to_zoned_datetime(zone.clone()).date();
        let next = date.tomorrow().ok()?.to_zoned_datetime(zone.clone()).ok()?;
        Some(Self { name: date.to_string(), end: next.timestamp().as_second() as f64 })
    }
}

/// The columns with the energy of each flow, and then those with its seconds.
pub(super) fn columns() -> String {
    let seconds = Flow::WORDS.map(|flow| format!("{flow}_s"));
    [Flow::WORDS.join(", "), seconds.join(", ")].join(", ")
}

/// The values of these columns.
pub(super) fn values(sum: &Sum) -> impl Iterator<Item = Sql> {
    let energy = sum.energy.0.into_iter().map(Sql::from);
    energy.chain(sum.seconds.0.into_iter().map(Sql::from))
}

/// The sum in a row that begins with these columns and goes on with `ways`.
pub(super) fn sum_in(row: &Row<'_>) -> rusqlite::Result<Sum> {
    let mut sum = Sum { ways: row.get(12)?, ..Sum::default() };
    for (place, flow) in Flow::ALL.into_iter().enumerate() {
        sum.energy[flow] = row.get(place)?;
        sum.seconds[flow] = row.get(place + 6)?;
    }
    Ok(sum)
}

/// The days of a gateway from the first to the last of these names. Of a day that the server before has
/// written last, its row counts.
pub(super) fn between(
    connection: &Connection,
    gateway: &str,
    (first, last): (&str, &str),
) -> rusqlite::Result<Vec<(String, Sum)>> {
    let query = format!(
        "SELECT {}, ways, day FROM history_days AS days JOIN history_gateways ON number = gateway
         WHERE id = ?1 AND day >= ?2 AND day <= ?3 AND NOT EXISTS (
             SELECT 1 FROM daily_energy AS theirs
             WHERE gateway_id = ?1 AND theirs.day = days.day AND updated_at IS NOT mirrored)
         UNION ALL
         SELECT solar_kwh * 1000, home_kwh * 1000, battery_charge_kwh * 1000,
             battery_discharge_kwh * 1000, grid_import_kwh * 1000, grid_export_kwh * 1000,
             0, 0, 0, 0, 0, 0, ?4, day
         FROM daily_energy AS theirs
         WHERE gateway_id = ?1 AND day >= ?2 AND day <= ?3 AND NOT EXISTS (
             SELECT 1 FROM history_days AS days JOIN history_gateways ON number = gateway
             WHERE id = ?1 AND days.day = theirs.day AND mirrored IS updated_at)
         ORDER BY day",
        columns(),
    );
    let taken_over = Source::TakenOver.of_all();
    let read = |row: &Row<'_>| Ok((row.get(13)?, sum_in(row)?));
    let mut statement = connection.prepare_cached(&query)?;
    statement.query_map(params![gateway, first, last, taken_over], read)?.collect()
}

/// A day of the server before.
struct Theirs {
    /// Wh
    energy: Flows<Option<f64>>,
    last: Option<f64>,
    updated: f64,
}

/// What is known of a day.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Known {
    pub sum: Sum,
    /// When it was measured last.
    pub last: Option<f64>,
}

/// Adds `sum` to the day `day` of the gateway with this id and number. `last`: when it was measured last.
pub(super) fn add(
    change: &Transaction<'_>,
    gateway: (&str, i64),
    day: &str,
    sum: &Sum,
    last: Option<f64>,
    now: f64,
) -> rusqlite::Result<()> {
    let mut known = load(change, gateway, day)?;
    known.sum.add_all(sum);
    known.last = last.or(known.last);
    store(change, gateway, day, &known, now)
}

/// What is known of the day `day`: what the server before has written since is taken over.
pub(super) fn load(
    change: &Transaction<'_>,
    (id, gateway): (&str, i64),
    day: &str,
) -> rusqlite::Result<Known> {
    let query = format!(
        "SELECT {}, ways, last, mirrored FROM history_days WHERE gateway = ?1 AND day = ?2",
        columns()
    );
    let ours = |row: &Row<'_>| Ok((Known { sum: sum_in(row)?, last: row.get(13)? }, row.get(14)?));
    let ours: Option<(Known, Option<f64>)> =
        change.prepare_cached(&query)?.query_row(params![gateway, day], ours).optional()?;
    let (mut known, mirrored) = ours.unwrap_or_default();
    if let Some(theirs) = theirs(change, id, day)?.filter(|theirs| mirrored != Some(theirs.updated)) {
        let taken_over = Source::TakenOver.of_all();
        known.sum = Sum { energy: theirs.energy, ways: known.sum.ways | taken_over, ..known.sum };
        known.last = theirs.last;
    }
    Ok(known)
}

/// Writes what is known of the day `day`, for the server before as well if nothing is unknown.
pub(super) fn store(
    change: &Transaction<'_>,
    (id, gateway): (&str, i64),
    day: &str,
    Known { sum, last }: &Known,
    now: f64,
) -> rusqlite::Result<()> {
    let is_complete = sum.energy.0.iter().all(Option::is_some);
    if is_complete {
        write_theirs(change, (id, day), &sum.energy, *last, now)?;
    }
    let query = format!(
        "INSERT OR REPLACE INTO history_days
             (gateway, day, {}, ways, last, updated, mirrored) VALUES ({})",
        columns(),
        ["?"; 18].join(", "),
    );
    let key = [gateway.into(), Sql::from(day.to_owned())];
    let mirrored = is_complete.then_some(now);
    let rest = [sum.ways.into(), (*last).into(), now.into(), mirrored.into()];
    let values = key.into_iter().chain(values(sum)).chain(rest);
    change.prepare_cached(&query)?.execute(params_from_iter(values)).map(|_| ())
}

fn theirs(change: &Transaction<'_>, id: &str, day: &str) -> rusqlite::Result<Option<Theirs>> {
    let query = "SELECT solar_kwh, home_kwh, battery_charge_kwh, battery_discharge_kwh, grid_import_kwh,
             grid_export_kwh, last_sample_ts, updated_at
         FROM daily_energy WHERE gateway_id = ?1 AND day = ?2";
    let read = |row: &Row<'_>| {
        let mut energy = Flows::default();
        for (place, flow) in Flow::ALL.into_iter().enumerate() {
            energy[flow] = Some(row.get::<_, f64>(place)? * 1000.0);
        }
        Ok(Theirs { energy, last: row.get(6)?, updated: row.get(7)? })
    };
    change.prepare_cached(query)?.query_row([id, day], read).optional()
}

fn write_theirs(
    change: &Transaction<'_>,
    (id, day): (&str, &str),
    energy: &Flows<Option<f64>>,
    last: Option<f64>,
    now: f64,
) -> rusqlite::Result<()> {
    let query = "INSERT OR REPLACE INTO daily_energy
             (gateway_id, day, solar_kwh, home_kwh, battery_charge_kwh, battery_discharge_kwh,
              grid_import_kwh, grid_export_kwh, last_sample_ts, updated_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let key = [id, day].map(|text| Sql::from(text.to_owned()));
    let energy = energy.0.iter().map(|energy| Sql::from(energy.map(|energy| energy / 1000.0)));
    let values = key.into_iter().chain(energy).chain([last.into(), now.into()]);
    change.prepare_cached(query)?.execute(params_from_iter(values)).map(|_| ())
}
