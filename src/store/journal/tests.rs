use serde_json::json;

use super::*;
use crate::store::Store;

/// Not too old for a long time.
const START: f64 = 4_000_000_000.0;

/// `at`: seconds after the start.
fn entry(kind: Kind, gateway: &str, at: f64) -> Entry {
    Entry { at: START + at, ..Entry::new(kind, gateway, json!({ "at": at })) }
}

fn times(entries: &[Recorded]) -> Vec<f64> {
    entries.iter().map(|recorded| recorded.entry.at - START).collect()
}

/// Both variants are to behave alike.
async fn both(test: impl AsyncFn(Journal)) {
    test(Journal::in_memory()).await;
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("journal.db")).unwrap();
    test(Journal::kept_in(&store)).await;
}

#[actix_web::test]
async fn entries_are_read_newest_first_as_they_were_written() {
    both(async |journal| {
        let order = journal.record(entry(Kind::Order, "home", 1.0)).await.unwrap();
        journal.note(entry(Kind::Outcome, "home", 2.0).about(order));
        journal.note(Entry { gateway: None, ..entry(Kind::Firmware, "", 0.5) });
        let last = journal.record(entry(Kind::Link, "cabin", 3.0)).await.unwrap();
        assert!(last > order);

        let all = journal.read(&Filter::default()).await.unwrap();
        assert_eq!(times(&all), [3.0, 0.5, 2.0, 1.0], "in the order of writing, whatever the clock says");
        assert_eq!(all[3], Recorded { id: order, entry: entry(Kind::Order, "home", 1.0) });
        assert_eq!(all[2].entry.about, Some(order));
        assert_eq!(all[1].entry.gateway, None);
        assert!(all.is_sorted_by(|newer, older| newer.id > older.id));
    })
    .await;
}

#[actix_web::test]
async fn a_filter_takes_what_meets_all_its_conditions() {
    both(async |journal| {
        let mut ids = Vec::new();
        for at in 0..20 {
            let kind =
                [Kind::Order, Kind::Outcome, Kind::Outage, Kind::Alert, Kind::Link, Kind::Grid][at % 6];
            let gateway = if at % 2 == 0 { "even" } else { "odd" };
            let about = ids.first().copied().filter(|_| at == 7);
            ids.push(journal.record(Entry { about, ..entry(kind, gateway, at as f64) }).await.unwrap());
        }
        let read = async |filter: Filter| times(&journal.read(&filter).await.unwrap());
        let none = Filter::default;

        let gateways = vec!["odd".to_owned()];
        assert_eq!(read(Filter { gateways, limit: Some(3), ..none() }).await, [19.0, 17.0, 15.0]);
        let kinds = vec![Kind::Order, Kind::Outcome];
        let since_until = Filter { kinds, since: Some(START + 6.0), until: Some(START + 13.0), ..none() };
        assert_eq!(read(since_until).await, [12.0, 7.0, 6.0]);
        assert_eq!(read(Filter { before: Some(ids[2]), ..none() }).await, [1.0, 0.0]);
        assert_eq!(read(Filter { about: vec![ids[0]], ..none() }).await, [7.0]);
        assert_eq!(read(Filter { gateways: vec!["nobody".into()], ..none() }).await, [0.0; 0]);
        assert_eq!(read(Filter { limit: Some(0), ..none() }).await, [0.0; 0]);
    })
    .await;
}

#[actix_web::test]
async fn an_entry_that_is_too_large_is_refused() {
    both(async |journal| {
        let large = Entry::new(Kind::Order, "home", json!("x".repeat(LARGEST_DETAIL)));
        assert_eq!(journal.record(large.clone()).await, Err(JournalError::TooLarge(LARGEST_DETAIL + 2)));
        journal.note(large);
        assert_eq!(journal.read(&Filter::default()).await.unwrap(), []);
    })
    .await;
}

#[actix_web::test]
async fn one_reading_is_bounded() {
    both(async |journal| {
        for at in 0..MOST_READ + 5 {
            journal.note(entry(Kind::Link, "home", at as f64));
        }
        let filter = Filter { limit: Some(usize::MAX), ..Filter::default() };
        assert_eq!(journal.read(&filter).await.unwrap().len(), MOST_READ);
    })
    .await;
}

#[actix_web::test]
async fn in_memory_the_newest_entries_stay_and_orders_the_longest() {
    let journal = Journal::in_memory();
    assert!(!journal.is_kept());
    journal.record(entry(Kind::Order, "home", -2.0)).await.unwrap();
    journal.note(entry(Kind::Outcome, "home", -1.0));
    for at in 0..2 * waiting::MOST {
        journal.note(entry(Kind::Alert, "home", at as f64));
    }
    let all = journal.read(&Filter::default()).await.unwrap();
    assert_eq!(all.len(), waiting::MOST);
    let expected = [waiting::MOST as f64 + 2.0, -1.0, -2.0];
    assert_eq!(times(&all[waiting::MOST - 3..]), expected, "the oldest alerts went first");
}

#[actix_web::test]
async fn what_is_too_much_or_too_old_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("journal.db")).unwrap();
    let journal = Journal::kept_in(&store);
    journal.record(entry(Kind::Order, "home", 5.0)).await.unwrap();
    for at in 0..50 {
        journal.note(entry(Kind::Link, "home", at as f64));
    }
    journal.note(entry(Kind::Outage, "home", 1.0));
    let all = async || times(&journal.read(&Filter::default()).await.unwrap());
    assert_eq!(all().await.len(), 52);

    store.ask(|database| prune_to(database, |_| 3, f64::MIN)).await.unwrap();
    assert_eq!(all().await, [1.0, 49.0, 48.0, 47.0, 5.0], "of each kind its newest");
    store.ask(|database| prune_to(database, |_| 3, START + 40.0)).await.unwrap();
    assert_eq!(all().await, [49.0, 48.0, 47.0]);
}

#[actix_web::test]
async fn the_file_is_pruned_on_the_way() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_with(folder.path().join("journal.db"), ROUND).unwrap();
    let journal = Journal::kept_in(&store);
    let old = unix_time() - LONGEST - 1.0;
    for _ in 0..300 {
        journal.note(Entry { at: old, ..entry(Kind::Link, "home", 0.0) });
    }
    journal.record(entry(Kind::Order, "home", 1.0)).await.unwrap();
    let all = async || journal.read(&Filter::default()).await.unwrap();
    crate::store::tests::eventually(async || times(&all().await) == [1.0]).await;
}

/// Short enough for a test to wait for some.
const ROUND: std::time::Duration = std::time::Duration::from_millis(20);

#[actix_web::test]
async fn a_full_disk_refuses_orders_lets_the_rest_wait_and_is_recovered_from() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_with(folder.path().join("journal.db"), ROUND).unwrap();
    let journal = Journal::kept_in(&store);
    let first = journal.record(entry(Kind::Order, "home", 0.0)).await.unwrap();
    // The same answer of SQLite as on a full disk.
    let limit = async |pages: i64| {
        let set = move |database: &mut Database| {
            let limit = format!("PRAGMA max_page_count = {pages}");
            database.read(|connection| connection.query_row(&limit, [], |row| row.get::<_, i64>(0)))
        };
        store.ask(set).await.unwrap();
    };
    limit(1).await;
    let full = |at: f64| Entry { detail: json!("x".repeat(4000)), ..entry(Kind::Alert, "home", at) };
    let mut at = 1.0;
    let error = loop {
        match journal.record(full(at)).await {
            Ok(_) => at += 1.0,
            Err(error) => break error,
        }
    };
    assert!(error.to_string().ends_with("the disk is full"), "{error}");

    journal.note(full(at));
    let order = journal.record(entry(Kind::Order, "home", at)).await;
    assert!(order.is_err(), "an order must not be sent that is not written: {order:?}");
    for more in 1..=waiting::MOST {
        journal.note(full(at + more as f64));
    }
    let filter = Filter { limit: Some(3), ..Filter::default() };
    let last = at + waiting::MOST as f64;
    let newest = async || times(&journal.read(&filter).await.unwrap());
    assert_eq!(newest().await, [last, last - 1.0, last - 2.0], "what waits can be read");

    limit(1 << 20).await;
    let in_file = async || {
        let count = |database: &mut Database| {
            database
                .read(|connection| connection.query_row("SELECT count(*) FROM journal", [], |row| row.get(0)))
        };
        store.ask::<i64>(count).await.unwrap()
    };
    let expected = at as i64 + waiting::MOST as i64;
    crate::store::tests::eventually(async || in_file().await == expected).await;
    assert_eq!(newest().await, [last, last - 1.0, last - 2.0], "once, and in order");
    assert!(journal.record(entry(Kind::Order, "home", last)).await.unwrap() > first);
}

#[actix_web::test]
async fn ids_go_on_after_a_restart_and_after_damage() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let open = || Journal::kept_in(&Store::open(path.clone()).unwrap());
    let first = open().record(entry(Kind::Order, "home", 1.0)).await.unwrap();
    let journal = open();
    journal.note(entry(Kind::Outcome, "home", 2.0).about(first));
    let all = journal.read(&Filter::default()).await.unwrap();
    assert_eq!(times(&all), [2.0, 1.0]);
    assert!(all[0].id > first);

    std::fs::write(&path, "no database any more".repeat(1000)).unwrap();
    let after = journal.record(entry(Kind::Order, "home", 3.0)).await.unwrap();
    assert!(after > all[0].id, "an id that somebody holds never names another entry");
}

#[test]
fn kinds_are_written_and_read_alike() {
    for kind in Kind::ALL {
        assert_eq!(kind.name().parse(), Ok(kind));
    }
    assert_eq!("orders".parse::<Kind>(), Err(()));
}
