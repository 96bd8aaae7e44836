//! A file of pypowerwall-server 0.13: its days, its samples of power, and the slots that these make.

use std::path::Path;

use jiff::tz::TimeZone;
use rusqlite::{Connection, OpenFlags, Row, params};

use super::ImportError;
use super::gather::{LATEST, Lines, sane};
use super::intake::Intake;
use crate::model::energy::{Flow, Flows};
use crate::store::history::batch::Sample;
use crate::store::history::filling::{Cell, Parcel, WholeDay};
use crate::store::history::signals::{Brought, Series};

/// Rows that are read at once.
const ROWS: usize = 2_000;
/// Days that one change of the file takes.
const DAYS: usize = 400;
/// Without a gap, a poll follows another one by at most so many times what is usual.
const POLLS: f64 = 5.0;
/// What a poll takes that nobody knows the pace of, in seconds.
const USUAL: f64 = 5.0;
/// Energy of a day that no house has, kWh.
const ABSURD: f64 = 24_000.0;

/// Imports everything that belongs to a configured gateway.
pub async fn import(path: &Path, intake: &mut Intake) -> Result<(), ImportError> {
    let failed = |error: rusqlite::Error| ImportError::source(path, error);
    let file = open(path).map_err(failed)?;
    let version: i64 = file.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(failed)?;
    if version != 0 {
        let why =
            "this program has written into it; powerwall-server restore puts it in the place of the other";
        return Err(ImportError::source(path, why));
    }
    let query = "SELECT gateway_id FROM daily_energy UNION SELECT gateway_id FROM samples
         UNION SELECT gateway_id FROM device_series ORDER BY 1";
    let ids = |file: &Connection| -> rusqlite::Result<Vec<String>> {
        file.prepare(query)?.query_map([], |row| row.get(0))?.collect()
    };
    let ids = ids(&file).map_err(failed)?;
    // Nothing is taken before all of them are known to have a place.
    let places = ids.iter().map(|there| {
        let here = intake.id(Some(there))?;
        let zone = intake.zone(&here)?;
        Ok((there.as_str(), here, zone))
    });
    for (there, here, zone) in places.collect::<Result<Vec<_>, ImportError>>()? {
        for days in days(&file, there).map_err(failed)? {
            intake.take((&here, &zone), &days, None).await?;
        }
        let mut lines = Lines::new(longest(&file, there).map_err(failed)?);
        let mut last = 0.0;
        loop {
            let samples = samples(&file, there, last).map_err(failed)?;
            let Some(newest) = samples.last() else { break };
            last = newest.at;
            for sample in &samples {
                lines.take(sample.at, sample.power, sample.soe);
            }
            let mut parcel = lines.parcel(false).unwrap_or_default();
            let is_kept = |sample: &Sample| sample.at >= intake.samples_from;
            parcel.samples = samples.into_iter().filter(is_kept).collect();
            intake.take((&here, &zone), &parcel, None).await?;
        }
        let rest = lines.parcel(true).unwrap_or_default();
        intake.take((&here, &zone), &rest, None).await?;
        signals(path, &file, there, (&here, &zone), intake).await?;
    }
    Ok(())
}

/// Temperatures and fans, their values and their days.
async fn signals(
    path: &Path,
    file: &Connection,
    there: &str,
    here: (&str, &TimeZone),
    intake: &mut Intake,
) -> Result<(), ImportError> {
    let days = "SELECT device, metric, day, min_value, max_value, sum_value, count, last_ts
         FROM device_series JOIN device_daily USING (series_id)
         WHERE gateway_id = ?1 AND ?2 >= 0 ORDER BY day";
    let values = "SELECT device, metric, ts, value
         FROM device_series JOIN device_samples USING (series_id)
         WHERE gateway_id = ?1 AND ts >= ?2 ORDER BY ts";
    let from = intake.signals_from;
    for (query, read) in [(days, day_of_signal as ReadSignal), (values, value_of_signal)] {
        let mut skipped = 0;
        loop {
            let page = format!("{query} LIMIT {ROWS} OFFSET {skipped}");
            let page = || -> rusqlite::Result<Vec<_>> {
                file.prepare_cached(&page)?.query_map(params![there, from], read)?.collect()
            };
            let signals = page().map_err(|error| ImportError::source(path, error))?;
            if signals.is_empty() {
                break;
            }
            skipped += signals.len();
            intake.take(here, &Parcel { signals, ..Parcel::default() }, None).await?;
        }
    }
    Ok(())
}

type ReadSignal = fn(&Row<'_>) -> rusqlite::Result<(Series, Brought)>;

fn value_of_signal(row: &Row<'_>) -> rusqlite::Result<(Series, Brought)> {
    let series = Series { device: row.get(0)?, metric: row.get(1)? };
    Ok((series, Brought::Value { at: row.get(2)?, value: row.get(3)? }))
}

fn day_of_signal(row: &Row<'_>) -> rusqlite::Result<(Series, Brought)> {
    let series = Series { device: row.get(0)?, metric: row.get(1)? };
    let (day, least, largest) = (row.get(2)?, row.get(3)?, row.get(4)?);
    let (sum, count, last) = (row.get(5)?, row.get(6)?, row.get(7)?);
    Ok((series, Brought::Day { day, least, largest, sum, count, last }))
}

/// A file beside which nothing can be written is read as it stands.
fn open(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let usable = |connection: Connection| {
        connection.pragma_update(None, "trusted_schema", false)?;
        connection.query_row("SELECT count(*) FROM daily_energy", [], |_| Ok(()))?;
        Ok(connection)
    };
    Connection::open_with_flags(path, flags).and_then(usable).or_else(|error| {
        let is_shut = error.sqlite_error_code() == Some(rusqlite::ErrorCode::CannotOpen);
        let text = path.to_str().filter(|text| is_shut && !text.contains(['?', '#', '%']));
        let Some(text) = text else { return Err(error) };
        let address = format!("file:{text}?immutable=1");
        Connection::open_with_flags(address, flags | OpenFlags::SQLITE_OPEN_URI).and_then(usable)
    })
}

/// The six flows in the columns from `first` on, as `value` makes them.
fn flows(
    row: &Row<'_>,
    first: usize,
    value: impl Fn(f64) -> Option<f64>,
) -> rusqlite::Result<Flows<Option<f64>>> {
    let mut flows = Flows::default();
    for (place, flow) in Flow::ALL.into_iter().enumerate() {
        flows[flow] = row.get::<_, Option<f64>>(first + place)?.and_then(&value);
    }
    Ok(flows)
}

fn days(file: &Connection, id: &str) -> rusqlite::Result<Vec<Parcel>> {
    let query = "SELECT day, last_sample_ts, solar_kwh, home_kwh, battery_charge_kwh, battery_discharge_kwh,
             grid_import_kwh, grid_export_kwh
         FROM daily_energy WHERE gateway_id = ?1 ORDER BY day";
    let can_be = |energy: f64| (0.0..=ABSURD).contains(&energy).then_some(energy * 1000.0);
    let read = |row: &Row<'_>| {
        let energy = flows(row, 2, can_be)?;
        let cells = energy.map(|energy| energy.map(|energy| Cell { energy, seconds: None }));
        Ok((row.get(0)?, WholeDay { cells, until: row.get(1)? }))
    };
    let mut statement = file.prepare(query)?;
    let days: Vec<(String, WholeDay)> = statement.query_map([id], read)?.collect::<rusqlite::Result<_>>()?;
    let parcel =
        |days: &[(String, WholeDay)]| Parcel { days: days.iter().cloned().collect(), ..Parcel::default() };
    Ok(days.chunks(DAYS).map(parcel).collect())
}

fn samples(file: &Connection, id: &str, after: f64) -> rusqlite::Result<Vec<Sample>> {
    let query = format!(
        "SELECT ts, soe, solar_w, home_w, battery_charge_w, battery_discharge_w, grid_import_w, grid_export_w
         FROM samples WHERE gateway_id = ?1 AND ts > ?2 AND ts < {LATEST} ORDER BY ts LIMIT {ROWS}"
    );
    let read = |row: &Row<'_>| Ok(Sample { at: row.get(0)?, power: flows(row, 2, sane)?, soe: row.get(1)? });
    file.prepare_cached(&query)?.query_map(params![id, after], read)?.collect()
}

/// The longest gap that is none, in seconds: by what is usual from one sample to the next.
fn longest(file: &Connection, id: &str) -> rusqlite::Result<f64> {
    let query = "SELECT ts FROM samples WHERE gateway_id = ?1 ORDER BY ts DESC LIMIT 1000";
    let mut statement = file.prepare(query)?;
    let times: Vec<f64> = statement.query_map([id], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let mut steps: Vec<f64> = times.windows(2).map(|pair| pair[0] - pair[1]).collect();
    steps.sort_by(f64::total_cmp);
    let usual = steps.get(steps.len() / 2).copied().unwrap_or(USUAL);
    Ok(POLLS * usual.clamp(1.0, 60.0))
}
