//! A history in whose file something was overwritten, at two hundred places: what can be read is read, what
//! cannot is set aside whole, and recording goes on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::tz::TimeZone;
use powerwall_server::model::energy::ledger::{Additions, Booked, Way};
use powerwall_server::model::energy::{Flow, SLOT, Share};
use powerwall_server::store::history::batch::{Added, Batch};
use powerwall_server::store::history::checking::{Flaw, check};
use powerwall_server::store::history::queries::energy::{Bucket, Energy, Question};
use powerwall_server::store::history::{History, Keeping};
use powerwall_server::store::{Store, StoreError};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rusqlite::Connection;

const PLACES: u32 = 200;
/// 2026-03-01 00:00 UTC.
const START: i64 = 1_772_323_200;
const SLOTS: i64 = 3_000;
const NOW: f64 = (START + (SLOTS + 10) * SLOT) as f64;

/// A batch of one slot.
fn batch(number: i64, slots: std::ops::Range<i64>) -> Arc<Batch> {
    let mut added = Added { zone: TimeZone::get("UTC").ok(), ..Added::default() };
    for slot in slots {
        let share = Share { slot: START + slot * SLOT, energy: 10.0, seconds: 900.0 };
        let slots = Flow::ALL.map(|flow| Booked { flow, share, way: Way::Counted }).to_vec();
        added.book(Additions { slots, recovered: Vec::new() });
    }
    Arc::new(Batch { run: 1, number, added: [("home".to_owned(), added)].into() })
}

fn opened(path: &Path) -> (Store, History) {
    let store = Store::open(path.to_owned()).unwrap();
    let history = History::kept_in(path, &store, &Keeping::default()).unwrap();
    (store, history)
}

async fn energy(history: &History) -> Result<Energy, StoreError> {
    let (start, end) = (START as f64, NOW);
    let zone = TimeZone::UTC;
    let question = Question { gateway: "home".into(), zone, start, end, bucket: Bucket::Slot, now: NOW };
    history.ask(move |connection| question.answer(connection)).await
}

fn set_aside(folder: &Path) -> Option<PathBuf> {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    names.into_iter().find(|path| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.contains(".damaged-") && !name.ends_with("-wal") && !name.ends_with("-shm")
    })
}

#[actix_web::test]
async fn a_file_that_is_damaged_anywhere_loses_no_more_than_that_and_stops_nothing() {
    let base = tempfile::tempdir().unwrap();
    let sound = base.path().join("history.db");
    let (store, history) = opened(&sound);
    history.write(batch(1, 0..SLOTS)).await.unwrap();
    drop((history, store));
    let whole = base.path().join("copy.db");
    while powerwall_server::store::backup(&sound, &whole).is_err() {}
    let whole = std::fs::read(whole).unwrap();
    assert!(whole.len() > 200_000, "{}", whole.len());

    let mut random = StdRng::seed_from_u64(200);
    let (mut replaced, mut kept) = (0, 0);
    for place in 0..PLACES {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.db");
        let mut torn = whole.clone();
        // The first pages hold what the rest hangs on.
        let from = if place < 20 { place as usize * 400 } else { random.random_range(0..torn.len()) };
        let long = random.random_range(1..4096);
        torn.iter_mut().skip(from).take(long).for_each(|byte| *byte = random.random());
        std::fs::write(&path, &torn).unwrap();

        // Examined, it is damaged or read to its end.
        let examined = check(&path, NOW).unwrap();
        let is_sound = !examined.flaws.iter().any(|flaw| matches!(flaw, Flaw::Damaged(_)));

        let (_store, history) = opened(&path);
        history.write(batch(2, SLOTS..SLOTS + 1)).await.unwrap_or_else(|error| panic!("{place}: {error}"));
        let answer = energy(&history).await.unwrap_or_else(|error| panic!("{place}: {error}"));
        let last = answer.rows.last().unwrap();
        assert_eq!(last.start, (START + SLOTS * SLOT) as f64, "{place}: recording goes on");
        assert_eq!(last.sum.energy[Flow::Home], Some(10.0), "{place}");
        match set_aside(folder.path()) {
            Some(aside) => {
                replaced += 1;
                assert!(!is_sound, "{place}: what is sound stays");
                assert_eq!(
                    std::fs::read(aside).unwrap().len(),
                    torn.len(),
                    "{place}: all of it is there still"
                );
                assert_eq!(answer.rows.len(), 1, "{place}");
                let file = Connection::open(&path).unwrap();
                let verdict = file.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0));
                assert_eq!(verdict.unwrap(), "ok", "{place}");
            }
            None => kept += 1,
        }
    }
    assert!(replaced > 100 && replaced + kept == PLACES, "{replaced} {kept}");
}
