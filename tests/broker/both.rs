//! A program that is a site and a centre at once: what it reports is its own, and what it watches is others'.

use std::collections::BTreeSet;

use futures_util::StreamExt;
use powerwall_server::simulator::{GatewayHandle, SiteKind, SiteOptions};
use serde_json::json;
use tempfile::TempDir;

use super::program::Program;
use super::server::{Server, until};

async fn program(
    gateway: &GatewayHandle,
    url: &str,
    site: &str,
    watched: Option<&str>,
) -> (Program, TempDir) {
    let list = json!([gateway.customer_settings()]).to_string();
    let folder = tempfile::tempdir().unwrap();
    let mut environment = vec![
        ("PW_GATEWAYS", list.as_str()),
        ("PW_AUTH_PATH", folder.path().to_str().unwrap()),
        ("PW_PORT", "0"),
        ("PW_BIND_ADDRESS", "127.0.0.1"),
        ("PW_CACHE_EXPIRE", "1"),
        ("PW_BROKER_URL", url),
        ("PW_BROKER_SITE", site),
    ];
    environment.extend(watched.map(|watched| ("PW_BROKER_SITES", watched)));
    (Program::start(&["serve"], &environment).await, folder)
}

#[actix_web::test]
async fn what_is_watched_is_not_reported_again_and_what_is_reported_is_not_watched() {
    let Some(server) = Server::start().await else { return };
    let gateway =
        async |id: &str| GatewayHandle::start(SiteOptions::new(id, id, SiteKind::Powerwall2)).await.unwrap();
    let (home, barn) = (gateway("home").await, gateway("barn").await);
    let (both, _folder) = program(&home, &server.url(), "north.17", Some(">")).await;
    let _other = program(&barn, &server.url(), "south.1", None).await;
    until(async || !both.health("south-1-barn").await.is_null()).await;

    let bucket = server.jetstream().await.get_key_value("powerwall_sites").await.unwrap();
    let revision = async || match bucket.entry("north.17.home").await.unwrap() {
        Some(entry) => entry.revision,
        None => 0,
    };
    // With the second of these reports, whatever else is reported is there as well.
    for _ in 0..2 {
        let before = revision().await;
        until(async || revision().await > before).await;
    }
    let keys: BTreeSet<String> = bucket.keys().await.unwrap().map(Result::unwrap).collect().await;
    assert_eq!(keys, BTreeSet::from(["north.17.home".to_owned(), "south.1.barn".to_owned()]));
    let health = both.json("/health/gateways").await;
    let ids: BTreeSet<&str> = health["gateways"]
        .as_array()
        .unwrap()
        .iter()
        .map(|gateway| gateway["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, BTreeSet::from(["home", "south-1-barn"]));
}
