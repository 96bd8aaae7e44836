//! `/api/fleet` over real sockets: ten thousand sites, found, paged and summed.

mod common;

use std::sync::Arc;

use actix_web::http::Method;
use common::{Outputs, http, snapshot, telemetry};
use powerwall_server::clock::unix_time;
use powerwall_server::model::Freshness::{Expired, Live, Never};
use powerwall_server::model::{ErrorNote, Labels, Snapshot};
use powerwall_server::simulator::SiteKind;
use serde_json::{Value, json};
use tokio::time::Instant;

const SITES: usize = 10_000;

async fn fleet() -> Outputs {
    let telemetry = telemetry(SiteKind::Powerwall3).await;
    let site = |number: usize| {
        let freshness = if number % 1_000 == 7 { Expired } else { Live };
        snapshot(&format!("s{number}"), &telemetry, freshness)
    };
    Outputs::with((0..SITES).map(site).collect(), http(), common::SECOND * 10)
}

async fn page(outputs: &Outputs, query: &str) -> Value {
    let answer = outputs.get(&format!("/api/fleet{query}")).await;
    assert_eq!(answer.status, 200, "{query}");
    serde_json::from_slice(&answer.body).unwrap()
}

fn ids(page: &Value) -> Vec<&str> {
    page["sites"].as_array().unwrap().iter().map(|site| site["id"].as_str().unwrap()).collect()
}

#[actix_web::test]
async fn a_page_of_ten_thousand_sites_is_a_hundred_rows_with_the_worst_first() {
    let outputs = fleet().await;
    let first = page(&outputs, "").await;
    assert_eq!((&first["all"], &first["matching"]), (&json!(SITES), &json!(SITES)));
    assert_eq!(first["sites"].as_array().unwrap().len(), 100);
    let offline: Vec<&str> = ids(&first)[..10].to_vec();
    assert!(offline.iter().all(|id| id.ends_with("007") || *id == "s7"), "{offline:?}");
    assert_eq!(first["sites"][0]["troubles"][0]["kind"], "offline");
    assert_eq!(first["sites"][0]["charge"], Value::Null, "nothing of it may be shown");
    assert!(first["sites"][0]["age_s"].as_f64() > Some(0.0));
    assert_eq!(first["troubles"]["offline"], 10);
    assert_eq!(first["sums"]["reporting"], SITES - 10);
    assert_eq!(first["sums"]["solar_w"]["of"], SITES - 10);
    let solar = first["sites"][50]["solar_w"].as_f64().unwrap();
    let sum = first["sums"]["solar_w"]["sum"].as_f64().unwrap();
    assert!((sum / (SITES - 10) as f64 - solar).abs() < 1.0, "{sum} of {solar}");

    let bytes = outputs.get("/api/fleet").await.body.len();
    assert!(bytes < 100_000, "{bytes} for a hundred rows");
    let table = outputs.get("/api/fleet/inventory.csv").await;
    assert_eq!(table.header("content-length"), None, "it exists nowhere as a whole");
    assert_eq!(table.body.iter().filter(|byte| **byte == b'\n').count(), SITES + 1);

    let last = page(&outputs, "?sort=name&limit=500&offset=9900").await;
    assert_eq!(last["sites"].as_array().unwrap().len(), 100);
    let found = page(&outputs, "?search=S4711").await;
    assert_eq!(ids(&found), ["s4711"]);
    let found = page(&outputs, "?trouble=offline&search=s9").await;
    assert_eq!(ids(&found), ["s9007"]);
    let groups: Value = serde_json::from_slice(&outputs.get("/api/fleet/groups").await.body).unwrap();
    assert_eq!((&groups["all"], &groups["groups"][0]["group"]), (&json!(1), &Value::Null));
    assert_eq!(groups["groups"][0]["sums"]["sites"], SITES);
}

#[actix_web::test]
async fn a_client_that_has_the_page_is_told_so_and_mistakes_are_named() {
    let outputs = fleet().await;
    let first = outputs.get("/api/fleet?search=s47").await;
    let tag = first.header("etag").unwrap().to_owned();
    assert!(tag.starts_with("W/"), "ages go on: {tag}");
    let again = outputs.send(Method::GET, "/api/fleet?search=s47", &[("if-none-match", &tag)]).await;
    assert_eq!((again.status, again.body.len()), (304, 0));
    let other = outputs.send(Method::GET, "/api/fleet?search=s48", &[("if-none-match", &tag)]).await;
    assert_eq!(other.status, 200);
    for (query, accepted) in [
        ("sort=size", "worst, name, charge, firmware, since"),
        ("trouble=bad", "offline, outage, alert, low_charge, old_firmware"),
        ("limit=0", "1 to 500"),
        ("limit=501", "1 to 500"),
        ("offset=-1", "whole number"),
        ("search=a+b+c+d+e+f+g+h+i", "up to 8 words"),
        (&["tag=a"; 17].join("&"), "up to 16 times"),
    ] {
        let answer = outputs.get(&format!("/api/fleet?{query}")).await;
        let body = String::from_utf8(answer.body.to_vec()).unwrap();
        assert_eq!(answer.status, 400, "{query}");
        assert!(body.contains(accepted), "{body}");
    }
}

#[actix_web::test]
async fn an_inventory_is_of_what_matches_and_a_line_for_each() {
    let telemetry = telemetry(SiteKind::Powerwall3).await;
    let mut odd = snapshot("odd", &telemetry, Expired);
    let facts = Arc::make_mut(&mut odd.gateway);
    facts.name = "=HYPERLINK(\"https://x\",\"me\")".into();
    facts.labels = Labels { tags: vec!["rental".into(), "vip".into()], group: Some("-1".into()) };
    let never = snapshot("never", &telemetry, Never);
    let outputs = Outputs::with(vec![snapshot("lake", &telemetry, Live), odd, never], http(), common::SECOND);

    let inventory: Value = serde_json::from_slice(&outputs.get("/api/fleet/inventory").await.body).unwrap();
    assert_eq!(inventory["sites"], 3);
    assert_eq!(inventory["capacity"]["of"], 2, "known of the one that is gone, unknown of the new one");
    let version = inventory["firmware"][0]["version"].as_str().unwrap().to_owned();
    assert_eq!(inventory["firmware"][0]["sites"], 2);
    assert_eq!(inventory["firmware"][1], json!({ "version": null, "sites": 1, "old": false }));
    let batteries = inventory["models"][0]["batteries"].as_u64().unwrap();
    assert_eq!((&inventory["models"][0]["model"], batteries % 2), (&json!("Powerwall 3"), 0));
    let found = outputs.get("/api/fleet/inventory?tag=vip&tag=rental&trouble=offline").await;
    assert_eq!(serde_json::from_slice::<Value>(&found.body).unwrap()["sites"], 1);
    assert_eq!(outputs.get("/api/fleet/inventory.csv?trouble=bad").await.status, 400);

    let answer = outputs.get("/api/fleet/inventory.csv").await;
    assert_eq!(answer.header("content-type"), Some("text/csv; charset=utf-8; header=present"));
    assert_eq!(answer.header("content-disposition"), Some("attachment; filename=\"fleet.csv\""));
    let mut reader = csv::ReaderBuilder::new().from_reader(&answer.body[..]);
    let names: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let field =
        |row: usize, name: &str| rows[row][names.iter().position(|known| known == name).unwrap()].to_owned();
    assert_eq!([0, 1, 2].map(|row| field(row, "id")), ["lake", "odd", "never"]);
    assert_eq!(field(0, "firmware"), version);
    assert!(field(0, "charge_percent").parse::<f64>().is_ok());
    assert_eq!(field(1, "name"), "'=HYPERLINK(\"https://x\",\"me\")");
    assert_eq!((field(1, "tags"), field(1, "group")), ("rental; vip".into(), "'-1".into()));
    assert_eq!((field(1, "charge_percent"), field(1, "freshness")), (String::new(), "expired".into()));
    assert!(field(1, "capacity_wh").parse::<f64>().is_ok(), "it has not gone away");
    assert_eq!((field(2, "batteries"), field(2, "age_seconds")), (String::new(), String::new()));
}

#[actix_web::test]
async fn what_changes_at_a_site_is_on_the_page_and_says_since_when() {
    let outputs = fleet().await;
    let first = page(&outputs, "?search=s4711").await;
    assert_eq!(first["troubles"]["offline"], 0);

    let entry = outputs.directory.get("s4711").unwrap();
    let mut snapshot = Snapshot::clone(&entry.board.read());
    let message = "The site does not report".to_owned();
    snapshot.health.count_failure(ErrorNote { kind: "site_silent", message }, Instant::now());
    snapshot.reading = None;
    snapshot.sequence += 1;
    entry.board.publish(Arc::new(snapshot));
    let began = unix_time();
    let changed = loop {
        let now = page(&outputs, "?search=s4711").await;
        if now["change"] != first["change"] {
            break now;
        }
        assert!(unix_time() - began < 30.0, "{now}");
    };
    let trouble = &changed["sites"][0]["troubles"][0];
    assert_eq!(
        (&trouble["kind"], &trouble["words"]),
        (&json!("offline"), &json!("The site does not report"))
    );
    assert!((trouble["since"].as_f64().unwrap() - began).abs() < 5.0, "{trouble}");
}
