//! The InfluxDB 1 of Powerwall-Dashboard: over its HTTP API, and as its `influx` command exports it.
//!
//! Where the schema is from: `influxdb/influxdb.sql` of jasonacox/Powerwall-Dashboard. `autogen` holds the
//! mean power of each minute in W (or of five, where a gap was filled from Tesla's cloud) and the charge in
//! raw percent; `kwh` the energy of each hour and `daily` that of each day, in kWh. `monthly` sums these, and
//! `raw` is what `autogen` is the mean of: neither adds anything.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use csv::{Reader, StringRecord};
use jiff::tz::TimeZone;

use super::asking::{Asking, FIELDS, Point};
use super::gather::{Means, Rows, Span, moment, sane};
use super::intake::Intake;
use super::{ImportError, InfluxOptions};
use crate::model::RawPercent;
use crate::model::energy::{Flow, Flows};
use crate::settings::Secret;
use crate::store::history::filling::Parcel;
use crate::store::history::queries::energy::date;

/// The place of the charge among the fields.
const CHARGE: usize = 6;
const HOUR: f64 = 3600.0;
const DAY: f64 = 86_400.0;
/// Days of minutes that are asked for at once, and years of hours and days.
const MINUTES_AT_ONCE: f64 = 4.0 * DAY;
const HOURS_AT_ONCE: f64 = 200.0 * DAY;

/// Rows of a table that are taken at once.
const POINTS: usize = 2_000;
/// Hours in a table.
const MOST_POINTS: usize = 900_000;

fn flows(values: &[Option<f64>; 7], make: impl Fn(f64) -> Option<f64>) -> Flows<Option<f64>> {
    let mut flows = Flows::default();
    for flow in Flow::ALL {
        flows[flow] = values[flow as usize].and_then(&make);
    }
    flows
}

fn charge(values: &[Option<f64>; 7]) -> Option<f64> {
    let raw = values[CHARGE].filter(|raw| (0.0..=100.0).contains(raw))?;
    Some(RawPercent(raw).to_app_clamped().0)
}

/// Imports everything from the database at `url`.
pub async fn import(
    url: &str,
    options: &InfluxOptions,
    password: Option<Secret>,
    intake: &mut Intake,
) -> Result<(), ImportError> {
    let asking = Asking::new(url, options, password).await?;
    let id = intake.id(None)?;
    let zone = intake.zone(&id)?;
    let policies = asking.policies().await?;
    let has = |policy: &str| policies.iter().any(|known| known == policy);
    let minutes = if has("autogen") { asking.ends("autogen").await? } else { None };
    // The day on which the minutes begin is whole among the hours only.
    let first = minutes.and_then(|(first, _)| date(first, &zone)).map(|date| date.to_string());
    let mut days = Rows::new(zone.clone());
    for policy in ["kwh", "daily"].into_iter().filter(|policy| has(policy)) {
        let mut of_policy = Rows::new(zone.clone());
        if let Some((from, to)) = asking.ends(policy).await? {
            let mut at = from;
            while at <= to {
                let points = asking.points(policy, at, at + HOURS_AT_ONCE).await?;
                energies(&points, policy == "daily", &mut of_policy, intake);
                at += HOURS_AT_ONCE;
            }
        }
        days.add_days(of_policy);
    }
    let (before, after) = split(days.parcels(true), first.as_deref());
    for parcel in before {
        intake.take((&id, &zone), &parcel, None).await?;
    }
    if let Some(ends) = minutes {
        means(&asking, (&id, &zone), ends, intake).await?;
    }
    for parcel in after {
        intake.take((&id, &zone), &parcel, None).await?;
    }
    Ok(())
}

/// Days up to `first`, and those behind it.
fn split(parcels: Vec<Parcel>, first: Option<&str>) -> (Vec<Parcel>, Vec<Parcel>) {
    let halves = parcels.into_iter().map(|mut parcel| {
        let is_later = |day: &String| first.is_some_and(|first| day.as_str() > first);
        let (later, earlier): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(&mut parcel.days).into_iter().partition(|(day, _)| is_later(day));
        let of = |days| Parcel { days, ..Parcel::default() };
        (of(earlier), of(later))
    });
    halves.unzip()
}

/// The minutes, from where an import of them was interrupted.
async fn means(
    asking: &Asking,
    (id, zone): (&str, &TimeZone),
    (from, to): (f64, f64),
    intake: &mut Intake,
) -> Result<(), ImportError> {
    let peer = asking.name();
    let mut at = intake.reached(&peer, id)?.map_or(from, |reached| reached.clamp(from, to));
    let mut means = Means::default();
    while at <= to {
        for (time, values) in asking.points("autogen", at, at + MINUTES_AT_ONCE).await? {
            means.take(time, flows(&values, sane), charge(&values));
        }
        at += MINUTES_AT_ONCE;
        let parcel = means.parcel(at > to).unwrap_or_default();
        // What is not in a parcel yet is asked for once more.
        let done = parcel.slots.keys().next_back().map(|slot| *slot as f64);
        let came = match (at > to, done) {
            (true, _) => Some((peer.as_str(), None)),
            (false, Some(done)) => Some((peer.as_str(), Some(done))),
            (false, None) => None,
        };
        intake.take((id, zone), &parcel, came).await?;
    }
    Ok(())
}

/// Takes hours or days.
fn energies(points: &[Point], are_days: bool, rows: &mut Rows, intake: &mut Intake) {
    // At the end of a month an hour may stand in two series, each with its part of it.
    let mut sums: BTreeMap<i64, [Option<f64>; 7]> = BTreeMap::new();
    for (at, values) in points {
        let sum = sums.entry(*at as i64).or_default();
        for (sum, value) in sum.iter_mut().zip(values) {
            *sum = value.map(|value| value + sum.unwrap_or_default()).or(*sum);
        }
    }
    for (at, values) in sums {
        let energy = flows(&values, |energy| Some(energy * 1000.0));
        if energy.0.iter().all(Option::is_none) {
            continue;
        }
        let start = at as f64;
        let span = match are_days {
            // A day by the zone of the database, which should be that of the site.
            true => rows.day(start + DAY / 2.0).map(|(_, start, end)| (start, end)),
            false => Some((start, start + HOUR)),
        };
        let Some((start, end)) = span else { continue };
        intake.place(rows.take(&Span { start, end, energy, coverage: None, charge: None }));
    }
}

/// Whether a table is what `influx -execute 'SELECT …' -format csv` writes.
pub fn is_export(header: &StringRecord) -> bool {
    let has = |name: &str| header.iter().any(|column| column == name);
    has("name") && has("time") && FIELDS[..CHARGE].iter().any(|field| has(field))
}

/// Imports such a table: its values are W, kWh of hours or kWh of days, which is seen by their distance.
pub async fn import_export(
    path: &Path,
    mut reader: Reader<File>,
    header: &StringRecord,
    intake: &mut Intake,
) -> Result<(), ImportError> {
    let place = |name: &str| header.iter().position(|column| column == name);
    let (time, fields) = (place("time"), FIELDS.map(place));
    let id = intake.id(None)?;
    let zone = intake.zone(&id)?;
    let mut points: Vec<Point> = Vec::new();
    let mut means = Means::default();
    let mut is_power = None;
    for record in reader.records() {
        let record = record.map_err(|error| ImportError::source(path, error))?;
        let value = |at: Option<usize>| at.and_then(|at| record.get(at));
        let Some(at) = value(time).and_then(moment) else {
            intake.leave("they cannot be understood");
            continue;
        };
        points.push((at, fields.map(|field| value(field).and_then(|text| text.parse().ok()))));
        if points.len() >= POINTS && *is_power.get_or_insert_with(|| step(&points) < HOUR) {
            for (at, values) in points.drain(..) {
                means.take(at, flows(&values, sane), charge(&values));
            }
            if let Some(parcel) = means.parcel(false) {
                intake.take((&id, &zone), &parcel, None).await?;
            }
        }
        if points.len() > MOST_POINTS {
            return Err(ImportError::source(path, "it has more hours than there are in a hundred years"));
        }
    }
    if is_power.unwrap_or_else(|| step(&points) < HOUR) {
        for (at, values) in points {
            means.take(at, flows(&values, sane), charge(&values));
        }
        let parcel = means.parcel(true).unwrap_or_default();
        return intake.take((&id, &zone), &parcel, None).await;
    }
    let mut rows = Rows::new(zone);
    energies(&points, step(&points) > 22.0 * HOUR, &mut rows, intake);
    intake.take_rows(&id, &mut rows, true).await
}

/// What is usual from one point to the next, in seconds.
fn step(points: &[Point]) -> f64 {
    let mut steps: Vec<f64> =
        points.windows(2).map(|pair| pair[1].0 - pair[0].0).filter(|step| *step > 0.0).collect();
    steps.sort_by(f64::total_cmp);
    steps.get(steps.len() / 2).copied().unwrap_or(HOUR)
}
