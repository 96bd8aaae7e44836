//! What an import brings fills what is absent. Nothing that was measured or counted here is changed, and the
//! same import once more changes nothing.
//!
//! A slot or a day that was imported gives way to an import that covers more of it. What counters count over
//! an outage is in a recovered interval, or will be in one: an import fills nothing there.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use rusqlite::types::Value as Sql;
use rusqlite::{OptionalExtension, Row, Transaction, params, params_from_iter};

use super::batch::{Mark, Sample, Source, Sum};
use super::cursors::{self, Usage};
use super::days::{self, Day, columns, sum_in};
use super::queries::energy::midnight;
use super::recall::Recalled;
use super::signals::{self, Brought, Series};
use crate::model::energy::{Flow, Flows, SLOT};

/// Where no counter bridges an outage, what was recorded within the last hour may still wait in memory.
const UNWRITTEN: f64 = 3600.0;
/// An import replaces another one that covers less by more than this, in seconds.
const MORE: f64 = 1.0;

/// Energy of one flow in a slot or a day.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell {
    /// Wh
    pub energy: f64,
    /// Seconds that it covers; `None`: nobody knows.
    pub seconds: Option<f64>,
}

/// A day as it comes in one value for each flow.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WholeDay {
    pub cells: Flows<Option<Cell>>,
    /// When it was measured last, Unix seconds; `None`: at its end.
    pub until: Option<f64>,
}

/// What holds for everything that comes of one gateway.
#[derive(Clone, Debug)]
pub struct Terms {
    /// The zone of its site, unless the file knows one.
    pub zone: TimeZone,
    /// Days before this time are not kept, Unix seconds.
    pub kept_from: f64,
    /// Unix seconds.
    pub now: f64,
}

/// What comes at once, of one gateway: what one change of the file takes.
#[derive(Clone, Debug, Default)]
pub struct Parcel {
    /// By their beginning.
    pub slots: BTreeMap<i64, Flows<Option<Cell>>>,
    /// Charge at the end of a slot, app percent.
    pub charge: BTreeMap<i64, f64>,
    /// By their name.
    pub days: BTreeMap<String, WholeDay>,
    pub samples: Vec<Sample>,
    pub signals: Vec<(Series, Brought)>,
}

impl Parcel {
    pub fn is_empty(&self) -> bool {
        let has_energy = !self.slots.is_empty() || !self.days.is_empty();
        !has_energy && self.samples.is_empty() && self.signals.is_empty()
    }
}

/// What became of slots or days.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// At least one flow was filled.
    pub filled: u64,
    /// Everything that came is known already.
    pub known: u64,
    /// Counters count over them, what was recorded is not written yet, or days so old are not kept.
    pub held: u64,
}

impl Tally {
    fn count(&mut self, outcomes: &[Outcome]) {
        let place = match outcomes {
            _ if outcomes.contains(&Outcome::Filled) => &mut self.filled,
            _ if outcomes.contains(&Outcome::Held) => &mut self.held,
            _ => &mut self.known,
        };
        *place += 1;
    }

    fn add(&mut self, other: Self) {
        self.filled += other.filled;
        self.known += other.known;
        self.held += other.held;
    }
}

/// What became of what came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filled {
    pub slots: Tally,
    pub days: Tally,
    /// Samples that were not there.
    pub samples: u64,
    /// Values of signals, and days of them, that were not there.
    pub signals: u64,
}

impl Filled {
    pub fn add(&mut self, other: Self) {
        self.slots.add(other.slots);
        self.days.add(other.days);
        self.samples += other.samples;
        self.signals += other.signals;
    }
}

/// What becomes of one flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Filled,
    Known,
    Held,
}

/// What a slot gained: Wh, and seconds in which they were measured.
type Gain = (Flow, f64, f64);

/// One gateway, to be filled.
struct Filling<'a> {
    change: &'a Transaction<'a>,
    id: &'a str,
    number: i64,
    zone: TimeZone,
    /// From where on anything may be filled, Unix seconds.
    from: f64,
    /// Up to where each flow may be filled, Unix seconds.
    limits: Flows<f64>,
    now: f64,
}

/// Fills what is absent of the gateway `id` with `parcel`. `came`: where it comes from, and up to where it is
/// done with that.
///
/// # Errors
/// If the file cannot be read or written.
pub fn fill(
    change: &Transaction<'_>,
    (id, terms): (&str, &Terms),
    parcel: &Parcel,
    came: Option<(&str, Option<f64>)>,
) -> rusqlite::Result<Filled> {
    let filling = Filling::of(change, (id, terms))?;
    let mut filled = Filled::default();
    for (day, whole) in &parcel.days {
        filled.days.count(&filling.day(day, whole)?);
    }
    filled.slots = filling.slots(parcel)?;
    filled.samples = filling.samples(&parcel.samples)?;
    for (series, brought) in &parcel.signals {
        filled.signals += signals::fill(change, id, series, brought)?;
    }
    if let Some((peer, reached)) = came {
        cursors::reach(change, (Usage::Import, peer), id, reached)?;
    }
    Ok(filled)
}

impl<'a> Filling<'a> {
    fn of(change: &'a Transaction<'a>, (id, terms): (&'a str, &Terms)) -> rusqlite::Result<Self> {
        let Terms { zone, kept_from, now } = terms;
        let state = Recalled::read(change, id)?.state;
        let query = "INSERT INTO history_gateways (id, zone) VALUES (?1, ?2)
             ON CONFLICT (id) DO UPDATE SET zone = coalesce(zone, ?2) RETURNING number, zone";
        let columns = |row: &Row<'_>| Ok((row.get(0)?, row.get::<_, Option<String>>(1)?));
        let (number, known) = change.query_row(query, params![id, zone.iana_name()], columns)?;
        let known = known.and_then(|name| TimeZone::get(&name).ok());
        let mut limits = Flows([*now; 6]);
        for flow in Flow::ALL {
            if let Some(state) = &state {
                let counted = state.counters[flow].map(|(at, _)| at);
                limits[flow] = counted.unwrap_or_else(|| state.at.max(now - UNWRITTEN));
            }
        }
        let zone = known.unwrap_or_else(|| zone.clone());
        Ok(Self { change, id, number, zone, from: *kept_from, limits, now: *now })
    }

    /// Fills slots, and adds to the days what they gain.
    fn slots(&self, parcel: &Parcel) -> rusqlite::Result<Tally> {
        let mut tally = Tally::default();
        let mut gains: BTreeMap<String, Vec<Gain>> = BTreeMap::new();
        for (slot, cells) in &parcel.slots {
            let (outcomes, gained) = self.slot(*slot, cells, parcel.charge.get(slot).copied())?;
            tally.count(&outcomes);
            if let Some(day) = Day::of(*slot as f64, &self.zone).filter(|_| !gained.is_empty()) {
                gains.entry(day.name).or_default().extend(gained);
            }
        }
        for (day, gains) in gains {
            self.gain(&day, &gains)?;
        }
        Ok(tally)
    }

    /// Fills a slot; what it gained: Wh and seconds of each flow.
    fn slot(
        &self,
        slot: i64,
        cells: &Flows<Option<Cell>>,
        charge: Option<f64>,
    ) -> rusqlite::Result<(Vec<Outcome>, Vec<Gain>)> {
        let query =
            format!("SELECT {}, ways, soe FROM history_slots WHERE gateway = ?1 AND slot = ?2", columns());
        let read = |row: &Row<'_>| Ok((sum_in(row)?, row.get(13)?));
        let known: Option<(Sum, Option<f64>)> =
            self.change.prepare_cached(&query)?.query_row(params![self.number, slot], read).optional()?;
        let (mut sum, soe) = known.unwrap_or_default();
        let recovered = self.recovered(slot)?;
        let (mut outcomes, mut gained) = (Vec::new(), Vec::new());
        for flow in Flow::ALL {
            let Some(cell) = cells[flow] else { continue };
            let outcome = match () {
                () if (slot as f64) < self.from => Outcome::Held,
                () if (slot + SLOT) as f64 > self.limits[flow] => Outcome::Held,
                () if recovered[flow] || !gives_way(&sum, flow, &cell) => Outcome::Known,
                () => Outcome::Filled,
            };
            outcomes.push(outcome);
            if outcome == Outcome::Filled {
                let seconds = cell.seconds.unwrap_or_default().min(SLOT as f64);
                let before = (sum.energy[flow].unwrap_or_default(), sum.seconds[flow]);
                gained.push((flow, cell.energy - before.0, seconds - before.1));
                sum.energy[flow] = Some(cell.energy);
                sum.seconds[flow] = seconds;
                sum.ways |= Source::Imported.bit(flow);
            }
        }
        if !gained.is_empty() {
            let columns = columns();
            let set: Vec<String> =
                columns.split(", ").map(|name| format!("{name} = excluded.{name}")).collect();
            let query = format!(
                "INSERT INTO history_slots (gateway, slot, {}, ways, soe) VALUES ({})
                 ON CONFLICT (gateway, slot) DO UPDATE SET {}, ways = excluded.ways, soe = excluded.soe",
                columns,
                ["?"; 16].join(", "),
                set.join(", "),
            );
            let values = [self.number.into(), slot.into()].into_iter().chain(days::values(&sum));
            let values = values.chain([Sql::from(sum.ways), soe.or(charge).into()]);
            self.change.prepare_cached(&query)?.execute(params_from_iter(values))?;
        }
        Ok((outcomes, gained))
    }

    /// Of which flows energy was counted over an outage in which the slot lies, or a part of it.
    fn recovered(&self, slot: i64) -> rusqlite::Result<Flows<bool>> {
        let query = "SELECT solar, home, charge, discharge, import, export FROM history_recovered
             WHERE gateway = ?1 AND stop > ?2 AND start < ?3";
        let mut statement = self.change.prepare_cached(query)?;
        let mut rows = statement.query(params![self.number, slot as f64, (slot + SLOT) as f64])?;
        let mut recovered = Flows::default();
        while let Some(row) = rows.next()? {
            for (place, flow) in Flow::ALL.into_iter().enumerate() {
                recovered[flow] |= row.get::<_, Option<f64>>(place)?.is_some();
            }
        }
        Ok(recovered)
    }

    /// Adds to a day what its slots gained, unless it is more than they: then it has that already.
    fn gain(&self, day: &str, gains: &[Gain]) -> rusqlite::Result<()> {
        let mut known = days::load(self.change, (self.id, self.number), day)?;
        let sum = &mut known.sum;
        for (flow, energy, seconds) in gains.iter().copied() {
            let is_more = Source::TakenOver.bit(flow) | Mark::Whole.bit(flow);
            if sum.ways & is_more == 0 {
                sum.energy[flow] = Some((sum.energy[flow].unwrap_or_default() + energy).max(0.0));
                sum.seconds[flow] += seconds;
                sum.ways |= Source::Imported.bit(flow);
            }
        }
        days::store(self.change, (self.id, self.number), day, &known, self.now)
    }

    /// Fills a day that came as a whole.
    fn day(&self, name: &str, whole: &WholeDay) -> rusqlite::Result<Vec<Outcome>> {
        let span = name.parse().ok().and_then(|date: Date| {
            Some((midnight(date, &self.zone)?, midnight(date.tomorrow().ok()?, &self.zone)?))
        });
        let Some((start, end)) = span else { return Ok(Vec::new()) };
        let mut known = days::load(self.change, (self.id, self.number), name)?;
        let mut outcomes = Vec::new();
        for flow in Flow::ALL {
            let Some(cell) = whole.cells[flow] else { continue };
            let until = whole.until.unwrap_or(end).min(end);
            let is_before_ours = || -> rusqlite::Result<bool> {
                Ok(whole.until.is_some()
                    && is_measured_here_alone(&known.sum, flow)
                    && self.first_measured(flow, start, end)?.is_some_and(|first| until <= first))
            };
            let is_added = is_before_ours()?;
            let outcome = match () {
                () if start < self.from => Outcome::Held,
                () if until > self.limits[flow] && !is_added => Outcome::Held,
                () if is_added || gives_way(&known.sum, flow, &cell) => Outcome::Filled,
                () => Outcome::Known,
            };
            outcomes.push(outcome);
            if outcome == Outcome::Filled {
                let sum = &mut known.sum;
                let before = if is_added { (sum.energy[flow], sum.seconds[flow]) } else { (None, 0.0) };
                sum.energy[flow] = Some(before.0.unwrap_or_default() + cell.energy);
                sum.seconds[flow] = before.1 + cell.seconds.unwrap_or_default();
                sum.ways |= Source::Imported.bit(flow) | Mark::Whole.bit(flow);
                sum.ways &= !Mark::Vague.bit(flow);
                if cell.seconds.is_none() {
                    sum.ways |= Mark::Vague.bit(flow);
                }
            }
        }
        if outcomes.contains(&Outcome::Filled) {
            known.last = known.last.or(whole.until);
            days::store(self.change, (self.id, self.number), name, &known, self.now)?;
        }
        Ok(outcomes)
    }

    /// When `flow` was first measured here between `start` and `end`, as far as that is known.
    fn first_measured(&self, flow: Flow, start: f64, end: f64) -> rusqlite::Result<Option<f64>> {
        let name = flow.word();
        let query = format!(
            "SELECT slot, {name}_s FROM history_slots
             WHERE gateway = ?1 AND slot >= ?2 AND slot < ?3 AND {name} IS NOT NULL ORDER BY slot LIMIT 2"
        );
        let span = params![self.number, start, end];
        let read = |row: &Row<'_>| Ok((row.get::<_, f64>(0)?, row.get::<_, f64>(1)?));
        let slots: Vec<(f64, f64)> =
            self.change.prepare_cached(&query)?.query_map(span, read)?.collect::<rusqlite::Result<_>>()?;
        let length = SLOT as f64;
        let of_slots = match slots[..] {
            // It goes on without a gap, so what is missing is at the beginning.
            [(first, seconds), (next, whole)] if next == first + length && whole > length - MORE => {
                Some(first + length - seconds.min(length))
            }
            [(first, _), ..] => Some(first),
            [] => None,
        };
        let query = format!(
            "SELECT min(start) FROM history_recovered
             WHERE gateway = ?1 AND stop > ?2 AND start < ?3 AND {name} IS NOT NULL"
        );
        let of_intervals: Option<f64> =
            self.change.prepare_cached(&query)?.query_row(span, |row| row.get(0))?;
        Ok([of_slots, of_intervals].into_iter().flatten().reduce(f64::min))
    }

    fn samples(&self, samples: &[Sample]) -> rusqlite::Result<u64> {
        let complete = "INSERT OR IGNORE INTO samples (gateway_id, ts, solar_w, home_w, battery_charge_w,
             battery_discharge_w, grid_import_w, grid_export_w, soe) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let others = "INSERT OR IGNORE INTO history_samples VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let mut added = 0;
        for sample in samples {
            let is_complete = sample.power.0.iter().all(Option::is_some);
            let (query, key) = match is_complete {
                true => (complete, Sql::from(self.id.to_owned())),
                false => (others, self.number.into()),
            };
            let power = sample.power.0.iter().map(|watts| Sql::from(*watts));
            let values = [key, sample.at.into()].into_iter().chain(power).chain([sample.soe.into()]);
            added += self.change.prepare_cached(query)?.execute(params_from_iter(values))?;
        }
        Ok(added as u64)
    }
}

/// Whether `cell` may stand for what is known of `flow`.
fn gives_way(sum: &Sum, flow: Flow, cell: &Cell) -> bool {
    if sum.energy[flow].is_none() {
        return true;
    }
    let is_imported = sum.sources(flow).eq([Source::Imported]);
    is_imported && cell.seconds.is_some_and(|seconds| seconds > sum.seconds[flow] + MORE)
}

/// Whether what is known of `flow` is of this program, and nothing else.
fn is_measured_here_alone(sum: &Sum, flow: Flow) -> bool {
    let foreign = Source::TakenOver.bit(flow) | Source::Imported.bit(flow);
    sum.energy[flow].is_some() && sum.ways & foreign == 0
}

#[cfg(test)]
mod tests;
