//! The numbers of units outlive the program: they are written down, and count again when it starts anew.

mod common;

use std::path::Path;
use std::time::Duration;

use common::{SECOND, settings};
use powerwall_server::app::Service;
use powerwall_server::simulator::{GatewayHandle, SiteKind, SiteOptions};
use serde_json::Value;
use tokio::time::{sleep, timeout};

const PATIENCE: Duration = Duration::from_secs(30);

async fn json(service: &Service, path: &str) -> Value {
    let url = format!("http://{}{path}", service.addr);
    let mut response = awc::Client::default().get(url).send().await.unwrap();
    serde_json::from_slice(&response.body().limit(1 << 20).await.unwrap()).unwrap()
}

/// Serials in the order of their numbers, once all three units have one and an energy.
async fn numbered(service: &Service) -> Vec<String> {
    let whole = async {
        loop {
            let pod = json(service, "/pod").await;
            let reported = |key: &str| {
                (1..=3).map(|number| pod[format!("PW{number}_{key}")].clone()).collect::<Vec<_>>()
            };
            if reported("POD_nom_full_pack_energy").iter().all(Value::is_number) {
                let serials = reported("PackageSerialNumber");
                return serials.iter().map(|serial| serial.as_str().unwrap().to_owned()).collect();
            }
            sleep(SECOND / 20).await;
        }
    };
    timeout(PATIENCE, whole).await.expect("every unit answers")
}

async fn written(file: &Path, serials: &[String]) {
    let is_there = async {
        loop {
            let text = std::fs::read(file).unwrap_or_default();
            let numbering = serde_json::from_slice::<Value>(&text).unwrap_or_default();
            if numbering["units"] == Value::from(serials) {
                return;
            }
            sleep(SECOND / 20).await;
        }
    };
    timeout(PATIENCE, is_there).await.expect("the numbers are written down");
}

#[actix_web::test]
async fn numbers_outlive_the_program() {
    let gateway = GatewayHandle::start(SiteOptions::new("home", "Home", SiteKind::Powerwall3)).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let variables = [("PW_AUTH_PATH", folder.path().to_str().unwrap()), ("PW_CACHE_EXPIRE", "1")];
    let settings = settings(&[&gateway], &variables);
    let file = folder.path().join(".powerwall-server.home.units.json");

    let service = Service::start(&settings, 1).unwrap();
    let mut serials = numbered(&service).await;
    written(&file, &serials).await;
    service.stop().await;

    // As if the gateway had listed them so when the program first saw it.
    serials.reverse();
    std::fs::write(&file, serde_json::json!({ "units": serials }).to_string()).unwrap();
    let service = Service::start(&settings, 1).unwrap();
    assert_eq!(numbered(&service).await, serials);
    service.stop().await;
}

#[actix_web::test]
async fn numbers_are_written_down_when_the_folder_comes_later() {
    let gateway = GatewayHandle::start(SiteOptions::new("home", "Home", SiteKind::Powerwall3)).await.unwrap();
    let service = Service::start(&settings(&[&gateway], &[("PW_CACHE_EXPIRE", "1")]), 1).unwrap();
    let serials = numbered(&service).await;

    let folder = tempfile::tempdir().unwrap();
    let variables = [("PW_AUTH_PATH", folder.path().to_str().unwrap()), ("PW_CACHE_EXPIRE", "1")];
    service.apply(settings(&[&gateway], &variables)).await;
    written(&folder.path().join(".powerwall-server.home.units.json"), &serials).await;
    service.stop().await;
}
