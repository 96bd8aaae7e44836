//! Journal and history over what happens to programs and disks: killed in the middle of writing, and a disk
//! that is full.

#[path = "common/tools.rs"]
mod tools;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use powerwall_server::files;
use powerwall_server::model::energy::ledger::{Additions, Booked, Way};
use powerwall_server::model::energy::{Flow, Share};
use powerwall_server::store::Store;
use powerwall_server::store::history::batch::{Added, Batch};
use powerwall_server::store::history::{History, Keeping};
use powerwall_server::store::journal::{Entry, Filter, Journal, Kind};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;

/// Where the child of a test writes; unset for the tests themselves.
const CHILD: &str = "STORE_TEST_CHILD";

fn order(number: u64) -> Entry {
    Entry::new(Kind::Order, "home", json!({ "number": number }))
}

async fn numbers(journal: &Journal) -> Vec<u64> {
    let mut numbers = Vec::new();
    let mut before = None;
    loop {
        let entries = journal.read(&Filter { before, ..Filter::default() }).await.unwrap();
        let Some(last) = entries.last() else { break };
        before = Some(last.id);
        numbers.extend(entries.iter().map(|recorded| recorded.entry.detail["number"].as_u64().unwrap()));
    }
    numbers.reverse();
    numbers
}

/// Runs `test` of this program alone, in another process.
fn child(test: &str, argument: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--test-threads", "1"]).env(CHILD, argument);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    command
}

/// Records orders for ever, and prints each number once its entry is said to be on the disk. Notes, for which
/// nobody waits, go in between.
#[actix_web::test]
async fn child_that_records_until_it_is_killed() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let journal = Journal::kept_in(&Store::open(path.into()).unwrap());
    let mut number = numbers(&journal).await.last().map_or(1, |last| last + 1);
    loop {
        journal.note(order(number));
        journal.record(order(number + 1)).await.unwrap();
        println!("recorded {}", number + 1);
        std::io::stdout().flush().unwrap();
        number += 2;
    }
}

#[actix_web::test]
async fn what_was_recorded_survives_kill_9_at_any_moment() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let mut random = StdRng::seed_from_u64(9);
    for round in 0..20 {
        let mut child = child("child_that_records_until_it_is_killed", &path).spawn().unwrap();
        let enough = random.random_range(1..30);
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        let recorded = |line: String| line.split_once("recorded ")?.1.parse::<u64>().ok();
        let mut last = 0;
        for _ in 0..enough {
            last = said.by_ref().find_map(|line| recorded(line.unwrap())).unwrap();
        }
        // Whatever it is doing now, it does not finish it.
        child.kill().unwrap();
        child.wait().unwrap();
        last = said.filter_map(|line| recorded(line.ok()?)).last().unwrap_or(last);

        let journal = Journal::kept_in(&Store::open(path.clone()).unwrap());
        let found = numbers(&journal).await;
        let expected: Vec<u64> = (1..=*found.last().unwrap()).collect();
        assert_eq!(found, expected, "round {round}: none is missing, doubled or out of order");
        assert!(found.last() >= Some(&last), "round {round}: {last} was said to be recorded");
    }
    let names: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.iter().all(|name| !name.to_string_lossy().contains("damaged")), "{names:?}");
}

/// Energy of one batch, Wh, and the slot that it is added to.
const ENERGY: f64 = 1.0;
const SLOT: i64 = 1_795_652_100;

/// Adds one batch after the other to the history, each given twice, and says when one is written.
#[actix_web::test]
async fn child_that_keeps_a_history_until_it_is_killed() {
    let Some(path) = std::env::var_os(CHILD).map(PathBuf::from) else { return };
    let store = Store::open(path.clone()).unwrap();
    let history = History::kept_in(&path, &store, &Keeping::default()).unwrap();
    let run = rand::random();
    for number in 1.. {
        let share = Share { slot: SLOT, energy: ENERGY, seconds: 1.0 };
        let slots = Flow::ALL.map(|flow| Booked { flow, share, way: Way::Counted }).to_vec();
        let mut added = Added::default();
        added.book(Additions { slots, recovered: Vec::new() });
        let batch = Batch { run, number, added: [("home".to_owned(), added)].into() };
        let batch = Arc::new(batch);
        history.write(batch.clone()).await.unwrap();
        println!("recorded {number}");
        std::io::stdout().flush().unwrap();
        history.write(batch).await.unwrap();
    }
}

#[test]
fn a_history_that_is_killed_at_any_moment_has_every_batch_once_and_no_half_of_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.db");
    let mut random = StdRng::seed_from_u64(18);
    let mut said = 0;
    for round in 1..=200 {
        let mut child = child("child_that_keeps_a_history_until_it_is_killed", &path).spawn().unwrap();
        let enough = random.random_range(1..5);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let recorded = |line: String| line.split_once("recorded ")?.1.parse::<u64>().ok();
        let mut last = 0;
        for _ in 0..enough {
            last = lines.by_ref().find_map(|line| recorded(line.unwrap())).unwrap();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        said += lines.filter_map(|line| recorded(line.ok()?)).last().unwrap_or(last);

        let file = rusqlite::Connection::open(&path).unwrap();
        let sound: String = file.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(sound, "ok", "round {round}");
        let sum = |of: &str, table: &str| -> f64 {
            let query = format!("SELECT sum({of}) FROM {table}");
            file.query_row(&query, [], |row| row.get(0)).unwrap()
        };
        let (solar, export) = (sum("solar", "history_slots"), sum("export", "history_slots"));
        assert_eq!(solar, export, "round {round}: no half of a batch");
        assert!((sum("home_kwh", "daily_energy") * 1000.0 - solar).abs() < 1e-6, "round {round}");
        // One may have been written in each round that was not said to be.
        let said = said as f64 * ENERGY;
        assert!((said..=said + f64::from(round) * ENERGY).contains(&solar), "round {round}: {solar}, {said}");
    }
}

/// Runs this program's `test` where it may mount file systems, or says that it cannot.
fn with_mounts(test: &str, folder: &Path) {
    let Some(unshare) = tools::required_tool("unshare") else { return };
    let may_mount = |flags: &[&str]| {
        let mut command = Command::new(&unshare);
        command.args(flags).args(["mount", "-t", "tmpfs", "tmpfs"]).arg(folder);
        command.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    let flags = [&["-m"][..], &["-m", "-U", "-r"]].into_iter().find(|flags| may_mount(flags));
    let Some(flags) = flags else {
        let _ = writeln!(std::io::stderr(), "SKIPPED: file systems cannot be mounted here");
        return;
    };
    let inner = child(test, folder);
    let mut command = Command::new(unshare);
    command.args(flags).arg(inner.get_program()).args(inner.get_args()).env(CHILD, folder);
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}

fn mount(folder: &Path, options: &str) {
    let status = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(folder).status();
    assert!(status.unwrap().success());
}

/// Not read-only while somebody has a file open to write.
fn try_remount(folder: &Path, options: &str) -> bool {
    let options = format!("remount,{options}");
    let mut mount = Command::new("mount");
    mount.args(["-o", &options]).arg(folder).stderr(Stdio::null());
    mount.status().unwrap().success()
}

/// Takes all the room there is.
fn fill(folder: &Path) -> PathBuf {
    let path = folder.join("fill");
    let mut file = std::fs::File::create(&path).unwrap();
    while file.write_all(&[1; 512]).is_ok() {}
    path
}

async fn eventually(condition: impl AsyncFn() -> bool) {
    while !condition().await {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[actix_web::test]
async fn child_on_a_small_disk() {
    let Some(folder) = std::env::var_os(CHILD).map(PathBuf::from) else { return };
    mount(&folder, "size=512k");
    let path = folder.join("journal.db");
    let store = Store::open_with(path.clone(), Duration::from_millis(50)).unwrap();
    let journal = Journal::kept_in(&store);
    let kept = folder.join("kept");
    files::keep(&kept, "a test", "before".into()).await.unwrap();

    // Full, in the middle of writing.
    journal.record(order(1)).await.unwrap();
    let mut number = 2;
    let room = fill(&folder);
    while journal.record(order(number)).await.is_ok() {
        number += 1;
    }
    journal.note(order(number));
    files::keep(&kept, "a test", "after".into()).await.unwrap_err();
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), "before", "the old file is as it was");
    assert!(journal.record(order(0)).await.is_err());
    assert_eq!(numbers(&journal).await.last(), Some(&number), "what waits can be read");

    // Room again: nobody has to do anything.
    std::fs::remove_file(room).unwrap();
    let is_written = async || {
        let count = store.ask::<i64>(|database| {
            database.read(|file| file.query_row("SELECT count(*) FROM journal", [], |row| row.get(0)))
        });
        count.await.unwrap() == number as i64
    };
    eventually(is_written).await;
    eventually(async || std::fs::read_to_string(&kept).unwrap() == "after").await;
    journal.record(order(number + 1)).await.unwrap();

    // Read-only, from the start, and writable again.
    drop((journal, store));
    eventually(async || try_remount(&folder, "ro")).await;
    let journal = Journal::kept_in(&Store::open_with(path.clone(), Duration::from_millis(50)).unwrap());
    let error = journal.record(order(0)).await.unwrap_err();
    assert!(error.to_string().contains("cannot be opened; it or its folder may be read-only"), "{error}");
    files::keep(&kept, "a test", "at last".into()).await.unwrap_err();
    journal.note(order(number + 2));
    assert!(try_remount(&folder, "rw"));
    eventually(async || journal.record(order(number + 3)).await.is_ok()).await;
    let expected: Vec<u64> = (1..=number + 3).collect();
    assert_eq!(numbers(&journal).await, expected);
    eventually(async || std::fs::read_to_string(&kept).unwrap() == "at last").await;
    let names = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = names.filter(|name| name.to_string_lossy().ends_with(".new")).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// A batch of a slot with this number.
fn energy(number: i64) -> Arc<Batch> {
    let share = Share { slot: SLOT + 900 * number, energy: ENERGY, seconds: 1.0 };
    let slots = Flow::ALL.map(|flow| Booked { flow, share, way: Way::Counted }).to_vec();
    let mut added = Added::default();
    added.book(Additions { slots, recovered: Vec::new() });
    Arc::new(Batch { run: 1, number, added: [("home".to_owned(), added)].into() })
}

#[actix_web::test]
async fn child_whose_history_has_no_room() {
    let Some(folder) = std::env::var_os(CHILD).map(PathBuf::from) else { return };
    mount(&folder, "size=1m");
    let path = folder.join("history.db");
    let store = Store::open_with(path.clone(), Duration::from_millis(50)).unwrap();
    let history = History::kept_in(&path, &store, &Keeping::default()).unwrap();
    history.write(energy(1)).await.unwrap();
    let room = fill(&folder);
    let mut number = 2;
    while history.write(energy(number)).await.is_ok() {
        number += 1;
    }
    assert_eq!(history.tally().problem().as_deref(), Some("the disk is full"));
    // Given again and again, and what is there can be read.
    assert!(history.write(energy(number)).await.is_err());
    let slots = async || {
        let count = |file: &rusqlite::Connection| {
            file.query_row("SELECT count(*) FROM history_slots", [], |row| row.get::<_, i64>(0))
        };
        history.ask(count).await.unwrap()
    };
    assert_eq!(slots().await, number - 1);

    std::fs::remove_file(room).unwrap();
    for number in number..number + 3 {
        history.write(energy(number)).await.unwrap();
    }
    assert_eq!((slots().await, history.tally().problem()), (number + 2, None));
    let file = rusqlite::Connection::open(&path).unwrap();
    let sound: String = file.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
    let sums = "SELECT (SELECT sum(home) FROM history_slots) - (SELECT sum(home) FROM history_days)";
    let off: f64 = file.query_row(sums, [], |row| row.get(0)).unwrap();
    assert!(off.abs() < 1e-6, "{off}");
}

#[test]
fn a_history_without_room_is_said_to_be_that_and_goes_on_when_there_is_some() {
    let folder = tempfile::tempdir().unwrap();
    with_mounts("child_whose_history_has_no_room", folder.path());
}

#[test]
fn a_full_and_a_read_only_disk_are_survived() {
    let folder = tempfile::tempdir().unwrap();
    with_mounts("child_on_a_small_disk", folder.path());
}
