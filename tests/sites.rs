//! `/api/fleet` over real sockets: ten thousand sites, found, paged and summed.

mod common;

use actix_web::http::Method;
use common::{Outputs, http, snapshot, telemetry};
use powerwall_server::model::Freshness::{Expired, Live};
use powerwall_server::simulator::SiteKind;
use serde_json::{Value, json};

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

    let last = page(&outputs, "?sort=name&limit=500&offset=9900").await;
    assert_eq!(last["sites"].as_array().unwrap().len(), 100);
    let found = page(&outputs, "?search=S4711").await;
    assert_eq!(ids(&found), ["s4711"]);
    let found = page(&outputs, "?trouble=offline&search=s9").await;
    assert_eq!(ids(&found), ["s9007"]);
    let groups: Value = serde_json::from_slice(&outputs.get("/api/fleet/groups").await.body).unwrap();
    assert_eq!(groups["groups"][0]["group"], Value::Null);
    assert_eq!(groups["groups"][0]["sums"]["sites"], SITES);
}

#[actix_web::test]
async fn a_client_that_has_the_page_is_told_so_and_mistakes_are_named() {
    let outputs = fleet().await;
    let first = outputs.get("/api/fleet?search=s47").await;
    let tag = first.header("etag").unwrap().to_owned();
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
    ] {
        let answer = outputs.get(&format!("/api/fleet?{query}")).await;
        let body = String::from_utf8(answer.body.to_vec()).unwrap();
        assert_eq!(answer.status, 400, "{query}");
        assert!(body.contains(accepted), "{body}");
    }
}
