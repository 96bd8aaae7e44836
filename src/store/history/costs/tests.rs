use jiff::tz::TimeZone;

use super::super::batch::{Added, Batch, Source};
use super::super::queries::energy::{Bucket, Question};
use crate::model::energy::Flow;
use crate::model::tariff::{Period, Tariffs};
use crate::store::database::Database;

use super::*;

/// 2026-11-25 15:45 in New York.
const SLOT: i64 = 1_795_639_500;

fn period(price: f64, minutes: Option<(u16, u16)>) -> Period {
    Period { price, minutes, ..Period::ALWAYS }
}

/// 0.50 from 16 to 21 h, else 0.20; 0.10 for what is given.
fn tariffs() -> Tariffs {
    let buy = vec![period(0.5, Some((960, 1260))), period(0.2, None)];
    Tariffs(vec![(None, Tariff { currency: None, buy, sell: vec![period(0.1, None)] })])
}

fn sum(energy: [f64; 6]) -> Sum {
    let mut sum = Sum::default();
    for (flow, energy) in Flow::ALL.into_iter().zip(energy) {
        sum.add(flow, energy, 10.0, Source::Counted);
    }
    sum
}

fn question(bucket: Bucket) -> Question {
    let zone = TimeZone::get("America/New_York").unwrap();
    let (start, end) = (SLOT as f64 - 3600.0, SLOT as f64 + 7200.0);
    Question { gateway: "home".into(), zone, start, end, bucket, now: end }
}

#[test]
fn a_day_costs_what_its_quarters_of_an_hour_cost_whatever_the_price_becomes() {
    let folder = tempfile::tempdir().unwrap();
    let mut database = Database::at(folder.path().join("history.db"));
    let zone = TimeZone::get("America/New_York").ok();
    // Before four and after it, in three steps; the last one after the tariff was taken away.
    let steps = [
        (SLOT, [0.0, 1000.0, 0.0, 0.0, 1000.0, 0.0], tariffs()),
        (SLOT, [3000.0, 1000.0, 0.0, 0.0, 0.0, 2000.0], tariffs()),
        (SLOT + 900, [0.0, 2000.0, 0.0, 1000.0, 1000.0, 0.0], tariffs()),
        (SLOT + 1800, [0.0, 2000.0, 0.0, 0.0, 2000.0, 0.0], Tariffs::default()),
    ];
    for (number, (slot, energy, tariffs)) in (1..).zip(steps) {
        let slots = [(slot, sum(energy))].into();
        let added = Added { slots, zone: zone.clone(), ..Added::default() };
        let batch = Batch { run: 1, number, added: [("home".to_owned(), added)].into() };
        let write = |change: &Transaction<'_>| batch.write(change, SLOT as f64, &tariffs);
        database.write(crate::store::Durability::Crash, write).unwrap();
    }
    let mut totals = Vec::new();
    for bucket in [Bucket::Slot, Bucket::Hour, Bucket::Day, Bucket::Month] {
        let energy = database.read(|connection| question(bucket).answer(connection)).unwrap();
        let paid: f64 = energy.rows.iter().filter_map(|row| row.cost.paid).sum();
        assert!((paid - energy.cost.paid.unwrap()).abs() < 1e-9, "{bucket:?}");
        totals.push(energy.cost);
    }
    let near = |is: Option<f64>, should: f64| assert!((is.unwrap() - should).abs() < 1e-9, "{is:?} {should}");
    for cost in totals {
        near(cost.paid, 0.2 + 0.5);
        near(cost.earned, 0.2);
        // In the first slot, 3 kWh of sun and 2 of the home: 1 kWh more would have been given than was bought
        // and given; in the second the battery saved 1 kWh at 0.50.
        near(cost.saved_by_battery, (-0.1 - 0.0) + 0.5);
        near(cost.saved_by_solar, (0.4 - 0.0) + (1.0 - 0.5));
        near(Some(cost.priced), 2000.0);
    }
}

#[test]
fn what_tesla_knows_is_the_price_where_the_settings_have_none() {
    let theirs = Tariff { buy: vec![period(0.7, None)], ..Tariff::default() };
    for (of_settings, paid) in [(Tariffs::default(), 0.7), (tariffs(), 0.2)] {
        let folder = tempfile::tempdir().unwrap();
        let mut database = Database::at(folder.path().join("history.db"));
        let slots = [(SLOT, sum([0.0, 1000.0, 0.0, 0.0, 1000.0, 0.0]))].into();
        let zone = TimeZone::get("America/New_York").ok();
        let tariff = Some(std::sync::Arc::new(theirs.clone()));
        let added = Added { slots, zone, tariff, ..Added::default() };
        let batch = Batch { run: 1, number: 1, added: [("home".to_owned(), added)].into() };
        let write = |change: &Transaction<'_>| batch.write(change, SLOT as f64, &of_settings);
        database.write(crate::store::Durability::Crash, write).unwrap();
        let energy = database.read(|connection| question(Bucket::Day).answer(connection)).unwrap();
        assert_eq!(energy.cost.paid, Some(paid));
    }
}
