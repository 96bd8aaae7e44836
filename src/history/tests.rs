use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use rusqlite::Connection;
use tokio::time::{Instant, advance};

use super::books::Books;
use super::look::Look;
use crate::model::energy::{Flow, Flows};
use crate::model::{
    Adjustments, Answers, GatewayFacts, Interpretation, Number, NumberingMemory, Power, Reading, Readings,
    Snapshot, Telemetry, Ttl,
};
use crate::store::Store;
use crate::store::history::batch::Batch;
use crate::store::history::queries::energy::{Bucket, Question};
use crate::store::history::{History, Keeping};

const POLL: Duration = Duration::from_secs(5);
const MINUTE: Duration = Duration::from_secs(60);
/// 2026-03-08 01:30 in Los Angeles: half an hour before the clocks are put forward.
const START: f64 = 1_772_962_200.0;
/// W that the meter shows. What the counter counts is another number, so that it is seen which one counts.
const SHOWN: f64 = 900.0;
const COUNTED: f64 = 1000.0;

#[derive(Debug)]
struct Said;

impl Answers for Said {
    fn readings(&self, _: &Adjustments) -> Readings {
        let power = Power {
            site: Some(Number::Int(SHOWN as i64)),
            battery: Some(Number::Int(0)),
            load: Some(Number::Int(SHOWN as i64)),
            solar: Some(Number::Int(0)),
        };
        Readings { power, timezone: Some("America/Los_Angeles".into()), ..Readings::default() }
    }

    fn interpret(&self, _: &Arc<Readings>, _: &Adjustments, _: &NumberingMemory) -> Interpretation {
        Interpretation::default()
    }

    fn size(&self) -> usize {
        100
    }
}

/// A gateway, its books, and the file.
struct House {
    history: History,
    books: Books,
    origin: Instant,
    /// What the wall clock is off by, in seconds.
    off: f64,
    has_counters: bool,
    /// The link reads the counters once in so many seconds, and shows the same ones in between.
    step: f64,
    run: i64,
    number: i64,
}

impl House {
    async fn new(folder: &Path, has_counters: bool) -> Self {
        let path = folder.join("history.db");
        let store = Store::open(path.clone()).unwrap();
        let history = History::kept_in(&path, &store, &Keeping::default()).unwrap();
        let mut house = Self {
            history,
            books: Books::default(),
            origin: Instant::now(),
            off: 0.0,
            has_counters,
            step: 1.0,
            run: 0,
            number: 0,
        };
        house.restart().await;
        house
    }

    /// The program is killed and starts again: what was not written is gone.
    async fn restart(&mut self) {
        self.books = Books::default();
        self.books.open(self.history.recall("home").await.unwrap());
        self.run += 1;
        self.number = 0;
    }

    fn elapsed(&self) -> f64 {
        self.origin.elapsed().as_secs_f64()
    }

    /// Polls for so long, and writes what that brings every ten seconds.
    async fn poll_for(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.poll();
            self.write().await;
            advance(POLL).await;
        }
    }

    fn poll(&mut self) {
        let facts = GatewayFacts { id: "home".into(), ..GatewayFacts::default() };
        let ttl = Ttl::new(POLL, POLL, MINUTE, true);
        let mut snapshot = Snapshot::initial(Arc::new(facts), ttl);
        let telemetry = Telemetry::new(Arc::new(Said), Adjustments::default());
        let taken_at = START + self.elapsed() + self.off;
        snapshot.reading = Some(Reading { telemetry, taken: Instant::now(), taken_at });
        self.books.see(&snapshot, self.origin, POLL.as_secs_f64());
        if let Some((at, _)) = self.books.take_unlooked(MINUTE, Instant::now()) {
            let read = (self.elapsed() / self.step).floor() * self.step;
            let energy = 50_000.0 + COUNTED * read / 3600.0;
            let counters = Flows([None, Some(energy).filter(|_| self.has_counters), None, None, None, None]);
            let signals = vec![("TEPOD--1".into(), "a", 1.0)];
            let look = Look { counters, signals, slow: vec![("UNIT--1".into(), "s", 1.0)] };
            self.books.see_look(at, look, true);
        }
    }

    async fn write(&mut self) {
        self.books.settle();
        let Some(added) = self.books.take_collected(Instant::now()) else { return };
        self.number += 1;
        let batch = Batch { run: self.run, number: self.number, added: [("home".into(), added)].into() };
        let batch = Arc::new(batch);
        for _ in 0..2 {
            // One of which nobody knows whether it was written is given again.
            self.history.write(batch.clone()).await.unwrap();
        }
    }

    /// All there is.
    fn question(&self, bucket: Bucket) -> Question {
        let zone = TimeZone::get("America/Los_Angeles").unwrap();
        let (start, end) = (START - 1000.0, START + self.elapsed() + 1000.0);
        Question { gateway: "home".into(), zone, start, end, bucket, now: START + self.elapsed() }
    }

    fn sum(&self, of: &str) -> f64 {
        let connection = Connection::open(self.history.path().unwrap()).unwrap();
        let query = format!("SELECT coalesce(sum({}), 0.0) FROM {}", of.split_once('.').unwrap().1, {
            of.split_once('.').unwrap().0
        });
        connection.query_row(&query, [], |row| row.get(0)).unwrap()
    }
}

fn near(is: f64, should: f64) {
    assert!((is - should).abs() < 0.01, "{is} instead of {should}");
}

#[tokio::test(start_paused = true)]
async fn what_counters_count_is_in_slots_and_over_outages_in_intervals_and_nowhere_twice() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::new(folder.path(), true).await;
    house.poll_for(31 * MINUTE).await;
    advance(40 * MINUTE).await;
    house.poll_for(31 * MINUTE).await;
    house.restart().await;
    advance(3 * MINUTE).await;
    house.poll_for(10 * MINUTE + POLL).await;
    // The last look was ten minutes after the restart.
    let counted = COUNTED * (house.elapsed() - POLL.as_secs_f64()) / 3600.0;
    let (slots, recovered) = (house.sum("history_slots.home"), house.sum("history_recovered.home"));
    near(slots + recovered, counted);
    // An outage of 40 minutes and one of 3, each up to the next look, and from the one before.
    assert!((COUNTED * 43.0 / 60.0..COUNTED * 46.0 / 60.0).contains(&recovered), "{recovered}");
    near(house.sum("history_days.home"), counted);
    near(house.sum("history_slots.home_s") + recovered / COUNTED * 3600.0, counted / COUNTED * 3600.0);
    // No slot holds more than flowed in it, or than there is time in it.
    let connection = Connection::open(house.history.path().unwrap()).unwrap();
    let odd = "SELECT count(*) FROM history_slots
         WHERE home > ?1 * home_s / 3600 + 0.01 OR home_s > 900.01 OR home < 0 OR slot % 900 <> 0";
    assert_eq!(connection.query_row(odd, [COUNTED], |row| row.get::<_, i64>(0)).unwrap(), 0);
    let polled = (31.0 + 31.0 + 10.0) * 60.0 - 2.0 * 5.0;
    // Whatever it is asked by, the sum is the same, and the outages are gaps.
    for bucket in [Bucket::Slot, Bucket::Hour, Bucket::Day, Bucket::Month] {
        let energy = house.question(bucket).answer(&connection).unwrap();
        near(energy.total.energy[Flow::Home].unwrap(), counted);
        assert_eq!(energy.recovered.len(), 2, "{bucket:?}");
        assert!(energy.rows.iter().all(|row| row.sum.energy[Flow::Solar] == Some(0.0)), "{bucket:?}");
    }
    let slots = house.question(Bucket::Slot).answer(&connection).unwrap();
    let [(from, to)] = slots.gaps[..] else { panic!("{:?}", slots.gaps) };
    assert!(from > START + 31.0 * 60.0 && to < START + 71.0 * 60.0, "a whole slot within the outage");
    let covered = slots.rows.iter().map(|row| row.coverage(Flow::Import).unwrap() * 900.0).sum::<f64>();
    near(covered, polled);
    // What has no counter is integrated over what was polled, and the gaps stay gaps.
    near(house.sum("history_slots.import"), SHOWN * polled / 3600.0);
}

#[tokio::test(start_paused = true)]
async fn without_counters_gaps_of_more_than_five_polls_stay_gaps() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::new(folder.path(), false).await;
    house.poll_for(10 * MINUTE).await;
    // Four polls are missing: five intervals from one to the next.
    advance(4 * POLL).await;
    house.poll_for(10 * MINUTE).await;
    advance(6 * POLL).await;
    house.poll_for(10 * MINUTE).await;
    let polled = 30.0 * 60.0 + 4.0 * 5.0 - 2.0 * 5.0;
    near(house.sum("history_slots.home"), SHOWN * polled / 3600.0);
    assert_eq!(house.sum("history_recovered.home"), 0.0);
    // Every value of the signals, once a minute; the days are those of the site.
    assert_eq!(house.sum("device_daily.count"), house.sum("device_samples.value"));
    assert!(house.sum("device_daily.count") >= 30.0);
    let connection = Connection::open(house.history.path().unwrap()).unwrap();
    let slow = "SELECT count(*) FROM device_samples JOIN device_series USING (series_id) WHERE metric = 's'";
    let slow: i64 = connection.query_row(slow, [], |row| row.get(0)).unwrap();
    assert_eq!(slow, 2, "what changes slowly, once in each of the quarters of an hour that were touched");
    let day: String =
        connection.query_row("SELECT max(day) FROM daily_energy", [], |row| row.get(0)).unwrap();
    assert_eq!(day, "2026-03-08");
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_that_jumps_costs_no_energy_and_adds_none() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::new(folder.path(), true).await;
    house.poll_for(10 * MINUTE).await;
    house.off = 10.0 * 86_400.0;
    house.poll_for(10 * MINUTE).await;
    house.off = 0.0;
    house.poll_for(10 * MINUTE + POLL).await;
    let counted = COUNTED * (house.elapsed() - POLL.as_secs_f64()) / 3600.0;
    near(house.sum("history_slots.home") + house.sum("history_recovered.home"), counted);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_recorded_by_a_clock_that_nobody_has_set() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::new(folder.path(), true).await;
    house.off = -START;
    house.poll_for(2 * MINUTE).await;
    assert_eq!(house.sum("samples.ts"), 0.0);
    house.off = 0.0;
    house.poll_for(2 * MINUTE).await;
    assert!(house.sum("samples.ts") > START);
}

/// As over TEDAPI: the same counters twice are no minute without energy, and the next no double one.
#[tokio::test(start_paused = true)]
async fn counters_that_are_shown_again_have_not_stood_still() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::new(folder.path(), true).await;
    house.step = 120.0;
    house.poll_for(47 * MINUTE).await;
    let connection = Connection::open(house.history.path().unwrap()).unwrap();
    let slots = house.question(Bucket::Slot).answer(&connection).unwrap().rows;
    for slot in &slots[..3] {
        near(slot.sum.energy[Flow::Home].unwrap(), COUNTED / 4.0);
    }
}
