//! Orders over a real broker to a simulated gateway.

use powerwall_server::settings::RsaKey;
use powerwall_server::simulator::{Fault, GatewayHandle, Registration, SiteKind, SiteOptions};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::broker::{Broker, Listener, Options};
use super::gateway;
use super::program::Program;

const KEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/v1r/key-4096.pem");
const LOGIN: (&str, &str) = ("powerwall", "CanaryBroker");
const SET: &str = "pypowerwall/home/control/reserve/set";
const RESULT: &str = "pypowerwall/home/control/reserve/result";
const NUMBER: &str = "homeassistant/number/pypowerwall_home_reserve_control/config";

/// A Powerwall 3 over v1r (`home`), one that takes no orders (`loft`), a broker, and somebody who hears it.
struct House {
    home: GatewayHandle,
    lan: GatewayHandle,
    list: String,
    broker: Broker,
    listener: Listener,
    /// Where the program keeps its sessions.
    folder: TempDir,
}

impl House {
    async fn new() -> Option<Self> {
        let broker = Broker::start(Options { login: Some(LOGIN), ..Options::default() }).await?;
        let home =
            GatewayHandle::start(SiteOptions::new("home", "Home", SiteKind::Powerwall3)).await.unwrap();
        let lan = home.on_lan().await.unwrap();
        lan.lan().unwrap().register(RsaKey::read(KEY.as_ref()).unwrap().public_der(), Registration::Verified);
        let mut wired = home.settings_with_lan(&lan, KEY);
        wired.as_object_mut().unwrap().remove("wifi_host");
        let loft = gateway("loft", SiteKind::Powerwall3).await;
        let list = json!([wired, loft.settings()]).to_string();
        let listener = Listener::new(broker.port, Some(LOGIN)).await;
        Some(Self { home, lan, list, broker, listener, folder: tempfile::tempdir().unwrap() })
    }

    async fn serve(&self, controls: &str) -> Program {
        let port = self.broker.port.to_string();
        let environment = [
            ("PW_GATEWAYS", self.list.as_str()),
            ("PW_CONTROL_SECRET", "CanaryOwner-of-everything"),
            ("PW_AUTH_PATH", self.folder.path().to_str().unwrap()),
            ("PW_PORT", "0"),
            ("PW_BIND_ADDRESS", "127.0.0.1"),
            ("PW_CACHE_EXPIRE", "1"),
            ("MQTT_HOST", "127.0.0.1"),
            ("MQTT_PORT", port.as_str()),
            ("MQTT_USERNAME", LOGIN.0),
            ("MQTT_PASSWORD", LOGIN.1),
            ("MQTT_CONTROLS", controls),
        ];
        Program::start(&[], &environment).await
    }

    /// The result of an order of `name` that has this outcome.
    async fn result(&self, name: &str, outcomes: &[&str]) -> Value {
        let topic = format!("pypowerwall/home/control/{name}/result");
        let read = |listener: &Listener| {
            let result: Value = serde_json::from_str(&listener.newest(&topic)?).ok()?;
            outcomes.contains(&result["outcome"].as_str()?).then_some(result)
        };
        self.listener.until(&format!("{name}: {outcomes:?}"), |listener| read(listener).is_some()).await;
        read(&self.listener).unwrap()
    }
}

#[actix_web::test]
async fn an_order_over_the_broker_is_carried_out_once_and_what_came_of_it_is_said() {
    let Some(house) = House::new().await else { return };
    let program = house.serve("7").await;
    let number = house.listener.announcement(NUMBER).await;
    assert_eq!(
        (&number["command_topic"], &number["state_topic"]),
        (&json!(SET), &json!("pypowerwall/home/reserve"))
    );
    assert_eq!((&number["min"], &number["max"], &number["step"]), (&json!(0), &json!(100), &json!(1)));
    house.listener.becomes("pypowerwall/home/control/reserve/availability", "online").await;

    house.listener.say(SET, r#"{"value": 33}"#, false).await;
    let result = house.result("reserve", &["stored", "in_effect"]).await;
    assert_eq!((&result["order"], &result["value"]), (&json!("reserve"), &json!(33.0)), "{result}");
    assert!(result["id"].as_str().unwrap().len() == 32 && result["evidence"].is_string(), "{result}");
    assert!((house.home.reserve().0 - 36.35).abs() < 0.01, "{:?}", house.home.reserve());
    assert_eq!(house.home.orders().received, 1);
    house.listener.becomes("pypowerwall/home/reserve", "33.0").await;

    // Of a slider that is moved, the last position counts.
    for percent in 40..=60 {
        house.listener.say(SET, &json!({ "value": percent }).to_string(), false).await;
    }
    house
        .listener
        .until("the last position", |listener| {
            listener
                .newest(RESULT)
                .is_some_and(|result| result.contains("60.0") && !result.contains("pending"))
        })
        .await;
    let orders = house.home.orders().received;
    assert!((2..=6).contains(&orders), "{orders} orders of 22 reached the gateway");

    // Nothing is kept at the broker that would be taken for an order by whoever connects next.
    let later = Listener::new(house.broker.port, Some(LOGIN)).await;
    later.becomes("pypowerwall/home/availability", "online").await;
    let kept: Vec<_> = later.topics().into_keys().filter(|topic| topic.contains("/control/")).collect();
    assert!(kept.iter().all(|topic| topic.ends_with("/availability")), "{kept:?}");
    assert!(!program.log().contains("Canary"), "{}", program.log());
}

#[actix_web::test]
async fn what_is_no_order_does_nothing_and_is_said_to_be_none() {
    let Some(house) = House::new().await else { return };
    // Given while nobody was there, and kept.
    house.listener.say(SET, r#"{"value": 5}"#, true).await;
    let program = house.serve("19").await;
    let kept = house.result("reserve", &["not_sent"]).await;
    assert!(kept["evidence"].as_str().unwrap().contains("retained message"), "{kept}");
    house.listener.becomes("pypowerwall/home/control/islanding/availability", "online").await;
    for (name, payload, words) in [
        ("reserve", r#"{"value": 101}"#, "between 0 and 100"),
        ("reserve", r#"{"value": 40.0}"#, "integer"),
        ("mode", "backup", "JSON object"),
        ("grid_charging", r#"{"value": true}"#, "MQTT_CONTROLS"),
        ("islanding", r#"{"action":"off_grid"}"#, "confirm"),
    ] {
        house.listener.forget();
        house.listener.say(&format!("pypowerwall/home/control/{name}/set"), payload, false).await;
        let refused = house.result(name, &["not_sent"]).await;
        assert!(refused["evidence"].as_str().unwrap().contains(words), "{payload}: {refused}");
        assert_eq!((&refused["id"], &refused["final"]), (&Value::Null, &json!(true)));
    }
    house.listener.say("pypowerwall/cabin/control/reserve/set", r#"{"value": 5}"#, false).await;
    house.listener.say("pypowerwall/home/control/fly/set", r#"{"value": 5}"#, false).await;
    house.listener.say("pypowerwall/loft/control/reserve/set", r#"{"value": 5}"#, false).await;
    let loft = "pypowerwall/loft/control/reserve/result";
    house
        .listener
        .until(loft, |listener| listener.newest(loft).is_some_and(|text| text.contains("not_sent")))
        .await;
    assert_eq!(house.home.orders().received, 0, "{}", program.log());
    assert!(!house.home.is_off_grid());
    // What the operator does not allow is not announced, and neither is what a gateway has never been able to
    // do.
    let announced: Vec<String> = house.listener.topics().into_keys().collect();
    let is_announced = |end: &str| announced.iter().any(|topic| topic.ends_with(&format!("{end}/config")));
    assert!(
        !is_announced("home_grid_charging_control") && !is_announced("loft_reserve_control"),
        "{announced:?}"
    );
    assert!(program.log().contains("MQTT_TLS is off"), "{}", program.log());
}

#[actix_web::test]
async fn a_broker_that_returns_repeats_nothing_and_a_gateway_that_is_away_keeps_its_entities() {
    let Some(mut house) = House::new().await else { return };
    let mut program = house.serve("1").await;
    house.listener.announcement(NUMBER).await;
    let availability = "pypowerwall/home/control/reserve/availability";
    house.listener.becomes(availability, "online").await;
    house.listener.say(SET, r#"{"value": 33}"#, false).await;
    house.result("reserve", &["stored", "in_effect"]).await;
    house.broker.stop().await;
    house.broker.go_on().await;
    let listener = Listener::new(house.broker.port, Some(LOGIN)).await;
    listener.becomes("pypowerwall/availability", "online").await;
    listener.becomes(availability, "online").await;
    assert_eq!(house.home.orders().received, 1);

    // The program starts again without its gateway: what it announced before stays, and is not to be had.
    program.signal("TERM").await;
    assert!(program.ended().await.success());
    house.lan.set(Fault::Status { code: 500, retry_after: None });
    let _program = house.serve("1").await;
    listener.becomes(availability, "offline").await;
    assert!(
        listener.newest(NUMBER).is_some_and(|payload| !payload.is_empty()),
        "{:?}",
        listener.newest(NUMBER)
    );
    assert_eq!(house.home.orders().received, 1);
}
