//! The energies of a past day as Tesla's calendar has them (`calendar_history`), in Wh per 5 or 15 minutes.
//!
//! A day is one of the site's zone, 23 or 25 hours long where the clock changes. Members may be missing,
//! which is unknown and not 0, and an instant may come twice. Sums of other periods differ from these by some
//! kWh and are never asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde_json::Value;

use super::account::{Account, Question, Renewer};
use super::error::TeslaError;
use super::ledger::Purpose;
use crate::link::bounds::CONFIG;
use crate::link::json::{Look, document};
use crate::model::energy::{Flow, Flows};

/// What is usual from one value to the next; older sites have 15 minutes.
const USUAL: f64 = 300.0;
/// Values further apart than this have a gap between them, in seconds.
const LONGEST: f64 = 900.0;
/// A day of 25 hours in steps of a minute.
const MOST: usize = 1_500;

/// What flowed between two moments.
#[derive(Clone, Debug, PartialEq)]
pub struct Stretch {
    /// Unix seconds.
    pub start: f64,
    /// Unix seconds.
    pub end: f64,
    /// Wh
    pub energy: Flows<Option<f64>>,
}

/// What a site is, as far as its calendar needs it.
#[derive(Clone, Debug, PartialEq)]
pub struct Calendar {
    /// Of the site; `None`: Tesla does not say.
    pub zone: Option<TimeZone>,
    /// The day on which it was installed.
    pub installed: Option<Date>,
}

/// Zone and first day of `site`, from its site information.
///
/// # Errors
/// As [`Account::ask`].
pub async fn calendar(account: &Arc<Account>, web: &Renewer, site: u64) -> Result<Calendar, TeslaError> {
    let path = format!("/api/1/energy_sites/{site}/site_info");
    let question = Question::get(Purpose::Slow, &path, "site information");
    let body = parsed(&account.ask(web, question).await?.body)?;
    let info = body.at(&["response"]);
    let zone = info.at(&["installation_time_zone"]).name().and_then(|name| TimeZone::get(name).ok());
    let installed = info.at(&["installation_date"]).name();
    let installed = installed.and_then(|text| text.get(..10)?.parse().ok());
    Ok(Calendar { zone, installed })
}

/// What flowed on `day` by the clock of `zone`; empty where Tesla has nothing of it.
///
/// # Errors
/// As [`Account::ask`], and if the answer is of another day.
pub async fn day(
    account: &Arc<Account>,
    web: &Renewer,
    (site, zone): (u64, &TimeZone),
    day: Date,
) -> Result<Vec<Stretch>, TeslaError> {
    let path = format!("/api/1/energy_sites/{site}/calendar_history?{}", query(day, zone)?);
    let question = Question::get(Purpose::Slow, &path, "energy history");
    let body = account.ask(web, question).await?.body;
    stretches(&parsed(&body)?, day, zone)
}

fn parsed(body: &Bytes) -> Result<Value, TeslaError> {
    document(body, &CONFIG).map_err(|why| TeslaError::Malformed(why.to_string()))
}

/// Only the end is named, as the last second of the day: at midnight sharp Tesla answers zeros.
fn query(day: Date, zone: &TimeZone) -> Result<String, TeslaError> {
    let odd = |_| TeslaError::Malformed(format!("there is no day {day}"));
    let next = day.tomorrow().map_err(odd)?.to_zoned_datetime(zone.clone()).map_err(odd)?;
    let last = next.checked_sub(1.second()).map_err(odd)?;
    let end = last.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string().replace(':', "%3A").replace('+', "%2B");
    let zone = zone.iana_name().map(|name| format!("&time_zone={}", name.replace('/', "%2F")));
    Ok(format!("kind=energy&period=day&end_date={end}{}", zone.unwrap_or_default()))
}

fn stretches(body: &Value, day: Date, zone: &TimeZone) -> Result<Vec<Stretch>, TeslaError> {
    let series = match body.at(&["response"]) {
        Value::Null => return Ok(Vec::new()),
        response => response.at(&["time_series"]),
    };
    let series = match series {
        Value::Null => return Ok(Vec::new()),
        series => series.as_array().filter(|series| series.len() <= MOST),
    };
    let series = series.ok_or_else(|| TeslaError::Malformed("it is no series of energies".into()))?;
    let mut values: BTreeMap<i64, Flows<Option<f64>>> = BTreeMap::new();
    for entry in series {
        let at = entry.at(&["timestamp"]).name().and_then(|text| text.parse::<Timestamp>().ok());
        let Some(at) = at else { continue };
        if at.to_zoned_datetime(zone.clone()).date() != day {
            return Err(TeslaError::Malformed(format!("it is of another day than {day}")));
        }
        let known = values.entry(at.as_second()).or_default();
        let energy = energies(entry);
        // An instant that comes twice is known from the first that has a value.
        Flow::ALL.iter().for_each(|flow| known[*flow] = known[*flow].or(energy[*flow]));
    }
    Ok(spans(&values, day, zone))
}

/// Each value holds up to the next one, and never beyond its day.
fn spans(values: &BTreeMap<i64, Flows<Option<f64>>>, day: Date, zone: &TimeZone) -> Vec<Stretch> {
    let starts: Vec<f64> = values.keys().map(|at| *at as f64).collect();
    let mut steps: Vec<f64> = starts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    steps.sort_by(f64::total_cmp);
    let usual = steps.get(steps.len() / 2).copied().filter(|step| *step <= LONGEST).unwrap_or(USUAL);
    let midnight = day.tomorrow().ok().and_then(|next| next.to_zoned_datetime(zone.clone()).ok());
    let midnight = midnight.map_or(f64::INFINITY, |next| next.timestamp().as_second() as f64);
    let next = starts.iter().skip(1).copied().chain([f64::INFINITY]);
    let of = |((start, next), energy): ((f64, f64), &Flows<Option<f64>>)| {
        let end = next.min(start + usual).min(midnight);
        Stretch { start, end, energy: *energy }
    };
    starts.iter().copied().zip(next).zip(values.values()).map(of).collect()
}

/// The six flows in the words of Tesla's calendar.
fn energies(entry: &Value) -> Flows<Option<f64>> {
    let known = |key: &str| {
        let energy = entry.at(&[key]).number()?.as_f64();
        energy.is_finite().then_some(energy.max(0.0))
    };
    // A site without a battery has no such part: what is known is the sum.
    let sum = |keys: &[&str]| keys.iter().filter_map(|key| known(key)).reduce(|sum, part| sum + part);
    let mut energy = Flows::default();
    energy[Flow::Solar] = known("solar_energy_exported");
    energy[Flow::Import] = known("grid_energy_imported");
    energy[Flow::Discharge] = known("battery_energy_exported");
    energy[Flow::Export] = sum(&[
        "grid_energy_exported_from_solar",
        "grid_energy_exported_from_battery",
        "grid_energy_exported_from_generator",
    ]);
    energy[Flow::Charge] = sum(&[
        "battery_energy_imported_from_solar",
        "battery_energy_imported_from_grid",
        "battery_energy_imported_from_generator",
    ]);
    energy[Flow::Home] = sum(&[
        "consumer_energy_imported_from_solar",
        "consumer_energy_imported_from_battery",
        "consumer_energy_imported_from_grid",
        "consumer_energy_imported_from_generator",
    ]);
    energy
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use serde_json::json;

    use super::*;

    fn berlin() -> TimeZone {
        TimeZone::get("Europe/Berlin").unwrap()
    }

    fn series(entries: &[(&str, Value)]) -> Value {
        let entries = entries.iter().map(|(at, values)| {
            let mut entry = values.clone();
            entry["timestamp"] = (*at).into();
            entry
        });
        json!({ "response": { "time_series": entries.collect::<Vec<_>>() } })
    }

    #[test]
    fn the_last_second_of_a_day_is_asked_for_by_the_clock_of_the_site() {
        let asked = |day| query(day, &berlin()).unwrap();
        let rest = "kind=energy&period=day&end_date=";
        let zone = "&time_zone=Europe%2FBerlin";
        assert_eq!(asked(date(2026, 3, 28)), format!("{rest}2026-03-28T23%3A59%3A59%2B01%3A00{zone}"));
        assert_eq!(asked(date(2026, 3, 29)), format!("{rest}2026-03-29T23%3A59%3A59%2B02%3A00{zone}"));
        assert_eq!(asked(date(2026, 10, 25)), format!("{rest}2026-10-25T23%3A59%3A59%2B01%3A00{zone}"));
    }

    #[test]
    fn missing_members_are_unknown_and_an_instant_counts_once() {
        let body = series(&[
            (
                "2026-10-25T02:00:00+02:00",
                json!({ "solar_energy_exported": 0, "grid_energy_imported": 10.5 }),
            ),
            (
                "2026-10-25T02:00:00+02:00",
                json!({ "solar_energy_exported": 7, "battery_energy_exported": 3 }),
            ),
            (
                "2026-10-25T02:05:00+02:00",
                json!({ "consumer_energy_imported_from_grid": 4,
                "consumer_energy_imported_from_solar": 5 }),
            ),
            // An hour later, by a clock that was put back.
            ("2026-10-25T02:00:00+01:00", json!({ "solar_energy_exported": 1 })),
            ("2026-10-25T23:55:00+01:00", json!({ "solar_energy_exported": null })),
        ]);
        let found = stretches(&body, date(2026, 10, 25), &berlin()).unwrap();
        let first = &found[0];
        assert_eq!((first.energy[Flow::Solar], first.energy[Flow::Import]), (Some(0.0), Some(10.5)));
        assert_eq!((first.energy[Flow::Discharge], first.energy[Flow::Home]), (Some(3.0), None));
        assert_eq!(found[1].energy[Flow::Home], Some(9.0));
        assert_eq!(found[2].start - first.start, 3600.0);
        let last = &found[3];
        assert_eq!((last.end - last.start, last.energy), (300.0, Flows::default()));
    }

    #[test]
    fn an_answer_of_another_day_is_refused_and_none_is_no_energy() {
        let body = series(&[("2026-10-24T00:00:00+02:00", json!({ "solar_energy_exported": 1 }))]);
        let error = stretches(&body, date(2026, 10, 25), &berlin()).unwrap_err();
        assert!(error.to_string().contains("another day"), "{error}");
        for empty in [json!({ "response": null }), json!({ "response": {} }), series(&[])] {
            assert_eq!(stretches(&empty, date(2026, 10, 25), &berlin()), Ok(Vec::new()), "{empty}");
        }
    }
}
