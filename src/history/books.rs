//! The books of one gateway: what its readings add to the history, until it is written.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use tokio::time::Instant;

use super::look::Look;
use crate::model::energy::ledger::{Ledger, POLLS, Reading};
use crate::model::energy::{Flows, slot_of};
use crate::model::tariff::Tariff;
use crate::model::{RawPercent, Snapshot, Telemetry};
use crate::store::history::Recalled;
use crate::store::history::batch::{Added, Sample, Signal};

/// Readings that wait until it is known where a former run ended, or for the counters that belong to them: an
/// hour at the usual pace.
const MOST_READINGS: usize = 720;
/// Samples that wait to be written, of one gateway: an hour at the usual pace.
const MOST_SAMPLES: usize = 720;
/// Slots that wait to be written, of one gateway: a month.
const MOST_SLOTS: usize = 31 * 96;
/// Values of signals that wait to be written, of one gateway: an hour of a large one.
const MOST_SIGNALS: usize = 5_000;
/// Recovered intervals that wait to be written, of one gateway.
const MOST_INTERVALS: usize = 1_000;
/// A site gets this long to name its zone. Then its days are those of UTC.
const PATIENCE_WITH_ZONE: Duration = Duration::from_secs(120);
/// The wall clock shows less than this while nobody has set it: 2024-01-01.
const CLOCK_IS_SET: f64 = 1_704_067_200.0;

/// The books of one gateway.
pub(super) struct Books {
    /// `None` until it is known where a former run ended.
    ledger: Option<Ledger>,
    /// Seconds between two polls, when the gateway was read last.
    interval: f64,
    /// The zone of the site; `None`: nobody has said.
    zone: Option<TimeZone>,
    /// The same by its name, to notice a change.
    zone_name: Option<String>,
    /// What energy costs as Tesla's cloud had it last; a tariff of the settings comes first.
    tariff: Option<Arc<Tariff>>,
    /// Whether the file knows the zone.
    is_zone_kept: bool,
    /// When its first reading came.
    since: Option<Instant>,
    /// When the reading was taken that was seen last.
    seen: Option<Instant>,
    /// The newest telemetry and its time, until it has been looked at.
    unlooked: Option<(f64, Arc<Telemetry>)>,
    /// When it was looked at last.
    looked: Option<Instant>,
    /// What the last look brought; the same counters again until the next one.
    counters: Flows<Option<f64>>,
    /// The quarter of an hour in which slow signals were recorded last.
    slow_slot: Option<i64>,
    /// Readings that have not been booked, the oldest first.
    waiting: VecDeque<Reading>,
    /// What is to be written next.
    pub collected: Added,
}

impl Default for Books {
    fn default() -> Self {
        Self {
            ledger: None,
            interval: 5.0,
            zone: None,
            zone_name: None,
            tariff: None,
            is_zone_kept: false,
            since: None,
            seen: None,
            unlooked: None,
            looked: None,
            counters: Flows::default(),
            slow_slot: None,
            waiting: VecDeque::new(),
            collected: Added::default(),
        }
    }
}

impl Books {
    /// Whether it is known where a former run ended.
    pub fn is_open(&self) -> bool {
        self.ledger.is_some()
    }

    /// Goes on where a former run ended.
    pub fn open(&mut self, recalled: Recalled) {
        self.ledger = Some(recalled.state.map_or_else(Ledger::default, Ledger::resumed));
        self.is_zone_kept = recalled.zone.is_some();
        self.settle();
    }

    /// Takes a reading, if `snapshot` has a new one. `Some`: how many samples found no room.
    pub fn see(&mut self, snapshot: &Snapshot, origin: Instant, interval: f64) -> Option<u64> {
        let reading = snapshot.reading.as_ref()?;
        if self.seen == Some(reading.taken) || reading.taken_at < CLOCK_IS_SET {
            return None;
        }
        let before = self.seen.replace(reading.taken);
        let apart = before.map(|before| reading.taken.saturating_duration_since(before));
        if apart.is_some_and(|apart| apart.as_secs_f64() > interval * POLLS) {
            // What counters showed before the gap is not what they show now: with it, the time of the gap
            // would count as one in which nothing flowed, and what flowed as that of the time after.
            self.counters = Flows::default();
        }
        self.since.get_or_insert(reading.taken);
        self.interval = interval;
        let readings = &reading.telemetry.readings;
        self.see_zone(readings.timezone.as_deref().or(snapshot.gateway.timezone.as_deref()));
        self.tariff = readings.tariff.clone().or(self.tariff.take());
        let power = Flows::of_power(readings.power);
        // What waits for counters has waited long enough.
        self.settle();
        self.waiting.push_back(Reading {
            at: reading.taken_at,
            clock: reading.taken.saturating_duration_since(origin),
            power,
            counters: self.counters,
            din: readings.din.clone(),
        });
        if self.waiting.len() > MOST_READINGS {
            self.waiting.pop_front();
        }
        self.unlooked = Some((reading.taken_at, reading.telemetry.clone()));
        if power.0.iter().all(Option::is_none) {
            return Some(0);
        }
        let soe = readings.charge.state_of_energy().map(|raw: RawPercent| raw.to_app_clamped().0);
        let samples = &mut self.collected.samples;
        samples.push(Sample { at: reading.taken_at, power, soe });
        let too_many = samples.len().saturating_sub(MOST_SAMPLES);
        samples.drain(..too_many);
        Some(too_many as u64)
    }

    fn see_zone(&mut self, name: Option<&str>) {
        if name.is_some() && self.zone_name.as_deref() != name {
            self.zone_name = name.map(str::to_owned);
            self.zone = name.and_then(|name| TimeZone::get(name).ok());
        }
    }

    /// The telemetry to look at, if it is time.
    pub fn take_unlooked(&mut self, every: Duration, now: Instant) -> Option<(f64, Arc<Telemetry>)> {
        // A poll may come a little early.
        let every = every.saturating_sub((every / 2).min(Duration::from_millis(2500)));
        if self.looked.is_some_and(|looked| now.saturating_duration_since(looked) < every) {
            self.unlooked = None;
            return None;
        }
        self.looked = Some(now);
        self.unlooked.take()
    }

    /// Whether a look is to be had.
    pub fn awaits_look(&self) -> bool {
        self.unlooked.is_some()
    }

    /// Takes what a look at the telemetry of the reading at `at` has brought. `is_kept`: whether signals are.
    pub fn see_look(&mut self, at: f64, look: Look, is_kept: bool) {
        self.counters = look.counters;
        if let Some(newest) = self.waiting.back_mut() {
            newest.counters = self.counters;
        }
        self.settle();
        if !is_kept {
            return;
        }
        let mut signals_now = look.signals;
        if self.slow_slot.replace(slot_of(at)) != Some(slot_of(at)) {
            signals_now.extend(look.slow);
        }
        let signals = &mut self.collected.signals;
        if signals.len() + signals_now.len() <= MOST_SIGNALS {
            let at = at.round() as i64;
            let signals_now = signals_now.into_iter();
            signals.extend(signals_now.map(|(device, metric, value)| Signal { device, metric, at, value }));
        }
    }

    /// Books what waits.
    pub fn settle(&mut self) {
        let Some(ledger) = &mut self.ledger else { return };
        if self.waiting.is_empty() {
            return;
        }
        for reading in self.waiting.drain(..) {
            self.collected.book(ledger.take(&reading, self.interval));
        }
        self.collected.state = ledger.state();
        while self.collected.slots.len() > MOST_SLOTS {
            self.collected.slots.pop_first();
        }
        let too_many = self.collected.intervals.len().saturating_sub(MOST_INTERVALS);
        self.collected.intervals.drain(..too_many);
    }

    /// What is to be written now, if anything. Energy waits for the zone of its site, so that no day gets
    /// what belongs to another one.
    pub fn take_collected(&mut self, now: Instant) -> Option<Added> {
        let waited = self.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        let knows_zone = self.zone.is_some() || self.is_zone_kept || waited > PATIENCE_WITH_ZONE;
        if self.ledger.is_none() || self.collected.is_empty() || !knows_zone {
            return None;
        }
        let collected = std::mem::take(&mut self.collected);
        let (zone, tariff) = (self.zone.clone(), self.tariff.clone());
        Some(Added { zone, tariff, soe: ends_of_slots(&collected), ..collected })
    }
}

/// The charge in the last sample of each slot.
fn ends_of_slots(added: &Added) -> BTreeMap<i64, f64> {
    added.samples.iter().filter_map(|sample| Some((slot_of(sample.at), sample.soe?))).collect()
}
