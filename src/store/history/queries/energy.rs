//! Energy over any range, in quarters of an hour, hours, days or months: with what is not known, how the rest
//! was got, and what was counted over outages.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use rusqlite::{Connection, Row as SqlRow, params};

use super::super::batch::{Mark, Source, Sum};
use super::super::costs;
use super::super::days::{self, Day, columns, sum_in};
use super::super::months::{self, month_of};
use super::outages::{Outage, outages};
use crate::model::energy::{Flow, Flows, SLOT};
use crate::model::tariff::{Cost, Price};

const HOUR: i64 = 3600;

/// What is summed up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bucket {
    /// A quarter of an hour.
    Slot,
    /// An hour of UTC.
    Hour,
    /// A day by the clock of the site.
    Day,
    Month,
}

/// Energy of one gateway between two moments.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Unix seconds.
    pub start: f64,
    /// Unix seconds.
    pub end: f64,
    /// `2026-11-25` or `2026-11`; of quarters of an hour and hours `None`.
    pub name: Option<String>,
    pub sum: Sum,
    /// State of energy, app percent, where it was known last in a quarter of an hour or an hour.
    pub soe: Option<f64>,
    pub cost: Cost,
}

/// Energy that was counted over an outage or a restart.
#[derive(Clone, Debug, PartialEq)]
pub struct Interval {
    /// Unix seconds.
    pub start: f64,
    /// Unix seconds.
    pub end: f64,
    /// Wh
    pub energy: Flows<Option<f64>>,
}

/// What is known of a gateway in a range.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Energy {
    /// In order; those of which nothing is known are absent.
    pub rows: Vec<Row>,
    /// All intervals that touch the range.
    pub recovered: Vec<Interval>,
    /// Of the rows, and of the intervals that lie in the range as a whole.
    pub total: Sum,
    /// Of the rows.
    pub cost: Cost,
    /// Where there are no rows, between the first that was ever recorded and now, Unix seconds.
    pub gaps: Vec<(f64, f64)>,
    /// When the grid was away.
    pub outages: Vec<Outage>,
}

/// What is asked of a gateway.
#[derive(Clone, Debug)]
pub struct Question {
    pub gateway: String,
    /// The zone of its site.
    pub zone: TimeZone,
    /// Unix seconds.
    pub start: f64,
    /// Unix seconds, exclusive.
    pub end: f64,
    pub bucket: Bucket,
    pub now: f64,
}

impl Row {
    /// Which part of it is covered by what is known of `flow`, 0 to 1. `None`: a part of it is from somebody
    /// who does not say, such as the server before.
    pub fn coverage(&self, flow: Flow) -> Option<f64> {
        let unsaid = Source::TakenOver.bit(flow) | Mark::Vague.bit(flow);
        (self.sum.ways & unsaid == 0)
            .then(|| (self.sum.seconds[flow] / (self.end - self.start)).clamp(0.0, 1.0))
    }
}

impl Sum {
    /// How the energy of `flow` was got.
    pub fn sources(&self, flow: Flow) -> impl Iterator<Item = Source> {
        let ways = self.ways;
        Source::ALL.into_iter().filter(move |source| ways & source.bit(flow) != 0)
    }
}

impl Question {
    /// # Errors
    /// If the file cannot be read.
    pub fn answer(&self, connection: &Connection) -> rusqlite::Result<Energy> {
        let recovered = self.recovered(connection)?;
        let mut rows = match self.bucket {
            Bucket::Slot => self.slots(connection, SLOT)?,
            Bucket::Hour => self.slots(connection, HOUR)?,
            Bucket::Day => self.days(connection)?,
            Bucket::Month => self.months(connection)?,
        };
        if matches!(self.bucket, Bucket::Day | Bucket::Month) {
            self.add_costs(connection, &mut rows)?;
        }
        let mut total = Sum::default();
        for interval in &recovered {
            if self.is_in_a_day(interval) && matches!(self.bucket, Bucket::Day | Bucket::Month) {
                // It was added to its day when it was recorded.
                continue;
            }
            let encloses = |row: &&mut Row| row.start <= interval.start && interval.end <= row.end;
            let is_counted = matches!(self.bucket, Bucket::Hour | Bucket::Month);
            match rows.iter_mut().filter(|_| is_counted).find(encloses) {
                Some(row) => add(&mut row.sum, interval),
                None if self.start <= interval.start && interval.end <= self.end => add(&mut total, interval),
                None => {}
            }
        }
        let mut cost = Cost::default();
        for row in &rows {
            total.add_all(&row.sum);
            cost.add(&row.cost);
        }
        let gaps = self.gaps(connection, &rows)?;
        let outages = outages(connection, &self.gateway, (self.start, self.end))?;
        Ok(Energy { rows, recovered, total, cost, gaps, outages })
    }

    fn is_in_a_day(&self, interval: &Interval) -> bool {
        Day::of(interval.start, &self.zone).is_some_and(|day| interval.end <= day.end)
    }

    fn recovered(&self, connection: &Connection) -> rusqlite::Result<Vec<Interval>> {
        let query = "SELECT start, stop, solar, home, charge, discharge, import, export
             FROM history_recovered JOIN history_gateways ON number = gateway
             WHERE id = ?1 AND stop > ?2 AND start < ?3 ORDER BY stop, start";
        let read = |row: &SqlRow<'_>| {
            let mut energy = Flows::default();
            for (place, flow) in Flow::ALL.into_iter().enumerate() {
                energy[flow] = row.get(place + 2)?;
            }
            Ok(Interval { start: row.get(0)?, end: row.get(1)?, energy })
        };
        let values = params![self.gateway, self.start, self.end];
        connection.prepare_cached(query)?.query_map(values, read)?.collect()
    }

    /// Slots, or several of them together.
    fn slots(&self, connection: &Connection, seconds: i64) -> rusqlite::Result<Vec<Row>> {
        let query = format!(
            "SELECT {}, ways, slot, soe, buy, sell
             FROM history_slots LEFT JOIN history_prices USING (gateway, slot)
             JOIN history_gateways ON number = gateway
             WHERE id = ?1 AND slot >= ?2 AND slot < ?3 ORDER BY slot",
            columns(),
        );
        let first = (self.start / seconds as f64).floor() * seconds as f64;
        let read = |row: &SqlRow<'_>| {
            let sum = sum_in(row)?;
            let cost = Cost::of(&sum.energy, Price { buy: row.get(15)?, sell: row.get(16)? });
            Ok((row.get::<_, i64>(13)?, sum, row.get::<_, Option<f64>>(14)?, cost))
        };
        let mut rows: Vec<Row> = Vec::new();
        let mut statement = connection.prepare_cached(&query)?;
        for slot in statement.query_map(params![self.gateway, first, self.end], read)? {
            let (slot, sum, soe, cost) = slot?;
            let start = (slot.div_euclid(seconds) * seconds) as f64;
            match rows.last_mut().filter(|last| last.start == start) {
                Some(last) => {
                    last.sum.add_all(&sum);
                    last.soe = soe.or(last.soe);
                    last.cost.add(&cost);
                }
                None => rows.push(Row { start, end: start + seconds as f64, name: None, sum, soe, cost }),
            }
        }
        Ok(rows)
    }

    /// Writes into each of `rows`, days or months, what its days cost.
    fn add_costs(&self, connection: &Connection, rows: &mut [Row]) -> rusqlite::Result<()> {
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Ok(()) };
        let name = |at: f64| Day::of(at, &self.zone).map(|day| day.name).unwrap_or_default();
        let names = (name(first.start), name(last.end - 1.0));
        let mut costs =
            costs::of_days(connection, &self.gateway, (&names.0, &names.1))?.into_iter().peekable();
        for row in rows {
            // A day's name begins with that of its month.
            let Some(of) = &row.name else { continue };
            while costs.next_if(|(day, _)| day < of).is_some() {}
            while let Some((_, cost)) = costs.next_if(|(day, _)| day.starts_with(of.as_str())) {
                row.cost.add(&cost);
            }
        }
        Ok(())
    }

    /// The first and the last day that the range touches.
    fn dates(&self) -> Option<(Date, Date)> {
        let last = (self.end - 1.0).max(self.start);
        Some((date(self.start, &self.zone)?, date(last, &self.zone)?))
    }

    /// The days that the range touches.
    fn days(&self, connection: &Connection) -> rusqlite::Result<Vec<Row>> {
        let Some((first, last)) = self.dates() else { return Ok(Vec::new()) };
        let days = days::between(connection, &self.gateway, (&first.to_string(), &last.to_string()))?;
        Ok(days.into_iter().filter_map(|(name, sum)| self.day(name, sum)).collect())
    }

    fn day(&self, name: String, sum: Sum) -> Option<Row> {
        let date: Date = name.parse().ok()?;
        let (start, end) = (self.midnight(date)?, self.midnight(date.tomorrow().ok()?)?);
        Some(Row { start, end, name: Some(name), sum, soe: None, cost: Cost::default() })
    }

    fn midnight(&self, date: Date) -> Option<f64> {
        midnight(date, &self.zone)
    }

    /// The months that the range touches, each as a whole: of days that are kept, and of those that were.
    fn months(&self, connection: &Connection) -> rusqlite::Result<Vec<Row>> {
        let Some((first, last)) = self.dates() else { return Ok(Vec::new()) };
        let days = [first.first_of_month(), last.last_of_month()].map(|date| date.to_string());
        let mut sums = months::between(connection, &self.gateway, (month_of(&days[0]), month_of(&days[1])))?;
        for (day, sum) in days::between(connection, &self.gateway, (&days[0], &days[1]))? {
            sums.entry(month_of(&day).to_owned()).or_default().add_all(&sum);
        }
        Ok(sums.into_iter().filter_map(|(name, sum)| self.month(name, sum)).collect())
    }

    fn month(&self, name: String, sum: Sum) -> Option<Row> {
        let first: Date = format!("{name}-01").parse().ok()?;
        let next = first.last_of_month().tomorrow().ok()?;
        let (start, end) = (self.midnight(first)?, self.midnight(next)?);
        Some(Row { start, end, name: Some(name), sum, soe: None, cost: Cost::default() })
    }

    fn gaps(&self, connection: &Connection, rows: &[Row]) -> rusqlite::Result<Vec<(f64, f64)>> {
        let slot = first_slot(connection, &self.gateway)?;
        let query = "SELECT min(day) FROM (SELECT day FROM daily_energy WHERE gateway_id = ?1 UNION ALL
             SELECT day FROM history_days JOIN history_gateways ON number = gateway WHERE id = ?1)";
        let day: Option<String> = connection.query_row(query, [&self.gateway], |row| row.get(0))?;
        let day = day.and_then(|day| self.midnight(day.parse().ok()?));
        let first = match self.bucket {
            Bucket::Slot | Bucket::Hour => slot,
            Bucket::Day | Bucket::Month => day,
        };
        let mut gaps = Vec::new();
        let Some(first) = first else { return Ok(gaps) };
        let (mut at, end) = (self.start.max(first), self.end.min(self.now));
        for row in rows {
            if row.start > at {
                gaps.push((at, row.start.min(end)));
            }
            at = at.max(row.end);
        }
        if at < end {
            gaps.push((at, end));
        }
        gaps.retain(|(from, to)| from < to);
        Ok(gaps)
    }
}

/// When the first slot of `gateway` begins, Unix seconds.
///
/// # Errors
/// If the file cannot be read.
pub fn first_slot(connection: &Connection, gateway: &str) -> rusqlite::Result<Option<f64>> {
    let query = "SELECT min(slot) FROM history_slots JOIN history_gateways ON number = gateway
         WHERE id = ?1";
    connection.query_row(query, [gateway], |row| row.get(0))
}

fn add(sum: &mut Sum, interval: &Interval) {
    for flow in Flow::ALL {
        if let Some(energy) = interval.energy[flow] {
            sum.add(flow, energy, interval.end - interval.start, Source::Recovered);
        }
    }
}

/// Midnight at the beginning of `date` in `zone`, Unix seconds.
pub fn midnight(date: Date, zone: &TimeZone) -> Option<f64> {
    Some(date.to_zoned_datetime(zone.clone()).ok()?.timestamp().as_second() as f64)
}

/// The date at `at` in `zone`.
pub fn date(at: f64, zone: &TimeZone) -> Option<Date> {
    let at = Timestamp::from_second(at.floor() as i64).ok()?;
    Some(at.to_zoned_datetime(zone.clone()).date())
}
