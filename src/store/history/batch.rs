//! What is written at once: everything that the gateways added since the batch before, as sums that are
//! added to what is there.
//!
//! A batch is written as a whole or not at all, and once: its run and number are written with it, so that
//! one of which nobody knows whether it was written can be given again.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use rusqlite::types::Value as Sql;
use rusqlite::{OptionalExtension, Transaction, params, params_from_iter};

use super::days::{self, Day};
use super::{recall, signals};
use crate::model::energy::ledger::{Additions, Booked, Recovered, State, Way};
use crate::model::energy::{Flow, Flows};

/// Runs are forgotten after so many seconds: no batch is given again that late.
const RUN_KEPT: f64 = 86_400.0;

/// Power at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Unix seconds.
    pub at: f64,
    /// W
    pub power: Flows<Option<f64>>,
    /// State of energy, app percent.
    pub soe: Option<f64>,
}

/// A measurement of one device.
#[derive(Clone, Debug, PartialEq)]
pub struct Signal {
    /// The key of its block in the vitals.
    pub device: String,
    /// One of the ids in [`SIGNALS`](crate::model::site::signals::SIGNALS).
    pub metric: &'static str,
    /// Unix seconds, as the table of the server before has them.
    pub at: i64,
    pub value: f64,
}

/// How a part of an energy was got, as bits of [`Sum::ways`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The difference of two counters, read one after the other.
    Counted = 1,
    /// Power over time.
    Integrated = 2,
    /// The difference of two counters over an outage or a restart.
    Recovered = 4,
    /// Taken over from the server before.
    TakenOver = 8,
}

impl Source {
    pub const ALL: [Self; 4] = [Self::Counted, Self::Integrated, Self::Recovered, Self::TakenOver];

    /// As it is written in documents.
    pub fn word(self) -> &'static str {
        match self {
            Self::Counted => "counted",
            Self::Integrated => "integrated",
            Self::Recovered => "recovered",
            Self::TakenOver => "taken_over",
        }
    }

    /// Its bit for `flow`.
    pub fn bit(self, flow: Flow) -> i64 {
        (self as i64) << (4 * flow as u32)
    }
}

/// Energy in a slot or a day, as far as it was added.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sum {
    /// Wh; `None`: nothing is known of this flow.
    pub energy: Flows<Option<f64>>,
    /// Seconds in which it was measured or counted.
    pub seconds: Flows<f64>,
    /// How it was got: [`Source::bit`] of everything that is in it.
    pub ways: i64,
}

impl Sum {
    pub(super) fn add(&mut self, flow: Flow, energy: f64, seconds: f64, source: Source) {
        self.energy[flow] = Some(self.energy[flow].unwrap_or_default() + energy);
        self.seconds[flow] += seconds;
        self.ways |= source.bit(flow);
    }

    pub(super) fn add_all(&mut self, other: &Self) {
        for flow in Flow::ALL {
            if let Some(energy) = other.energy[flow] {
                self.energy[flow] = Some(self.energy[flow].unwrap_or_default() + energy);
            }
            self.seconds[flow] += other.seconds[flow];
        }
        self.ways |= other.ways;
    }
}

/// What one gateway adds.
#[derive(Clone, Debug, Default)]
pub struct Added {
    /// The zone of the site, by which its days begin; `None`: as it was known before, or UTC.
    pub zone: Option<TimeZone>,
    pub samples: Vec<Sample>,
    /// By their beginning.
    pub slots: BTreeMap<i64, Sum>,
    pub intervals: Vec<Recovered>,
    pub signals: Vec<Signal>,
    /// What the next run continues from.
    pub state: Option<State>,
    /// State of energy at the end of the slot, app percent.
    pub soe: Option<(i64, f64)>,
}

impl Added {
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
            && self.slots.is_empty()
            && self.intervals.is_empty()
            && self.signals.is_empty()
    }

    /// Adds what a reading brought.
    pub fn book(&mut self, Additions { slots, recovered }: Additions) {
        for Booked { flow, share, way } in slots {
            let source = match way {
                Way::Counted => Source::Counted,
                Way::Integrated => Source::Integrated,
            };
            self.slots.entry(share.slot).or_default().add(flow, share.energy, share.seconds, source);
        }
        self.intervals.extend(recovered);
    }
}

/// Everything that is written at once.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Which run of the program it is of: random.
    pub run: i64,
    /// Grows by one with each batch.
    pub number: i64,
    /// By gateway.
    pub added: BTreeMap<String, Added>,
}

pub(super) const FLOWS: [&str; 6] = ["solar", "home", "charge", "discharge", "import", "export"];

impl Batch {
    /// Samples in it.
    pub fn samples(&self) -> usize {
        self.added.values().map(|added| added.samples.len()).sum()
    }

    /// Adds it to the file, unless it is there already.
    pub(super) fn write(&self, change: &Transaction<'_>, now: f64) -> rusqlite::Result<()> {
        let last = "SELECT batch FROM history_runs WHERE run = ?1";
        let last: Option<i64> = change.query_row(last, [self.run], |row| row.get(0)).optional()?;
        if last.is_some_and(|last| last >= self.number) {
            return Ok(());
        }
        for (id, added) in &self.added {
            write_one(change, id, added, now)?;
        }
        change.execute("DELETE FROM history_runs WHERE at < ?1", [now - RUN_KEPT])?;
        let written = "INSERT OR REPLACE INTO history_runs (run, batch, at) VALUES (?1, ?2, ?3)";
        change.execute(written, params![self.run, self.number, now]).map(|_| ())
    }
}

fn write_one(change: &Transaction<'_>, id: &str, added: &Added, now: f64) -> rusqlite::Result<()> {
    let (gateway, zone) = known(change, id, added)?;
    for sample in &added.samples {
        write_sample(change, id, gateway, sample)?;
    }
    for signal in &added.signals {
        signals::add(change, id, signal, &zone)?;
    }
    let mut sums: BTreeMap<String, Sum> = BTreeMap::new();
    for (slot, sum) in &added.slots {
        let soe = added.soe.filter(|(of, _)| of == slot).map(|(_, soe)| soe);
        add_slot(change, gateway, *slot, sum, soe)?;
        if let Some(day) = Day::of(*slot as f64, &zone) {
            sums.entry(day.name).or_default().add_all(sum);
        }
    }
    for interval in &added.intervals {
        write_interval(change, gateway, interval)?;
        if let Some(day) = Day::of(interval.from, &zone).filter(|day| interval.to <= day.end) {
            let seconds = interval.to - interval.from;
            let sum = sums.entry(day.name).or_default();
            sum.add(interval.flow, interval.energy, seconds, Source::Recovered);
        }
    }
    let last = added.samples.last().map(|sample| sample.at);
    for (day, sum) in &sums {
        days::add(change, (id, gateway), day, sum, last, now)?;
    }
    Ok(())
}

/// The number of the gateway, and the zone that its days begin by.
fn known(change: &Transaction<'_>, id: &str, added: &Added) -> rusqlite::Result<(i64, TimeZone)> {
    let zone = added.zone.as_ref().and_then(TimeZone::iana_name);
    let query = "INSERT INTO history_gateways (id, zone, state) VALUES (?1, ?2, ?3)
         ON CONFLICT (id) DO UPDATE SET zone = coalesce(?2, zone), state = coalesce(?3, state)
         RETURNING number, zone";
    let state = added.state.as_ref().map(recall::to_text);
    let (number, zone): (i64, Option<String>) = change
        .prepare_cached(query)?
        .query_row(params![id, zone, state], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok((number, zone.and_then(|zone| TimeZone::get(&zone).ok()).unwrap_or(TimeZone::UTC)))
}

/// Complete samples go where the servers before look for them, and are what they would integrate from.
fn write_sample(change: &Transaction<'_>, id: &str, gateway: i64, sample: &Sample) -> rusqlite::Result<()> {
    let power = || sample.power.0.iter().map(|watts| Sql::from(*watts));
    let at = Sql::from(sample.at);
    if sample.power.0.iter().any(Option::is_none) {
        let query = "INSERT OR REPLACE INTO history_samples VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let values = [gateway.into(), at].into_iter().chain(power()).chain([sample.soe.into()]);
        return change.prepare_cached(query)?.execute(params_from_iter(values)).map(|_| ());
    }
    let query = "INSERT OR REPLACE INTO samples (gateway_id, ts, solar_w, home_w, battery_charge_w,
             battery_discharge_w, grid_import_w, grid_export_w, soe) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let of = || [Sql::from(id.to_owned()), at.clone()].into_iter();
    let values = of().chain(power()).chain([sample.soe.into()]);
    change.prepare_cached(query)?.execute(params_from_iter(values))?;
    let query = "INSERT OR REPLACE INTO integration_state (gateway_id, ts, solar_w, home_w, battery_charge_w,
             battery_discharge_w, grid_import_w, grid_export_w) VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
    change.prepare_cached(query)?.execute(params_from_iter(of().chain(power()))).map(|_| ())
}

fn add_slot(
    change: &Transaction<'_>,
    gateway: i64,
    slot: i64,
    sum: &Sum,
    soe: Option<f64>,
) -> rusqlite::Result<()> {
    let added = FLOWS.map(|flow| {
        format!(
            "{flow} = coalesce({flow} + excluded.{flow}, {flow}, excluded.{flow}), \
             {flow}_s = {flow}_s + excluded.{flow}_s"
        )
    });
    let query = format!(
        "INSERT INTO history_slots (gateway, slot, {columns}, ways, soe) VALUES ({})
         ON CONFLICT (gateway, slot) DO UPDATE SET {}, ways = ways | excluded.ways,
             soe = coalesce(excluded.soe, soe)",
        ["?"; 16].join(", "),
        added.join(", "),
        columns = days::columns(),
    );
    let values = [gateway.into(), slot.into()].into_iter().chain(days::values(sum));
    let values = values.chain([Sql::from(sum.ways), soe.into()]);
    change.prepare_cached(&query)?.execute(params_from_iter(values)).map(|_| ())
}

fn write_interval(change: &Transaction<'_>, gateway: i64, interval: &Recovered) -> rusqlite::Result<()> {
    let flow = FLOWS[interval.flow as usize];
    let query = format!(
        "INSERT INTO history_recovered (gateway, start, stop, {flow}) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (gateway, stop, start) DO UPDATE SET {flow} = coalesce({flow}, 0) + excluded.{flow}"
    );
    let values = params![gateway, interval.from, interval.to, interval.energy];
    change.prepare_cached(&query)?.execute(values).map(|_| ())
}

#[cfg(test)]
mod tests;
