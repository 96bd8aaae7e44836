//! How a batch gets into the file: as a whole or not at all, and once. Its run and number are written with
//! it, so that one of which nobody knows whether it was written can be given again.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use rusqlite::types::Value as Sql;
use rusqlite::{OptionalExtension, Transaction, params, params_from_iter};

use super::batch::{Added, Batch, Sample, Source, Sum};
use super::costs::Priced;
use super::days::{self, Day};
use super::{recall, signals};
use crate::model::energy::Flow;
use crate::model::energy::ledger::Recovered;
use crate::model::tariff::{Tariff, Tariffs};

/// Runs are forgotten after so many seconds: no batch is given again that late.
const RUN_KEPT: f64 = 86_400.0;

impl Batch {
    /// Adds it to the file, unless it is there already.
    pub(super) fn write(
        &self,
        change: &Transaction<'_>,
        now: f64,
        tariffs: &Tariffs,
    ) -> rusqlite::Result<()> {
        let last = "SELECT batch FROM history_runs WHERE run = ?1";
        let last: Option<i64> = change.query_row(last, [self.run], |row| row.get(0)).optional()?;
        if last.is_some_and(|last| last >= self.number) {
            return Ok(());
        }
        for (id, added) in &self.added {
            let tariff = tariffs.of(id).or(added.tariff.as_deref());
            write_one(change, id, (added, tariff), now)?;
        }
        change.execute("DELETE FROM history_runs WHERE at < ?1", [now - RUN_KEPT])?;
        let written = "INSERT OR REPLACE INTO history_runs (run, batch, at) VALUES (?1, ?2, ?3)";
        change.execute(written, params![self.run, self.number, now]).map(|_| ())
    }
}

fn write_one(
    change: &Transaction<'_>,
    id: &str,
    (added, tariff): (&Added, Option<&Tariff>),
    now: f64,
) -> rusqlite::Result<()> {
    let (gateway, zone) = known(change, id, added)?;
    for sample in &added.samples {
        write_sample(change, id, gateway, sample)?;
    }
    for signal in &added.signals {
        signals::add(change, id, signal, &zone)?;
    }
    let mut sums: BTreeMap<String, Sum> = BTreeMap::new();
    for (slot, sum) in &added.slots {
        let soe = added.soe.get(slot).copied();
        let priced = tariff.map(|tariff| Priced::before(change, tariff, (gateway, *slot))).transpose()?;
        add_slot(change, gateway, *slot, sum, soe)?;
        if let Some(priced) = priced {
            priced.add(change, sum, &zone)?;
        }
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
    let added = Flow::WORDS.map(|flow| {
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
    let flow = interval.flow.word();
    let query = format!(
        "INSERT INTO history_recovered (gateway, start, stop, {flow}) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (gateway, stop, start) DO UPDATE SET {flow} = coalesce({flow}, 0) + excluded.{flow}"
    );
    let values = params![gateway, interval.from, interval.to, interval.energy];
    change.prepare_cached(&query)?.execute(values).map(|_| ())
}

#[cfg(test)]
mod tests;
