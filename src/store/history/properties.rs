//! What holds of the file whatever was read: energy is additive over any split of time, never negative and
//! never more than was counted, and a day is the sum of its quarters of an hour and of the recovered
//! intervals that lie in it, those of 23 and 25 hours included.

use std::time::Duration;

use jiff::tz::TimeZone;
use proptest::prelude::*;
use rusqlite::Connection;

use super::batch::{Added, Batch, Sum};
use super::queries::energy::{Bucket, Energy, Interval, Question};
use super::recall::Recalled;
use crate::model::energy::ledger::{Ledger, Reading};
use crate::model::energy::{Flow, Flows, SLOT};
use crate::store::schema;

/// Seconds between two polls.
const POLL: f64 = 5.0;
/// What is written at once.
const READINGS_OF_A_BATCH: u32 = 7;
/// What a gateway has counted before it is read first, Wh.
const COUNTED_BEFORE: f64 = 12_345.0;
/// Seconds within which readings follow each other, of whatever run they are.
const UNSEEN: f64 = 30.0;
/// Wh by which sums may differ that are added in another order.
const NEAR: f64 = 1e-3;

/// One reading, after a while.
#[derive(Clone, Debug)]
struct Step {
    /// Seconds since the reading before.
    wait: f64,
    /// Whether the program starts anew before it.
    is_restart: bool,
    /// Seconds by which somebody has set the wall clock meanwhile.
    jump: f64,
    /// Whether the counters begin anew, as those of another meter.
    is_reset: bool,
    /// W of each flow at this moment; it got there in a straight line.
    power: Flows<f64>,
    /// Whether the gateway reports them.
    is_shown: Flows<bool>,
}

/// Where clocks change, and when it is four hours before they do.
const PLACES: [(&str, f64); 4] = [
    ("Europe/Berlin", 1_774_731_600.0),
    ("Europe/Berlin", 1_792_875_600.0),
    ("Australia/Lord_Howe", 1_791_028_800.0),
    ("UTC", 1_795_644_000.0),
];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let wait = prop_oneof![
        12 => Just(POLL),
        6 => 1.0..27.0_f64,
        3 => 30.0..3_000.0_f64,
        1 => 3_000.0..100_000.0_f64,
    ];
    let jump = prop_oneof![60 => Just(0.0), 1 => 0.1..25.0_f64, 2 => -9_000.0..9_000.0_f64];
    let power = proptest::array::uniform6(0.0..20_000.0_f64);
    let is_shown = proptest::array::uniform6(proptest::bool::weighted(0.9));
    let rare = proptest::bool::weighted(0.04);
    let step = (wait, rare, jump, proptest::bool::weighted(0.01), power, is_shown);
    let step = step.prop_map(|(wait, is_restart, jump, is_reset, power, is_shown)| Step {
        wait,
        // A clock that was set a little while nobody looked has not been set, as far as anybody knows.
        is_restart: is_restart && (jump == 0.0 || f64::abs(jump) > UNSEEN),
        jump,
        is_reset,
        power: Flows(power),
        is_shown: Flows(is_shown),
    });
    proptest::collection::vec(step, 2..120)
}

/// A file, and who writes into it.
struct Site {
    file: Connection,
    zone: TimeZone,
    ledger: Ledger,
    collected: Added,
    batches: i64,
    unwritten: u32,
    /// Wh that flowed since the first reading.
    energy: Flows<f64>,
    /// Wh that had flowed when the counters began.
    reset: Flows<f64>,
    /// W at the reading before.
    power: Option<Flows<f64>>,
    /// Seconds since then that have really gone by.
    gone: f64,
    /// What the wall clock shows.
    now: f64,
    /// The first and the last moment that it has shown.
    seen: (f64, f64),
}

impl Site {
    fn new((zone, start): (&str, f64)) -> Self {
        let mut file = Connection::open_in_memory().unwrap();
        schema::migrate(&mut file, 0).unwrap();
        Self {
            file,
            zone: TimeZone::get(zone).unwrap(),
            ledger: Ledger::default(),
            collected: Added::default(),
            batches: 0,
            unwritten: 0,
            energy: Flows::default(),
            reset: Flows::default(),
            power: None,

            gone: 0.0,
            now: start,
            seen: (start, start),
        }
    }

    /// Reads it; `counted`: the flows that have a counter.
    fn read(&mut self, step: &Step, counted: &[Flow]) {
        if step.is_restart {
            self.write();
            let recalled = Recalled::read(&self.file, "home").unwrap();
            self.ledger = recalled.state.map_or_else(Ledger::default, Ledger::resumed);
        }
        self.gone += step.wait;
        self.now += step.wait + step.jump;
        self.seen = (self.seen.0.min(self.now), self.seen.1.max(self.now));
        let mut reading = Reading {
            at: self.now,
            clock: Duration::from_secs_f64(self.gone + 1_000.0),
            ..Reading::default()
        };
        let before = self.power.replace(step.power);
        for flow in Flow::ALL {
            let (power, shown) = (step.power[flow], step.is_shown[flow]);
            reading.power[flow] = shown.then_some(power);
            let mean = before.map_or(0.0, |before| (before[flow] + power) / 2.0);
            self.energy[flow] += mean * step.wait / 3600.0;
            if step.is_reset {
                // To less than before, or to more than any house can use.
                let another = if step.power[flow] > 10_000.0 { 1e9 } else { 0.0 };
                self.reset[flow] = self.energy[flow] + COUNTED_BEFORE - another;
            }
            let counter = COUNTED_BEFORE + self.energy[flow] - self.reset[flow];
            reading.counters[flow] = counted.contains(&flow).then_some(counter);
        }
        self.collected.book(self.ledger.take(&reading, POLL));
        self.collected.state = self.ledger.state();
        self.unwritten += 1;
        if self.unwritten == READINGS_OF_A_BATCH {
            self.write();
        }
    }

    fn write(&mut self) {
        self.unwritten = 0;
        self.batches += 1;
        let added = Added { zone: Some(self.zone.clone()), ..std::mem::take(&mut self.collected) };
        let batch = Batch { run: 1, number: self.batches, added: [("home".to_owned(), added)].into() };
        let change = self.file.transaction().unwrap();
        batch.write(&change, self.now, &Default::default()).unwrap();
        change.commit().unwrap();
    }

    fn ask(&self, bucket: Bucket, (start, end): (f64, f64)) -> Energy {
        let (gateway, zone, now) = ("home".to_owned(), self.zone.clone(), self.now);
        Question { gateway, zone, start, end, bucket, now }.answer(&self.file).unwrap()
    }
}

/// What is known of `flow`, with what `more` adds to it.
fn plus<'a>(sums: impl IntoIterator<Item = &'a Sum>, more: &[&Interval], flow: Flow) -> f64 {
    let of_rows: f64 = sums.into_iter().filter_map(|sum| sum.energy[flow]).sum();
    of_rows + more.iter().filter_map(|interval| interval.energy[flow]).sum::<f64>()
}

fn assert_near(is: f64, should: f64) -> Result<(), TestCaseError> {
    prop_assert!((is - should).abs() < NEAR, "{is} instead of {should}");
    Ok(())
}

/// Rows of larger buckets beside the slots, or smaller rows, and intervals that lie in them.
/// A clock that was set back shows the same time twice.
fn assert_rows_are_sums(large: &Energy, small: &Energy, is_set: bool) -> Result<(), TestCaseError> {
    let within = |(start, end): (f64, f64), (from, to): (f64, f64)| from <= start && end <= to;
    for row in &large.rows {
        let of_row = (row.start, row.end);
        let parts = small.rows.iter().filter(|part| within((part.start, part.end), of_row));
        let parts: Vec<_> = parts.collect();
        let in_a_part = |interval: &Interval| {
            small.rows.iter().any(|part| within((interval.start, interval.end), (part.start, part.end)))
        };
        let is_slot = parts.iter().all(|part| part.end - part.start <= SLOT as f64);
        let more = large.recovered.iter().filter(|interval| within((interval.start, interval.end), of_row));
        let more: Vec<_> = more.filter(|interval| is_slot || !in_a_part(interval)).collect();
        for flow in Flow::ALL {
            let energy = row.sum.energy[flow].unwrap_or_default();
            prop_assert!(energy >= 0.0);
            assert_near(energy, plus(parts.iter().map(|part| &part.sum), &more, flow))?;
            let length = row.end - row.start;
            let seconds = row.sum.seconds[flow];
            prop_assert!(is_set || seconds <= length + NEAR, "{seconds} s in {length} s");
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn energy_in_the_file_is_additive_and_no_more_than_flowed(
        steps in steps(), place in 0..PLACES.len(), cut in 0.0..1.0_f64,
        counted in proptest::sample::subsequence(Flow::ALL.to_vec(), 0..=6),
    ) {
        let mut site = Site::new(PLACES[place]);
        steps.iter().for_each(|step| site.read(step, &counted));
        site.write();

        let whole = (site.seen.0 - 86_400.0, site.seen.1 + 86_400.0);
        let is_set = steps.iter().any(|step| step.jump != 0.0);
        let is_reset = steps.iter().any(|step| step.is_reset);
        let [slots, hours, days, months] =
            [Bucket::Slot, Bucket::Hour, Bucket::Day, Bucket::Month].map(|bucket| site.ask(bucket, whole));
        for (large, small) in [(&hours, &slots), (&days, &slots), (&months, &days)] {
            assert_rows_are_sums(large, small, is_set)?;
        }
        for energy in [&slots, &hours, &days, &months] {
            for flow in Flow::ALL {
                let total = energy.total.energy[flow].unwrap_or_default();
                assert_near(total, slots.total.energy[flow].unwrap_or_default())?;
                let flowed = site.energy[flow];
                prop_assert!((0.0..=flowed + NEAR).contains(&total), "{total} of {flowed}");
                if counted.contains(&flow) && !is_reset && !is_set {
                    assert_near(total, flowed)?;
                }
            }
        }

        let middle = ((site.seen.0 + (site.seen.1 - site.seen.0) * cut) / SLOT as f64).floor() * SLOT as f64;
        let [before, after] =
            [(whole.0, middle), (middle, whole.1)].map(|range| site.ask(Bucket::Slot, range));
        let crosses = |interval: &&Interval| interval.start < middle && middle < interval.end;
        let crossing: Vec<_> = slots.recovered.iter().filter(crosses).collect();
        for flow in Flow::ALL {
            let parts = plus([&before.total, &after.total], &crossing, flow);
            assert_near(slots.total.energy[flow].unwrap_or_default(), parts)?;
        }
    }
}
