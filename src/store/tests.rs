use std::fs;
use std::path::Path;

use rusqlite::Connection;
use serde_json::json;

use super::journal::{Entry, Filter, Journal, Kind};
use super::*;

const SHORT: Duration = Duration::from_millis(20);

/// Waits until `condition` holds; a test that waits in vain is ended from outside.
pub(super) async fn eventually(condition: impl AsyncFn() -> bool) {
    while !condition().await {
        tokio::task::yield_now().await;
    }
}

fn entry(text: &str) -> Entry {
    Entry::new(Kind::Outage, "home", json!(text))
}

async fn said(journal: &Journal) -> Vec<String> {
    let entries = journal.read(&Filter::default()).await.unwrap();
    entries.iter().rev().map(|recorded| recorded.entry.detail.as_str().unwrap().to_owned()).collect()
}

fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn damaged(folder: &Path) -> Vec<String> {
    names(folder).into_iter().filter(|name| name.contains(".damaged-")).collect()
}

#[actix_web::test]
async fn the_history_of_the_server_before_is_opened_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("timeseries.db");
    fs::copy("tests/fixtures/timeseries-0.13.0.db", &path).unwrap();
    let tables = || {
        let connection = Connection::open(&path).unwrap();
        let query = "SELECT name, sql FROM sqlite_master
             WHERE name NOT LIKE '%journal%' AND name NOT LIKE '%history%' AND name <> 'sqlite_sequence'
             ORDER BY name";
        let mut statement = connection.prepare(query).unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        let tables: Vec<(String, Option<String>)> = rows.map(Result::unwrap).collect();
        let count: i64 = connection.query_row("SELECT count(*) FROM samples", [], |row| row.get(0)).unwrap();
        (tables, count)
    };
    let before = tables();
    assert!(before.1 > 100);
    let journal = Journal::kept_in(&Store::open(path.clone()).unwrap());
    journal.record(entry("one")).await.unwrap();
    assert_eq!(said(&journal).await, ["one"]);
    assert_eq!(tables(), before);
    assert_eq!(damaged(folder.path()), [""; 0]);
}

#[actix_web::test]
async fn a_new_file_is_private_and_its_folder_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep").join("journal.db");
    let journal = Journal::kept_in(&Store::open(path.clone()).unwrap());
    assert!(journal.is_kept());
    journal.record(entry("one")).await.unwrap();
    #[cfg(unix)]
    for file in ["journal.db", "journal.db-wal"] {
        let metadata = fs::metadata(path.with_file_name(file)).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions());
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

#[actix_web::test]
async fn a_damaged_file_is_set_aside_and_a_new_one_begun() {
    let whole = |text: &str| text.repeat(1000).into_bytes();
    let mut torn = fs::read("tests/fixtures/timeseries-0.13.0.db").unwrap();
    for byte in &mut torn[4096..40_000] {
        *byte ^= 0x55;
    }
    let zeros = vec![0; 8192];
    for (what, content) in [("text", whole("no database")), ("torn", torn), ("zeros", zeros)] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        fs::write(&path, &content).unwrap();
        fs::write(folder.path().join("journal.db-wal"), "not its log").unwrap();
        let journal = Journal::kept_in(&Store::open(path).unwrap());
        journal.record(entry("after")).await.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(said(&journal).await, ["after"], "{what}");
        let kept = damaged(folder.path());
        let main = kept.iter().find(|name| !name.ends_with("-wal") && !name.ends_with("-shm"));
        let main = main.unwrap_or_else(|| panic!("{what}: {kept:?}"));
        assert_eq!(fs::read(folder.path().join(main)).unwrap(), content, "{what}: nothing is lost");
    }
}

#[actix_web::test]
async fn damage_that_happens_while_the_file_is_open_is_noticed_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let journal = Journal::kept_in(&Store::open(path.clone()).unwrap());
    // More than fits into the memory for pages.
    for number in 0..3_000 {
        journal.note(Entry { at: number as f64, ..entry(&"x".repeat(1000)) });
        if number % 500 == 0 {
            journal.flush().await;
        }
    }
    journal.flush().await;
    for suffix in ["", "-wal"] {
        let file = fs::OpenOptions::new().write(true).open(format!("{}{suffix}", path.display())).unwrap();
        let content = "x".repeat(usize::try_from(file.metadata().unwrap().len()).unwrap());
        std::io::Write::write_all(&mut &file, content.as_bytes()).unwrap();
    }
    let oldest = Filter { until: Some(100.0), ..Filter::default() };
    assert_eq!(journal.read(&oldest).await, Ok(Vec::new()));
    assert!(!damaged(folder.path()).is_empty());
    journal.record(entry("after")).await.unwrap();
    assert_eq!(said(&journal).await, ["after"]);
}

#[actix_web::test]
async fn a_disk_that_damages_everything_does_not_fill_up_with_damaged_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    for day in 1..=3 {
        fs::write(path.with_file_name(format!("journal.db.damaged-2026010{day}T000000Z")), "").unwrap();
    }
    fs::write(&path, "no database".repeat(1000)).unwrap();
    let journal = Journal::kept_in(&Store::open(path.clone()).unwrap());
    let error = journal.record(entry("one")).await.unwrap_err().to_string();
    assert!(error.contains("3 damaged files are kept beside it already"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap().len(), 11_000, "and nothing is overwritten");
}

#[actix_web::test]
async fn a_file_of_a_newer_version_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let newer = Connection::open(&path).unwrap();
    newer.execute_batch("CREATE TABLE journal (of_the_future); PRAGMA user_version = 1000;").unwrap();
    drop(newer);
    let before = fs::read(&path).unwrap();
    let journal = Journal::kept_in(&Store::open(path.clone()).unwrap());
    let error = journal.record(entry("one")).await.unwrap_err().to_string();
    assert!(error.contains("newer version") && error.contains("1000"), "{error}");
    journal.note(entry("two"));
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[actix_web::test]
async fn what_is_no_file_is_refused_and_a_file_that_comes_later_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    fs::create_dir(&path).unwrap();
    let journal = Journal::kept_in(&Store::open_with(path.clone(), SHORT).unwrap());
    let error = journal.record(entry("lost")).await.unwrap_err().to_string();
    assert!(error.contains("not a regular file"), "{error}");
    journal.note(entry("one"));
    fs::remove_dir(&path).unwrap();
    eventually(async || journal.read(&Filter::default()).await.is_ok()).await;
    assert_eq!(said(&journal).await, ["one"]);

    #[cfg(unix)]
    {
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for path in [pipe, "/dev/null".into()] {
            let journal = Journal::kept_in(&Store::open(path).unwrap());
            assert!(journal.record(entry("one")).await.is_err());
        }
    }
}

#[actix_web::test]
async fn a_file_that_is_removed_under_the_program_is_begun_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let journal = Journal::kept_in(&Store::open(path.clone()).unwrap());
    journal.record(entry("before")).await.unwrap();
    for name in names(folder.path()) {
        fs::remove_file(folder.path().join(name)).unwrap();
    }
    journal.record(entry("after")).await.unwrap();
    let again = Journal::kept_in(&Store::open(path).unwrap());
    assert_eq!(said(&again).await, ["after"]);
}

#[actix_web::test]
async fn what_is_noted_last_is_written_when_the_program_ends_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let journal = Journal::kept_in(&Store::open(path.clone()).unwrap());
    for number in 0..500 {
        journal.note(entry(&number.to_string()));
    }
    journal.flush().await;
    let expected: Vec<_> = (0..500).map(|number| number.to_string()).collect();
    assert_eq!(said(&Journal::kept_in(&Store::open(path).unwrap())).await, expected);
}

#[actix_web::test]
async fn two_programs_can_write_the_same_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let journals = [(); 2].map(|()| Journal::kept_in(&Store::open(path.clone()).unwrap()));
    for number in 0..20 {
        journals[number % 2].record(entry(&number.to_string())).await.unwrap();
    }
    let expected: Vec<_> = (0..20).map(|number| number.to_string()).collect();
    assert_eq!(said(&journals[0]).await, expected);
}

#[actix_web::test]
async fn a_job_that_panics_costs_only_its_own_answer() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("journal.db")).unwrap();
    let journal = Journal::kept_in(&store);
    journal.record(entry("before")).await.unwrap();
    let answer = store.ask::<()>(|_| panic!("of a test")).await;
    assert_eq!(answer, Err(StoreError::Gone));
    journal.record(entry("after")).await.unwrap();
    assert_eq!(said(&journal).await, ["before", "after"]);
}

#[actix_web::test]
async fn a_store_that_has_too_much_to_do_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("journal.db")).unwrap();
    let journal = Journal::kept_in(&store);
    journal.flush().await;
    let (open, gate) = std::sync::mpsc::channel::<()>();
    let (begin, has_begun) = std::sync::mpsc::channel();
    let wait = move |_: &mut Database| {
        begin.send(()).unwrap();
        let _ = gate.recv();
    };
    store.post(wait).unwrap();
    // From now on no place becomes free.
    has_begun.recv().unwrap();
    while store.post(|_| {}).is_ok() {}
    assert_eq!(store.post(|_| {}), Err(StoreError::Busy));
    let refused = journal.record(entry("refused")).await.unwrap_err();
    assert_eq!(refused, StoreError::Busy.into());
    journal.note(entry("waits"));
    drop(open);
    eventually(async || store.post(|_| {}).is_ok()).await;
    journal.note(entry("later"));
    eventually(async || journal.read(&Filter::default()).await.is_ok()).await;
    assert_eq!(said(&journal).await, ["waits", "later"]);
}
