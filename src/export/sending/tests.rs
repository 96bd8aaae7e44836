use std::cell::RefCell;
use std::collections::VecDeque;
use std::path::Path;

use tokio::time::timeout;

use super::*;
use crate::clock::set_unix_time;
use crate::model::energy::ledger::State;
use crate::model::energy::{Flow, Flows};
use crate::settings::Secret;
use crate::store::Store;
use crate::store::history::Keeping;
use crate::store::history::batch::{Added, Batch, Sample, Source, Sum};

/// 2026-11-25 10:00 in Berlin.
const TEN: i64 = 1_795_597_200;
const SLOT: i64 = 900;
const HOUR: Duration = Duration::from_secs(3600);

/// Gives these answers in turn, and then takes everything.
struct Post {
    answers: RefCell<VecDeque<Sent>>,
    /// When it was asked, and what it was given.
    given: RefCell<Vec<(Duration, String)>>,
    started: Instant,
}

impl Post {
    fn new(answers: Vec<Sent>) -> Self {
        Self { answers: RefCell::new(answers.into()), given: RefCell::default(), started: Instant::now() }
    }

    /// The time of each line.
    fn times(&self) -> Vec<i64> {
        let given = self.given.borrow();
        let lines = given.iter().flat_map(|(_, text)| text.lines());
        lines.map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap()).collect()
    }
}

impl Target for &Post {
    async fn take(&self, lines: String) -> Sent {
        self.given.borrow_mut().push((self.started.elapsed(), lines));
        self.answers.borrow_mut().pop_front().unwrap_or(Sent::Taken)
    }
}

fn settings(power: Option<Duration>) -> ExportSettings {
    ExportSettings { url: Secret::new("http://127.0.0.1:1/write?u=canary"), token: None, power }
}

fn history(folder: &Path) -> History {
    set_unix_time((TEN + 100_000) as f64);
    let path = folder.join("history.db");
    let store = Store::open(path.clone()).unwrap();
    History::kept_in(&path, &store, &Keeping::default()).unwrap()
}

/// Records slots with a number from `TEN` on, up to a reading at `read`.
async fn record(history: &History, number: i64, slots: std::ops::Range<i64>, read: i64) {
    let mut added = Added { zone: jiff::tz::TimeZone::get("Europe/Berlin").ok(), ..Added::default() };
    for slot in slots {
        let mut sum = Sum { ways: Source::Counted.bit(Flow::Home), ..Sum::default() };
        sum.energy[Flow::Home] = Some(100.0);
        added.slots.insert(TEN + slot * SLOT, sum);
    }
    let at = read as f64;
    for second in 0..10 {
        let power = Flows([Some(1.0); 6]);
        added.samples.push(Sample { at: at + f64::from(second * 15), power, soe: None });
    }
    added.state = Some(State { at, ..State::default() });
    let batch = Batch { run: 1, number, added: [("home".to_owned(), added)].into() };
    history.write(std::sync::Arc::new(batch)).await.unwrap();
}

async fn send_for(time: Duration, history: &History, power: Option<Duration>, post: &Post) {
    let _ = timeout(time, send(&settings(power), history, || None, post, 7)).await;
}

#[tokio::test(start_paused = true)]
async fn slots_are_sent_in_order_once_and_what_was_missed_later() {
    let folder = tempfile::tempdir().unwrap();
    let history = history(folder.path());
    // The last one may still grow: the reading is within the slot behind it.
    record(&history, 1, 0..4, TEN + 4 * SLOT + 10).await;
    let post = Post::new(vec![Sent::NotNow("it is away".into()); 3]);
    send_for(HOUR, &history, None, &post).await;
    let given = post.given.borrow().clone();
    assert_eq!(given.len(), 4);
    assert!(given.iter().all(|(_, text)| *text == given[0].1), "the same again");
    let pauses: Vec<f64> = given.windows(2).map(|pair| (pair[1].0 - pair[0].0).as_secs_f64()).collect();
    for (pause, least) in pauses.iter().zip([5.0, 10.0, 30.0]) {
        assert!((least..least * 1.21).contains(pause), "{pauses:?}");
    }
    assert_eq!(given[0].1.lines().count(), 3);
    assert!(given[0].1.starts_with("powerwall_energy,gateway=home home_kwh=0.1 1795597200\n"), "{given:?}");

    // Another run goes on from there.
    record(&history, 2, 4..6, TEN + 9 * SLOT).await;
    let post = Post::new(Vec::new());
    send_for(HOUR, &history, None, &post).await;
    assert_eq!(post.times(), [3, 4, 5].map(|slot| TEN + slot * SLOT));
    let post = Post::new(Vec::new());
    send_for(HOUR, &history, None, &post).await;
    assert_eq!(post.times(), [0_i64; 0], "everything is sent");
    // Another database has nothing of it.
    let other = ExportSettings { url: Secret::new("http://127.0.0.2:1/write"), ..settings(None) };
    let post = Post::new(Vec::new());
    let _ = timeout(HOUR, send(&other, &history, || None, &post, 7)).await;
    assert_eq!(post.times().len(), 6);
}

#[tokio::test(start_paused = true)]
async fn years_are_sent_in_loads_which_become_smaller_for_who_takes_less() {
    let folder = tempfile::tempdir().unwrap();
    let history = history(folder.path());
    record(&history, 1, 0..1200, TEN + 1300 * SLOT).await;
    let post = Post::new(vec![Sent::Taken, Sent::TooMuch]);
    send_for(HOUR, &history, None, &post).await;
    let lines: Vec<usize> = post.given.borrow().iter().map(|(_, text)| text.lines().count()).collect();
    assert_eq!(lines, [500, 500, 250, 250, 200]);
    let post = Post::new(vec![Sent::TooMuch; 40]);
    record(&history, 2, 1200..1201, TEN + 1400 * SLOT).await;
    send_for(HOUR, &history, None, &post).await;
    let asked = post.given.borrow().len();
    assert!(asked < 60, "{asked}: who takes nothing is not asked in a loop");
}

#[tokio::test(start_paused = true)]
async fn points_of_power_are_the_first_of_each_interval() {
    let folder = tempfile::tempdir().unwrap();
    let history = history(folder.path());
    record(&history, 1, 0..0, TEN).await;
    let post = Post::new(Vec::new());
    let minute = Duration::from_secs(60);
    send_for(HOUR, &history, Some(minute), &post).await;
    // Samples are from 0 to 135 s, one every 15 s.
    assert_eq!(post.times(), [TEN, TEN + 60, TEN + 120]);
    assert!(post.given.borrow()[0].1.starts_with("powerwall_power,gateway=home solar_w=1,"));
    // The minute that was begun has its point.
    record(&history, 2, 0..0, TEN + 150).await;
    let post = Post::new(Vec::new());
    send_for(HOUR, &history, Some(minute), &post).await;
    assert_eq!(post.times(), [TEN + 180, TEN + 240]);
}
