use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::model::{
    Adjustments, Answers, GatewayFacts, Interpretation, NumberingMemory, Power, Reading, Readings, Telemetry,
    Ttl,
};

const SECOND: Duration = Duration::from_secs(1);

/// What a gateway of the tests says; `None` is what it does not say.
#[derive(Clone, Debug, Default)]
struct Site {
    watts: Option<i64>,
    remaining: Option<f64>,
    full: Option<f64>,
    /// Percent that it reports itself.
    reported: Option<f64>,
    grid: Option<GridStatus>,
    /// Seconds since its last good poll; `None`: there was none.
    age: Option<u64>,
    fails: bool,
}

impl Answers for Site {
    fn size(&self) -> usize {
        0
    }

    fn readings(&self, _: &Adjustments) -> Readings {
        Readings {
            power: Power { site: self.watts.map(Number::Int), ..Power::default() },
            charge: Charge {
                remaining: self.remaining.map(Number::Float),
                full_pack: self.full.map(Number::Float),
                reported: self.reported.map(RawPercent),
            },
            grid: self.grid,
            ..Readings::default()
        }
    }

    fn interpret(&self, _: &Arc<Readings>, _: &Adjustments, _: &NumberingMemory) -> Interpretation {
        Interpretation::default()
    }
}

fn snapshot(number: usize, site: &Site, now: Instant) -> Arc<Snapshot> {
    let telemetry = Telemetry::new(Arc::new(site.clone()), Adjustments::default());
    let facts = GatewayFacts { id: format!("site{number}"), ..GatewayFacts::default() };
    let ttl = Ttl { stale: 30 * SECOND, live: 30 * SECOND };
    let mut snapshot = Snapshot::initial(Arc::new(facts), ttl);
    snapshot.reading = site.age.map(|age| Reading {
        telemetry,
        // Ages lie before `now`, which is far enough from the start of the clock.
        taken: now - SECOND * u32::try_from(age).unwrap(),
        taken_at: 0.0,
    });
    snapshot.health.consecutive_failures = site.fails.into();
    Arc::new(snapshot)
}

fn sum(sites: &[Site]) -> Aggregate {
    let now = Instant::now() + 1000 * SECOND;
    let snapshots: Vec<_> = sites.iter().enumerate().map(|(at, site)| snapshot(at, site, now)).collect();
    Aggregate::of(&snapshots, now)
}

fn live() -> Site {
    Site { age: Some(1), ..Site::default() }
}

#[test]
fn nobody_sums_to_nothing() {
    let sum = sum(&[]);
    assert_eq!(sum, Aggregate::default());
    assert_eq!((sum.site, sum.state_of_energy, sum.grid), (None, None, None));
}

#[test]
fn charge_is_weighted_by_capacity_and_leaves_out_who_does_not_know_both() {
    let sum = sum(&[
        Site { remaining: Some(13_500.0), full: Some(13_500.0), ..live() },
        Site { remaining: Some(0.0), full: Some(40_500.0), ..live() },
        Site { remaining: Some(9_000.0), full: None, ..live() },
        Site { remaining: None, full: Some(20_000.0), ..live() },
    ]);
    // 13.5 of 54 kWh; the mean of the percentages would be 50.
    assert_eq!(sum.state_of_energy, Some(RawPercent(25.0)));
    assert_eq!(sum.capacity, Some(74_000.0));
    assert_eq!(sum.energy_remaining, Some(22_500.0));
}

#[test]
fn what_a_gateway_reports_of_itself_counts_in_the_sum_as_it_does_alone() {
    // It holds back more than its energies say.
    let own = Site {
        remaining: Some(8_000.0),
        full: Some(14_000.0),
        reported: Some(69.167_556_029_882_6),
        ..live()
    };
    assert_eq!(sum(std::slice::from_ref(&own)).state_of_energy, Some(RawPercent(69.167_556_029_882_6)));
    let other = Site { remaining: Some(0.0), full: Some(14_000.0), ..live() };
    let both = sum(&[own, other]);
    assert!((both.state_of_energy.unwrap().0 - 69.167_556_029_882_6 / 2.0).abs() < 1e-9);
    assert_eq!(both.energy_remaining, Some(8_000.0), "energies stay as reported");
}

#[test]
fn who_reports_a_percentage_and_no_capacity_counts_as_an_average_gateway() {
    let basic_lan = Site { reported: Some(90.0), ..live() };
    let known = |remaining, full| Site { remaining: Some(remaining), full: Some(full), ..live() };
    let all = sum(&[known(5_000.0, 10_000.0), basic_lan.clone(), known(15_000.0, 30_000.0)]);
    // 50 % of 40 kWh, and 90 % of 20 kWh.
    assert!((all.state_of_energy.unwrap().0 - 38.0 / 60.0 * 100.0).abs() < 1e-9);
    assert_eq!(all.capacity, Some(40_000.0), "nobody's capacity is made up");
    let full = Site { reported: Some(100.0), ..live() };
    assert_eq!(sum(&[basic_lan, full]).state_of_energy, Some(RawPercent(95.0)));
    let inverter = Site { reported: Some(0.0), full: Some(0.0), ..live() };
    assert_eq!(sum(&[inverter, known(5_000.0, 10_000.0)]).state_of_energy, Some(RawPercent(50.0)));
}

#[test]
fn an_inverter_without_battery_does_not_dilute_the_charge() {
    let inverter = Site { remaining: Some(0.0), full: Some(0.0), watts: Some(-2_000), ..live() };
    let powerwall = Site { remaining: Some(6_750.0), full: Some(13_500.0), ..live() };
    assert_eq!(sum(&[powerwall, inverter.clone()]).state_of_energy, Some(RawPercent(50.0)));
    assert_eq!(sum(&[inverter]).state_of_energy, None);
}

#[test]
fn the_worst_grid_counts_and_an_unknown_one_is_not_an_outage() {
    let grid = |states: &[Option<GridStatus>]| {
        sum(&states.iter().map(|grid| Site { grid: *grid, ..live() }).collect::<Vec<_>>()).grid
    };
    let (up, down) = (Some(GridStatus::Up), Some(GridStatus::Down));
    assert_eq!(grid(&[None]), None);
    assert_eq!(grid(&[up, None]), Some(GridStatus::Up));
    assert_eq!(grid(&[up, down, up]), Some(GridStatus::Down));
}

#[test]
fn everybody_is_named_once_by_what_they_contribute() {
    let sum = sum(&[
        Site { watts: Some(100), ..live() },
        Site { watts: Some(20), age: Some(29), fails: true, ..Site::default() },
        Site { watts: Some(3), age: Some(31), fails: true, ..Site::default() },
        Site { watts: Some(4), age: None, ..Site::default() },
        live(),
    ]);
    assert_eq!(sum.site, Some(120.0));
    assert_eq!(sum.contributors, ["site0", "site1", "site4"]);
    assert_eq!(sum.stale, ["site1"]);
    assert_eq!(sum.missing, ["site2", "site3"]);
    assert_eq!((sum.gateways, sum.online), (5, 2));
}

fn any_site() -> impl Strategy<Value = Site> {
    let watts = proptest::option::of(-50_000..50_000_i64);
    let energy = || proptest::option::of(0.0..100_000.0_f64);
    (watts, energy(), energy(), proptest::option::of(0..60_u64), any::<bool>()).prop_map(
        |(watts, remaining, full, age, fails)| Site {
            watts,
            remaining,
            full,
            age,
            fails,
            reported: None,
            grid: None,
        },
    )
}

proptest! {
    #[test]
    fn the_sum_is_that_of_the_named_contributors(sites in proptest::collection::vec(any_site(), 0..6)) {
        let all = sum(&sites);
        let contributes = |at: usize| all.contributors.contains(&format!("site{at}"));
        let contributors = sites.iter().enumerate().filter(|(at, _)| contributes(*at));
        let watts: Vec<_> = contributors.filter_map(|(_, site)| site.watts).collect();
        let expected = (!watts.is_empty()).then(|| watts.iter().sum::<i64>() as f64);
        prop_assert_eq!(all.site, expected);
        prop_assert_eq!(all.contributors.len() + all.missing.len(), sites.len());
        prop_assert!(all.stale.iter().all(|id| all.contributors.contains(id)));
    }

    #[test]
    fn a_percentage_lies_between_those_of_the_gateways(
        charges in proptest::collection::vec(
            (0.0..=100.0_f64, proptest::option::of(1.0..100_000.0_f64)), 1..6,
        ),
    ) {
        let site = |(reported, full): &(f64, Option<f64>)| {
            Site { reported: Some(*reported), full: *full, ..live() }
        };
        let percent = sum(&charges.iter().map(site).collect::<Vec<_>>()).state_of_energy.unwrap().0;
        let reported = || charges.iter().map(|(reported, _)| *reported);
        let (least, most) = (reported().fold(100.0, f64::min), reported().fold(0.0, f64::max));
        prop_assert!((least - 1e-6..=most + 1e-6).contains(&percent));
    }

    #[test]
    fn the_order_of_gateways_does_not_matter(sites in proptest::collection::vec(any_site(), 1..6)) {
        let (forward, backward) = (sum(&sites), sum(&sites.iter().cloned().rev().collect::<Vec<_>>()));
        prop_assert_eq!(forward.site, backward.site);
        prop_assert_eq!(forward.contributors.len(), backward.contributors.len());
        match (forward.state_of_energy, backward.state_of_energy) {
            (Some(one), Some(other)) => prop_assert!((one.0 - other.0).abs() < 1e-6),
            (one, other) => prop_assert_eq!(one, other),
        }
    }
}
