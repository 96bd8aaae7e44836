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
/// Wh by which sums may differ that are added in another order.
const NEAR: f64 = 1e-3;

/// One reading, after a while.
#[derive(Clone, Debug)]
struct Step {
    /// Seconds since the reading before.
    wait: f64,
    /// Whether the program starts anew before it.
    is_restart: bool,
    /// W of each flow since the reading before; `None`: the gateway does not report it this time.
    power: Flows<Option<f64>>,
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
    let power =
        proptest::array::uniform6(prop_oneof![1 => Just(None), 9 => (0.0..20_000.0_f64).prop_map(Some)]);
    let step = (wait, proptest::bool::weighted(0.05), power);
    let step = step.prop_map(|(wait, is_restart, power)| Step { wait, is_restart, power: Flows(power) });
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
    /// Wh that flowed, and that the counters count.
    true_energy: Flows<f64>,
    start: f64,
    now: f64,
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
            true_energy: Flows::default(),
            start,
            now: start,
        }
    }

    /// Reads it; `counted`: the flows that have a counter.
    fn read(&mut self, step: &Step, counted: &[Flow]) {
        if step.is_restart {
            self.write();
            let recalled = Recalled::read(&self.file, "home").unwrap();
            self.ledger = recalled.state.map_or_else(Ledger::default, Ledger::resumed);
        }
        self.now += step.wait;
        let mut reading = Reading {
            at: self.now,
            clock: Duration::from_secs_f64(self.now - self.start + 1_000.0),
            power: step.power,
            ..Reading::default()
        };
        for flow in Flow::ALL {
            self.true_energy[flow] += step.power[flow].unwrap_or_default() * step.wait / 3600.0;
            if counted.contains(&flow) {
                reading.counters[flow] = Some(COUNTED_BEFORE + self.true_energy[flow]);
            }
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
fn assert_rows_are_sums(large: &Energy, small: &Energy) -> Result<(), TestCaseError> {
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
            prop_assert!(row.sum.seconds[flow] <= length + NEAR, "{} s in {length} s", row.sum.seconds[flow]);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn energy_in_the_file_is_additive_and_no_more_than_was_counted(
        steps in steps(), place in 0..PLACES.len(), cut in 0.0..1.0_f64,
        counted in proptest::sample::subsequence(Flow::ALL.to_vec(), 0..=6),
    ) {
        let mut site = Site::new(PLACES[place]);
        steps.iter().for_each(|step| site.read(step, &counted));
        site.write();

        let whole = (site.start - 86_400.0, site.now + 86_400.0);
        let [slots, hours, days, months] =
            [Bucket::Slot, Bucket::Hour, Bucket::Day, Bucket::Month].map(|bucket| site.ask(bucket, whole));
        assert_rows_are_sums(&hours, &slots)?;
        assert_rows_are_sums(&days, &slots)?;
        assert_rows_are_sums(&months, &days)?;
        for energy in [&slots, &hours, &days, &months] {
            for flow in Flow::ALL {
                let total = energy.total.energy[flow].unwrap_or_default();
                assert_near(total, slots.total.energy[flow].unwrap_or_default())?;
                if counted.contains(&flow) {
                    let first = steps[0].power[flow].unwrap_or_default() * steps[0].wait / 3600.0;
                    assert_near(total, site.true_energy[flow] - first)?;
                }
            }
        }

        let middle = ((site.start + (site.now - site.start) * cut) / SLOT as f64).floor() * SLOT as f64;
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
