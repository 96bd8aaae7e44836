//! Gateways reached through FleetAPI, against a cloud that is not there, over real TLS.

#[path = "../common/mod.rs"]
mod common;
mod history;
mod kept;
mod keys;
mod orders;
mod outages;
mod relay;
mod set_up;
mod stats;
mod token_files;

use std::path::Path;
use std::time::Duration;

use common::SECOND;
use powerwall_server::app::Service;
use powerwall_server::settings::{Inputs, Settings};
use powerwall_server::simulator::tesla::{CloudFault, TeslaHandle};
use powerwall_server::simulator::{Fault, GatewayHandle, SiteKind, SiteOptions};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A house, the cloud that knows it as site 11, and a folder with tokens.
struct World {
    house: GatewayHandle,
    tesla: TeslaHandle,
    folder: TempDir,
}

async fn world() -> World {
    let house = house("home", 1).await;
    let tesla = TeslaHandle::start().await.unwrap();
    tesla.add(11, &house);
    let folder = tempfile::tempdir().unwrap();
    tesla.sign_in(folder.path()).unwrap();
    World { house, tesla, folder }
}

async fn house(id: &str, number: u32) -> GatewayHandle {
    let options = SiteOptions { number, ..SiteOptions::new(id, "Home", SiteKind::Powerwall3) };
    GatewayHandle::start(options).await.unwrap()
}

fn settings(tesla: &TeslaHandle, folder: &Path, entries: &Value, variables: &[(&str, &str)]) -> Settings {
    let mut environment = tesla.environment(folder);
    let list = entries.to_string();
    let own = [
        ("PW_GATEWAYS", list.as_str()),
        ("PW_PORT", "0"),
        ("PW_BIND_ADDRESS", "127.0.0.1"),
        ("PW_FLEET_INTERVAL", "5"),
    ];
    let all = own.iter().chain(variables).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    environment.extend(all);
    Settings::load(&Inputs { environment, flags: Vec::new() }).unwrap_or_else(|wrong| panic!("{wrong}"))
}

impl World {
    fn serve(&self, entries: &Value, variables: &[(&str, &str)]) -> Service {
        let settings = settings(&self.tesla, self.folder.path(), entries, variables);
        Service::start(&settings, 1).unwrap()
    }
}

async fn get(service: &Service, path: &str) -> Value {
    let url = format!("http://{}{path}", service.addr);
    let mut response = awc::Client::default().get(&url).send().await.unwrap();
    let body = response.body().await.unwrap();
    serde_json::from_slice(&body).unwrap_or_else(|_| String::from_utf8_lossy(&body).into_owned().into())
}

async fn becomes(service: &Service, path: &str, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
    let last = std::cell::RefCell::new(Value::Null);
    let reached = async {
        loop {
            let body = get(service, path).await;
            if is_it(&body) {
                return body;
            }
            last.replace(body);
            sleep(SECOND / 20).await;
        }
    };
    timeout(PATIENCE, reached).await.unwrap_or_else(|_| panic!("{path}: {what}: {}", last.borrow()))
}

fn fleet() -> Value {
    json!([{ "id": "home", "name": "Home", "fleetapi": true }])
}

/// The error that the gateway is shown with.
async fn error(service: &Service, kind: &str) -> String {
    let is_it = |body: &Value| {
        body["gateways"]["home"]["last_error"].to_string().contains(kind) || body.to_string().contains(kind)
    };
    becomes(service, "/health/gateways", kind, is_it).await.to_string()
}

#[actix_web::test]
async fn a_site_is_read_end_to_end() {
    let world = world().await;
    let service = world.serve(&fleet(), &[]);
    let aggregates = becomes(&service, "/aggregates", "is there", |body| body["site"].is_object()).await;
    for meter in ["site", "battery", "load", "solar"] {
        assert!(aggregates[meter]["instant_power"].is_number(), "{aggregates}");
    }
    assert!(aggregates["solar"]["energy_exported"].is_null(), "unknown is null: {aggregates}");
    let soe = get(&service, "/soe").await;
    let percentage = soe["percentage"].as_f64().unwrap();
    assert!((5.0..=100.0).contains(&percentage), "{soe}");
    let list = becomes(&service, "/api/gateways", "is whole", |body| body.to_string().contains("Home")).await;
    assert!(list.to_string().contains("home"), "{list}");
    let operation =
        becomes(&service, "/api/operation", "settings", |body| body["real_mode"].is_string()).await;
    assert_eq!(operation["real_mode"], world.house.mode());
    assert_eq!(operation["backup_reserve_percent"], world.house.reserve().0);

    assert_eq!(get(&service, "/api/tesla/tariff_rate").await["utility"], "Simulated Power");
    assert_eq!(get(&service, "/fleetapi/info").await["site_name"], "Home");
    assert!(get(&service, "/fleetapi/status").await["grid_power"].is_number());
    let usage = get(&service, "/api/tesla/usage").await;
    let asked = world.tesla.asked().len();
    assert!(usage["accounts"][0]["today"]["data"].as_u64().unwrap().abs_diff(asked as u64) <= 1, "{usage}");
    let metrics = get(&service, "/metrics").await;
    assert!(metrics.as_str().unwrap().contains("powerwall_server_tesla_requests_today{"), "{metrics}");
    service.stop().await;
    assert_eq!(world.tesla.requests("/products"), 1);
    assert_eq!(world.tesla.requests("/oauth2"), 0, "the token was good");
}

#[actix_web::test]
async fn the_age_of_teslas_own_value_is_shown() {
    let world = world().await;
    world.tesla.set_lag(Duration::from_secs(180));
    let service = world.serve(&fleet(), &[]);
    becomes(&service, "/aggregates", "is there", |body| body["site"].is_object()).await;
    let health = get(&service, "/health/gateways").await;
    let age = health["gateways"][0]["data_age_seconds"].as_f64().unwrap();
    assert!((178.0..300.0).contains(&age), "{health}");
    assert_eq!(health["gateways"][0]["state"], "live");
    service.stop().await;
    // A site that has reported nothing for an hour is not shown as live.
    world.tesla.set_lag(Duration::from_secs(3600));
    let service = world.serve(&fleet(), &[]);
    becomes(&service, "/health/gateways", "expired", |body| body.to_string().contains("expired")).await;
    assert_eq!(get(&service, "/aggregates").await, Value::Null);
    service.stop().await;
}

#[actix_web::test]
async fn tokens_that_end_are_renewed_once_and_pypowerwall_can_go_on_with_them() {
    let world = world().await;
    let other = house("cabin", 2).await;
    world.tesla.add(12, &other);
    world.tesla.expire_tokens();
    let entries = json!([
        { "id": "home", "fleetapi": true, "siteid": "11" }, { "id": "cabin", "fleetapi": true, "siteid": 12 },
    ]);
    let service = world.serve(&entries, &[]);
    for id in ["home", "cabin"] {
        let path = format!("/api/gateways/{id}/aggregates");
        let live = |body: &Value| body.to_string().contains("instant_power");
        becomes(&service, &path, "is there", live).await;
    }
    assert_eq!(world.tesla.requests("/oauth2"), 1);
    service.stop().await;
    let text = std::fs::read_to_string(world.folder.path().join(".pypowerwall.fleetapi")).unwrap();
    let file: Value = serde_json::from_str(&text).unwrap();
    let newest = world.tesla.secrets();
    assert_eq!(file["refresh_token"], newest[newest.len() - 1].as_str());
    assert_eq!(file["CLIENT_SECRET"], "simulated-client-secret");
    assert_eq!(file["site_id"], Value::Null, "a site from the settings is not written into the file");
    #[cfg(unix)]
    {
        let file = std::fs::metadata(world.folder.path().join(".pypowerwall.fleetapi")).unwrap();
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&file.permissions()) & 0o777, 0o600);
    }
}

#[actix_web::test]
async fn a_refresh_whose_answer_is_cut_is_repeated_with_the_same_token() {
    let world = world().await;
    world.tesla.expire_tokens();
    world.tesla.set_times("/oauth2", CloudFault::Cut, 1);
    let service = world.serve(&fleet(), &[]);
    becomes(&service, "/aggregates", "is there", |body| body["site"].is_object()).await;
    assert_eq!((world.tesla.requests("/oauth2"), world.tesla.reused()), (2, 0));
    service.stop().await;
}

#[actix_web::test]
async fn everything_that_can_be_wrong_is_named() {
    let cases = [
        (CloudFault::body(403, r#"{"error":"Unauthorized missing scopes"}"#), "no_permission"),
        (CloudFault::status(408), "offline"),
        (CloudFault::status(412), "set_up"),
        (CloudFault::status(402), "payment"),
        (CloudFault::status(423), "login_needed"),
        (CloudFault::status(503), "busy"),
        (CloudFault::status(429), "rate_limited"),
        (CloudFault::body(200, r#"{"response":null}"#), "malformed"),
        (CloudFault::body(200, "<html>"), "malformed"),
    ];
    for (fault, kind) in cases {
        let world = world().await;
        world.tesla.set("live_status", fault);
        let service = world.serve(&fleet(), &[]);
        error(&service, kind).await;
        assert_eq!(get(&service, "/aggregates").await, Value::Null);
        service.stop().await;
    }
}

#[actix_web::test]
async fn a_login_that_is_needed_is_asked_for_and_nothing_is_sent_until_there_is_one() {
    let world = world().await;
    world.tesla.revoke();
    let service = world.serve(&fleet(), &[]);
    let text = error(&service, "login_needed").await;
    assert!(text.contains("log in again"), "{text}");
    service.stop().await;
    let before = world.tesla.asked().len();
    let service = world.serve(&fleet(), &[]);
    error(&service, "login_needed").await;
    let sent: Vec<String> = world.tesla.asked().drain(before..).map(|asked| asked.path).collect();
    assert!(
        !sent.iter().any(|path| path.contains("oauth2")),
        "a dead refresh token is never sent again: {sent:?}"
    );
    service.stop().await;
}

#[actix_web::test]
async fn a_site_that_was_renumbered_is_found_again_unless_the_operator_named_it() {
    for by_500 in [false, true] {
        let world = world().await;
        let service = world.serve(&fleet(), &[]);
        becomes(&service, "/aggregates", "is there", |body| body["site"].is_object()).await;
        world.tesla.renumber(11, 19);
        if by_500 {
            let body = r#"{"response":null,"error":"upstream internal error"}"#;
            world.tesla.set("/11/", CloudFault::body(500, body));
        }
        // The list of sites is asked for anew after a minute at the soonest.
        tokio::time::timeout(PATIENCE * 3, async {
            while world.tesla.requests("/19/live_status") == 0 {
                sleep(SECOND / 10).await;
            }
        })
        .await
        .unwrap();
        service.stop().await;
        if !by_500 {
            continue;
        }
        let entries = json!([{ "id": "home", "fleetapi": true, "siteid": 11 }]);
        let service = world.serve(&entries, &[]);
        let text = error(&service, "site").await;
        assert!(text.contains("no site 11"), "{text}");
        service.stop().await;
    }
}

#[actix_web::test]
async fn the_wrong_region_is_left_for_the_right_one() {
    let world = world().await;
    world.tesla.sign_in_at(world.folder.path(), world.tesla.elsewhere).unwrap();
    let service = world.serve(&fleet(), &[]);
    becomes(&service, "/aggregates", "is there", |body| body["site"].is_object()).await;
    assert_eq!(world.tesla.requests("users/region"), 1);
    service.stop().await;
}

#[actix_web::test]
async fn a_provider_needs_an_address_and_a_token() {
    let world = world().await;
    let token = world.tesla.provider_token();
    let base = format!("https://{}", world.tesla.addr);
    let entries = json!([{ "id": "home", "fleet_base": base, "fleet_token": token }]);
    let service = world.serve(&entries, &[]);
    becomes(&service, "/aggregates", "is there", |body| body["site"].is_object()).await;
    world.tesla.expire_tokens();
    let text = error(&service, "login_needed").await;
    assert!(!text.contains(&token), "{text}");
    assert_eq!(world.tesla.requests("oauth2"), 0);
    service.stop().await;
}

#[actix_web::test]
async fn the_cloud_stands_by_for_a_local_gateway_and_never_shows_another_one() {
    let world = world().await;
    let mut entry = world.house.settings();
    entry["standby"] = json!([{ "fleetapi": true }]);
    let variables = [("PW_CACHE_EXPIRE", "1"), ("PW_TIMEOUT", "2")];
    let service = world.serve(&json!([entry]), &variables);
    becomes(&service, "/aggregates", "is there", |body| body["site"].is_object()).await;
    // Two sites: which one it is follows from the gateway that answered.
    world.tesla.add(12, &house("cabin", 2).await);
    world.house.set(Fault::Refuse);
    let over_cloud =
        |body: &Value| body["solar"]["timeout"] == 1_000_000_000 && body["load"]["disclaimer"].is_null();
    becomes(&service, "/aggregates", "comes from the cloud", over_cloud).await;
    assert_eq!(world.tesla.requests("/12/"), 0);
    service.stop().await;

    let foreign = house("other", 3).await;
    let mut entry = foreign.settings();
    entry["standby"] = json!([{ "fleetapi": true }]);
    entry["siteid"] = "11".into();
    let service = world.serve(&json!([entry]), &variables);
    becomes(&service, "/aggregates", "is there", |body| body["load"]["disclaimer"].is_string()).await;
    foreign.set(Fault::Refuse);
    becomes(&service, "/aggregates", "is gone", Value::is_null).await;
    let links = get(&service, "/health/gateways").await.to_string();
    assert!(links.contains("another gateway") || links.contains("nothing is taken"), "{links}");
    service.stop().await;
}

#[actix_web::test]
async fn fifty_sites_of_one_account_ask_no_more_than_tesla_allows() {
    let world = world().await;
    let mut houses = Vec::new();
    let mut entries = Vec::new();
    for number in 0..50 {
        let id = format!("site-{number}");
        let house = house(&id, number + 10).await;
        world.tesla.add(1000 + u64::from(number), &house);
        houses.push(house);
        entries.push(json!({ "id": id, "fleetapi": true, "siteid": 1000 + number, "interval": 60 }));
    }
    let service = world.serve(&entries.into(), &[]);
    let all_live = |body: &Value| {
        let gateways = body["gateways"].as_array().unwrap();
        gateways.iter().filter(|gateway| gateway["state"] == "live").count() == 50
    };
    becomes(&service, "/health/gateways", "all are live", all_live).await;
    // Whatever else may be asked within this minute has been asked by now.
    sleep(3 * SECOND).await;
    let asked = world.tesla.asked().len();
    assert!((51..=60).contains(&asked), "{asked}");
    assert_eq!(world.tesla.requests("/products"), 1);
    service.stop().await;
}

#[actix_web::test]
async fn a_budget_and_a_pause_survive_a_restart() {
    let world = world().await;
    let service = world.serve(&fleet(), &[("PW_FLEET_BUDGET", "3")]);
    error(&service, "budget").await;
    service.stop().await;
    let before = world.tesla.asked().len();
    assert_eq!(before, 3);
    let service = world.serve(&fleet(), &[("PW_FLEET_BUDGET", "3")]);
    error(&service, "budget").await;
    service.stop().await;
    // The count of the last minute may not have been written; a program that ends writes it.
    assert!(world.tesla.asked().len() <= before + 3, "{}", world.tesla.asked().len());

    let headers = "Retry-After: 900\r\n".to_owned();
    world.tesla.set("live_status", CloudFault::Answer { status: 429, headers, body: String::new() });
    let service = world.serve(&fleet(), &[]);
    error(&service, "rate_limited").await;
    service.stop().await;
    world.tesla.heal();
    let before = world.tesla.asked().len();
    let service = world.serve(&fleet(), &[]);
    error(&service, "rate_limited").await;
    service.stop().await;
    assert_eq!(world.tesla.asked().len(), before);
}
