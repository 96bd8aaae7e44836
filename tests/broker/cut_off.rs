//! A site that is cut off for a day: what it recorded meanwhile arrives in order, what was acknowledged is
//! not sent again, and the day costs no memory.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::Client;
use futures_util::StreamExt;
use powerwall_server::store::Store;
use powerwall_server::store::journal::{Entry, Journal, Kind};
use serde_json::json;
use tokio::time::sleep;

use super::gate::Gate;
use super::program::run;
use super::server::{Server, until};
use super::{ENTRIES, SLOTS, START, Site, numbers};

/// Of a day.
const QUARTERS: i64 = 96;
const MORE_ENTRIES: u64 = 400;
/// Slots that are under way at once.
const UNDER_WAY: usize = 100;
/// Of memory, in kB: a day of slots and entries is a fiftieth of it.
const MOST_MEMORY: u64 = 24 << 10;

/// How often each message was published, also those that the streams did not take.
async fn published(client: &Client) -> Arc<Mutex<HashMap<String, usize>>> {
    let counts = Arc::<Mutex<HashMap<String, usize>>>::default();
    for subject in ["powerwall.slots.>", "powerwall.journal.>"] {
        let (mut heard, counts) = (client.subscribe(subject).await.unwrap(), counts.clone());
        tokio::spawn(async move {
            while let Some(message) = heard.next().await {
                let id = message.headers.as_ref().and_then(|headers| headers.get("Nats-Msg-Id"));
                *counts.lock().unwrap().entry(id.unwrap().as_str().to_owned()).or_default() += 1;
            }
        });
    }
    client.flush().await.unwrap();
    counts
}

#[actix_web::test]
async fn a_day_without_the_broker_arrives_in_order_and_costs_neither_memory_nor_repetition() {
    let Some(server) = Server::start().await else { return };
    server.make_streams(-1).await;
    let client = async_nats::connect(server.url()).await.unwrap();
    let counts = published(&client).await;
    let gate = Gate::before(server.port).await;
    let site = Site::new(gate.url()).await;
    let program = site.serve().await;
    // In the middle of it.
    until(async || server.count("powerwall_slots").await >= 100).await;
    gate.cut();
    program.has_said("is lost; it is made again").await;
    let before = program.resident_kilobytes();

    let end = START + 900 * SLOTS;
    let row = |slot: i64| format!("{},{}\n", end + 900 * slot, (SLOTS + slot) as f64 / 1000.0);
    let rows = "start,home_kwh\n".to_owned() + &(0..QUARTERS).map(row).collect::<String>();
    std::fs::write(site.path("day.csv"), rows).unwrap();
    let said = run(&["import", &site.path("day.csv").display().to_string()], &site.environment()).await;
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let journal = Journal::kept_in(&Store::open(site.path("history.db")).unwrap());
    for number in ENTRIES..ENTRIES + MORE_ENTRIES {
        journal.note(Entry::new(Kind::Alert, "home", json!({ "number": number })));
    }
    journal.flush().await;
    program.has_said("no connection to the broker").await;

    gate.open();
    until(async || server.count("powerwall_slots").await >= (SLOTS + QUARTERS) as u64).await;
    until(async || numbers(&server.messages("powerwall_journal").await) == site.entries()).await;
    // Nothing comes after it.
    sleep(Duration::from_secs(1)).await;
    let slots = server.messages("powerwall_slots").await;
    let order: Vec<i64> =
        slots.iter().map(|(_, slot)| (slot["start"].as_i64().unwrap() - START) / 900).collect();
    let sorted: BTreeSet<i64> = order.iter().copied().collect();
    assert_eq!((sorted, order.len()), ((0..SLOTS + QUARTERS).collect(), (SLOTS + QUARTERS) as usize));
    // What was under way when the connection broke may overtake what is sent again.
    let is_near = |(place, slot): (i64, &i64)| (place - slot).unsigned_abs() as usize <= UNDER_WAY;
    assert!((0..).zip(&order).all(is_near), "{order:?}");
    let in_one_piece = order.iter().filter(|slot| !(100..SLOTS).contains(slot));
    assert!(in_one_piece.is_sorted(), "{order:?}");
    let after = program.resident_kilobytes();
    assert!(after < before + MOST_MEMORY, "{before} kB became {after} kB");

    let messages = slots.len() + site.entries().len();
    until(async || counts.lock().unwrap().len() >= messages).await;
    let counts = counts.lock().unwrap().clone();
    let again: usize = counts.values().map(|count| count - 1).sum();
    assert_eq!(counts.len(), messages);
    assert!(again <= UNDER_WAY + 1, "{again} were sent again");
}
