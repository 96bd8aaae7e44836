//! A site and real NATS servers: whatever is killed, everything that was recorded arrives, in order.
#![cfg(feature = "broker")]

mod both;
mod centre;
mod copies;
mod credentials;
mod cut_off;
mod gate;
mod journal;
mod orders;
mod permissions;
#[path = "../service/program.rs"]
#[allow(dead_code, reason = "shared with the other test program")]
mod program;
mod removed;
mod server;
#[path = "../common/tools.rs"]
mod tools;

use std::collections::BTreeSet;
use std::path::PathBuf;

use powerwall_server::store::Store;
use powerwall_server::store::journal::{Entry, Journal, Kind};
use program::{Program, run};
use rusqlite::Connection;
use serde_json::{Value, json};
use server::{SITE, Server, until};
use tempfile::TempDir;

/// 2024-03-01 00:00 UTC.
const START: i64 = 1_709_251_200;
const SLOTS: i64 = 300;
const ENTRIES: u64 = 200;

/// A site with a past, whose gateway does not answer.
struct Site {
    folder: TempDir,
    url: String,
}

impl Site {
    async fn new(url: String) -> Self {
        let site = Self { folder: tempfile::tempdir().unwrap(), url };
        let row = |slot: i64| format!("{},{}\n", START + 900 * slot, slot as f64 / 1000.0);
        std::fs::write(
            site.path("table.csv"),
            "start,home_kwh\n".to_owned() + &(0..SLOTS).map(row).collect::<String>(),
        )
        .unwrap();
        let table = site.path("table.csv").display().to_string();
        let said = run(&["import", &table], &site.environment()).await;
        assert_eq!(said.code, Some(0), "{}", said.stderr);

        let journal = Journal::kept_in(&Store::open(site.path("history.db")).unwrap());
        for number in 0..ENTRIES {
            journal.note(Entry::new(Kind::Alert, "home", json!({ "number": number })));
        }
        journal.flush().await;
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn environment(&self) -> Vec<(&'static str, &str)> {
        let file: &str = Box::leak(self.path("history.db").display().to_string().into_boxed_str());
        vec![
            ("PW_GATEWAYS", r#"[{"id":"home","host":"127.0.0.1","port":9,"gw_pwd":"x","timezone":"UTC"}]"#),
            ("PW_TIMESERIES_PATH", file),
            ("PW_PORT", "0"),
            ("PW_BIND_ADDRESS", "127.0.0.1"),
            ("PW_BROKER_URL", &self.url),
            ("PW_BROKER_SITE", SITE),
            ("PW_BROKER_TAGS", "rental"),
        ]
    }

    async fn serve(&self) -> Program {
        Program::start(&["serve"], &self.environment()).await
    }

    /// The numbers of the entries in the file.
    fn entries(&self) -> Vec<i64> {
        let file = Connection::open(self.path("history.db")).unwrap();
        let mut query = file.prepare("SELECT id FROM journal ORDER BY id").unwrap();
        query.query_map([], |row| row.get(0)).unwrap().collect::<rusqlite::Result<_>>().unwrap()
    }
}

fn numbers(journal: &[(String, Value)]) -> Vec<i64> {
    journal.iter().map(|(_, entry)| entry["n"].as_i64().unwrap()).collect()
}

#[actix_web::test]
async fn what_was_recorded_arrives_in_order_whatever_is_killed() {
    let Some(mut server) = Server::start().await else { return };
    let site = Site::new(server.url()).await;
    let mut program = site.serve().await;
    // Nobody has made the streams yet: nothing is lost.
    program.has_said("no stream").await;
    server.make_streams(-1).await;

    until(async || server.count("powerwall_journal").await > 20).await;
    program.signal("KILL").await;
    program.ended().await;
    server.kill().await;
    let program = site.serve().await;
    server.begin().await;

    until(async || server.count("powerwall_journal").await >= ENTRIES).await;
    until(async || server.count("powerwall_slots").await >= SLOTS as u64).await;
    until(async || numbers(&server.messages("powerwall_journal").await) == site.entries()).await;
    let slots = server.messages("powerwall_slots").await;
    let ids: BTreeSet<&String> = slots.iter().map(|(id, _)| id).collect();
    assert_eq!(ids.len(), SLOTS as usize);
    let starts: BTreeSet<i64> = slots.iter().map(|(_, slot)| slot["start"].as_i64().unwrap()).collect();
    assert_eq!(starts, (0..SLOTS).map(|slot| START + 900 * slot).collect());
    assert_eq!(slots[7].1["wh"], json!([null, 7.0, null, null, null, null]));

    let bucket = server.jetstream().await.get_key_value("powerwall_sites").await.unwrap();
    until(async || bucket.get("north.17.home").await.unwrap().is_some()).await;
    let report = bucket.get("north.17.home").await.unwrap().unwrap();
    let report: Value = serde_json::from_slice(&report).unwrap();
    assert_eq!(
        (&report["instance"]["tags"], &report["polls"]["fresh"]),
        (&json!(["rental"]), &json!("never"))
    );
    drop(program);
}

#[actix_web::test]
async fn a_full_stream_refuses_and_gets_everything_once_there_is_room() {
    let Some(server) = Server::start().await else { return };
    server.make_streams(30).await;
    let site = Site::new(server.url()).await;
    let program = site.serve().await;
    program.has_said("sending entries of the journal: ").await;
    assert_eq!(server.count("powerwall_journal").await, 30, "{}", program.log());
    server.allow_entries(-1).await;
    until(async || numbers(&server.messages("powerwall_journal").await) == site.entries()).await;
}
