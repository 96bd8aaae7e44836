use rusqlite::Connection;

use super::*;
use crate::model::energy::ledger::{Recovered, State};
use crate::store::history::batch::{Added, Batch};
use crate::store::history::queries::energy::{Bucket, Question};
use crate::store::schema;

/// 2026-11-25 10:00 in Berlin.
const TEN: i64 = 1_795_597_200;
/// Midnight before it.
const MIDNIGHT: i64 = TEN - 10 * 3600;
const DAY: i64 = 86_400;

struct House {
    connection: Connection,
    batch: i64,
}

impl House {
    fn new() -> Self {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::migrate(&mut connection, 0).unwrap();
        Self { connection, batch: 0 }
    }

    fn fill(&mut self, parcel: &Parcel) -> Filled {
        self.fill_at(parcel, (TEN + 10 * DAY) as f64)
    }

    fn fill_at(&mut self, parcel: &Parcel, now: f64) -> Filled {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let change = self.connection.transaction().unwrap();
        let terms = Terms { zone, kept_from: (MIDNIGHT - 30 * DAY) as f64, now };
        let filled = fill(&change, ("home", &terms), parcel, None).unwrap();
        change.commit().unwrap();
        filled
    }

    /// Records, as the recorder does.
    fn record(&mut self, added: Added) {
        self.batch += 1;
        let zone = TimeZone::get("Europe/Berlin").ok();
        let added = [("home".to_owned(), Added { zone, ..added })].into();
        let change = self.connection.transaction().unwrap();
        Batch { run: 1, number: self.batch, added }.write(&change, TEN as f64, &Default::default()).unwrap();
        change.commit().unwrap();
    }

    fn one(&self, what: &str) -> Option<f64> {
        self.connection.query_row(&format!("SELECT {what}"), [], |row| row.get(0)).unwrap()
    }

    fn day(&self) -> Option<f64> {
        self.one("home FROM history_days WHERE day = '2026-11-25'")
    }

    /// All there is of the flow.
    fn total(&self, bucket: Bucket) -> f64 {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let (start, end) = (MIDNIGHT as f64, (MIDNIGHT + DAY) as f64);
        let question = Question { gateway: "home".into(), zone, start, end, bucket, now: end };
        question.answer(&self.connection).unwrap().total.energy[Flow::Home].unwrap_or_default()
    }
}

fn home(energy: f64, seconds: Option<f64>) -> Flows<Option<Cell>> {
    let mut cells = Flows::default();
    cells[Flow::Home] = Some(Cell { energy, seconds });
    cells
}

/// Slots from ten o'clock on, each with this energy.
fn slots(energies: &[f64]) -> Parcel {
    let slots = energies.iter().zip(0..).map(|(energy, at)| (TEN + at * SLOT, home(*energy, Some(900.0))));
    Parcel { slots: slots.collect(), ..Parcel::default() }
}

fn whole(energy: f64, until: Option<f64>) -> Parcel {
    let day = WholeDay { cells: home(energy, None), until };
    Parcel { days: [("2026-11-25".to_owned(), day)].into(), ..Parcel::default() }
}

/// A slot that was counted here.
fn counted(slot: i64, energy: f64, seconds: f64) -> Added {
    let mut sum = Sum::default();
    sum.add(Flow::Home, energy, seconds, Source::Counted);
    Added { slots: [(slot, sum)].into(), ..Added::default() }
}

fn tally(filled: u64, known: u64, held: u64) -> Tally {
    Tally { filled, known, held }
}

#[test]
fn what_is_absent_is_filled_and_the_same_again_changes_nothing() {
    let mut house = House::new();
    house.record(counted(TEN, 100.0, 300.0));
    let parcel = slots(&[7.0, 8.0, 9.0]);
    assert_eq!(house.fill(&parcel).slots, tally(2, 1, 0));
    assert_eq!(house.one("sum(home) FROM history_slots"), Some(117.0), "what was counted stays");
    assert_eq!(house.day(), Some(117.0));
    assert_eq!(house.one("home_s FROM history_days"), Some(2100.0));
    let before = dump(&house.connection);
    for _ in 0..3 {
        assert_eq!(house.fill(&parcel).slots, tally(0, 3, 0));
    }
    assert_eq!(dump(&house.connection), before);
    let ways = house.one("ways FROM history_slots ORDER BY slot DESC LIMIT 1").unwrap() as i64;
    assert_eq!(ways, Source::Imported.bit(Flow::Home));
    // Recording goes on in a slot that was imported, and in its day.
    house.record(counted(TEN + SLOT, 1.0, 10.0));
    assert_eq!(house.day(), Some(118.0));
    assert_eq!(house.fill(&parcel).slots, tally(0, 3, 0));
}

/// Everything but when it was written.
fn dump(connection: &Connection) -> Vec<String> {
    let queries = [
        "SELECT slot || ' ' || home || ' ' || home_s || ' ' || ways FROM history_slots ORDER BY slot",
        "SELECT day || ' ' || home || ' ' || home_s || ' ' || ways FROM history_days ORDER BY day",
    ];
    let rows = |query: &&str| {
        let mut statement = connection.prepare(query).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect::<Vec<String>>()
    };
    queries.iter().flat_map(rows).collect()
}

#[test]
fn an_import_that_covers_more_replaces_another_one() {
    let mut house = House::new();
    let part = Parcel { slots: [(TEN, home(4.0, Some(300.0)))].into(), ..Parcel::default() };
    house.fill(&part);
    assert_eq!(house.fill(&slots(&[10.0])).slots, tally(1, 0, 0));
    assert_eq!((house.day(), house.one("home_s FROM history_days")), (Some(10.0), Some(900.0)));
    assert_eq!(house.fill(&part).slots, tally(0, 1, 0));
    assert_eq!(house.day(), Some(10.0));
}

#[test]
fn what_counters_counted_over_an_outage_is_not_filled_again() {
    let mut house = House::new();
    let interval =
        |from: i64, to: i64| Recovered { flow: Flow::Home, from: from as f64, to: to as f64, energy: 50.0 };
    let intervals = vec![interval(TEN + 300, TEN + 2000)];
    house.record(Added { intervals, ..Added::default() });
    let filled = house.fill(&slots(&[1.0, 1.0, 1.0, 1.0]));
    assert_eq!(filled.slots, tally(1, 3, 0));
    assert_eq!(house.day(), Some(51.0));
    assert_eq!((house.total(Bucket::Slot), house.total(Bucket::Day)), (51.0, 51.0));
}

/// The difference of the counters will be there when the gateway is read again.
#[test]
fn what_counters_will_count_is_left_to_them() {
    let mut house = House::new();
    let mut counters = Flows::default();
    counters[Flow::Home] = Some(((TEN + 900) as f64, 5000.0));
    let state = State { at: (TEN + 900) as f64, counters, ..State::default() };
    house.record(Added { state: Some(state), ..counted(TEN - SLOT, 1.0, 900.0) });
    assert_eq!(house.fill(&slots(&[1.0, 1.0])).slots, tally(1, 0, 1));
    assert_eq!(house.fill(&whole(77.0, None)).days, tally(0, 0, 1));
    assert_eq!(house.day(), Some(2.0));
    // Without a counter, nothing bridges an outage; but the last hour may still be in memory.
    let mut house = House::new();
    let state = State { at: TEN as f64, ..State::default() };
    house.record(Added { state: Some(state), ..counted(TEN - SLOT, 1.0, 900.0) });
    let now = (TEN + 4 * SLOT + 3600) as f64;
    assert_eq!(house.fill_at(&slots(&[1.0; 6]), now).slots, tally(4, 0, 2));
}

#[test]
fn a_day_of_the_server_before_and_one_that_began_after_it_are_one_day() {
    let mut house = House::new();
    // From 10:05 on, without a gap.
    house.record(counted(TEN, 20.0, 600.0));
    house.record(counted(TEN + SLOT, 30.0, 900.0));
    let until = Some((TEN + 240) as f64);
    assert_eq!(house.fill(&whole(1000.0, until)).days, tally(1, 0, 0));
    assert_eq!(house.day(), Some(1050.0));
    for _ in 0..2 {
        assert_eq!(house.fill(&whole(1000.0, until)).days, tally(0, 1, 0));
    }
    // Its samples fill slots, and the day has their energy already.
    let mut parcel = slots(&[]);
    parcel.slots = [(TEN - SLOT, home(5.0, Some(900.0)))].into();
    assert_eq!(house.fill(&parcel).slots, tally(1, 0, 0));
    assert_eq!(house.day(), Some(1050.0));
    let mut other = House::new();
    other.record(counted(TEN, 20.0, 600.0));
    other.record(counted(TEN + SLOT, 30.0, 900.0));
    assert_eq!(other.fill(&whole(1000.0, Some((TEN + 400) as f64))).days, tally(0, 1, 0), "both ran");
    assert_eq!(other.day(), Some(50.0));
}

/// They would be removed, and be in their month once more with each import.
#[test]
fn what_is_older_than_what_is_kept_stays_out() {
    let mut house = House::new();
    let cells = home(5.0, Some(900.0));
    let mut parcel = whole(7.0, None);
    let day = parcel.days.pop_first().unwrap().1;
    parcel.days = [("2026-10-20".to_owned(), day)].into();
    parcel.slots = [(MIDNIGHT - 31 * DAY, cells)].into();
    let filled = house.fill(&parcel);
    assert_eq!((filled.days, filled.slots), (tally(0, 0, 1), tally(0, 0, 1)));
    assert_eq!(house.one("count(*) FROM history_days"), Some(0.0));
}

#[test]
fn a_day_that_came_as_a_whole_goes_on_and_is_complete_for_the_server_before() {
    let mut house = House::new();
    let cells = Flows([Some(Cell { energy: 500.0, seconds: None }); 6]);
    let day = WholeDay { cells, until: None };
    let parcel = Parcel { days: [("2026-11-25".to_owned(), day)].into(), ..Parcel::default() };
    house.fill(&parcel);
    assert_eq!(house.one("home_kwh FROM daily_energy WHERE day = '2026-11-25'"), Some(0.5));
    house.record(counted(TEN, 20.0, 600.0));
    assert_eq!(house.one("home_kwh FROM daily_energy"), Some(0.52));
    let zone = TimeZone::get("Europe/Berlin").unwrap();
    let (start, end) = (MIDNIGHT as f64, (MIDNIGHT + DAY) as f64);
    let question = Question { gateway: "home".into(), zone, start, end, bucket: Bucket::Day, now: end };
    let energy = question.answer(&house.connection).unwrap();
    assert_eq!(energy.rows[0].coverage(Flow::Home), None, "nobody said what it covers");
    let sources: Vec<_> = energy.rows[0].sum.sources(Flow::Home).collect();
    assert_eq!(sources, [Source::Counted, Source::Imported]);
}
