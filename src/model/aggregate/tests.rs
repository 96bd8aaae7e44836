use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::link::tedapi::answers::TedapiAnswers;
use crate::model::{Adjustments, GatewayFacts, Reading, Telemetry, Ttl};

const SECOND: Duration = Duration::from_secs(1);

/// What a gateway of the tests says; `None` is what it does not say.
#[derive(Clone, Debug, Default)]
struct Site {
    watts: Option<i64>,
    remaining: Option<f64>,
    full: Option<f64>,
    grid: Option<&'static str>,
    /// Seconds since its last good poll; `None`: there was none.
    age: Option<u64>,
    fails: bool,
}

fn snapshot(number: usize, site: &Site, now: Instant) -> Arc<Snapshot> {
    let mut meters = Vec::new();
    if let Some(watts) = site.watts {
        meters = vec![serde_json::json!({ "location": "SITE", "realPowerW": watts })];
    }
    let status = serde_json::json!({
        "control": {
            "systemStatus": { "nominalEnergyRemainingWh": site.remaining, "nominalFullPackEnergyWh": site.full },
            "meterAggregates": meters,
        },
        "esCan": { "bus": { "ISLANDER": { "ISLAND_GridConnection": { "ISLAND_GridConnected": site.grid } } } },
    });
    let mut payloads = TedapiAnswers::new("192.168.91.1");
    payloads.accept_status(status.to_string().into()).unwrap();
    let telemetry = Telemetry::new(Arc::new(payloads), Adjustments::default());
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
fn an_inverter_without_battery_does_not_dilute_the_charge() {
    let inverter = Site { remaining: Some(0.0), full: Some(0.0), watts: Some(-2_000), ..live() };
    let powerwall = Site { remaining: Some(6_750.0), full: Some(13_500.0), ..live() };
    assert_eq!(sum(&[powerwall, inverter.clone()]).state_of_energy, Some(RawPercent(50.0)));
    assert_eq!(sum(&[inverter]).state_of_energy, None);
}

#[test]
fn the_worst_grid_counts_and_silence_is_not_an_outage() {
    let grid = |words: &[Option<&'static str>]| {
        sum(&words.iter().map(|grid| Site { grid: *grid, ..live() }).collect::<Vec<_>>()).grid
    };
    let (up, down) = (Some("ISLAND_GridConnected_Connected"), Some("ISLAND_GridConnected_Disconnected"));
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
        |(watts, remaining, full, age, fails)| Site { watts, remaining, full, age, fails, grid: None },
    )
}

proptest! {
    #[test]
    fn the_sum_is_that_of_the_named_contributors(sites in proptest::collection::vec(any_site(), 0..6)) {
        let all = sum(&sites);
        let contributors = sites.iter().enumerate().filter(|(at, _)| all.contributors.contains(&format!("site{at}")));
        let watts: Vec<_> = contributors.filter_map(|(_, site)| site.watts).collect();
        let expected = (!watts.is_empty()).then(|| watts.iter().sum::<i64>() as f64);
        prop_assert_eq!(all.site, expected);
        prop_assert_eq!(all.contributors.len() + all.missing.len(), sites.len());
        prop_assert!(all.stale.iter().all(|id| all.contributors.contains(id)));
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
