//! Gateways reached over the owners API, against one that is not there, over real TLS: its tokens over
//! HTTP/2.

mod absence;
#[path = "../common/mod.rs"]
mod common;
mod killed;
mod library;
mod login;
mod orders;
mod tokens;

use std::time::Duration;

use common::SECOND;
use powerwall_server::app::Service;
use powerwall_server::settings::{Inputs, Settings};
use powerwall_server::simulator::tesla::{CloudFault, Minted, OwnersHandle};
use powerwall_server::simulator::{GatewayHandle, SiteKind, SiteOptions};
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A house, the owners API that knows it as site 11, and a folder with tokens.
struct World {
    house: GatewayHandle,
    tesla: OwnersHandle,
    folder: TempDir,
}

async fn world() -> World {
    let house = house("home", 1).await;
    let tesla = OwnersHandle::start().await.unwrap();
    tesla.add(11, &house);
    let folder = tempfile::tempdir().unwrap();
    tesla.sign_in(folder.path()).unwrap();
    World { house, tesla, folder }
}

async fn house(id: &str, number: u32) -> GatewayHandle {
    let options = SiteOptions { number, ..SiteOptions::new(id, "Home", SiteKind::Powerwall3) };
    GatewayHandle::start(options).await.unwrap()
}

impl World {
    fn settings(&self, variables: &[(&str, &str)]) -> Settings {
        let mut environment = self.tesla.environment(self.folder.path());
        let own = [("PW_PORT", "0"), ("PW_BIND_ADDRESS", "127.0.0.1"), ("PW_FLEET_INTERVAL", "5")];
        let all = own.iter().chain(variables).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        environment.retain(|(name, _)| variables.iter().all(|(own, _)| own != name));
        environment.extend(all);
        Settings::load(&Inputs { environment, flags: Vec::new() }).unwrap_or_else(|wrong| panic!("{wrong}"))
    }

    fn serve(&self, variables: &[(&str, &str)]) -> Service {
        Service::start(&self.settings(variables), 1).unwrap()
    }

    fn file(&self) -> Value {
        let text = std::fs::read_to_string(self.folder.path().join(".pypowerwall.auth")).unwrap();
        serde_json::from_str(&text).unwrap()
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

async fn is_read(service: &Service) -> Value {
    becomes(service, "/aggregates", "is there", |body| body["site"].is_object()).await
}

/// The error that the gateway is shown with.
async fn error(service: &Service, kind: &str) -> String {
    becomes(service, "/health/gateways", kind, |body| body.to_string().contains(kind)).await.to_string()
}

const EMAIL: (&str, &str) = ("PW_EMAIL", "owner@example.com");

#[actix_web::test]
async fn a_site_is_read_end_to_end() {
    let world = world().await;
    let service = world.serve(&[EMAIL]);
    let aggregates = is_read(&service).await;
    for meter in ["site", "battery", "load", "solar"] {
        assert!(aggregates[meter]["instant_power"].is_number(), "{aggregates}");
    }
    assert!(aggregates["solar"]["energy_exported"].is_null(), "unknown is null: {aggregates}");
    let operation =
        becomes(&service, "/api/operation", "settings", |body| body["real_mode"].is_string()).await;
    assert_eq!(operation["real_mode"], world.house.mode());

    // In Tesla's own envelopes.
    let power = get(&service, "/cloud/power").await;
    assert!(power["response"]["grid_power"].is_number(), "{power}");
    assert_eq!(get(&service, "/cloud/config").await["response"]["site_name"], "Home");
    let has = |key: &'static str| move |body: &Value| body["response"][key].is_number();
    becomes(&service, "/cloud/battery", "is there", has("percentage_charged")).await;
    assert!(get(&service, "/cloud").await["error"].to_string().contains("/cloud/battery"));
    assert_eq!(get(&service, "/fleetapi/info").await["error"], "FleetAPI not enabled");
    let named = |body: &Value| body["utility"] == "Simulated Power";
    becomes(&service, "/api/tesla/tariff_rate", "is there", named).await;
    let usage = get(&service, "/api/tesla/usage").await;
    let account = &usage["accounts"][0];
    assert_eq!((&account["state"], &account["today"]["dollars"]), (&"works".into(), &0.0.into()), "{usage}");
    assert!(account["advice"].to_string().contains("any day"), "{usage}");
    service.stop().await;
    assert_eq!(world.tesla.requests("/oauth2"), 0, "the token was good");
    assert_eq!(world.tesla.requests("/products"), 1);
    assert_eq!(world.tesla.requests("live_status?counter=1&language=en"), 1);
}

#[actix_web::test]
async fn tokens_that_are_over_are_renewed_once_over_http2() {
    let world = world().await;
    let before = world.file();
    world.tesla.expire_tokens();
    let service = world.serve(&[]);
    is_read(&service).await;
    service.stop().await;
    assert_eq!(world.tesla.minted(), [Minted { over_http2: true, over_tls_1_3: true }]);
    assert_eq!((world.tesla.requests("/oauth2"), world.tesla.most_sent()), (1, 1));
    let (file, newest) = (world.file(), world.tesla.secrets());
    let sso = &file["owner@example.com"]["sso"];
    assert_eq!(sso["refresh_token"], newest[newest.len() - 1].as_str());
    assert_eq!(file["owner@example.com"]["url"], before["owner@example.com"]["url"]);
    assert!(sso["expires_at"].as_f64().unwrap() > powerwall_server::clock::unix_time() + 28_000.0);
    #[cfg(unix)]
    {
        let file = std::fs::metadata(world.folder.path().join(".pypowerwall.auth")).unwrap();
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&file.permissions()) & 0o777, 0o600);
    }
}

#[actix_web::test]
async fn without_http2_the_refresh_token_stays_at_home() {
    let world = world().await;
    world.tesla.expire_tokens();
    world.tesla.offer(&["http/1.1"]);
    let service = world.serve(&[]);
    let text = error(&service, "no_http2").await;
    assert!(text.contains("was not sent"), "{text}");
    assert_eq!((world.tesla.requests("/oauth2"), world.tesla.most_sent()), (0, 0));
    service.stop().await;
    // Nothing was used up: the next attempt works.
    world.tesla.offer(&["h2", "http/1.1"]);
    let service = world.serve(&[]);
    is_read(&service).await;
    assert_eq!(world.tesla.most_sent(), 1);
    service.stop().await;
}

#[actix_web::test]
async fn a_renewal_whose_answer_is_lost_is_never_repeated() {
    let world = world().await;
    world.tesla.expire_tokens();
    world.tesla.set_times("/oauth2", CloudFault::Cut, 1);
    let service = world.serve(&[]);
    let text = error(&service, "login_needed").await;
    assert!(text.contains("the answer to a renewal was lost"), "{text}");
    service.stop().await;
    let service = world.serve(&[]);
    error(&service, "login_needed").await;
    service.stop().await;
    assert_eq!((world.tesla.requests("/oauth2"), world.tesla.most_sent()), (1, 1));
    // Other tokens in the file are taken up.
    world.tesla.sign_in(world.folder.path()).unwrap();
    let service = world.serve(&[]);
    is_read(&service).await;
    service.stop().await;
    assert_eq!(world.tesla.most_sent(), 1);
}
