//! A site whose store is replaced by an older copy: its journal goes on in the stream, without a gap and with
//! nothing twice, although numbers are given a second time.

use powerwall_server::store::Store;
use powerwall_server::store::journal::{Entry, Journal, Kind};
use serde_json::{Value, json};

use super::program::run;
use super::server::{Server, until};
use super::{ENTRIES, Site, numbers};

/// The numbers that tests give to entries in their detail.
fn marks(journal: &[(String, Value)]) -> Vec<u64> {
    journal.iter().filter_map(|(_, entry)| entry["detail"]["number"].as_u64()).collect()
}

/// Notes entries while the program does not run.
async fn note(site: &Site, marks: std::ops::Range<u64>) {
    let journal = Journal::kept_in(&Store::open(site.path("history.db")).unwrap());
    for number in marks {
        journal.note(Entry::new(Kind::Alert, "home", json!({ "number": number })));
    }
    journal.flush().await;
}

async fn command(site: &Site, arguments: &[&str]) {
    let said = run(arguments, &site.environment()).await;
    assert_eq!(said.code, Some(0), "{}{}", said.stdout, said.stderr);
}

/// Lets the site send what it has, and stops it.
async fn send(site: &Site, server: &Server, most: u64) -> String {
    let mut program = site.serve().await;
    until(async || marks(&server.messages("powerwall_journal").await).contains(&(most - 1))).await;
    program.signal("TERM").await;
    program.ended().await;
    program.log()
}

/// `lost`: entries after the copy was made that are at the broker alone; `new`: those after it was restored.
async fn a_copy_goes_on(lost: u64, new: u64) {
    let Some(server) = Server::start().await else { return };
    server.make_streams(-1).await;
    let site = Site::new(server.url()).await;
    send(&site, &server, ENTRIES).await;
    // Some of what the copy has is sent later only.
    note(&site, ENTRIES..ENTRIES + 10).await;
    let copy = site.path("copy.db").display().to_string();
    command(&site, &["backup", &copy]).await;
    note(&site, ENTRIES + 10..ENTRIES + 10 + lost).await;
    let before = ENTRIES + 10 + lost;
    send(&site, &server, before).await;

    // Twice: the second time, the stream ends with what the first copy sent.
    for (begin, end) in [(before, before + new), (before + new, before + 2 * new)] {
        command(&site, &["restore", &copy]).await;
        note(&site, begin..end).await;
        let log = send(&site, &server, end).await;
        assert!(log.contains("an older copy"), "{log}");
        let journal = server.messages("powerwall_journal").await;
        assert_eq!(marks(&journal), (0..end).collect::<Vec<_>>());
        let mut places: Vec<(&Value, i64)> =
            journal.iter().map(|(_, entry)| &entry["file"]).zip(numbers(&journal)).collect();
        places.sort_by_key(|(file, number)| (file.to_string(), *number));
        places.dedup();
        assert_eq!(places.len(), journal.len(), "a number means one thing in one file");
    }
    // One that goes on is no copy.
    note(&site, before + 2 * new..before + 3 * new).await;
    let log = send(&site, &server, before + 3 * new).await;
    assert!(!log.contains("an older copy"), "{log}");
    assert_eq!(marks(&server.messages("powerwall_journal").await), (0..before + 3 * new).collect::<Vec<_>>());
}

#[actix_web::test]
async fn an_older_copy_that_has_less_than_the_stream_goes_on_behind_it() {
    a_copy_goes_on(50, 5).await;
}

#[actix_web::test]
async fn an_older_copy_whose_numbers_have_overtaken_the_stream_leaves_nothing_out() {
    a_copy_goes_on(5, 50).await;
}
