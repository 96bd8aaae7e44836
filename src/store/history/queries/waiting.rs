//! What waits to be sent to another database: what was recorded since the last delivery, in order.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use rusqlite::{Connection, Row, params};

use super::super::batch::{Sample, Sum};
use super::super::cursors::{self, Usage};
use super::super::days::{columns, sum_in};
use super::super::recall::from_text;
use super::samples::Samples;
use crate::model::energy::SLOT;

/// A slot may still grow for this long after its end, in seconds: counters are read late.
const SETTLED: i64 = 900;
/// Samples that are looked at for one load of points.
const LOOKED_AT: u32 = 2_000;

/// A quarter of an hour.
#[derive(Clone, Debug, PartialEq)]
pub struct Slot {
    /// When it begins, Unix seconds.
    pub at: i64,
    pub sum: Sum,
    /// State of energy at its end, app percent.
    pub soe: Option<f64>,
}

/// What is sent at once, of one gateway.
#[derive(Clone, Debug, PartialEq)]
pub enum Rows {
    Slots(Vec<Slot>),
    /// As many as there are intervals.
    Power(Vec<Sample>),
}

/// The next that is sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Load {
    pub gateway: String,
    pub rows: Rows,
    /// Up to where all is sent then, Unix seconds.
    pub reached: f64,
}

impl Load {
    /// Under which its cursor is kept.
    pub fn usage(&self) -> Usage {
        match self.rows {
            Rows::Slots(_) => Usage::SendSlots,
            Rows::Power(_) => Usage::SendPower,
        }
    }
}

/// What is to be sent, and how far that is.
#[derive(Clone, Debug, Default)]
pub struct Waiting {
    /// Where it goes.
    pub peer: String,
    /// How far it is by gateway, where that is newer than what the file says. Unix seconds.
    pub reached: HashMap<(Usage, String), f64>,
    /// How far points of power lie apart; `None`: none are sent.
    pub power: Option<Duration>,
    /// Gateways whose slots are sent; `None`: of all.
    pub only: Option<HashSet<String>>,
    /// Rows that are sent at once.
    pub most: u32,
    /// Unix seconds.
    pub now: f64,
}

impl Waiting {
    /// The next load; `None`: everything is sent.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn next(&self, connection: &Connection) -> rusqlite::Result<Option<Load>> {
        let query = "SELECT number, id, state FROM history_gateways ORDER BY id";
        let columns = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let gateways = connection
            .prepare_cached(query)?
            .query_map([], columns)?
            .collect::<rusqlite::Result<Vec<(i64, String, Option<String>)>>>()?;
        for (number, id, state) in gateways {
            // What is imported of one that was never read here is complete.
            let read = state.and_then(|text| from_text(&text)).map_or(self.now, |state| state.at);
            if self.only.as_ref().is_none_or(|only| only.contains(&id))
                && let Some(load) = self.slots(connection, (number, &id), read)?
            {
                return Ok(Some(load));
            }
            if let Some(every) = self.power
                && let Some(load) = self.samples(connection, &id, every)?
            {
                return Ok(Some(load));
            }
        }
        Ok(None)
    }

    fn after(&self, connection: &Connection, usage: Usage, id: &str) -> rusqlite::Result<Option<f64>> {
        match self.reached.get(&(usage, id.to_owned())) {
            Some(reached) => Ok(Some(*reached)),
            None => cursors::reached(connection, (usage, &self.peer), id),
        }
    }

    fn slots(
        &self,
        connection: &Connection,
        (number, id): (i64, &str),
        read: f64,
    ) -> rusqlite::Result<Option<Load>> {
        let after = self.after(connection, Usage::SendSlots, id)?.unwrap_or(f64::MIN);
        let query = format!(
            "SELECT {}, ways, slot, soe FROM history_slots
             WHERE gateway = ?1 AND slot > ?2 AND slot <= ?3 ORDER BY slot LIMIT ?4",
            columns()
        );
        let last = read - (SLOT + SETTLED) as f64;
        let slot = |row: &Row<'_>| Ok(Slot { sum: sum_in(row)?, at: row.get(13)?, soe: row.get(14)? });
        let values = params![number, after, last, self.most];
        let slots: Vec<Slot> =
            connection.prepare_cached(&query)?.query_map(values, slot)?.collect::<rusqlite::Result<_>>()?;
        let Some(reached) = slots.last().map(|slot| slot.at as f64) else { return Ok(None) };
        Ok(Some(Load { gateway: id.to_owned(), rows: Rows::Slots(slots), reached }))
    }

    /// The first sample of each interval.
    fn samples(&self, connection: &Connection, id: &str, every: Duration) -> rusqlite::Result<Option<Load>> {
        let after = self.after(connection, Usage::SendPower, id)?;
        let which = Samples { gateway: Some(id.to_owned()), start: after.map(f64::next_up), end: None };
        let interval = |at: f64| (at / every.as_secs_f64()).floor();
        let (mut last, mut reached) = (after.map(interval), None);
        let mut points = Vec::new();
        for (_, sample) in which.oldest(connection, LOOKED_AT)? {
            if points.len() >= self.most as usize {
                break;
            }
            reached = Some(sample.at);
            let of = interval(sample.at);
            if last != Some(of) {
                last = Some(of);
                points.push(sample);
            }
        }
        let Some(reached) = reached else { return Ok(None) };
        Ok(Some(Load { gateway: id.to_owned(), rows: Rows::Power(points), reached }))
    }
}
