//! What energy cost: the price that held in each quarter of an hour, and each day's sums. A price stays as it
//! was when the energy was recorded, whatever the settings say later.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use super::batch::Sum;
use super::days::{Day, columns, sum_in};
use crate::model::energy::Flows;
use crate::model::tariff::{Cost, Price, Tariff};

/// Prices are per kWh; `priced` is Wh from the grid. What is not known is `NULL`.
pub(in crate::store) const TABLES: &str = "
    CREATE TABLE history_prices (
        gateway INTEGER NOT NULL, slot INTEGER NOT NULL, buy REAL, sell REAL,
        PRIMARY KEY (gateway, slot)
    ) WITHOUT ROWID;
    CREATE TABLE history_costs (
        gateway INTEGER NOT NULL, day TEXT NOT NULL,
        paid REAL, earned REAL, saved_by_battery REAL, saved_by_solar REAL, priced REAL NOT NULL,
        PRIMARY KEY (gateway, day)
    ) WITHOUT ROWID;
";

/// A quarter of an hour, and what was known of it before something was added.
pub(super) struct Priced<'a> {
    tariff: &'a Tariff,
    gateway: i64,
    slot: i64,
    energy: Flows<Option<f64>>,
    price: Price,
}

impl<'a> Priced<'a> {
    pub fn before(
        change: &Transaction<'_>,
        tariff: &'a Tariff,
        (gateway, slot): (i64, i64),
    ) -> rusqlite::Result<Self> {
        let query = format!(
            "SELECT {}, ways, buy, sell FROM history_slots JOIN history_prices USING (gateway, slot)
             WHERE gateway = ?1 AND slot = ?2",
            columns(),
        );
        let read = |row: &Row<'_>| Ok((sum_in(row)?.energy, Price { buy: row.get(13)?, sell: row.get(14)? }));
        let known = change.prepare_cached(&query)?.query_row([gateway, slot], read).optional()?;
        let (energy, price) = known.unwrap_or_default();
        Ok(Self { tariff, gateway, slot, energy, price })
    }

    /// Keeps the price, and adds to its day what `sum` has changed.
    pub fn add(self, change: &Transaction<'_>, sum: &Sum, zone: &TimeZone) -> rusqlite::Result<()> {
        let Ok(at) = Timestamp::from_second(self.slot) else { return Ok(()) };
        let price = self.tariff.price(at.to_zoned_datetime(zone.clone()).datetime());
        let query =
            "INSERT OR REPLACE INTO history_prices (gateway, slot, buy, sell) VALUES (?1, ?2, ?3, ?4)";
        change.prepare_cached(query)?.execute(params![self.gateway, self.slot, price.buy, price.sell])?;
        let mut after = Sum { energy: self.energy, ..Sum::default() };
        after.add_all(sum);
        let grown = Cost::of(&after.energy, price).since(&Cost::of(&self.energy, self.price));
        match Day::of(self.slot as f64, zone).filter(|_| grown.is_known()) {
            Some(day) => add_to_day(change, self.gateway, &day.name, grown),
            None => Ok(()),
        }
    }
}

fn add_to_day(change: &Transaction<'_>, gateway: i64, day: &str, grown: Cost) -> rusqlite::Result<()> {
    let query = "SELECT paid, earned, saved_by_battery, saved_by_solar, priced
         FROM history_costs WHERE gateway = ?1 AND day = ?2";
    let known = change.prepare_cached(query)?.query_row(params![gateway, day], cost_in).optional()?;
    let mut cost = known.unwrap_or_default();
    cost.add(&grown);
    let query = "INSERT OR REPLACE INTO history_costs
             (gateway, day, paid, earned, saved_by_battery, saved_by_solar, priced)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let Cost { paid, earned, saved_by_battery, saved_by_solar, priced } = cost;
    let values = params![gateway, day, paid, earned, saved_by_battery, saved_by_solar, priced];
    change.prepare_cached(query)?.execute(values).map(|_| ())
}

/// The days with a price, from the first to the last of these names.
pub(super) fn of_days(
    connection: &Connection,
    gateway: &str,
    (first, last): (&str, &str),
) -> rusqlite::Result<BTreeMap<String, Cost>> {
    let query = "SELECT paid, earned, saved_by_battery, saved_by_solar, priced, day
         FROM history_costs JOIN history_gateways ON number = gateway
         WHERE id = ?1 AND day >= ?2 AND day <= ?3";
    let mut statement = connection.prepare_cached(query)?;
    statement.query_map(params![gateway, first, last], |row| Ok((row.get(5)?, cost_in(row)?)))?.collect()
}

fn cost_in(row: &Row<'_>) -> rusqlite::Result<Cost> {
    Ok(Cost {
        paid: row.get(0)?,
        earned: row.get(1)?,
        saved_by_battery: row.get(2)?,
        saved_by_solar: row.get(3)?,
        priced: row.get(4)?,
    })
}

#[cfg(test)]
mod tests;
