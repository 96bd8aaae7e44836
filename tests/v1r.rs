//! Signed TEDAPI over the wired LAN, alone and with Wi-Fi beside it, and logins as installer; over real TLS.

mod common;

use std::time::Duration;

use common::everything;
use powerwall_server::app::Service;
use powerwall_server::link::error::KeyState;
use powerwall_server::link::{Link, LinkError, connect_lazily};
use powerwall_server::model::{LinkHealth, LinkKind, Telemetry};
use powerwall_server::settings::{Inputs, RsaKey, Settings};
use powerwall_server::simulator::{Fault, GatewayHandle, Registration, Role, SiteKind, SiteOptions};
use powerwall_server::views::View;
use serde_json::{Value, json};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/v1r");

fn path(name: &str) -> String {
    format!("{FOLDER}/{name}")
}

/// A gateway at both of its addresses, with the usual key registered and confirmed.
struct House {
    wifi: GatewayHandle,
    lan: GatewayHandle,
    key: RsaKey,
}

impl House {
    async fn build(kind: SiteKind) -> Self {
        let wifi = GatewayHandle::start(SiteOptions::new("home", "Home", kind)).await.unwrap();
        let lan = wifi.on_lan().await.unwrap();
        let key = RsaKey::read(path("key-4096.pem").as_ref()).unwrap();
        lan.lan().unwrap().register(key.public_der(), Registration::Verified);
        Self { wifi, lan, key }
    }

    fn register(&self, registration: Registration) {
        self.lan.lan().unwrap().register(self.key.public_der(), registration);
    }

    /// As configured with both ways.
    fn both(&self) -> Value {
        self.wifi.settings_with_lan(&self.lan, &path("key-4096.pem"))
    }

    /// As configured without Wi-Fi.
    fn lan_only(&self) -> Value {
        let mut entry = self.both();
        entry.as_object_mut().unwrap().remove("wifi_host");
        entry
    }
}

fn link_with(entry: &Value, variables: &[(&str, &str)]) -> Box<dyn Link> {
    // Every link has forgotten what the one before it knew.
    let folder = tempfile::tempdir().unwrap();
    let mut environment = vec![
        ("PW_AUTH_PATH".to_owned(), folder.path().display().to_string()),
        ("PW_GATEWAYS".to_owned(), json!([entry]).to_string()),
        ("PW_TIMEOUT".to_owned(), "2".to_owned()),
    ];
    environment.extend(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let settings = Settings::load(&Inputs { environment, flags: Vec::new() }).unwrap();
    connect_lazily(&settings.gateways[0])
}

fn link(entry: &Value) -> Box<dyn Link> {
    link_with(entry, &[])
}

/// Lets seconds go by without waiting for them.
async fn pass(seconds: u64) {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(seconds)).await;
    tokio::time::resume();
}

fn of(link: &dyn Link, kind: LinkKind) -> LinkHealth {
    let links = link.links().expect("a pair");
    links.into_iter().find(|health| health.kind == kind).unwrap()
}

#[actix_web::test]
async fn a_gateway_is_read_over_the_wired_lan_with_one_login() {
    for kind in [SiteKind::Powerwall3, SiteKind::Powerwall2] {
        let house = House::build(kind).await;
        let mut link = link(&house.lan_only());
        let telemetry = everything(&mut *link).await;
        let readings = &telemetry.readings;
        assert!(readings.power.site.is_some() && readings.charge.state_of_energy().is_some(), "{kind:?}");
        assert_eq!(readings.firmware.as_deref(), Some("26.26.11 c4db63ce"));
        assert_eq!(readings.powerwall3, Some(kind == SiteKind::Powerwall3));
        for _ in 0..3 {
            link.poll().await.unwrap();
        }
        assert_eq!(link.kind(), LinkKind::V1r);
        let counters = house.lan.counters();
        // Asked without a token first, and logged in to because it said no.
        assert_eq!((counters.requests(Role::Login), counters.requests(Role::Din)), (1, 2));
        assert_eq!((counters.most_in_flight(), counters.refused()), (1, 1));
        assert_eq!(house.wifi.counters().all_requests(), 0);
    }
}

#[actix_web::test]
async fn a_gateway_that_is_away_costs_no_login() {
    let house = House::build(SiteKind::Powerwall3).await;
    let mut link = link(&house.lan_only());
    house.lan.set(Fault::Refuse);
    for _ in 0..12 {
        link.poll().await.unwrap_err();
    }
    house.lan.heal();
    link.poll().await.unwrap();
    assert_eq!(house.lan.counters().requests(Role::Login), 1);
}

#[actix_web::test]
async fn followers_are_asked_over_wifi_only_because_the_leader_would_answer_for_them() {
    let house = House::build(SiteKind::Powerwall3).await;
    // The sun shines on the leader's roof only.
    let units = |telemetry: &Telemetry| {
        let documents = telemetry.documents();
        let inverters =
            documents.vitals.as_object().unwrap().keys().filter(|key| key.starts_with("TEPINV")).count();
        let strings = documents.strings.as_object().unwrap().values();
        let sunny =
            strings.filter(|string| string["Power"].as_f64().is_some_and(|watts| watts > 0.0)).count();
        (inverters, sunny)
    };

    let mut alone = link(&house.lan_only());
    let telemetry = everything(&mut *alone).await;
    assert_eq!(units(&telemetry), (1, 3), "the leader alone");
    assert_eq!(house.lan.counters().requests(Role::Components), 1);
    let remark = alone.remark().unwrap();
    assert_eq!(remark.matches("1707000-").count(), 1, "the unseen unit is named: {remark}");
    let freq: Value = serde_json::from_slice(&telemetry.view(View::Freq)).unwrap();
    let unseen = ["PackageSerialNumber", "PackagePartNumber", "v_out"].map(|key| &freq[format!("PW2_{key}")]);
    assert_eq!(unseen, [&json!("TG2600001B2"), &json!("1707000-11-M"), &Value::Null]);

    let mut both = link(&house.both());
    let telemetry = everything(&mut *both).await;
    assert_eq!(units(&telemetry), (2, 3), "the follower has data of its own");
    assert_eq!(house.lan.counters().requests(Role::Components), 2);
    assert_eq!(house.wifi.counters().requests(Role::Components), 1);
    assert_eq!(house.wifi.counters().requests(Role::Controller), 0, "the leader is not asked over Wi-Fi");
    let (lan, wifi) = (of(&*both, LinkKind::V1r), of(&*both, LinkKind::Tedapi));
    assert!(lan.in_use && wifi.in_use && lan.last_success.is_some() && wifi.last_success.is_some());
    assert_eq!(
        (lan.why.as_str(), wifi.why.as_str()),
        ("carries the leader's data", "carries the followers' data")
    );
}

#[actix_web::test]
async fn every_state_of_a_registration_is_distinguished() {
    let house = House::build(SiteKind::Powerwall3).await;
    let mut link = link(&house.lan_only());
    let key_error = |error: LinkError, expected: KeyState| {
        let LinkError::Key { state, .. } = &error else { panic!("{error}") };
        assert_eq!(*state, expected);
        assert!(error.to_string().contains(house.key.fingerprint()), "{error}");
        error
    };
    for (registration, state, advice) in [
        (Registration::Pending, KeyState::Pending, "switch one Powerwall off"),
        (Registration::PendingInPlainText, KeyState::Pending, "waits to be confirmed"),
        (Registration::Inactive, KeyState::Inactive, "register the same public key again"),
    ] {
        house.register(registration);
        let error = key_error(link.poll().await.unwrap_err(), state);
        assert!(error.to_string().contains(advice), "{error}");
    }
    house.register(Registration::Verified);
    link.poll().await.unwrap();

    house.lan.lan().unwrap().forget(house.key.public_der());
    let error = key_error(link.poll().await.unwrap_err(), KeyState::Unknown);
    assert!(error.to_string().contains("PW_RSA_KEY_PATH"), "{error}");
    house.lan.lan().unwrap().stay_silent_on_unknown_keys();
    key_error(link.poll().await.unwrap_err(), KeyState::Unknown);

    let mut entry = house.lan_only();
    entry["rsa_key_path"] = path("other-2048.pem").into();
    house.register(Registration::Verified);
    let error = self::link(&entry).poll().await.unwrap_err();
    assert_eq!(error.kind(), "key_unknown", "the file of another key");
    assert!(!error.to_string().contains(house.key.fingerprint()));
}

#[actix_web::test]
async fn clocks_that_differ_are_named_with_the_difference() {
    let house = House::build(SiteKind::Powerwall2).await;
    let mut link = link(&house.lan_only());
    for (ahead, sends_date, expected) in [
        (60, true, "s behind the gateway's"),
        (-60, true, "s ahead of the gateway's"),
        (60, false, "clock is behind the gateway's"),
        (-60, false, "clock is ahead of the gateway's"),
    ] {
        house.lan.lan().unwrap().set_clock(ahead, sends_date);
        let error = link.poll().await.unwrap_err();
        assert_eq!(error.kind(), "clock_skew");
        assert!(error.to_string().contains(expected), "{error}");
        let names_seconds =
            ["59 s", "60 s", "61 s"].iter().any(|seconds| error.to_string().contains(seconds));
        assert_eq!(names_seconds, sends_date, "{error}");
    }
    house.lan.lan().unwrap().set_clock(1, true);
    link.poll().await.unwrap();
    assert_eq!(house.lan.counters().requests(Role::Login), 1, "a clock is no reason to log in again");
}

#[actix_web::test]
async fn a_wrong_password_is_named_and_a_token_that_no_longer_holds_is_renewed() {
    let house = House::build(SiteKind::Powerwall3).await;
    let mut entry = house.lan_only();
    entry["password"] = "WRONG".into();
    let error = link(&entry).poll().await.unwrap_err();
    assert_eq!(error.kind(), "refused");
    assert!(error.to_string().contains("last five characters"), "{error}");
    assert!(!error.to_string().contains("WRONG"));

    let mut link = link(&house.lan_only());
    link.poll().await.unwrap();
    // The DIN is asked for again only when the key or the signature does not fit; then the old token is of no
    // use.
    house.lan.lan().unwrap().expire_tokens();
    house.lan.lan().unwrap().forget(house.key.public_der());
    assert_eq!(link.poll().await.unwrap_err().kind(), "key_unknown");
    house.register(Registration::Verified);
    link.poll().await.unwrap();
    assert_eq!(house.lan.counters().requests(Role::Login), 3);
}

#[actix_web::test]
async fn a_request_signed_for_another_gateway_is_rejected_and_the_din_learnt_anew() {
    let house = House::build(SiteKind::Powerwall3).await;
    let mut link = link(&house.lan_only());
    link.poll().await.unwrap();
    // Another gateway takes over the address.
    let mut options = SiteOptions::new("other", "Other", SiteKind::Powerwall3);
    options.number = 7;
    let other = GatewayHandle::start(options).await.unwrap();
    let addr = house.lan.addr;
    drop(house.lan);
    let other = loop {
        // The port is free as soon as the task that listened has run.
        tokio::task::yield_now().await;
        if let Ok(other) = other.on_lan_at(addr.port()).await {
            break other;
        }
    };
    other.lan().unwrap().register(house.key.public_der(), Registration::Verified);
    let mut kinds = Vec::new();
    for _ in 0..3 {
        kinds.push(link.poll().await.map_err(|error| error.kind().to_owned()));
    }
    let first_rejection = kinds.iter().position(|kind| kind.as_ref().is_err_and(|kind| kind == "rejected"));
    assert!(first_rejection.is_some_and(|at| kinds.get(at + 1).is_some_and(Result::is_ok)), "{kinds:?}");
}

#[actix_web::test]
async fn wifi_takes_over_when_the_lan_dies_and_the_lan_is_used_again_by_itself() {
    let house = House::build(SiteKind::Powerwall2).await;
    let mut link = link(&house.both());
    everything(&mut *link).await;
    assert_eq!(link.kind(), LinkKind::V1r);
    house.lan.set(Fault::Refuse);
    for poll in 1..=5 {
        link.poll().await.unwrap_or_else(|error| panic!("poll {poll} failed: {error}"));
        assert_eq!(link.kind(), LinkKind::Tedapi);
        pass(5).await;
    }
    let lan = of(&*link, LinkKind::V1r);
    assert_eq!(lan.last_error.unwrap().kind, "unreachable");
    assert!(!lan.in_use && lan.next_try.is_some(), "after three failures it is left alone for a while");
    assert_eq!(of(&*link, LinkKind::Tedapi).why, "replaces the wired LAN");

    house.lan.heal();
    let before = house.lan.counters().all_requests();
    link.poll().await.unwrap();
    assert_eq!(
        house.lan.counters().all_requests(),
        before,
        "no poll waits for the LAN before its check is due"
    );
    pass(61).await;
    while link.refresh().await.more {}
    link.poll().await.unwrap();
    assert_eq!(link.kind(), LinkKind::V1r);
    let lan = of(&*link, LinkKind::V1r);
    assert!(lan.in_use && lan.last_error.is_none());
}

#[actix_web::test]
async fn a_lan_that_says_no_lets_wifi_stand_in_too() {
    for trouble in ["pending", "clock", "password", "silent address"] {
        let house = House::build(SiteKind::Powerwall3).await;
        let mut entry = house.both();
        match trouble {
            "pending" => house.register(Registration::Pending),
            "clock" => house.lan.lan().unwrap().set_clock(90, true),
            "password" => entry["password"] = "WRONG".into(),
            _ => house.lan.set(Fault::Hang),
        }
        let mut link = link(&entry);
        link.poll().await.unwrap_or_else(|error| panic!("{trouble}: {error}"));
        let (lan, wifi) = (of(&*link, LinkKind::V1r), of(&*link, LinkKind::Tedapi));
        let kind = lan.last_error.map(|error| error.kind);
        let expected = match trouble {
            "pending" => "key_pending",
            "clock" => "clock_skew",
            "password" => "refused",
            _ => "timeout",
        };
        if trouble == "password" {
            // The DIN came over Wi-Fi; signed requests need no password.
            assert_eq!(link.kind(), LinkKind::Tedapi);
        }
        assert_eq!((kind, wifi.last_error), (Some(expected), None), "{trouble}");
    }
}

#[actix_web::test]
async fn without_failover_each_way_does_its_own_work_and_none_takes_over() {
    let house = House::build(SiteKind::Powerwall3).await;
    let mut link = link_with(&house.both(), &[("PW_FAILOVER", "no")]);
    everything(&mut *link).await;
    assert_eq!(house.wifi.counters().requests(Role::Components), 1, "the follower");
    let asked = house.wifi.counters().all_requests();
    house.lan.set(Fault::Refuse);
    for _ in 0..5 {
        assert_eq!(link.poll().await.unwrap_err().kind(), "unreachable");
    }
    assert_eq!(house.wifi.counters().all_requests(), asked);
    house.lan.heal();
    link.poll().await.unwrap();
    assert!(of(&*link, LinkKind::V1r).why.contains("PW_FAILOVER=no"));
}

#[actix_web::test]
async fn a_silence_asked_for_by_the_leader_is_the_whole_gateways() {
    let house = House::build(SiteKind::Powerwall2).await;
    let mut link = link(&house.both());
    link.poll().await.unwrap();
    let asked = house.wifi.counters().all_requests();
    house.lan.set(Fault::Status { code: 429, retry_after: Some(600) });
    let error = link.poll().await.unwrap_err();
    assert_eq!(error, LinkError::RateLimited { retry_after: Some(Duration::from_secs(600)) });
    assert_eq!(house.wifi.counters().all_requests(), asked);
}

#[actix_web::test]
async fn an_inverter_that_wants_an_installer_is_read_with_a_token() {
    let gateway = GatewayHandle::start(SiteOptions::new("barn", "Barn", SiteKind::Inverter)).await.unwrap();
    gateway.want_installer();
    let bearer = [("PW_TEDAPI_AUTH_MODE", "bearer")];
    let mut link = link_with(&gateway.settings(), &bearer);
    let telemetry = everything(&mut *link).await;
    assert!(telemetry.readings.power.solar.is_some());
    assert_eq!((link.kind(), gateway.counters().requests(Role::Login)), (LinkKind::Bearer, 1));
    gateway.forget_installer();
    link.poll().await.unwrap();
    assert_eq!(gateway.counters().requests(Role::Login), 2, "one login for a token that no longer holds");

    let mut plain = self::link(&gateway.settings());
    assert_eq!(plain.poll().await.unwrap_err().kind(), "refused");
    let mut entry = gateway.settings();
    entry["gw_pwd"] = "NOTTHISONE".into();
    let error = link_with(&entry, &bearer).poll().await.unwrap_err();
    assert!(error.to_string().contains("installer login"), "{error}");
}

/// What the service says of its only gateway: its health, and its status.
async fn health_and_status(service: &Service) -> (Value, Value) {
    let get = async |path: &str| -> Value {
        let client = awc::Client::default();
        let mut answer = client.get(format!("http://{}{path}", service.addr)).send().await.unwrap();
        serde_json::from_slice(&answer.body().limit(16 << 20).await.unwrap()).unwrap()
    };
    (get("/health/gateways").await["gateways"][0].take(), get("/api/gateways/home").await)
}

/// Waits until the service says what is looked for.
async fn until(service: &Service, what: &str, is_so: impl Fn(&Value, &Value) -> bool) -> (Value, Value) {
    for _ in 0..600 {
        let (health, status) = health_and_status(service).await;
        if is_so(&health, &status) {
            return (health, status);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it never came to pass that {what}: {:#}", health_and_status(service).await.0);
}

#[actix_web::test]
async fn the_service_shows_both_ways_and_which_one_it_uses() {
    let house = House::build(SiteKind::Powerwall3).await;
    let folder = tempfile::tempdir().unwrap();
    let variables = [
        ("PW_GATEWAYS", json!([house.both()]).to_string()),
        ("PW_AUTH_PATH", folder.path().display().to_string()),
        ("PW_PORT", "0".into()),
        ("PW_BIND_ADDRESS", "127.0.0.1".into()),
        ("PW_CACHE_EXPIRE", "1".into()),
        ("PW_TIMEOUT", "2".into()),
    ];
    let environment = variables.map(|(name, value)| (name.to_owned(), value)).to_vec();
    let settings = Settings::load(&Inputs { environment, flags: Vec::new() }).unwrap();
    let service = Service::start(&settings, 1).unwrap();

    let mode = |status: &Value| {
        let data = &status["data"];
        (data["connection_mode"].clone(), data["tedapi_mode"].clone(), data["pw3"].clone())
    };
    let by_lan = (json!("TEDAPI v1r"), json!("v1r"), json!(true));
    let (health, status) = until(&service, "the LAN is used", |health, status| {
        mode(status) == by_lan && health["links"][1]["why"] == "carries the followers' data"
    })
    .await;
    assert_eq!((&health["mode"], &health["state"]), (&json!("v1r+wifi"), &json!("live")));
    assert!(health["mode_reason"].as_str().unwrap().starts_with("there is a key for the wired LAN"));
    let links = health["links"].as_array().unwrap();
    let kinds: Vec<_> = links.iter().map(|link| (link["kind"].clone(), link["in_use"].clone())).collect();
    assert_eq!(kinds, [(json!("v1r"), json!(true)), (json!("tedapi"), json!(true))]);
    assert!(links.iter().all(|link| link["last_success"].is_number() && link["last_error"].is_null()));
    assert_eq!(
        (&status["gateway"]["tedapi_expected"], &status["gateway"]["basic_lan"]),
        (&json!(true), &json!(false))
    );

    house.lan.set(Fault::Refuse);
    let by_wifi = (json!("TEDAPI"), json!("full"), json!(true));
    let (health, status) = until(&service, "Wi-Fi takes over", |health, status| {
        mode(status) == by_wifi && health["links"][0]["in_use"] == false
    })
    .await;
    assert_eq!(
        (&health["state"], &status["online"]),
        (&json!("live"), &json!(true)),
        "nobody misses anything"
    );
    assert_eq!(health["links"][0]["last_error"]["kind"], "unreachable");

    house.lan.heal();
    until(&service, "the LAN is used again", |health, status| {
        mode(status) == by_lan && health["links"][0]["last_error"].is_null()
    })
    .await;
    service.stop().await;
}
