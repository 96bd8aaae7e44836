//! Examines a history: whether the file is sound, whether its days are what their parts add up to, and
//! whether anything in it cannot be. Changes nothing.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::tz::TimeZone;
use rusqlite::{Connection, OpenFlags, Row, params};

use super::batch::{Mark, Source, Sum};
use super::days::{self, Day, columns, sum_in};
use super::months;
use crate::model::energy::{Flow, Flows, SLOT};
use crate::store::database::reason;
use crate::store::{StoreError, schema};

/// W that no house has.
const ABSURD: f64 = 1e6;
/// Wh by which a day may differ from its parts: they are added in another order.
const ROUNDING: f64 = 0.5;
/// Seconds by which sums may exceed the time that there is.
const LOOSE: f64 = 2.0;
/// A clock that is ahead by more than this has written something, in seconds.
const AHEAD: f64 = 3_600.0;
/// Seconds of the longest month, in which clocks are set back.
const MONTH: f64 = (31.0 * 24.0 + 1.0) * 3600.0;
/// Findings of one kind that are named; of the rest, how many there are.
const NAMED: usize = 10;

/// What is wrong. The texts are for the person who looks after the file.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Flaw {
    #[error("the file is damaged: {0}; put a backup in its place")]
    Damaged(String),
    #[error("{gateway}: {day} says {says:.3} kWh of {flow}, and its parts are {parts:.3} kWh")]
    Sum { gateway: String, day: String, flow: &'static str, says: f64, parts: f64 },
    #[error("{gateway}: {what} of {at} is {value}, which cannot be")]
    Absurd { gateway: String, what: String, at: String, value: f64 },
    #[error("{gateway}: {rows} rows are in the future, the last of {last}; a clock was ahead")]
    Ahead { gateway: String, rows: u64, last: String },
    #[error("… and {0} more of this kind")]
    More(usize),
}

/// What is known of a gateway.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    pub gateway: String,
    /// Name of the zone of its site.
    pub zone: String,
    pub slots: u64,
    pub days: u64,
    /// Beginning of the first slot and end of the last one, Unix seconds.
    pub span: Option<(f64, f64)>,
    /// Where there are no slots in between, Unix seconds.
    pub gaps: Vec<(f64, f64)>,
}

/// What was found in a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Findings {
    pub flaws: Vec<Flaw>,
    pub gateways: Vec<Checked>,
}

/// Examines the file at `path`, also while others write into it.
///
/// # Errors
/// If it cannot be read. One that is damaged is a finding.
pub fn check(path: &Path, now: f64) -> Result<Findings, StoreError> {
    let unusable = |why: String| StoreError::Unusable { path: path.to_owned(), why };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let file = Connection::open_with_flags(path, flags).map_err(|error| unusable(reason(&error)))?;
    let is_damaged = |error: &rusqlite::Error| {
        let code = error.sqlite_error_code();
        matches!(code, Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase))
    };
    match examine(&file, now) {
        Ok(Examined::Newer(version)) => Err(StoreError::Newer { path: path.to_owned(), version }),
        Ok(Examined::Known(findings)) => Ok(findings),
        Err(error) if is_damaged(&error) => {
            Ok(Findings { flaws: vec![Flaw::Damaged(error.to_string())], gateways: Vec::new() })
        }
        Err(error) => Err(unusable(reason(&error))),
    }
}

enum Examined {
    Newer(i64),
    Known(Findings),
}

fn examine(file: &Connection, now: f64) -> rusqlite::Result<Examined> {
    let version = schema::version(file)?;
    if version > schema::VERSION {
        return Ok(Examined::Newer(version));
    }
    let mut findings = Findings::default();
    // One state of it, whatever is written meanwhile.
    file.execute_batch("BEGIN")?;
    let verdict: String = file.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if verdict != "ok" {
        findings.flaws.push(Flaw::Damaged(verdict));
        return Ok(Examined::Known(findings));
    }
    schema::stand_in(file)?;
    // Of one that only the server before knows there are days.
    let query = "SELECT number, id, zone FROM history_gateways UNION ALL
         SELECT DISTINCT -1, gateway_id, NULL FROM daily_energy
         WHERE gateway_id NOT IN (SELECT id FROM history_gateways) ORDER BY id";
    let gateway =
        |row: &Row<'_>| Ok((row.get(0)?, row.get::<_, String>(1)?, row.get::<_, Option<String>>(2)?));
    let mut statement = file.prepare(query)?;
    for found in statement.query_map([], gateway)? {
        let (number, id, zone) = found?;
        let zone = zone.and_then(|name| TimeZone::get(&name).ok()).unwrap_or(TimeZone::UTC);
        let site = Site { file, number, id: &id, zone };
        findings.gateways.push(site.examine(now, &mut findings.flaws)?);
    }
    samples(file, &mut findings.flaws)?;
    Ok(Examined::Known(findings))
}

/// One gateway of the file.
struct Site<'a> {
    file: &'a Connection,
    number: i64,
    id: &'a str,
    zone: TimeZone,
}

impl Site<'_> {
    fn examine(&self, now: f64, flaws: &mut Vec<Flaw>) -> rusqlite::Result<Checked> {
        let mut parts: BTreeMap<String, Flows<f64>> = BTreeMap::new();
        let (mut absurd, mut ahead) = (Vec::new(), (0, 0));
        let mut checked = Checked {
            gateway: self.id.to_owned(),
            zone: self.zone.iana_name().unwrap_or("UTC").to_owned(),
            slots: 0,
            days: 0,
            span: None,
            gaps: Vec::new(),
        };
        let query =
            format!("SELECT {}, ways, slot FROM history_slots WHERE gateway = ?1 ORDER BY slot", columns());
        let mut statement = self.file.prepare(&query)?;
        let mut rows = statement.query([self.number])?;
        while let Some(row) = rows.next()? {
            let (sum, slot): (Sum, i64) = (sum_in(row)?, row.get(13)?);
            checked.slots += 1;
            let (start, end) = (slot as f64, slot.saturating_add(SLOT) as f64);
            match &mut checked.span {
                Some((_, last)) => {
                    checked.gaps.extend(Some((*last, start)).filter(|(last, start)| last < start));
                    *last = end;
                }
                None => checked.span = Some((start, end)),
            }
            if start > now + AHEAD {
                ahead = (ahead.0 + 1, slot);
            }
            self.weigh(&sum, "a quarter of an hour", &self.moment(start), SLOT as f64, &mut absurd);
            if let Some(day) = Day::of(start, &self.zone) {
                let part = parts.entry(day.name).or_default();
                Flow::ALL.iter().for_each(|flow| part[*flow] += sum.energy[*flow].unwrap_or_default());
            }
        }
        self.add_recovered(&mut parts, &mut absurd)?;
        let mut sums = Vec::new();
        for (day, sum) in days::between(self.file, self.id, ("", "9"))? {
            checked.days += 1;
            self.weigh(&sum, "the day", &day, 25.0 * 3600.0, &mut absurd);
            self.compare(&day, &sum, parts.get(&day).copied().unwrap_or_default(), &mut sums);
        }
        for (month, sum) in months::between(self.file, self.id, ("", "9"))? {
            self.weigh(&sum, "the month", &month, MONTH, &mut absurd);
        }
        limited(flaws, absurd);
        limited(flaws, sums);
        if ahead.0 > 0 {
            let last = self.moment(ahead.1 as f64);
            flaws.push(Flaw::Ahead { gateway: self.id.to_owned(), rows: ahead.0, last });
        }
        Ok(checked)
    }

    fn moment(&self, at: f64) -> String {
        let at = jiff::Timestamp::from_second(at as i64).unwrap_or_default();
        at.to_zoned_datetime(self.zone.clone()).strftime("%Y-%m-%d %H:%M").to_string()
    }

    /// Adds what was counted over outages to the days that enclose them.
    fn add_recovered(
        &self,
        parts: &mut BTreeMap<String, Flows<f64>>,
        absurd: &mut Vec<Flaw>,
    ) -> rusqlite::Result<()> {
        let query = "SELECT start, stop, solar, home, charge, discharge, import, export
             FROM history_recovered WHERE gateway = ?1 ORDER BY start";
        let mut statement = self.file.prepare(query)?;
        let mut rows = statement.query([self.number])?;
        while let Some(row) = rows.next()? {
            let (start, stop): (f64, f64) = (row.get(0)?, row.get(1)?);
            let mut sum = Sum::default();
            for (place, flow) in Flow::ALL.into_iter().enumerate() {
                sum.energy[flow] = row.get(place + 2)?;
            }
            self.weigh(&sum, "an interval that was recovered", &self.moment(start), stop - start, absurd);
            if let Some(day) = Day::of(start, &self.zone).filter(|day| stop <= day.end) {
                let part = parts.entry(day.name).or_default();
                Flow::ALL.iter().for_each(|flow| part[*flow] += sum.energy[*flow].unwrap_or_default());
            }
        }
        Ok(())
    }

    /// Whether each flow of `sum` can have been, in so many seconds.
    fn weigh(&self, sum: &Sum, of: &str, at: &str, seconds: f64, absurd: &mut Vec<Flaw>) {
        for flow in Flow::ALL {
            let Some(energy) = sum.energy[flow] else { continue };
            let most = ABSURD * seconds.max(0.0) / 3600.0;
            let flaw = |what: String, value: f64| {
                let (gateway, at) = (self.id.to_owned(), at.to_owned());
                Flaw::Absurd { gateway, what, at, value }
            };
            if !energy.is_finite() || energy < -ROUNDING || energy > most {
                absurd.push(flaw(format!("{} in Wh in {of}", flow.word()), energy));
            }
            if !(-LOOSE..=seconds + LOOSE).contains(&sum.seconds[flow]) {
                let what = format!("what {} of {of} covers, in seconds,", flow.word());
                absurd.push(flaw(what, sum.seconds[flow]));
            }
        }
    }

    /// Whether a day is what its parts add up to, as far as it says to be that.
    fn compare(&self, day: &str, sum: &Sum, parts: Flows<f64>, flaws: &mut Vec<Flaw>) {
        for flow in Flow::ALL {
            let is_more = Source::TakenOver.bit(flow) | Mark::Whole.bit(flow);
            let Some(says) = sum.energy[flow].filter(|_| sum.ways & is_more == 0) else { continue };
            if (says - parts[flow]).abs() > ROUNDING.max(says.abs() * 1e-6) {
                let (gateway, day) = (self.id.to_owned(), day.to_owned());
                let (says, parts) = (says / 1000.0, parts[flow] / 1000.0);
                flaws.push(Flaw::Sum { gateway, day, flow: flow.word(), says, parts });
            }
        }
    }
}

/// Samples of power that cannot be.
fn samples(file: &Connection, flaws: &mut Vec<Flaw>) -> rusqlite::Result<()> {
    let query = "SELECT gateway_id, ts, min(solar_w, home_w, battery_charge_w, battery_discharge_w,
                grid_import_w, grid_export_w) AS least,
             max(solar_w, home_w, battery_charge_w, battery_discharge_w, grid_import_w, grid_export_w) AS most
         FROM samples WHERE least < -1 OR most > ?1 LIMIT ?2";
    let flaw = |row: &Row<'_>| {
        let (at, least, most): (f64, f64, f64) = (row.get(1)?, row.get(2)?, row.get(3)?);
        let at = jiff::Timestamp::from_second(at as i64).unwrap_or_default().to_string();
        let value = if least < -1.0 { least } else { most };
        Ok(Flaw::Absurd { gateway: row.get(0)?, what: "power in W".to_owned(), at, value })
    };
    let most = i64::try_from(NAMED).unwrap_or(i64::MAX);
    let found =
        file.prepare(query)?.query_map(params![ABSURD, most], flaw)?.collect::<Result<Vec<_>, _>>()?;
    flaws.extend(found);
    Ok(())
}

/// Adds the first of `found`, and how many more there are.
fn limited(flaws: &mut Vec<Flaw>, mut found: Vec<Flaw>) {
    let more = found.len().saturating_sub(NAMED);
    found.truncate(NAMED);
    flaws.append(&mut found);
    flaws.extend((more > 0).then_some(Flaw::More(more)));
}

#[cfg(test)]
mod tests;
