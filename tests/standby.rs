//! A gateway with two links over real sockets: one carries on when the other does not work, and knows what it
//! cannot.

mod common;

use std::time::Duration;

use common::SECOND;
use powerwall_server::app::Service;
use powerwall_server::settings::{Inputs, Settings};
use powerwall_server::simulator::{Fault, GatewayHandle, Role, SiteKind, SiteOptions};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

async fn start() -> GatewayHandle {
    GatewayHandle::start(SiteOptions::new("home", "Home", SiteKind::Powerwall3)).await.unwrap()
}

/// A Powerwall 3 on its wired port (Basic LAN), with TEDAPI behind it.
fn entry(gateway: &GatewayHandle) -> Value {
    let mut entry = gateway.customer_settings();
    let host = entry["host"].clone();
    entry["standby"] =
        json!([{ "host": host, "port": gateway.addr.port(), "gw_pwd": gateway.options().password }]);
    entry
}

fn settings(entry: Value, folder: &std::path::Path) -> Settings {
    let list = json!([entry]).to_string();
    let environment = [
        ("PW_GATEWAYS", list.as_str()),
        ("PW_AUTH_PATH", folder.to_str().unwrap()),
        ("PW_PORT", "0"),
        ("PW_BIND_ADDRESS", "127.0.0.1"),
        ("PW_CACHE_EXPIRE", "1"),
        ("PW_TIMEOUT", "2"),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    Settings::load(&Inputs { environment, flags: Vec::new() }).unwrap()
}

async fn becomes(service: &Service, path: &str, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
    let url = format!("http://{}{path}", service.addr);
    let reached = async {
        loop {
            let mut response = awc::Client::default().get(&url).send().await.unwrap();
            let body: Value = serde_json::from_slice(&response.body().await.unwrap()).unwrap();
            if is_it(&body) {
                return body;
            }
            sleep(SECOND / 20).await;
        }
    };
    timeout(PATIENCE, reached).await.unwrap_or_else(|_| panic!("{path}: {what}"))
}

#[actix_web::test]
async fn basic_lan_shows_the_settings_that_tedapi_knows_and_tedapi_carries_on_without_it() {
    let (gateway, folder) = (start().await, tempfile::tempdir().unwrap());
    let service = Service::start(&settings(entry(&gateway), folder.path()), 1).unwrap();
    let one = |body: &Value| body["gateways"][0].clone();

    let health = becomes(&service, "/health/gateways", "supplements", |body| {
        one(body)["supplements"]
            .as_array()
            .is_some_and(|list| list.iter().any(|entry| entry["field"] == "mode"))
    })
    .await;
    let (local, tedapi) = (&one(&health)["links"][0], &one(&health)["links"][1]);
    assert_eq!((&local["kind"], &local["in_use"]), (&json!("local"), &json!(true)), "{health:#}");
    assert_eq!((&tedapi["kind"], &tedapi["in_use"]), (&json!("tedapi"), &json!(false)));
    assert_eq!(one(&health)["mode"], "local+tedapi");
    becomes(&service, "/pw/get_mode", "the mode", |body| body["mode"] == "self_consumption").await;
    becomes(&service, "/api/operation", "the reserve", |body| body["backup_reserve_percent"].is_number())
        .await;

    gateway.set_for(Role::Meters, Fault::Status { code: 500, retry_after: None });
    let health =
        becomes(&service, "/health/gateways", "failover", |body| one(body)["links"][1]["in_use"] == true)
            .await;
    assert_eq!(
        (&one(&health)["state"], &one(&health)["failures"]),
        (&json!("live"), &json!(0)),
        "no poll is lost"
    );
    assert!(one(&health).get("supplements").is_none(), "TEDAPI knows all of it");
    service.stop().await;
}

#[test]
fn what_belongs_to_the_gateway_or_is_no_link_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let problems = |standby: Value| {
        let entry = json!({ "id": "home", "host": "10.0.0.1", "password": "x", "standby": standby });
        let list = json!([entry]).to_string();
        let environment = [("PW_GATEWAYS", list.as_str()), ("PW_AUTH_PATH", folder.path().to_str().unwrap())];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Settings::load(&Inputs { environment, flags: Vec::new() }).map(|_| ()).unwrap_err().to_string()
    };
    assert!(problems(json!("tedapi")).contains("PW_GATEWAYS[0].standby: expected a list"));
    assert!(problems(json!([{ "host": "10.0.0.2" }])).contains("PW_GATEWAYS[0].standby[0].gw_pwd: missing"));
    assert!(
        problems(json!([{ "id": "b", "host": "x", "gw_pwd": "y" }]))
            .contains("standby[0].id: belongs to the gateway")
    );
    assert!(
        problems(json!([{ "hosts": "x" }])).contains("standby[0].hosts: unknown key; did you mean host?")
    );
}

#[test]
fn each_link_has_files_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let entry = json!({
        "id": "home", "host": "10.0.0.1", "password": "x",
        "standby": [{ "host": "10.0.0.2", "password": "y" }, { "host": "192.168.91.1", "gw_pwd": "z" }],
    });
    let settings = settings(entry, folder.path());
    let gateway = &settings.gateways[0];
    let mut files = vec![gateway.state_file.clone()];
    files.extend(gateway.standby.iter().map(|link| link.state_file.clone()));
    assert!(files.iter().all(Option::is_some));
    files.sort();
    files.dedup();
    assert_eq!(files.len(), 3, "{files:?}");
}
