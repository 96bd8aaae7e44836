use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::model::energy::slot_of;
use crate::model::{Number, Power};

/// The beginning of a slot.
const NOON: f64 = 1_772_971_200.0;

/// A house that uses 3,600 W, one watt-hour in each second, read `seconds` after noon.
fn reading(seconds: f64) -> Reading {
    let power = Flows([Some(0.0), Some(3600.0), None, None, None, None]);
    let clock = Duration::from_secs_f64(seconds + 1_000_000.0);
    Reading { at: NOON + seconds, clock, power, ..Reading::default() }
}

/// The same with a counter of the house.
fn counted(seconds: f64) -> Reading {
    let mut reading = reading(seconds);
    reading.counters[Flow::Home] = Some(50_000.0 + seconds);
    reading
}

fn take(ledger: &mut Ledger, readings: impl IntoIterator<Item = Reading>) -> Additions {
    let mut all = Additions::default();
    for reading in readings {
        let additions = ledger.take(&reading, 5.0);
        all.slots.extend(additions.slots);
        all.recovered.extend(additions.recovered);
    }
    all
}

fn every(seconds: usize, from: usize, to: usize, read: fn(f64) -> Reading) -> Vec<Reading> {
    (from..=to).step_by(seconds).map(|at| read(at as f64)).collect()
}

fn sum(additions: &Additions, flow: Flow, way: Way) -> f64 {
    let booked = additions.slots.iter().filter(|booked| booked.flow == flow && booked.way == way);
    booked.map(|booked| booked.share.energy).sum()
}

fn assert_near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-3, "{found} instead of {expected}");
}

#[test]
fn the_recorded_vectors_hold_but_for_gaps_of_more_than_five_polls() {
    let text = include_str!("../../../../tests/fixtures/timeseries-0.13-vectors.json");
    let vectors: Value = serde_json::from_str(text).unwrap();
    let mut ledger = Ledger::default();
    let mut days: BTreeMap<String, Flows<f64>> = BTreeMap::new();
    for (row, sample) in vectors["samples"].as_array().unwrap().iter().enumerate() {
        let number = |column: usize| sample[column].as_f64().unwrap();
        let watts = |column| Number::from_f64(number(column));
        let power = Power { solar: watts(1), load: watts(2), battery: watts(3), site: watts(4) };
        let seconds = (number(0) - number_of_first(&vectors)).max(row as f64);
        let reading = Reading {
            at: number(0),
            clock: Duration::from_secs_f64(seconds),
            power: Flows::of_power(power),
            ..Reading::default()
        };
        for booked in ledger.take(&reading, 5.0).slots {
            let zoned = jiff::Timestamp::from_second(booked.share.slot).unwrap();
            let day = zoned.in_tz("America/Los_Angeles").unwrap().date().to_string();
            days.entry(day).or_default()[booked.flow] += booked.share.energy / 1000.0;
        }
    }
    let near = |found: f64, expected: f64| (found - expected).abs() < 1e-9;
    let rows = vectors["daily_range_2026"]["days"].as_array().unwrap();
    let row = &rows[1]["gateways"]["home"];
    let before = days["2026-03-07"];
    for (flow, column) in [
        (Flow::Solar, "solar_kwh"),
        (Flow::Home, "home_kwh"),
        (Flow::Charge, "battery_charge_kwh"),
        (Flow::Discharge, "battery_discharge_kwh"),
        (Flow::Import, "grid_import_kwh"),
        (Flow::Export, "grid_export_kwh"),
    ] {
        assert!(near(before[flow], row[column].as_f64().unwrap()), "{column}: {}", before[flow]);
    }
    // The servers before bridge 3,000 s with half of the last power: 83.5 Wh of sun and 375 Wh of the house.
    let (row, after) = (&rows[0]["gateways"]["home"], days["2026-03-08"]);
    let invented = |last: f64| last / 2.0 * 3000.0 / 3_600_000.0;
    assert!(near(after[Flow::Solar], row["solar_kwh"].as_f64().unwrap() - invented(200.5)));
    assert!(near(after[Flow::Home], row["home_kwh"].as_f64().unwrap() - invented(900.0)));
    assert!(near(after[Flow::Discharge], row["battery_discharge_kwh"].as_f64().unwrap() - invented(100.0)));
    assert!(near(after[Flow::Export], row["grid_export_kwh"].as_f64().unwrap() - invented(100.0)));
}

fn number_of_first(vectors: &Value) -> f64 {
    vectors["samples"][0][0].as_f64().unwrap()
}

#[test]
fn without_counters_power_is_integrated_and_a_gap_of_more_than_five_polls_stays_one() {
    let mut ledger = Ledger::default();
    let additions = take(&mut ledger, every(5, 0, 60, reading));
    assert_near(sum(&additions, Flow::Home, Way::Integrated), 60.0);
    assert!(additions.slots.iter().all(|booked| booked.flow != Flow::Charge), "unknown is not 0");
    assert_near(sum(&take(&mut ledger, [reading(85.0)]), Flow::Home, Way::Integrated), 25.0);
    assert_eq!(take(&mut ledger, [reading(120.0)]), Additions::default());
    assert_near(sum(&take(&mut ledger, [reading(125.0)]), Flow::Home, Way::Integrated), 5.0);
}

#[test]
fn counters_go_before_power_and_edges_are_interpolated() {
    let mut ledger = Ledger::default();
    // Power reads twice what was counted.
    let read = |seconds: f64| {
        let mut reading = counted(seconds);
        reading.power[Flow::Home] = Some(7200.0);
        reading
    };
    let additions = take(&mut ledger, [870.0, 895.0, 910.0].map(read));
    assert_near(sum(&additions, Flow::Home, Way::Counted), 40.0);
    assert_eq!(sum(&additions, Flow::Home, Way::Integrated), 0.0);
    let first = slot_of(NOON);
    let in_first = additions.slots.iter().filter(|b| b.share.slot == first && b.flow == Flow::Home);
    assert_near(in_first.map(|booked| booked.share.energy).sum(), 30.0);
}

#[test]
fn a_counter_that_is_shown_for_minutes_is_read_when_it_moves() {
    let mut ledger = Ledger::default();
    let shown = |seconds: f64| {
        let mut reading = reading(seconds);
        reading.counters[Flow::Home] = Some(50_000.0 + (seconds / 120.0).floor() * 120.0);
        reading
    };
    let additions = take(&mut ledger, every(5, 0, 1800, shown));
    assert_near(sum(&additions, Flow::Home, Way::Counted), 1800.0);
    for slot in 0..2 {
        let start = slot_of(NOON) + slot * 900;
        let booked = additions.slots.iter().filter(|b| b.share.slot == start && b.flow == Flow::Home);
        assert_near(booked.map(|booked| booked.share.energy).sum(), 900.0);
    }
}

#[test]
fn an_outage_and_a_restart_are_each_one_interval_that_no_slot_holds() {
    let mut ledger = Ledger::default();
    let before = take(&mut ledger, every(5, 0, 100, counted));
    let outage = take(&mut ledger, [counted(7300.0)]);
    assert_eq!(sum(&outage, Flow::Home, Way::Counted) + sum(&outage, Flow::Home, Way::Integrated), 0.0);
    let expected = Recovered { flow: Flow::Home, from: NOON + 100.0, to: NOON + 7300.0, energy: 7200.0 };
    assert_eq!(outage.recovered, [expected]);
    assert_near(sum(&before, Flow::Home, Way::Counted), 100.0);

    let mut ledger = Ledger::resumed(ledger.state().unwrap());
    let restart = take(&mut ledger, [counted(7310.0), counted(7315.0)]);
    let expected = Recovered { flow: Flow::Home, from: NOON + 7300.0, to: NOON + 7310.0, energy: 10.0 };
    assert_eq!(restart.recovered, [expected]);
    assert_near(sum(&restart, Flow::Home, Way::Counted), 5.0);
}

#[test]
fn a_counter_that_falls_or_jumps_is_a_new_beginning() {
    for odd in [-40_000.0, 10_000_000.0] {
        let mut ledger = Ledger::default();
        take(&mut ledger, every(5, 0, 100, counted));
        let shifted = |seconds: f64| {
            let mut reading = counted(seconds);
            reading.counters[Flow::Home] = reading.counters[Flow::Home].map(|counter| counter + odd);
            reading
        };
        let additions = take(&mut ledger, [105.0, 110.0].map(shifted));
        assert_near(sum(&additions, Flow::Home, Way::Integrated), 5.0);
        assert_near(sum(&additions, Flow::Home, Way::Counted), 5.0);
        assert!(additions.recovered.is_empty());
    }
}

#[test]
fn a_counter_that_falls_by_a_rounding_loses_and_gains_nothing() {
    let mut ledger = Ledger::default();
    let at = |(seconds, counter): (f64, f64)| {
        let mut reading = reading(seconds);
        reading.counters[Flow::Home] = Some(counter);
        reading
    };
    let readings = [(0.0, 100.0), (5.0, 104.0), (10.0, 103.5), (15.0, 106.0)].map(at);
    assert_near(sum(&take(&mut ledger, readings), Flow::Home, Way::Counted), 6.0);
}

#[test]
fn another_gateway_at_the_same_address_has_other_counters() {
    let mut ledger = Ledger::default();
    let of = |din: &str, seconds: f64, more: f64| {
        let mut reading = counted(seconds);
        reading.counters[Flow::Home] = reading.counters[Flow::Home].map(|counter| counter + more);
        Reading { din: Some(din.to_owned()), ..reading }
    };
    take(&mut ledger, [of("A", 0.0, 0.0), of("A", 5.0, 0.0)]);
    assert_eq!(take(&mut ledger, [of("B", 10.0, 50.0)]), Additions::default());
    assert_near(sum(&take(&mut ledger, [of("B", 15.0, 50.0)]), Flow::Home, Way::Counted), 5.0);
}

#[test]
fn counters_that_fall_silent_leave_it_to_power() {
    let mut ledger = Ledger::default();
    take(&mut ledger, every(5, 0, 100, counted));
    let silent = take(&mut ledger, every(5, 105, 1800, reading));
    assert_near(sum(&silent, Flow::Home, Way::Integrated), 1700.0);
    let again = take(&mut ledger, [counted(1805.0), counted(1810.0)]);
    assert_near(sum(&again, Flow::Home, Way::Counted), 5.0);
    assert!(again.recovered.is_empty());
}

#[test]
fn a_wall_clock_that_is_set_loses_nothing_and_stops_nothing() {
    for days in [10.0, -10.0] {
        let mut ledger = Ledger::default();
        take(&mut ledger, every(5, 0, 100, counted));
        let ahead = |seconds: f64| Reading { at: NOON + seconds + days * 86_400.0, ..counted(seconds) };
        let additions = take(&mut ledger, [ahead(105.0), ahead(110.0), counted(115.0), counted(120.0)]);
        assert_near(sum(&additions, Flow::Home, Way::Counted), 20.0);
        assert!(additions.recovered.is_empty(), "{days}");
    }
}

#[test]
fn a_state_from_the_future_is_a_new_beginning() {
    let mut ledger = Ledger::default();
    take(&mut ledger, [counted(864_000.0)]);
    let mut ledger = Ledger::resumed(ledger.state().unwrap());
    assert_eq!(take(&mut ledger, [counted(0.0)]), Additions::default());
    assert_near(sum(&take(&mut ledger, [counted(5.0)]), Flow::Home, Way::Counted), 5.0);
}

#[derive(Clone, Debug)]
enum Event {
    /// So many polls.
    Polls(usize),
    Outage(f64),
    Restart(f64),
    /// The wall clock is set by so many seconds.
    Clock(f64),
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (1..200_usize).prop_map(Event::Polls),
        1 => (1.0..20_000.0_f64).prop_map(Event::Outage),
        1 => (1.0..20_000.0_f64).prop_map(Event::Restart),
        1 => (-4000.0..4000.0_f64).prop_map(Event::Clock),
    ]
}

proptest! {
    /// With a power that never changes, each slot holds what was measured or counted in the time that it says
    /// it covers, and all of it together is never more than what flowed.
    #[test]
    fn nothing_is_booked_that_was_not_measured_or_counted(
        events in prop::collection::vec(any_event(), 1..40), has_counters: bool,
    ) {
        let mut ledger = Ledger::default();
        let (mut clock, mut shift, mut all) = (0.0, 0.0, Additions::default());
        // A clock that is set by less than five polls looks like one that runs: what was counted then is
        // right, and the time that it took is off by as much.
        let (mut was_set, mut unnoticed, mut set_by) = (false, 0.0, 0.0_f64);
        for event in events {
            match event {
                Event::Polls(polls) => for _ in 0..polls {
                    let by = std::mem::take(&mut set_by);
                    unnoticed += if by.abs() <= 25.0 { by.abs() } else { 0.0 };
                    clock += 5.0;
                    let mut read = if has_counters { counted(clock) } else { reading(clock) };
                    read.at += shift;
                    all.slots.extend(ledger.take(&read, 5.0).slots);
                    let recovered = ledger.take(&read, 5.0).recovered;
                    prop_assert!(recovered.is_empty(), "the same reading twice adds nothing");
                },
                Event::Outage(seconds) => clock += seconds,
                Event::Restart(seconds) => {
                    clock += seconds;
                    ledger = ledger.state().map(Ledger::resumed).unwrap_or_default();
                }
                Event::Clock(seconds) => {
                    shift += seconds;
                    was_set = true;
                    set_by += seconds;
                }
            }
        }
        let mut slots: BTreeMap<i64, (f64, f64)> = BTreeMap::new();
        for booked in all.slots.iter().filter(|booked| booked.flow == Flow::Home) {
            let slot = slots.entry(booked.share.slot).or_default();
            slot.0 += booked.share.energy;
            slot.1 += booked.share.seconds;
        }
        let booked: f64 = slots.values().map(|(energy, _)| energy).sum();
        prop_assert!(booked <= clock + 1.0, "{booked} of {clock}");
        for (energy, seconds) in slots.values() {
            let allowed = 1.0 + unnoticed;
            prop_assert!(*energy >= 0.0 && (energy - seconds).abs() < allowed, "{energy} in {seconds} s");
            prop_assert!(was_set || *seconds <= 901.0);
        }
    }
}
