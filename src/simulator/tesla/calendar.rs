//! The calendar of a site: energies of every 5 minutes of a day, the same for each site and day, so that a
//! sum shows whether all of them arrived; and the grid outages that it was given.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, ZonedDateTime};
use serde_json::{Value, json};

use super::replies::{error, response};
use crate::clock::unix_time;
use crate::simulator::http::Answer;
use crate::simulator::scene::ZONE;

/// Answers to `query`, which names the last second of a day, or a moment up to which `outages` are listed,
/// each with its start in Unix seconds and its length in milliseconds.
pub(super) fn answer(query: &str, outages: &[(i64, u64)], repeats: bool) -> Answer {
    let field = |name: &str| {
        let mut fields = query.split('&').filter_map(|field| field.split_once('='));
        let found = fields.find(|(key, _)| *key == name).map(|(_, value)| value)?;
        Some(found.replace("%3A", ":").replace("%2B", "+").replace("%2F", "/"))
    };
    let end = field("end_date").and_then(|text| text.parse::<Timestamp>().ok());
    if field("kind").as_deref() == Some("backup") {
        return match end {
            Some(end) => listed(end, outages),
            None => error(400, "invalid_field"),
        };
    }
    if field("kind").as_deref() != Some("energy") || field("period").as_deref() != Some("day") {
        return error(400, "invalid_field");
    }
    let zone = TimeZone::get(field("time_zone").as_deref().unwrap_or(ZONE)).unwrap_or(TimeZone::UTC);
    let Some(end) = end.map(|end| end.to_zoned_datetime(zone)) else { return error(400, "invalid_field") };
    let mut series = series(&end);
    if repeats {
        let again = |entry: &Value| json!({ "timestamp": entry["timestamp"], "solar_energy_exported": 7 });
        let twice = |(at, entry): (usize, &Value)| match at % 3 {
            0 => vec![entry.clone(), again(entry)],
            _ => vec![entry.clone()],
        };
        series = series.iter().enumerate().flat_map(twice).collect();
    }
    response(&json!({
        "period": "day", "installation_time_zone": ZONE, "time_series": series,
    }))
}

/// The newest first.
fn listed(end: Timestamp, outages: &[(i64, u64)]) -> Answer {
    let mut events: Vec<(i64, u64)> =
        outages.iter().copied().filter(|(start, _)| *start <= end.as_second()).collect();
    events.sort_by_key(|(start, _)| -start);
    let events = events.iter().map(|(start, milliseconds)| {
        let start = Timestamp::from_second(*start).unwrap_or_default();
        json!({ "timestamp": start.to_string(), "duration": milliseconds })
    });
    response(&json!({ "events": events.collect::<Vec<_>>(), "next_end_date": null }))
}

fn series(end: &ZonedDateTime) -> Vec<Value> {
    let now = unix_time() as i64;
    let Ok(mut at) = end.start_of_day() else { return Vec::new() };
    let is_midnight = at == *end;
    let mut series = Vec::new();
    while at <= *end && at.timestamp().as_second() < now {
        // At midnight sharp there are zeros.
        let of = |energy: u32| if is_midnight { 0 } else { energy };
        let is_bright = (8..18).contains(&at.hour());
        series.push(json!({
            "timestamp": at.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
            "solar_energy_exported": of(if is_bright { 120 } else { 0 }),
            "grid_energy_imported": of(if is_bright { 0 } else { 50 }),
            "grid_energy_exported_from_solar": of(if is_bright { 70 } else { 0 }),
            "grid_energy_exported_from_generator": 0,
            "consumer_energy_imported_from_grid": of(if is_bright { 0 } else { 50 }),
            "consumer_energy_imported_from_solar": of(if is_bright { 50 } else { 0 }),
        }));
        match at.checked_add(5.minutes()) {
            Ok(next) => at = next,
            Err(_) => break,
        }
    }
    series
}
