//! A centre reads the journals of sites out of the broker, page by page.

use serde_json::{Value, json};

use super::centre::{HOME, SECRET, centre};
use super::program::Program;
use super::server::{SITE, Server, until};
use super::{ENTRIES, Site};

/// Entries of others, between those of the site.
const OTHERS: u64 = 3_000;

async fn page(centre: &Program, query: &str) -> (u16, Value) {
    let url = format!("http://{}/api/fleet/journal?{query}", centre.addr);
    let request =
        awc::Client::default().get(url).insert_header(("authorization", format!("Bearer {SECRET}")));
    let mut response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().limit(4 << 20).await.unwrap())
}

/// Every entry, in pages of `limit`.
async fn all(centre: &Program, query: &str, limit: usize) -> Vec<Value> {
    let (mut all, mut before) = (Vec::new(), String::new());
    loop {
        let (status, page) = page(centre, &format!("{query}&limit={limit}{before}")).await;
        assert_eq!(status, 200, "{page}");
        all.extend(page["entries"].as_array().unwrap().clone());
        let Some(next) = page["next"].as_u64() else { return all };
        assert!(all.last().is_none_or(|last| last["id"].as_u64() >= Some(next)), "{page}");
        before = format!("&before={next}");
    }
}

#[actix_web::test]
async fn a_centre_reads_the_journal_of_a_site_from_the_broker() {
    let Some(server) = Server::start().await else { return };
    let centre = centre(&server.url(), &[]).await;
    until(async || page(&centre, "limit=1").await.0 == 200).await;
    let site = Site::new(server.url()).await;
    let _program = site.serve().await;
    until(async || server.count("powerwall_journal").await >= ENTRIES).await;
    let jetstream = server.jetstream().await;
    for number in 0..OTHERS {
        let kind = if number % 100 == 0 { "order" } else { "alert" };
        let about = (number % 100 == 1).then(|| number - 1);
        let entry = json!({
            "v": 1, "file": "f", "n": number, "at": 1e9 + number as f64, "kind": kind, "gateway": "attic",
            "about": about, "detail": {},
        });
        let subject = format!("powerwall.journal.south.{}", number / 100 % 7);
        jetstream.publish(subject, entry.to_string().into()).await.unwrap();
    }
    until(async || server.count("powerwall_journal").await >= ENTRIES + OTHERS).await;

    until(async || page(&centre, &format!("gateway={HOME}")).await.0 == 200).await;
    let of_site = all(&centre, &format!("gateway={HOME}"), 70).await;
    let numbers: Vec<i64> = of_site.iter().map(|entry| entry["n"].as_i64().unwrap()).collect();
    let mut expected = site.entries();
    expected.reverse();
    assert_eq!(numbers, expected);
    assert!(of_site.iter().all(|entry| entry["gateway"] == HOME && entry["site"] == SITE));

    let everything = all(&centre, "kind=alert,order", 1_000).await;
    assert_eq!(everything.len() as u64, ENTRIES + OTHERS);
    assert!(everything.is_sorted_by(|newer, older| newer["id"].as_u64() > older["id"].as_u64()));
    let orders = all(&centre, "kind=order&site=south.3", 2).await;
    let numbers: Vec<u64> = orders.iter().map(|entry| entry["n"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [2400, 1700, 1000, 300]);
    let (_, some) = page(&centre, "site=south.3&until=1000000302&since=1000000300").await;
    let shown: Vec<_> = some["entries"].as_array().unwrap().iter().map(|entry| &entry["n"]).collect();
    assert_eq!(shown, [301, 300]);
    assert_eq!(some["entries"][0]["about"], some["entries"][1]["id"]);

    assert_eq!(page(&centre, "site=south.*").await.0, 400, "a pattern is no site");
    assert_eq!(page(&centre, "gateway=nobody").await.0, 404);
    let plain = awc::Client::default().get(format!("http://{}/api/fleet/journal", centre.addr));
    assert_eq!(plain.send().await.unwrap().status(), 401);
}
