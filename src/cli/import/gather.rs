//! Gathers what a source has, value by value, into slots and days.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::model::energy::{Flow, Flows, SLOT, integrate, slot_of, spread};
use crate::store::history::filling::{Cell, Parcel, WholeDay};
use crate::store::history::queries::energy::{date, midnight};

/// A power that no house has, in W, and what it makes of an hour.
const ABSURD: f64 = 1e6;
/// A mean that is followed by no other one for longer than this, in seconds, stands for a minute.
const LONGEST_MEAN: f64 = 300.0;
const MINUTE: f64 = 60.0;
/// Slots that are gathered before the older half of them goes on: rows may come in any order within these.
const MOST_SLOTS: usize = 4_000;
/// As many slots as one change of the file takes: some days.
const PORTION: usize = 400;

/// 2100-01-01, Unix seconds.
pub const LATEST: f64 = 4_102_444_800.0;

/// Whether `at` is a time at which something can have been recorded, Unix seconds.
pub fn is_time(at: f64) -> bool {
    (0.0..LATEST).contains(&at)
}

/// A power as it can be: what is a little below zero is nothing.
pub fn sane(watts: f64) -> Option<f64> {
    (watts.is_finite() && watts.abs() <= ABSURD).then_some(watts.max(0.0))
}

/// Unix seconds, also in thousandths and smaller parts, or a time with its offset.
pub fn moment(text: &str) -> Option<f64> {
    if let Ok(number) = text.parse::<f64>() {
        let part = match number {
            number if number >= 1e17 => 1e9,
            number if number >= 1e14 => 1e6,
            number if number >= 1e11 => 1e3,
            _ => 1.0,
        };
        return Some(number / part).filter(|at| is_time(*at));
    }
    let at: Timestamp = text.parse().ok()?;
    Some(at.as_millisecond() as f64 / 1000.0)
}

/// Slots that grow.
#[derive(Debug, Default)]
pub struct Slots(BTreeMap<i64, Flows<Option<Cell>>>);

impl Slots {
    fn add(&mut self, slot: i64, flow: Flow, energy: f64, seconds: f64) {
        let cell = &mut self.0.entry(slot).or_default()[flow];
        let known = cell.unwrap_or(Cell { energy: 0.0, seconds: Some(0.0) });
        let seconds = known.seconds.unwrap_or_default() + seconds;
        *cell = Some(Cell { energy: known.energy + energy, seconds: Some(seconds) });
    }

    /// Those before `slot`, if there are enough of them for a change of the file; or all.
    fn take(&mut self, before: Option<i64>) -> Option<BTreeMap<i64, Flows<Option<Cell>>>> {
        let Some(before) = before else { return Some(std::mem::take(&mut self.0)) };
        if self.0.len() < PORTION {
            return None;
        }
        let rest = self.0.split_off(&before);
        Some(std::mem::replace(&mut self.0, rest))
    }
}

/// Power in means over a time, as a database keeps it: each holds until the next one.
#[derive(Debug, Default)]
pub struct Means {
    slots: Slots,
    charge: BTreeMap<i64, f64>,
    last: Option<(f64, Flows<Option<f64>>)>,
}

impl Means {
    /// Takes the mean from `at` on, and a charge in app percent.
    pub fn take(&mut self, at: f64, power: Flows<Option<f64>>, charge: Option<f64>) {
        if let Some(charge) = charge {
            self.charge.insert(slot_of(at), charge);
        }
        if power.0.iter().all(Option::is_none) {
            return;
        }
        match &mut self.last {
            // Two series have a value for this moment: each is known from the first that has it.
            Some((last, known)) if *last == at => {
                Flow::ALL.iter().for_each(|flow| known[*flow] = known[*flow].or(power[*flow]));
            }
            _ => {
                self.end(at);
                self.last = Some((at, power));
            }
        }
    }

    fn end(&mut self, at: f64) {
        let Some((from, power)) = self.last.take() else { return };
        let long = Some(at - from).filter(|long| (0.0..=LONGEST_MEAN).contains(long)).unwrap_or(MINUTE);
        for flow in Flow::ALL {
            let Some(watts) = power[flow] else { continue };
            for share in spread((from, from + long), watts * long / 3600.0) {
                self.slots.add(share.slot, flow, share.energy, share.seconds);
            }
        }
    }

    /// What is complete, if it is enough; with `is_all` the rest of it.
    pub fn parcel(&mut self, is_all: bool) -> Option<Parcel> {
        if is_all {
            self.end(f64::INFINITY);
        }
        let until = self.last.as_ref().map(|(at, _)| slot_of(*at));
        let slots = self.slots.take(if is_all { None } else { until })?;
        let charge = std::mem::take(&mut self.charge);
        Some(Parcel { slots, charge, ..Parcel::default() })
    }
}

/// Power as it was measured, poll by poll: in straight lines over gaps of at most so many seconds.
#[derive(Debug)]
pub struct Lines {
    slots: Slots,
    charge: BTreeMap<i64, f64>,
    last: Option<(f64, Flows<Option<f64>>)>,
    longest: f64,
}

impl Lines {
    pub fn new(longest: f64) -> Self {
        Self { slots: Slots::default(), charge: BTreeMap::new(), last: None, longest }
    }

    pub fn take(&mut self, at: f64, power: Flows<Option<f64>>, charge: Option<f64>) {
        if let Some(charge) = charge {
            self.charge.insert(slot_of(at), charge);
        }
        if let Some((from, before)) = self.last
            && at > from
            && at - from <= self.longest
        {
            for flow in Flow::ALL {
                let Some(watts) = before[flow].zip(power[flow]) else { continue };
                for share in integrate((from, at), watts) {
                    self.slots.add(share.slot, flow, share.energy, share.seconds);
                }
            }
        }
        self.last = Some((at, power));
    }

    /// As [`Means::parcel`].
    pub fn parcel(&mut self, is_all: bool) -> Option<Parcel> {
        let until = self.last.as_ref().map(|(at, _)| slot_of(*at));
        let slots = self.slots.take(if is_all { None } else { until })?;
        let charge = std::mem::take(&mut self.charge);
        Some(Parcel { slots, charge, ..Parcel::default() })
    }
}

/// Energy between two moments.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// Unix seconds.
    pub start: f64,
    /// Unix seconds.
    pub end: f64,
    /// Wh
    pub energy: Flows<Option<f64>>,
    /// Which part of it was measured, 0 to 1; `None`: nobody knows.
    pub coverage: Option<f64>,
    /// At its end, app percent.
    pub charge: Option<f64>,
}

/// Energy in rows of any length: what lies in one slot adds to it, and what lies in one day adds to that.
#[derive(Debug)]
pub struct Rows {
    zone: TimeZone,
    slots: BTreeMap<i64, Gathered>,
    days: BTreeMap<String, Gathered>,
}

#[derive(Debug, Default)]
struct Gathered {
    cells: Flows<Option<Cell>>,
    /// At the end of the last row, app percent.
    charge: Option<f64>,
    /// Beginning and end of every row in it, so that one that comes twice counts once.
    rows: Vec<(f64, f64)>,
}

/// What became of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placed {
    Taken,
    /// One that touches it was taken before.
    Twice,
    /// It is longer than a day, or goes over midnight.
    Nowhere,
    /// A value cannot be.
    Absurd,
}

impl Rows {
    /// Of a site in `zone`.
    pub fn new(zone: TimeZone) -> Self {
        Self { zone, slots: BTreeMap::new(), days: BTreeMap::new() }
    }

    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The day that `at` is in: its name, its beginning and its end.
    pub fn day(&self, at: f64) -> Option<(String, f64, f64)> {
        let date = date(at, &self.zone)?;
        let (start, end) = (midnight(date, &self.zone)?, midnight(date.tomorrow().ok()?, &self.zone)?);
        Some((date.to_string(), start, end))
    }

    pub fn take(&mut self, span: &Span) -> Placed {
        let hours = (span.end - span.start) / 3600.0;
        let most = ABSURD * hours.max(0.25);
        let energies = || span.energy.0.iter().flatten();
        if hours <= 0.0 || energies().any(|energy| !energy.is_finite() || *energy > most || *energy < -most) {
            return Placed::Absurd;
        }
        let slot = slot_of(span.start);
        if span.end <= (slot + SLOT) as f64 {
            return self.slots.entry(slot).or_default().take(span);
        }
        match self.day(span.start) {
            Some((name, _, end)) if span.end <= end => self.days.entry(name).or_default().take(span),
            _ => Placed::Nowhere,
        }
    }

    /// Takes over the days of `other` that are not known.
    pub fn add_days(&mut self, other: Self) {
        for (name, day) in other.days {
            self.days.entry(name).or_insert(day);
        }
    }

    /// Slots that have waited long enough, and at the end all of them, and the days.
    pub fn parcels(&mut self, is_all: bool) -> Vec<Parcel> {
        let mut parcels = Vec::new();
        while self.slots.len() > if is_all { 0 } else { MOST_SLOTS } {
            let rest = self.slots.keys().nth(PORTION).copied();
            let later = rest.map(|rest| self.slots.split_off(&rest)).unwrap_or_default();
            let mut parcel = Parcel::default();
            for (slot, gathered) in std::mem::replace(&mut self.slots, later) {
                parcel.slots.insert(slot, gathered.cells);
                parcel.charge.extend(gathered.charge.map(|charge| (slot, charge)));
            }
            parcels.push(parcel);
        }
        while is_all && !self.days.is_empty() {
            let rest = self.days.keys().nth(PORTION).cloned();
            let later = rest.map(|rest| self.days.split_off(&rest)).unwrap_or_default();
            let days = std::mem::replace(&mut self.days, later).into_iter();
            let day = |gathered: Gathered| WholeDay { cells: gathered.cells, until: None };
            let days = days.map(|(name, gathered)| (name, day(gathered))).collect();
            parcels.push(Parcel { days, ..Parcel::default() });
        }
        parcels
    }
}

impl Gathered {
    fn take(&mut self, span: &Span) -> Placed {
        if self.rows.iter().any(|(start, end)| span.start < *end && *start < span.end) {
            return Placed::Twice;
        }
        self.rows.push((span.start, span.end));
        self.charge = span.charge.or(self.charge);
        let seconds = span.coverage.map(|part| part * (span.end - span.start));
        for flow in Flow::ALL {
            let Some(energy) = span.energy[flow].map(|energy| energy.max(0.0)) else { continue };
            let cell = &mut self.cells[flow];
            *cell = Some(match *cell {
                Some(known) => Cell {
                    energy: known.energy + energy,
                    seconds: known.seconds.zip(seconds).map(|(known, more)| known + more),
                },
                None => Cell { energy, seconds },
            });
        }
        Placed::Taken
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// All of a flow that came, Wh and seconds.
    fn total(parcels: &[Parcel], flow: Flow) -> (f64, f64) {
        let cells = parcels.iter().flat_map(|parcel| parcel.slots.values()).filter_map(|cells| cells[flow]);
        cells.fold((0.0, 0.0), |sum, cell| (sum.0 + cell.energy, sum.1 + cell.seconds.unwrap()))
    }

    proptest! {
        /// Each mean holds until the next one, or for a minute before a gap; wherever the pieces are cut.
        #[test]
        fn means_add_up_and_fill_no_gap(
            steps in prop::collection::vec((prop::sample::select(vec![5.0, 60.0, 300.0, 301.0, 7200.0]),
                0.0..9_000.0_f64), 2..800),
        ) {
            let mut means = Means::default();
            let (mut at, mut energy, mut seconds) = (1_711_753_200.0, 0.0, 0.0);
            let mut parcels = Vec::new();
            for (place, (step, watts)) in steps.iter().enumerate() {
                let mut power = Flows::default();
                power[Flow::Home] = Some(*watts);
                means.take(at, power, None);
                // Another series with the same moment adds nothing.
                means.take(at, power, None);
                parcels.extend(means.parcel(false));
                let is_last = place + 1 == steps.len();
                let long = if *step <= LONGEST_MEAN && !is_last { *step } else { MINUTE };
                energy += watts * long / 3600.0;
                seconds += long;
                at += step;
            }
            parcels.extend(means.parcel(true));
            let (filled, covered) = total(&parcels, Flow::Home);
            prop_assert!((filled - energy).abs() < 1e-6 * (1.0 + energy), "{filled} {energy}");
            prop_assert!((covered - seconds).abs() < 1e-3);
            let slots: Vec<i64> = parcels.iter().flat_map(|parcel| parcel.slots.keys().copied()).collect();
            prop_assert!(slots.is_sorted_by(|one, other| one < other), "each slot comes once");
            let longest = |parcel: &Parcel| {
                let seconds = parcel.slots.values().filter_map(|cells| cells[Flow::Home]?.seconds);
                seconds.fold(0.0, f64::max)
            };
            prop_assert!(parcels.iter().all(|parcel| longest(parcel) <= SLOT as f64 + 1e-6));
        }

        /// Whatever stands in a table: nothing is negative, and no slot is longer than it is.
        #[test]
        fn rows_are_taken_or_not_and_never_twice(
            rows in prop::collection::vec((0.0..4.1e9_f64, -1e3..1e5_f64, prop::num::f64::ANY), 1..50),
        ) {
            let mut gathered = Rows::new(TimeZone::get("Europe/Berlin").unwrap());
            for (start, long, energy) in rows {
                let mut flows = Flows::default();
                flows[Flow::Solar] = Some(energy);
                let coverage = Some(1.0);
                let span = Span { start, end: start + long, energy: flows, coverage, charge: None };
                if gathered.take(&span) == Placed::Taken {
                    prop_assert_eq!(gathered.take(&span), Placed::Twice);
                }
            }
            let parcels = gathered.parcels(true);
            let days = parcels.iter().flat_map(|parcel| parcel.days.values().map(|day| day.cells));
            let slots = parcels.iter().flat_map(|parcel| parcel.slots.values().copied());
            for cell in days.chain(slots).filter_map(|cells| cells[Flow::Solar]) {
                prop_assert!(cell.energy >= 0.0 && cell.energy.is_finite());
            }
            let (_, covered) = total(&parcels, Flow::Solar);
            prop_assert!(covered >= 0.0);
        }
    }
}
