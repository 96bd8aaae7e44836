//! Lifetime energies of gateways that are asked over TEDAPI: from their customer API, over real TLS.

use std::sync::Arc;

use std::time::Duration;

use powerwall_server::app::Service;
use powerwall_server::link::{Link, connect_lazily};
use powerwall_server::model::{Adjustments, Answers, Telemetry};
use powerwall_server::settings::{GatewaySettings, Inputs, RsaKey, Secret, Settings};
use powerwall_server::simulator::{
    CustomerSurface, Fault, GatewayHandle, Registration, Role, SiteKind, SiteOptions,
};
use serde_json::{Value, json};

const KEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/v1r/key-4096.pem");
const ENERGIES: [&str; 2] = ["energy_exported", "energy_imported"];

async fn start(kind: SiteKind) -> GatewayHandle {
    let gateway = GatewayHandle::start(SiteOptions::new("home", "Home", kind)).await.unwrap();
    gateway.set_surface(CustomerSurface::Full);
    gateway
}

fn settings(entry: &Value, variables: &[(&str, &str)]) -> Settings {
    // Nobody remembers what the test before knew.
    let folder = tempfile::tempdir().unwrap();
    let mut environment = vec![
        ("PW_AUTH_PATH".to_owned(), folder.path().display().to_string()),
        ("PW_GATEWAYS".to_owned(), json!([entry]).to_string()),
        ("PW_TIMEOUT".to_owned(), "2".to_owned()),
        ("PW_PORT".to_owned(), "0".to_owned()),
        ("PW_BIND_ADDRESS".to_owned(), "127.0.0.1".to_owned()),
    ];
    environment.extend(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    Settings::load(&Inputs { environment, flags: Vec::new() }).unwrap()
}

fn link(entry: &Value) -> Box<dyn Link> {
    connect_lazily(&gateway_settings(entry, &[]))
}

fn gateway_settings(entry: &Value, variables: &[(&str, &str)]) -> GatewaySettings {
    settings(entry, variables).gateways.remove(0)
}

/// Polls once, which must work, and then fetches everything that is due.
async fn aggregates(link: &mut dyn Link) -> Value {
    let mut source: Arc<dyn Answers> = link.poll().await.unwrap();
    loop {
        let refreshed = link.refresh().await;
        assert_eq!(refreshed.problem, None, "whatever is wrong with the energies, the readings go on");
        source = refreshed.source.unwrap_or(source);
        if !refreshed.more {
            let telemetry = Telemetry::new(source, Adjustments::default());
            assert!(telemetry.is_meaningful());
            return telemetry.documents().aggregates.clone();
        }
    }
}

fn counters(aggregates: &Value) -> Vec<Value> {
    let meters = aggregates.as_object().unwrap().values();
    meters.flat_map(|meter| ENERGIES.map(|energy| meter[energy].clone())).collect()
}

/// Lets seconds go by without waiting for them.
async fn pass(seconds: u64) {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(seconds)).await;
    tokio::time::resume();
}

#[actix_web::test]
async fn they_are_those_of_the_gateway_and_grow_and_survive_a_failed_read() {
    for kind in [SiteKind::Powerwall2, SiteKind::Powerwall3, SiteKind::Inverter] {
        let gateway = start(kind).await;
        let mut link = link(&gateway.settings());
        let first = aggregates(&mut *link).await;
        assert_eq!(first["site"]["energy_exported"], 688, "{kind:?}");
        assert!(first["solar"]["energy_exported"].as_i64().unwrap() >= 257_720, "{kind:?}");
        assert!(first["load"]["energy_imported"].as_i64().unwrap() >= 1_120_000, "{kind:?}");
        assert_eq!(first["battery"]["energy_imported"].is_number(), kind != SiteKind::Inverter);
        let disclaimer = first["solar"]["disclaimer"].as_str().unwrap();
        assert!(disclaimer.ends_with("; energy from gateway local API"), "{disclaimer}");
        assert!(first["site"]["frequency"].is_null(), "nothing else is taken from there");

        assert_eq!(gateway.counters().connections(), 1, "on the connection that is there");

        gateway.skip(Duration::from_secs(3600));
        gateway.set_for(Role::Meters, Fault::Garbage);
        pass(130).await;
        assert_eq!(counters(&aggregates(&mut *link).await), counters(&first), "{kind:?}");
        gateway.heal();
        pass(310).await;
        let later = aggregates(&mut *link).await;
        let produced = |aggregates: &Value| aggregates["solar"]["energy_exported"].as_i64().unwrap();
        assert!(produced(&later) > produced(&first) + 100, "{kind:?}");
        let seen = gateway.counters();
        assert_eq!((seen.requests(Role::Login), seen.most_in_flight()), (1, 1));
    }
}

#[actix_web::test]
async fn over_the_wired_lan_they_need_no_login_of_their_own() {
    let wifi = start(SiteKind::Powerwall3).await;
    let lan = wifi.on_lan().await.unwrap();
    lan.lan().unwrap().register(RsaKey::read(KEY.as_ref()).unwrap().public_der(), Registration::Verified);
    let mut link = link(&wifi.settings_with_lan(&lan, KEY));
    let first = aggregates(&mut *link).await;
    assert!(counters(&first).iter().all(Value::is_number));
    assert_eq!(lan.counters().requests(Role::Login), 1);
    assert_eq!((wifi.counters().requests(Role::Meters), wifi.counters().requests(Role::Login)), (0, 0));

    lan.set(Fault::Refuse);
    pass(130).await;
    assert_eq!(counters(&aggregates(&mut *link).await), counters(&first), "kept while Wi-Fi has taken over");
}

#[actix_web::test]
async fn with_an_installer_login_its_token_is_used_and_no_other_login() {
    let gateway = start(SiteKind::Inverter).await;
    gateway.want_installer();
    let mut entry = gateway.settings();
    entry["tedapi_auth_mode"] = "bearer".into();
    let mut link = link(&entry);
    assert!(aggregates(&mut *link).await["solar"]["energy_exported"].is_number());
    assert_eq!(gateway.counters().requests(Role::Login), 1);
}

#[actix_web::test]
async fn a_wrong_customer_password_costs_one_login_and_no_reading() {
    let site = SiteOptions {
        customer_password: "CHOSEN".into(),
        ..SiteOptions::new("home", "Home", SiteKind::Powerwall3)
    };
    let gateway = GatewayHandle::start(site).await.unwrap();
    let mut link = link(&gateway.settings());
    for _ in 0..20 {
        assert!(counters(&aggregates(&mut *link).await).iter().all(Value::is_null));
        pass(900).await;
    }
    assert_eq!(gateway.counters().requests(Role::Login), 1, "in five hours");
    let remark = link.remark().unwrap();
    assert!(remark.contains("the customer password is wrong") && !remark.contains("ATED1"), "{remark}");
    let corrected = GatewaySettings {
        energies: Some(Secret::new("CHOSEN")),
        ..gateway_settings(&gateway.settings(), &[])
    };
    let aggregates = aggregates(&mut *connect_lazily(&corrected)).await;
    assert!(aggregates["site"]["energy_imported"].is_number());
}

#[test]
fn the_customer_password_is_the_given_one_or_the_end_of_the_gateways() {
    let mut entry = json!({ "id": "home", "host": "192.168.91.1", "gw_pwd": "ABCDEFGHIJ" });
    assert_eq!(gateway_settings(&entry, &[]).energies, Some(Secret::new("FGHIJ")));
    assert_eq!(gateway_settings(&entry, &[("PW_PASSWORD", "own")]).energies, Some(Secret::new("own")));
    entry["password"] = "chosen".into();
    assert_eq!(gateway_settings(&entry, &[("PW_PASSWORD", "own")]).energies, Some(Secret::new("chosen")));
    let local = json!({ "id": "home", "host": "192.0.2.1", "password": "chosen" });
    assert_eq!(gateway_settings(&local, &[]).energies, None, "that link reads them anyway");
}

#[actix_web::test]
async fn a_program_that_is_started_again_and_again_and_writes_nothing_down_does_not_log_in() {
    let gateway = start(SiteKind::Powerwall3).await;
    let forgetful = GatewaySettings { state_file: None, ..gateway_settings(&gateway.settings(), &[]) };
    for _ in 0..10 {
        let mut link = connect_lazily(&forgetful);
        aggregates(&mut *link).await;
        pass(60).await;
        aggregates(&mut *link).await;
    }
    assert_eq!(gateway.counters().requests(Role::Login), 0);
    let mut link = connect_lazily(&forgetful);
    aggregates(&mut *link).await;
    pass(240).await;
    assert!(aggregates(&mut *link).await["site"]["energy_imported"].is_number());
}

#[actix_web::test]
async fn a_restart_goes_on_with_the_token() {
    let gateway = start(SiteKind::Powerwall3).await;
    let settings = gateway_settings(&gateway.settings(), &[]);
    for _ in 0..5 {
        assert!(aggregates(&mut *connect_lazily(&settings)).await["site"]["energy_imported"].is_number());
    }
    assert_eq!(gateway.counters().requests(Role::Login), 1);
    let _ = std::fs::remove_dir_all(settings.state_file.unwrap().parent().unwrap());
}

#[actix_web::test]
async fn a_gateway_that_takes_no_logins_or_has_no_customer_api_is_read_as_ever() {
    let limited = start(SiteKind::Powerwall3).await;
    limited.set_for(Role::Login, Fault::Status { code: 429, retry_after: Some(1200) });
    let without = start(SiteKind::Powerwall3).await;
    without.set_surface(CustomerSurface::Nothing);
    for (gateway, logins) in [(limited, 2), (without, 0)] {
        let mut link = link(&gateway.settings());
        for minutes in 0..25 {
            assert!(counters(&aggregates(&mut *link).await).iter().all(Value::is_null), "{minutes}");
            pass(60).await;
        }
        assert_eq!(gateway.counters().requests(Role::Login), logins);
        assert!(gateway.counters().requests(Role::Meters) <= 4, "it is not asked again and again");
    }
}

#[actix_web::test]
async fn who_does_not_want_them_has_a_gateway_that_is_asked_for_nothing() {
    let gateway = start(SiteKind::Powerwall2).await;
    let mut off = gateway.settings();
    off["lifetime_energy"] = false.into();
    for settings in
        [gateway_settings(&off, &[]), gateway_settings(&gateway.settings(), &[("PW_LIFETIME_ENERGY", "no")])]
    {
        let aggregates = aggregates(&mut *connect_lazily(&settings)).await;
        assert!(counters(&aggregates).iter().all(Value::is_null));
        assert!(!aggregates["site"]["disclaimer"].as_str().unwrap().contains("local API"));
    }
    let seen = gateway.counters();
    assert_eq!((seen.requests(Role::Meters), seen.requests(Role::Login)), (0, 0));
}

#[actix_web::test]
async fn they_are_in_every_body_feed_and_metric_that_has_energies() {
    let gateway = start(SiteKind::Powerwall2).await;
    let service = Service::start(&settings(&gateway.settings(), &[("PW_CACHE_EXPIRE", "1")]), 1).unwrap();
    let address = service.addr;
    let get = async |path: &str| {
        let mut response =
            awc::Client::default().get(format!("http://{address}{path}")).send().await.unwrap();
        String::from_utf8(response.body().limit(1 << 20).await.unwrap().to_vec()).unwrap()
    };
    let reported = async || {
        let aggregates: Value = serde_json::from_str(&get("/aggregates").await).unwrap_or_default();
        aggregates["solar"]["energy_exported"].is_number()
    };
    for _ in 0..200 {
        if reported().await {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let aggregates: Value = serde_json::from_str(&get("/api/meters/aggregates").await).unwrap();
    assert!(counters(&aggregates).iter().all(Value::is_number), "{aggregates}");
    let live: Value = serde_json::from_str(&get("/api/live").await).unwrap();
    assert!(live.to_string().contains("\"exported_wh\":688"), "{live}");
    let metrics = get("/metrics").await;
    for name in ["imported", "exported"] {
        let name = format!("powerwall_energy_{name}_watthours_total");
        let lines = metrics.lines().filter(|line| line.starts_with(&name) && !line.ends_with(" 0"));
        assert!(lines.count() >= 3, "{name}");
    }
    service.stop().await;
}
