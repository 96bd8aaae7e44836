use jiff::tz::TimeZone;
use rusqlite::Connection;

use super::*;
use crate::model::energy::ledger::State;
use crate::model::energy::{Flow, Flows};
use crate::store::history::{Recalled, tables};

const EVENING: i64 = 1_795_652_400; // 2026-11-25 19:20 in New York
const MIDNIGHT: f64 = 1_795_669_200.0; // the one after it
const SLOT: i64 = EVENING / 900 * 900;

fn file() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(tables::OF_BEFORE).unwrap();
    connection.execute_batch(tables::OURS).unwrap();
    connection
}

/// So much of each flow, counted in ten seconds of the slot.
fn slots(slot: i64, energy: [Option<f64>; 6]) -> BTreeMap<i64, Sum> {
    let mut sum = Sum::default();
    for (flow, energy) in Flow::ALL.into_iter().zip(energy) {
        if let Some(energy) = energy {
            sum.add(flow, energy, 10.0, Source::Counted);
        }
    }
    [(slot, sum)].into()
}

fn batch(number: i64, added: Added) -> Batch {
    let zone = Some(TimeZone::get("America/New_York").unwrap());
    Batch { run: 7, number, added: [("home".to_owned(), Added { zone, ..added })].into() }
}

fn write(connection: &mut Connection, batch: &Batch, now: f64) {
    let change = connection.transaction().unwrap();
    batch.write(&change, now, &Default::default()).unwrap();
    change.commit().unwrap();
}

fn one<T: rusqlite::types::FromSql>(connection: &Connection, query: &str) -> T {
    connection.query_row(query, [], |row| row.get(0)).unwrap()
}

fn near(is: f64, should: f64) {
    assert!((is - should).abs() < 1e-9, "{is} instead of {should}");
}

#[test]
fn a_batch_is_added_once_however_often_it_is_given() {
    let mut connection = file();
    let full = Added { slots: slots(SLOT, [Some(100.0); 6]), ..Added::default() };
    for number in [1, 1, 2, 2] {
        write(&mut connection, &batch(number, full.clone()), EVENING as f64);
    }
    assert_eq!(one::<f64>(&connection, "SELECT home FROM history_slots"), 200.0);
    assert_eq!(one::<f64>(&connection, "SELECT home_s FROM history_days"), 20.0);
    near(one(&connection, "SELECT home_kwh FROM daily_energy"), 0.2);
    assert_eq!(one::<String>(&connection, "SELECT day FROM daily_energy"), "2026-11-25");
    let other_run = Batch { run: 8, ..batch(1, full) };
    write(&mut connection, &other_run, EVENING as f64);
    assert_eq!(one::<f64>(&connection, "SELECT home FROM history_slots"), 300.0, "of another run");
}

#[test]
fn rows_with_unknowns_are_ours_alone() {
    let mut connection = file();
    let partial = [None, Some(5.0), None, None, None, None];
    let added = Added {
        samples: vec![Sample { at: EVENING as f64, power: Flows(partial), soe: None }],
        slots: slots(SLOT, partial),
        ..Added::default()
    };
    write(&mut connection, &batch(1, added), EVENING as f64);
    for table in ["samples", "integration_state", "daily_energy"] {
        assert_eq!(one::<i64>(&connection, &format!("SELECT count(*) FROM {table}")), 0, "{table}");
    }
    assert_eq!(one::<Option<f64>>(&connection, "SELECT solar FROM history_days"), None);
    assert_eq!(one::<f64>(&connection, "SELECT home FROM history_samples"), 5.0);
    // What becomes known later makes the day complete, with all that was known before.
    let rest = [Some(1.0), None, Some(1.0), Some(1.0), Some(1.0), Some(1.0)];
    write(&mut connection, &batch(2, Added { slots: slots(SLOT, rest), ..Added::default() }), EVENING as f64);
    near(one(&connection, "SELECT home_kwh FROM daily_energy"), 0.005);
}

#[test]
fn a_recovered_interval_is_of_the_day_that_it_lies_in_as_a_whole() {
    let mut connection = file();
    let interval = |from: f64, to: f64| Flow::ALL.map(|flow| Recovered { flow, from, to, energy: 1000.0 });
    let intervals =
        [interval(MIDNIGHT - 7200.0, MIDNIGHT), interval(MIDNIGHT - 60.0, MIDNIGHT + 60.0)].concat();
    write(&mut connection, &batch(1, Added { intervals, ..Added::default() }), MIDNIGHT);
    assert_eq!(one::<i64>(&connection, "SELECT count(*) FROM history_recovered"), 2);
    assert_eq!(one::<i64>(&connection, "SELECT count(*) FROM history_days"), 1);
    near(one(&connection, "SELECT home_kwh FROM daily_energy WHERE day = '2026-11-25'"), 1.0);
    assert_eq!(one::<i64>(&connection, "SELECT count(*) FROM history_slots"), 0);
}

#[test]
fn where_the_server_before_has_written_since_its_day_is_taken_over() {
    let mut connection = file();
    let full = Added { slots: slots(SLOT, [Some(100.0); 6]), ..Added::default() };
    let theirs = "INSERT INTO daily_energy VALUES ('home', '2026-11-25', 1, 2, 3, 4, 5, 6, 10.0, 20.0)";
    connection.execute(theirs, []).unwrap();
    write(&mut connection, &batch(1, full.clone()), 100.0);
    near(one(&connection, "SELECT home_kwh FROM daily_energy"), 2.1);
    write(&mut connection, &batch(2, full.clone()), 200.0);
    near(one(&connection, "SELECT home_kwh FROM daily_energy"), 2.2);
    // It runs for a while, and goes on from what it found.
    let theirs = "UPDATE daily_energy SET home_kwh = home_kwh + 5, updated_at = 300.0";
    connection.execute(theirs, []).unwrap();
    write(&mut connection, &batch(3, full), 400.0);
    near(one(&connection, "SELECT home_kwh FROM daily_energy"), 7.3);
    near(one(&connection, "SELECT home FROM history_days"), 7300.0);
    let ways: i64 = one(&connection, "SELECT ways FROM history_days");
    assert_eq!(ways & Source::TakenOver.bit(Flow::Home), Source::TakenOver.bit(Flow::Home));
    assert_eq!(one::<f64>(&connection, "SELECT home_s FROM history_days"), 30.0);
}

#[test]
fn who_wrote_last_says_where_to_go_on() {
    let mut connection = file();
    let complete = Flows([Some(1.0); 6]);
    let state = State { at: 1000.0, counters: Flows([Some((990.0, 5.0)); 6]), ..State::default() };
    let added = Added {
        samples: vec![Sample { at: 1000.0, power: complete, soe: None }],
        state: Some(state.clone()),
        ..Added::default()
    };
    write(&mut connection, &batch(1, added), 1000.0);
    let recalled = Recalled::read(&connection, "home").unwrap();
    assert_eq!(recalled, Recalled { state: Some(state), zone: Some("America/New_York".into()) });
    connection.execute("UPDATE integration_state SET ts = 2000.0, home_w = 7", []).unwrap();
    let recalled = Recalled::read(&connection, "home").unwrap().state.unwrap();
    assert_eq!((recalled.at, recalled.power[Flow::Home]), (2000.0, Some(7.0)));
    assert_eq!(recalled.counters, Flows::default(), "what it has integrated is not counted once more");
    assert_eq!(Recalled::read(&connection, "cabin").unwrap(), Recalled::default());
}
