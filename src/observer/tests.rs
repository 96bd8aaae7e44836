use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use super::*;
use crate::board::Board;
use crate::clock::unix_time;
use crate::link::LinkError;
use crate::model::{
    Adjustments, Aggregate, Answers, Began, ErrorNote, GatewayFacts, GridOutage, GridStatus, Interpretation,
    LinkHealth, LinkKind, Number, NumberingMemory, Power, Reading, Readings, Site, Snapshot, Ttl,
};
use crate::store::journal::{Filter, Kind};

/// What a gateway says.
#[derive(Clone, Debug)]
struct Said {
    grid: GridStatus,
    firmware: &'static str,
    alerts: Option<Vec<String>>,
    /// What Tesla lists.
    outages: Vec<GridOutage>,
}

impl Answers for Said {
    fn readings(&self, _: &Adjustments) -> Readings {
        Readings {
            power: Power { site: Some(Number::Int(1)), ..Power::default() },
            grid: Some(self.grid),
            firmware: Some(self.firmware.into()),
            ..Readings::default()
        }
    }

    fn interpret(&self, _: &Arc<Readings>, _: &Adjustments, _: &NumberingMemory) -> Interpretation {
        let site = Site { alerts: self.alerts.clone(), ..Site::default() };
        Interpretation { site, ..Interpretation::default() }
    }

    fn grid_outages(&self) -> Option<Arc<[GridOutage]>> {
        Some(self.outages.clone().into())
    }

    fn size(&self) -> usize {
        100
    }
}

fn said(alerts: &[&str]) -> Said {
    let alerts = Some(alerts.iter().map(|name| (*name).to_owned()).collect());
    Said { grid: GridStatus::Up, firmware: "25.10.1 3f7cb6de", alerts, outages: Vec::new() }
}

/// A gateway and whoever observes it.
struct House {
    directory: Arc<Directory>,
    journal: Journal,
    board: Arc<Board<Snapshot>>,
    observer: Addr<Observer>,
}

impl House {
    async fn new(journal: Journal, first: &Said) -> Self {
        let facts = GatewayFacts { id: "home".into(), ..GatewayFacts::default() };
        let second = Duration::from_secs(1);
        let ttl = Ttl::new(5 * second, 5 * second, 30 * second, true);
        let board = Arc::new(Board::new(Snapshot::initial(Arc::new(facts), ttl)));
        let entry = Arc::new(Gateway::new("home", board.clone()));
        let directory = Arc::new(Directory::new(vec![entry], Arc::new(Board::new(Aggregate::default()))));
        let observer = Observer::new(directory.clone(), journal.clone()).start();
        let house = Self { directory, journal, board, observer };
        house.polled(first).await;
        house
    }

    /// A good poll, over v1r, and time for the observer to see it.
    async fn polled(&self, said: &Said) {
        self.polled_over(said, LinkKind::V1r).await;
    }

    async fn polled_over(&self, said: &Said, kind: LinkKind) {
        let now = Instant::now();
        let mut snapshot = Snapshot::clone(&self.board.read());
        let telemetry = Telemetry::new(Arc::new(said.clone()), Adjustments::default());
        snapshot.reading = Some(Reading { telemetry, taken: now, taken_at: 0.0 });
        snapshot.health.consecutive_failures = 0;
        snapshot.health.failing_since = None;
        snapshot.health.links = vec![LinkHealth {
            kind,
            in_use: true,
            why: "the one before did not answer".into(),
            last_success: Some(now),
            last_error: None,
            failures: 0,
            next_try: None,
        }];
        self.publish(snapshot).await;
        // Until its alerts may be worked out again.
        sleep(LOOK_EVERY).await;
    }

    fn began(&self) -> Began {
        self.directory.get("home").unwrap().began()
    }

    async fn failed(&self) {
        let mut snapshot = Snapshot::clone(&self.board.read());
        let error = LinkError::Timeout(Duration::from_secs(5));
        let note = ErrorNote { kind: error.kind(), message: error.to_string() };
        snapshot.health.count_failure(note, Instant::now());
        self.publish(snapshot).await;
    }

    async fn publish(&self, snapshot: Snapshot) {
        self.board.publish(Arc::new(snapshot));
        sleep(3 * ROUND).await;
    }

    /// What was written, the oldest first, without times.
    async fn written(&self) -> Vec<(Kind, Value)> {
        let entries = self.journal.read(&Filter::default()).await.unwrap();
        let without_times = |mut detail: Value| {
            for key in ["since", "seconds", "message"] {
                detail.as_object_mut().unwrap().remove(key);
            }
            detail
        };
        let entries = entries.into_iter().rev();
        entries.map(|recorded| (recorded.entry.kind, without_times(recorded.entry.detail))).collect()
    }

    /// Another observer of the same gateway, as after a restart.
    async fn restarted(self, first: &Said) -> Self {
        let Self { directory, journal, observer, .. } = self;
        directory.replace(Vec::new());
        sleep(3 * ROUND).await;
        drop(observer);
        Self::new(journal, first).await
    }
}

#[actix_web::test]
async fn what_is_seen_first_is_no_change_and_what_changes_is_written() {
    tokio::time::pause();
    let house = House::new(Journal::in_memory(), &said(&["A", "GridServicesActive"])).await;
    assert_eq!(house.written().await, []);
    house.polled(&said(&["A", "B"])).await;
    house.polled(&Said { firmware: "25.10.1", ..said(&["B"]) }).await;
    house.polled(&Said { firmware: "26.2.0 ffff", grid: GridStatus::Syncing, ..said(&["B"]) }).await;
    let down = Said { firmware: "26.2.0 ffff", grid: GridStatus::Down, ..said(&["B"]) };
    house.polled(&down).await;
    house.polled(&down).await;
    let began = house.began();
    assert!([began.cut_off, began.alert].iter().all(|since| since.is_some_and(|at| at <= unix_time() + 1.0)));
    house.polled_over(&Said { grid: GridStatus::Up, ..down }, LinkKind::Tedapi).await;
    assert_eq!(house.began().cut_off, None);
    house.polled_over(&Said { firmware: "26.2.0 ffff", alerts: None, ..said(&[]) }, LinkKind::Tedapi).await;
    let expected = [
        (Kind::GridServices, json!({ "state": "ended" })),
        (Kind::Alert, json!({ "state": "began", "alert": "B" })),
        (Kind::Alert, json!({ "state": "ended", "alert": "A" })),
        (Kind::Firmware, json!({ "from": "25.10.1", "to": "26.2.0" })),
        (Kind::Grid, json!({ "state": "began" })),
        (Kind::Grid, json!({ "state": "ended" })),
        (Kind::Link, json!({ "from": ["v1r"], "to": ["tedapi"], "why": "the one before did not answer" })),
    ];
    assert_eq!(house.written().await, expected);
}

#[actix_web::test]
async fn an_outage_is_a_minute_without_an_answer_and_not_a_poll_that_failed() {
    tokio::time::pause();
    let house = House::new(Journal::in_memory(), &said(&[])).await;
    house.failed().await;
    house.polled(&said(&[])).await;
    assert_eq!(house.written().await, []);
    house.failed().await;
    sleep(Duration::from_secs(100)).await;
    assert_eq!(house.written().await, [], "nobody knows whether it would have answered");
    for _ in 0..3 {
        house.failed().await;
    }
    house.polled(&said(&[])).await;
    let began = (Kind::Outage, json!({ "state": "began", "error": "timeout" }));
    assert_eq!(house.written().await, [began, (Kind::Outage, json!({ "state": "ended" }))]);
    let newest = house.journal.read(&Filter::default()).await.unwrap().remove(0).entry;
    assert!(newest.detail["seconds"].as_f64().unwrap() >= 0.0, "{newest:?}");
}

#[actix_web::test]
async fn after_a_restart_only_what_the_journal_says_otherwise_is_a_change() {
    tokio::time::pause();
    let house = House::new(Journal::in_memory(), &said(&["A"])).await;
    assert_eq!(house.began().alert, None, "it was there before anybody looked");
    house.polled(&Said { firmware: "26.2.0", grid: GridStatus::Down, ..said(&["A", "B", "C"]) }).await;
    house.polled(&Said { firmware: "26.2.0", grid: GridStatus::Down, ..said(&["A", "B"]) }).await;
    house.failed().await;
    sleep(Duration::from_secs(100)).await;
    house.failed().await;
    let before = house.written().await.len();
    assert_eq!(before, 6, "{:?}", house.written().await);

    // B has ended, C is back, D was never heard of; the gateway answers, and its grid is back.
    let house = house.restarted(&Said { firmware: "26.2.0", ..said(&["A", "C", "D"]) }).await;
    let mut expected = vec![
        (Kind::Outage, json!({ "state": "ended" })),
        (Kind::Grid, json!({ "state": "ended" })),
        (Kind::Alert, json!({ "state": "began", "alert": "C" })),
        (Kind::Alert, json!({ "state": "ended", "alert": "B" })),
    ];
    assert_eq!(house.written().await[before..], expected);
    house.polled(&Said { firmware: "26.4.0", ..said(&["A", "C", "D"]) }).await;
    expected.push((Kind::Firmware, json!({ "from": "26.2.0", "to": "26.4.0" })));
    assert_eq!(house.written().await[before..], expected);
    let house = house.restarted(&Said { firmware: "26.4.0", ..said(&["A", "C", "D"]) }).await;
    assert_eq!(house.written().await[before..], expected, "nothing changed meanwhile");
}

#[actix_web::test]
async fn a_gateway_that_says_something_else_each_time_does_not_fill_the_journal() {
    tokio::time::pause();
    let house = House::new(Journal::in_memory(), &said(&[])).await;
    let long = "x".repeat(10_000);
    // Within the hour of the limit.
    for number in 0..50 {
        let alerts: Vec<String> = (0..500).map(|alert| format!("{number} {alert} {long}")).collect();
        house.polled(&Said { alerts: Some(alerts), ..said(&[]) }).await;
    }
    let written = house.written().await;
    assert_eq!(written.len(), 300);
    assert!(written.iter().all(|(_, detail)| detail.to_string().len() < 1000));
}

#[actix_web::test]
async fn an_outage_that_tesla_lists_is_written_once_and_one_that_was_seen_is_not() {
    tokio::time::pause();
    let now = unix_time();
    let outage = |ago: f64, seconds: f64| GridOutage { start: now - ago, seconds };
    let with = |outages: &[GridOutage], grid| Said { outages: outages.to_vec(), grid, ..said(&[]) };
    // What is in the list from the start counts; what is too old does not, and what is to come cannot be.
    let first = [outage(100.0 * 86_400.0, 60.0), outage(7200.0, 90.0), outage(0.0, 86_400.0)];
    let house = House::new(Journal::in_memory(), &with(&first, GridStatus::Up)).await;
    let listed = (Kind::Grid, json!({ "state": "listed" }));
    let mut expected = vec![listed.clone()];
    assert_eq!(house.written().await, expected);
    let newest = house.journal.read(&Filter::default()).await.unwrap().remove(0).entry.detail;
    assert_eq!((newest["since"].as_f64(), newest["seconds"].as_f64()), (Some(now - 7200.0), Some(90.0)));

    house.polled(&with(&first, GridStatus::Down)).await;
    house.polled(&with(&first, GridStatus::Up)).await;
    expected.extend(["began", "ended"].map(|state| (Kind::Grid, json!({ "state": state }))));
    // Tesla lists the one that was just seen, and later another one.
    let mut list = vec![outage(7200.0, 90.0), outage(30.0, 29.0)];
    house.polled(&with(&list, GridStatus::Up)).await;
    assert_eq!(house.written().await, expected);
    list.push(outage(86_400.0, 3.0));
    let house = house.restarted(&with(&list, GridStatus::Up)).await;
    expected.push(listed);
    assert_eq!(house.written().await, expected);
    let house = house.restarted(&with(&list, GridStatus::Up)).await;
    house.polled(&with(&list, GridStatus::Down)).await;
    expected.push((Kind::Grid, json!({ "state": "began" })));
    assert_eq!(house.written().await, expected, "what was listed is no state");
}
