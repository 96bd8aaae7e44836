//! Signals: which there are, and their values as means or by day.

use std::collections::HashMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rusqlite::types::Value as Sql;
use rusqlite::{Connection, Row, params, params_from_iter};

use super::zone;

/// A series longer than this is shown by day.
const LONGEST_RAW: f64 = 14.0 * 86_400.0;
/// So many values are shown one by one at most.
const MOST_RAW: f64 = 500_000.0;
/// Values within this of the oldest one that is kept count as kept.
const NEARLY: f64 = 3600.0;
/// So many points are brought at most, of all series together.
const MOST_POINTS: f64 = 100_000.0;
/// Points of a series, roughly.
const POINTS: f64 = 360.0;

/// One signal of one device.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    number: i64,
    pub gateway: String,
    pub device: String,
    pub metric: String,
}

/// For how long there are values of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Extent {
    /// Unix seconds.
    pub first: Option<i64>,
    pub last: Option<i64>,
    pub first_day: Option<String>,
    pub last_day: Option<String>,
}

/// Which series; `None`: all.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    pub gateway: Option<String>,
    pub metrics: Option<Vec<String>>,
    pub devices: Option<Vec<String>>,
}

/// How values are summed up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    Raw,
    Daily,
}

/// Values of a stretch of time, or of a day.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Its beginning; of a day, its noon.
    pub at: f64,
    pub day: Option<String>,
    pub mean: f64,
    pub least: f64,
    pub most: f64,
    pub count: i64,
}

/// What is wanted of them.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    pub start: f64,
    pub end: f64,
    pub now: f64,
    /// Seconds between two values.
    pub interval: f64,
    /// `None`: whatever fits.
    pub resolution: Option<Resolution>,
}

/// The series of a window.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// How they are summed up, and seconds of a stretch; `None`: there is no series.
    pub resolution: Option<(Resolution, f64)>,
    pub series: Vec<(Series, Vec<Point>)>,
    /// Whether it would be too much, so that nothing was looked for.
    pub is_too_much: bool,
}

impl Selection {
    /// The series, sorted by gateway, device and signal.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn series(&self, connection: &Connection) -> rusqlite::Result<Vec<Series>> {
        let mut conditions = vec!["true".to_owned()];
        let mut values: Vec<Sql> = Vec::new();
        let gateway = self.gateway.clone().map(|id| vec![id]);
        for (column, list) in [("gateway_id", &gateway), ("metric", &self.metrics), ("device", &self.devices)]
        {
            if let Some(list) = list {
                conditions.push(format!("{column} IN ({})", vec!["?"; list.len()].join(", ")));
                values.extend(list.iter().cloned().map(Sql::from));
            }
        }
        let query = format!(
            "SELECT series_id, gateway_id, device, metric FROM device_series WHERE {}
             ORDER BY gateway_id, device, metric",
            conditions.join(" AND ")
        );
        let series = |row: &Row<'_>| {
            Ok(Series { number: row.get(0)?, gateway: row.get(1)?, device: row.get(2)?, metric: row.get(3)? })
        };
        connection.prepare(&query)?.query_map(params_from_iter(values), series)?.collect()
    }

    /// The same with their extents.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn extents(&self, connection: &Connection) -> rusqlite::Result<Vec<(Series, Extent)>> {
        let query = "SELECT (SELECT min(ts) FROM device_samples WHERE series_id = ?1),
                 (SELECT max(ts) FROM device_samples WHERE series_id = ?1),
                 (SELECT min(day) FROM device_daily WHERE series_id = ?1),
                 (SELECT max(day) FROM device_daily WHERE series_id = ?1)";
        let mut statement = connection.prepare_cached(query)?;
        let mut extent = |series: Series| {
            let extent = statement.query_row([series.number], |row| {
                let (first_day, last_day) = (row.get(2)?, row.get(3)?);
                Ok(Extent { first: row.get(0)?, last: row.get(1)?, first_day, last_day })
            })?;
            Ok((series, extent))
        };
        self.series(connection)?.into_iter().map(&mut extent).collect()
    }

    /// Their values in `window`. `reported`: zones of gateways, by id; of others, the file may know one.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn values(
        &self,
        connection: &Connection,
        window: &Window,
        reported: &HashMap<String, String>,
    ) -> rusqlite::Result<Found> {
        let all = self.extents(connection)?;
        if all.is_empty() {
            return Ok(Found::default());
        }
        let zones = Zones::of(connection, &all, reported)?;
        let resolution = window.resolution(&all, &zones);
        let stretch = match resolution {
            Resolution::Raw => window.stretch(),
            Resolution::Daily => 86_400.0,
        };
        if all.len() as f64 * (window.span() / stretch).max(1.0) > MOST_POINTS {
            return Ok(Found { is_too_much: true, ..Found::default() });
        }
        let mut found = Vec::new();
        for (series, _) in all {
            let points = match resolution {
                Resolution::Raw => window.raw(connection, series.number, stretch)?,
                Resolution::Daily => window.daily(connection, series.number, &zones.get(&series.gateway))?,
            };
            found.push((series, points));
        }
        Ok(Found { resolution: Some((resolution, stretch)), series: found, is_too_much: false })
    }
}

/// The zones of the gateways, by their ids.
struct Zones(Vec<(String, TimeZone)>);

impl Zones {
    fn of(
        connection: &Connection,
        all: &[(Series, Extent)],
        reported: &HashMap<String, String>,
    ) -> rusqlite::Result<Self> {
        let mut zones: Vec<(String, TimeZone)> = Vec::new();
        for (series, _) in all {
            if zones.last().is_none_or(|(id, _)| *id != series.gateway) {
                let name = match reported.get(&series.gateway) {
                    Some(name) => Some(name.clone()),
                    None => zone(connection, &series.gateway)?,
                };
                let known = name.and_then(|name| TimeZone::get(&name).ok());
                zones.push((series.gateway.clone(), known.unwrap_or(TimeZone::UTC)));
            }
        }
        Ok(Self(zones))
    }

    fn get(&self, gateway: &str) -> TimeZone {
        let known = self.0.iter().find(|(id, _)| id == gateway);
        known.map_or(TimeZone::UTC, |(_, zone)| zone.clone())
    }
}

fn date(at: f64, zone: &TimeZone) -> Option<String> {
    let at = Timestamp::from_second(at.floor() as i64).ok()?;
    Some(at.to_zoned_datetime(zone.clone()).date().to_string())
}

impl Window {
    fn span(&self) -> f64 {
        self.end - self.start
    }

    fn resolution(&self, all: &[(Series, Extent)], zones: &Zones) -> Resolution {
        let is_too_much = all.len() as f64 * self.span() / self.interval > MOST_RAW;
        let oldest = all.iter().filter_map(|(_, extent)| extent.first).min();
        match (self.resolution, oldest) {
            (Some(Resolution::Daily), _) => Resolution::Daily,
            _ if is_too_much || self.span() > LONGEST_RAW => Resolution::Daily,
            (Some(Resolution::Raw), _) => Resolution::Raw,
            (None, None) => Resolution::Daily,
            (None, Some(oldest)) if self.start >= oldest as f64 - NEARLY => Resolution::Raw,
            (None, Some(_)) => {
                let older = |(series, extent): &(Series, Extent)| {
                    let of_gateway = all.iter().filter(|(other, _)| other.gateway == series.gateway);
                    let oldest = of_gateway.filter_map(|(_, extent)| extent.first).min();
                    let raw = oldest.and_then(|at| date(at as f64, &zones.get(&series.gateway)));
                    extent.first_day.as_ref().zip(raw.as_ref()).is_some_and(|(day, raw)| day < raw)
                };
                if all.iter().any(older) { Resolution::Daily } else { Resolution::Raw }
            }
        }
    }

    /// Seconds of a stretch: whole minutes, or whole intervals where these are longer.
    fn stretch(&self) -> f64 {
        let target = self.span() / POINTS;
        let unit = if target >= 60.0 { 60.0 } else { self.interval };
        ((target / unit).round_ties_even() * unit).max(self.interval).max(1.0)
    }

    fn raw(&self, connection: &Connection, series: i64, stretch: f64) -> rusqlite::Result<Vec<Point>> {
        let query = "SELECT (ts / ?4) * ?4 AS stretch, NULL, avg(value), min(value), max(value), count(*)
             FROM device_samples WHERE series_id = ?1 AND ts >= ?2 AND ts <= ?3
             GROUP BY stretch ORDER BY stretch";
        // Times are whole seconds: what was rounded down is not before the window.
        let values = params![series, self.start.floor(), self.end, stretch as i64];
        connection.prepare_cached(query)?.query_map(values, point)?.collect()
    }

    fn daily(&self, connection: &Connection, series: i64, zone: &TimeZone) -> rusqlite::Result<Vec<Point>> {
        let query = "SELECT 0.0, day, sum_value / count, min_value, max_value, count
             FROM device_daily WHERE series_id = ?1 AND day >= ?2 AND day <= ?3 ORDER BY day";
        let values = params![series, date(self.start, zone), date(self.end.min(self.now), zone)];
        let mut statement = connection.prepare_cached(query)?;
        let points = statement.query_map(values, point)?;
        points.map(|point| point.map(|point| at_noon(point, zone))).collect()
    }
}

fn point(row: &Row<'_>) -> rusqlite::Result<Point> {
    Ok(Point {
        at: row.get(0)?,
        day: row.get(1)?,
        mean: row.get(2)?,
        least: row.get(3)?,
        most: row.get(4)?,
        count: row.get(5)?,
    })
}

fn at_noon(point: Point, zone: &TimeZone) -> Point {
    let noon = |day: &String| {
        let noon = day.parse::<jiff::civil::Date>().ok()?.at(12, 0, 0, 0);
        Some(noon.to_zoned_datetime(zone.clone()).ok()?.timestamp().as_second() as f64)
    };
    Point { at: point.day.as_ref().and_then(noon).unwrap_or_default(), ..point }
}
