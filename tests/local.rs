//! The customer API against simulated gateways over real TLS: Powerwall 2 and its firmwares, Basic LAN, and
//! everything by which clients got themselves locked out.

mod common;

use std::sync::Arc;

use std::path::Path;
use std::time::Duration;

use common::everything;
use powerwall_server::app::Service;
use powerwall_server::link::{LinkError, connect_lazily};
use powerwall_server::model::{Answers, GridStatus};
use powerwall_server::settings::{
    AuthMode, GatewaySettings, Inputs, LinkConfig, LocalConfig, Secret, Settings,
};
use powerwall_server::simulator::{
    CustomerSurface, Fault, GatewayHandle, LoginLimit, Role, SiteKind, SiteOptions,
};
use serde_json::{Value, json};

async fn start(kind: SiteKind) -> GatewayHandle {
    GatewayHandle::start(SiteOptions::new("home", "Home", kind)).await.unwrap()
}

/// The settings that reach `gateway`, with its state in `folder`.
fn settings(gateway: &GatewayHandle, folder: &Path) -> GatewaySettings {
    let list = json!([gateway.customer_settings()]).to_string();
    let environment = [("PW_GATEWAYS", list.as_str()), ("PW_AUTH_PATH", folder.to_str().unwrap())];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let inputs = Inputs { environment, flags: Vec::new() };
    let mut settings = Settings::load(&inputs).unwrap().gateways.remove(0);
    settings.timeout = Duration::from_secs(2);
    settings
}

fn config(settings: &mut GatewaySettings) -> &mut LocalConfig {
    match &mut settings.link {
        LinkConfig::Local(config) => config,
        other => panic!("{other:?}"),
    }
}

fn basic_lan(source: &Arc<dyn Answers>) -> bool {
    source.is_basic_lan()
}

#[actix_web::test]
async fn a_powerwall_2_is_read_with_cookies_and_with_a_token() {
    for mode in [AuthMode::Cookie, AuthMode::Token] {
        let (gateway, folder) = (start(SiteKind::Powerwall2).await, tempfile::tempdir().unwrap());
        let mut settings = settings(&gateway, folder.path());
        config(&mut settings).auth_mode = mode;
        let mut link = connect_lazily(&settings);
        let telemetry = everything(&mut *link).await;
        let (readings, documents) = (&telemetry.readings, telemetry.documents());
        assert!(readings.power.site.is_some() && readings.power.battery.is_some());
        assert_eq!(readings.grid, Some(GridStatus::Up));
        assert_eq!(readings.firmware.as_deref(), Some("26.26.11 c4db63ce"));
        assert_eq!(readings.site_name.as_deref(), Some("Home"));
        assert_eq!(readings.mode.as_deref(), Some("self_consumption"));
        assert_eq!(readings.powerwall3, Some(false));
        let reported = readings.charge.state_of_energy().unwrap().0;
        let remaining = readings.charge.remaining.unwrap().as_f64();
        assert!((reported - remaining / 27_000.0 * 100.0).abs() < 0.1, "{reported}");
        assert_eq!(documents.system_status["battery_blocks"].as_array().unwrap().len(), 2);
        assert_eq!(documents.strings.as_object().unwrap().len(), 4, "strings without vitals");
        let alerts = telemetry.site().alerts.as_ref().unwrap();
        assert!(alerts.contains(&"PVS_a018_MciStringB".to_owned()), "{alerts:?}");
        assert!(documents.vitals.is_null(), "this firmware has none");

        let counters = gateway.counters();
        assert_eq!(counters.requests(Role::Login), 1);
        assert_eq!((counters.connections(), counters.most_in_flight()), (1, 1));
        link.poll().await.unwrap();
        assert_eq!(counters.requests(Role::Login), 1);
    }
}

#[actix_web::test]
async fn a_restart_goes_on_with_the_session() {
    let (gateway, folder) = (start(SiteKind::Powerwall2).await, tempfile::tempdir().unwrap());
    let settings = settings(&gateway, folder.path());
    for _ in 0..5 {
        connect_lazily(&settings).poll().await.unwrap();
    }
    assert_eq!(gateway.counters().requests(Role::Login), 1);
    let text = std::fs::read_to_string(settings.state_file.unwrap()).unwrap();
    assert!(!text.contains(&gateway.options().customer_password), "a session is kept, no password");
}

#[actix_web::test]
async fn a_session_that_ended_is_replaced_at_once_and_nothing_is_lost() {
    for ended in [401, 403] {
        let (gateway, folder) = (start(SiteKind::Powerwall2).await, tempfile::tempdir().unwrap());
        let mut link = connect_lazily(&settings(&gateway, folder.path()));
        link.poll().await.unwrap();
        gateway.end_sessions(ended);
        link.poll().await.unwrap();
        assert_eq!(gateway.counters().requests(Role::Login), 2, "{ended}");
    }
}

#[actix_web::test]
async fn a_wrong_password_is_named_and_never_tried_more_than_three_times_even_over_restarts() {
    let (gateway, folder) = (start(SiteKind::Powerwall2).await, tempfile::tempdir().unwrap());
    let mut settings = settings(&gateway, folder.path());
    config(&mut settings).password = Secret::new("WRONG");
    for restart in 0..8 {
        let error = connect_lazily(&settings).poll().await.unwrap_err();
        let text = error.to_string();
        assert!(!text.contains("WRONG"), "{text}");
        match error {
            LinkError::Refused { .. } => assert!(restart < 3 && text.contains("PW_PASSWORD"), "{text}"),
            LinkError::LoginBudget { left } => {
                assert!(restart >= 3 && left <= Duration::from_secs(600) && left > Duration::from_secs(590));
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!(gateway.counters().requests(Role::Login), 3);
}

#[actix_web::test]
async fn only_401_and_403_lead_to_a_login() {
    let (gateway, folder) = (start(SiteKind::Powerwall2).await, tempfile::tempdir().unwrap());
    let settings = settings(&gateway, folder.path());
    let mut link = connect_lazily(&settings);
    link.poll().await.unwrap();
    let status = |code| Fault::Status { code, retry_after: None };
    let faults = [
        (status(404), "not_found"),
        (status(500), "status"),
        (status(502), "status"),
        (Fault::Hang, "timeout"),
        (Fault::ResetAt(30), "unreachable"),
        (Fault::HalfBody, "unreachable"),
        (Fault::Garbage, "malformed"),
        (Fault::EmptyBody, "not_found"),
    ];
    for (fault, kind) in faults {
        gateway.set_for(Role::Meters, fault.clone());
        assert_eq!(link.poll().await.unwrap_err().kind(), kind, "{fault:?}");
        gateway.heal();
        link.poll().await.unwrap();
    }
    assert_eq!(gateway.counters().requests(Role::Login), 1);
    // A gateway that refuses even a session it just gave gets no second one.
    gateway.set_for(Role::Meters, status(403));
    for _ in 0..5 {
        assert_eq!(link.poll().await.unwrap_err().kind(), "refused");
    }
    assert_eq!(gateway.counters().requests(Role::Login), 2);
    gateway.heal();
    link.poll().await.unwrap();
}

#[actix_web::test]
async fn a_single_endpoint_that_is_refused_costs_no_login() {
    let (gateway, folder) = (start(SiteKind::Powerwall2).await, tempfile::tempdir().unwrap());
    for status in [401, 403] {
        gateway.answer_instead("/api/operation", Some(status));
        let mut link = connect_lazily(&settings(&gateway, folder.path()));
        let telemetry = everything(&mut *link).await;
        assert_eq!(telemetry.readings.mode, None);
        assert!(telemetry.readings.firmware.is_some());
        everything(&mut *link).await;
    }
    assert_eq!(gateway.counters().requests(Role::Login), 1);
    assert_eq!(gateway.counters().requests_to("/api/operation"), 2, "once by each link");
}

#[actix_web::test]
async fn silence_is_kept_over_restarts() {
    for (role, code, retry_after, least) in [
        (Role::Login, 429, None, 290),
        (Role::Meters, 503, Some(900), 890),
        (Role::Customer, 429, Some(1), 290),
    ] {
        let (gateway, folder) = (start(SiteKind::Powerwall2).await, tempfile::tempdir().unwrap());
        let settings = settings(&gateway, folder.path());
        gateway.set_for(role, Fault::Status { code, retry_after });
        let mut link = connect_lazily(&settings);
        if link.poll().await.is_ok() {
            assert!(link.refresh().await.problem.is_some());
        }
        gateway.heal();
        let asked = gateway.counters().all_requests();
        for _ in 0..3 {
            let error = connect_lazily(&settings).poll().await.unwrap_err();
            assert!(matches!(error, LinkError::Silence { left } if left.as_secs() >= least), "{error:?}");
        }
        assert_eq!(link.poll().await.unwrap_err().kind(), "silence");
        assert_eq!(gateway.counters().all_requests(), asked, "{role:?}");
    }
}

#[actix_web::test]
async fn a_gateway_that_limits_logins_is_left_alone() {
    let (gateway, folder) = (start(SiteKind::Powerwall2).await, tempfile::tempdir().unwrap());
    gateway.limit_logins(LoginLimit { logins: 0, window: Duration::from_secs(60) });
    let mut link = connect_lazily(&settings(&gateway, folder.path()));
    assert_eq!(link.poll().await.unwrap_err(), LinkError::RateLimited { retry_after: None });
    assert_eq!(link.poll().await.unwrap_err().kind(), "silence");
    assert_eq!(gateway.counters().requests(Role::Login), 1);
}

#[actix_web::test]
async fn basic_lan_is_told_apart_and_never_asked_for_what_it_lacks() {
    let (gateway, folder) = (start(SiteKind::Powerwall3).await, tempfile::tempdir().unwrap());
    let mut link = connect_lazily(&settings(&gateway, folder.path()));
    let telemetry = everything(&mut *link).await;
    assert!(basic_lan(telemetry.answers()));
    assert!(telemetry.is_meaningful());
    let readings = &telemetry.readings;
    assert_eq!(readings.grid, Some(GridStatus::Up));
    assert!(readings.charge.state_of_energy().is_some());
    assert_eq!(
        (readings.powerwall3, readings.firmware.as_deref(), readings.reserve),
        (Some(true), None, None)
    );
    everything(&mut *link).await;
    let counters = gateway.counters();
    assert_eq!(counters.requests_to("/api/status"), 1);
    assert_eq!(counters.requests(Role::Customer), 3, "status, charge and grid");
    assert_eq!(counters.requests(Role::Login), 1);
}

#[actix_web::test]
async fn a_powerwall_2_that_stumbles_over_its_first_status_is_not_taken_for_basic_lan() {
    let (gateway, folder) = (start(SiteKind::Powerwall2).await, tempfile::tempdir().unwrap());
    gateway.answer_instead("/api/status", Some(500));
    let mut link = connect_lazily(&settings(&gateway, folder.path()));
    let mut source = link.poll().await.unwrap();
    loop {
        let refreshed = link.refresh().await;
        source = refreshed.source.unwrap_or(source);
        if !refreshed.more {
            break;
        }
    }
    assert!(!basic_lan(&source));
}

#[actix_web::test]
async fn firmware_with_vitals_is_read_and_their_end_is_noticed() {
    let (gateway, folder) = (start(SiteKind::Powerwall2).await, tempfile::tempdir().unwrap());
    gateway.reboot("23.12.11 452c76cb", Duration::ZERO);
    let settings = settings(&gateway, folder.path());
    let mut link = connect_lazily(&settings);
    let telemetry = everything(&mut *link).await;
    let documents = telemetry.documents();
    assert_eq!(documents.temps.as_object().unwrap().len(), 2);
    assert_eq!(documents.strings["A"]["State"], "PV_Active");
    let alerts = telemetry.site().alerts.as_ref().unwrap();
    assert!(alerts.contains(&"PINV_a067_overvoltageNeutralChassis".to_owned()));
    let freq: Value = serde_json::from_slice(&telemetry.view(powerwall_server::views::View::Freq)).unwrap();
    assert_eq!(freq["PW2_PINV_Fout"], 60.01);
    assert_eq!(freq["PW3_name"], Value::Null, "two Powerwalls, each with its module");
    assert_eq!(gateway.counters().requests_to("/api/solar_powerwall"), 0, "vitals report more");

    gateway.reboot("23.44.0 9064fc6a", Duration::ZERO);
    link.poll().await.unwrap();
    // The new session is the sign that the gateway restarted; its status says with what.
    let telemetry = everything(&mut *link).await;
    assert_eq!(telemetry.readings.firmware.as_deref(), Some("23.44.0 9064fc6a"));
    let documents = telemetry.documents();
    assert!(documents.vitals.is_null() && documents.temps.is_null());
    assert_eq!(documents.strings.as_object().unwrap().len(), 4);
    assert_eq!(gateway.counters().requests(Role::Login), 2);
}

#[actix_web::test]
async fn peers_of_old_that_hang_up_without_a_word_are_understood() {
    let (gateway, folder) = (start(SiteKind::Powerwall2).await, tempfile::tempdir().unwrap());
    gateway.reboot("23.12.11 452c76cb", Duration::ZERO);
    gateway.set(Fault::Http10);
    let mut link = connect_lazily(&settings(&gateway, folder.path()));
    let telemetry = everything(&mut *link).await;
    assert!(telemetry.documents().vitals.as_object().unwrap().len() > 5);
    assert_eq!(gateway.counters().requests(Role::Login), 1);
    // Half of an answer is none.
    gateway.set_for(Role::Meters, Fault::ResetAt(400));
    assert_eq!(link.poll().await.unwrap_err().kind(), "unreachable");
}

/// The whole service: what is asked of it is answered from the customer API like from any other link.
#[actix_web::test]
async fn the_service_shows_a_powerwall_2_and_a_powerwall_3_over_its_wired_lan() {
    let folder = tempfile::tempdir().unwrap();
    let old = start(SiteKind::Powerwall2).await;
    let options = SiteOptions { number: 2, ..SiteOptions::new("new", "New", SiteKind::Powerwall3) };
    let new = GatewayHandle::start(options).await.unwrap();
    let list = json!([old.customer_settings(), new.customer_settings()]).to_string();
    let environment = [
        ("PW_GATEWAYS", list.as_str()),
        ("PW_AUTH_PATH", folder.path().to_str().unwrap()),
        ("PW_CACHE_EXPIRE", "1"),
        ("PW_PORT", "0"),
        ("PW_BIND_ADDRESS", "127.0.0.1"),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let settings = Settings::load(&Inputs { environment, flags: Vec::new() }).unwrap();
    let service = Service::start(&settings, 1).unwrap();
    let get = async |path: &str| -> Value {
        let url = format!("http://{}{path}", service.addr);
        let mut response = awc::Client::default().get(url).send().await.unwrap();
        serde_json::from_slice(&response.body().limit(1 << 20).await.unwrap()).unwrap()
    };
    let until = async |path: &str, what: fn(&Value) -> bool| {
        let wait = async {
            loop {
                let body = get(path).await;
                if what(&body) {
                    return body;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), wait).await.expect("it comes to pass")
    };
    let is_complete = |body: &Value| body["online"] == true && !body["data"]["site_info"].is_null();
    let old_one = until("/api/gateways/home", is_complete).await;
    let is_basic = |body: &Value| body["online"] == true && body["gateway"]["basic_lan"] == true;
    let new_one = until("/api/gateways/new", is_basic).await;
    let modes = [&old_one, &new_one].map(|one| one["data"]["connection_mode"].as_str().unwrap().to_owned());
    assert_eq!(modes, ["Local", "Basic LAN"]);
    for one in [&old_one, &new_one] {
        assert_eq!((&one["online"], &one["gateway"]["tedapi_expected"]), (&json!(true), &json!(false)));
        assert_eq!(one["data"]["tedapi_mode"], "off");
        assert!(one["data"]["soe_raw"].is_number() && one["data"]["grid_status"] == "UP", "{one}");
    }
    assert!(get("/aggregates").await["battery"]["energy_exported"].is_number());
    assert_eq!(get("/api/operation").await["real_mode"], "self_consumption");
    assert_eq!(get("/api/system_status").await["battery_blocks"].as_array().unwrap().len(), 2);
    let networks = until("/api/networks", |body| body[0].is_object()).await;
    assert_eq!(networks[0]["network_name"], "ethernet_tesla_internal_default");
    assert_eq!(networks[1]["iface_network_info"]["signal_strength"], 71);
    let text = networks.to_string();
    assert!(!text.contains("The Nest") && !text.contains("02:00:00"), "open to everybody: {text}");
    assert_eq!(get("/api/system/networks").await, networks);
    assert_eq!(get("/api/gateways/home").await["data"]["networks"], networks);
    assert_eq!(get("/api/gateways/new").await["data"]["networks"], Value::Null);
    assert_eq!(get("/tedapi/status").await["error"].as_str().unwrap().split(' ').next(), Some("TEDAPI"));
    let health = get("/health/gateways").await;
    let links = health["gateways"].as_array().unwrap().iter().map(|one| &one["links"][0]["kind"]);
    assert_eq!(links.collect::<Vec<_>>(), ["local", "local"]);
    let sum = until("/api/aggregate", |body| body["num_online"] == 2).await;
    assert!(sum["total_site_power"].is_number() && sum["total_battery_percent"].is_number());

    // The gateway restarts into other firmware, and nobody has to do anything.
    old.reboot("23.12.11 452c76cb", Duration::from_millis(1));
    let version = until("/version", |body| body["version"] == "23.12.11 452c76cb").await;
    assert_eq!(version["vint"], 231_211);
    until("/vitals", |body| body.as_object().is_some_and(|devices| devices.len() > 5)).await;
    assert_eq!(old.counters().requests(Role::Login), 2);
    assert_eq!((old.counters().most_in_flight(), new.counters().most_in_flight()), (1, 1));
    assert_eq!(new.counters().requests(Role::Login), 1);
    service.stop().await;
}

#[actix_web::test]
async fn what_is_no_gateway_is_said_so() {
    let (gateway, folder) = (start(SiteKind::Powerwall2).await, tempfile::tempdir().unwrap());
    gateway.set_surface(CustomerSurface::Nothing);
    let error = connect_lazily(&settings(&gateway, folder.path())).poll().await.unwrap_err();
    assert_eq!(error.to_string(), "the gateway has no /api/meters/aggregates");
}
