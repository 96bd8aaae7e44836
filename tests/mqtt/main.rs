//! The real program, a real broker and simulated gateways: what the broker and those behind it come to know.

mod broker;
mod examples;
mod orders;
#[path = "../service/program.rs"]
#[allow(dead_code, reason = "shared with the other test program")]
mod program;
mod security;
mod stalled;
#[path = "../common/tools.rs"]
mod tools;

use std::time::Duration;

use broker::{Broker, Listener, Options};
use powerwall_server::simulator::{Fault, GatewayHandle, SiteKind, SiteOptions};
use program::{PATIENCE, Program};
use serde_json::Value;
use tokio::time::{sleep, timeout};

async fn gateway(id: &str, kind: SiteKind) -> GatewayHandle {
    GatewayHandle::start(SiteOptions::new(id, id, kind)).await.unwrap()
}

/// The program with these gateways, publishing to a broker at `port`.
async fn serve(gateways: &[&GatewayHandle], port: u16, environment: &[(&str, &str)]) -> Program {
    let list = gateways.iter().map(|gateway| gateway.settings()).collect::<Value>().to_string();
    let port = port.to_string();
    let mut all = vec![
        ("PW_GATEWAYS", list.as_str()),
        ("PW_PORT", "0"),
        ("PW_BIND_ADDRESS", "127.0.0.1"),
        ("PW_CACHE_EXPIRE", "1"),
        ("MQTT_HOST", "127.0.0.1"),
        ("MQTT_PORT", port.as_str()),
    ];
    all.retain(|(name, _)| environment.iter().all(|(own, _)| own != name));
    all.extend(environment);
    Program::start(&[], &all).await
}

/// `/api/mqtt/status`, once it is as expected.
async fn status_becomes(program: &Program, expected: impl Fn(&Value) -> bool) -> Value {
    let becomes = async {
        loop {
            let status = program.json("/api/mqtt/status").await;
            if expected(&status) {
                return status;
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    match timeout(PATIENCE, becomes).await {
        Ok(status) => status,
        Err(_) => panic!("{}\n{}", program.json("/api/mqtt/status").await, program.log()),
    }
}

/// The announcements that the broker holds.
fn announced(listener: &Listener) -> Vec<Value> {
    let topics = listener.topics().into_iter().filter(|(topic, _)| topic.ends_with("/config"));
    topics.map(|(_, payload)| serde_json::from_str(&payload).unwrap()).collect()
}

const BATTERY_CONFIG: &str = "homeassistant/sensor/pypowerwall_home_battery/config";

#[actix_web::test]
async fn a_broker_comes_to_know_values_and_entities_and_keeps_them() {
    let Some(broker) = Broker::start(Options::default()).await else { return };
    let gateway = gateway("home", SiteKind::Powerwall3).await;
    let mut program = serve(&[&gateway], broker.port, &[]).await;
    let listener = broker.listener().await;
    listener.becomes("pypowerwall/availability", "online").await;
    listener.becomes("pypowerwall/home/availability", "online").await;
    let announcement = listener.announcement(BATTERY_CONFIG).await;
    assert_eq!(announcement["unique_id"], "pypowerwall_home_battery");
    assert_eq!(announcement["state_topic"], "pypowerwall/home/battery");
    // Every announced entity finds its value, except what this protocol does not report.
    let is_untold = |id: &str| {
        let energies = ["energy_imported", "energy_exported"];
        let others = ["time_remaining", "grid_charging", "grid_export"];
        id.starts_with("pypowerwall_home_") && energies.iter().chain(&others).any(|end| id.ends_with(end))
    };
    listener
        .until("every entity has a value", |listener| {
            let topics = listener.topics();
            let entities = announced(listener);
            let of_units =
                entities.iter().filter(|entity| entity["device"]["via_device"].is_string()).count();
            let missing: Vec<_> = entities
                .iter()
                .filter(|entity| !topics.contains_key(entity["state_topic"].as_str().unwrap()))
                .map(|entity| entity["unique_id"].as_str().unwrap().to_owned())
                .filter(|id| !is_untold(id))
                .collect();
            of_units > 5 && missing.is_empty()
        })
        .await;
    // Somebody who comes later gets the same, from the broker's memory.
    let later = broker.listener().await;
    later.becomes("pypowerwall/home/availability", "online").await;
    later.announcement(BATTERY_CONFIG).await;
    let is_done = |status: &Value| status["queued"] == 0 && status["published"].as_u64() > Some(100);
    let status = status_becomes(&program, is_done).await;
    assert_eq!((&status["enabled"], &status["connected"]), (&true.into(), &true.into()));
    assert_eq!((&status["port"], &status["last_error"]), (&broker.port.into(), &Value::Null));

    let password = gateway.options().password.as_str();
    let leaks = |(topic, payload): (&String, &String)| topic.contains(password) || payload.contains(password);
    assert!(!listener.topics().iter().any(leaks), "a password is nobody's business");

    // An orderly stop.
    program.signal("TERM").await;
    assert!(program.ended().await.success());
    listener.becomes("pypowerwall/home/availability", "offline").await;
    listener.becomes("pypowerwall/availability", "offline").await;
}

#[actix_web::test]
async fn a_killed_program_is_declared_offline_by_the_broker() {
    let Some(broker) = Broker::start(Options::default()).await else { return };
    let gateway = gateway("home", SiteKind::Powerwall3).await;
    let mut program = serve(&[&gateway], broker.port, &[]).await;
    let listener = broker.listener().await;
    listener.becomes("pypowerwall/home/availability", "online").await;
    program.signal("KILL").await;
    program.ended().await;
    listener.becomes("pypowerwall/availability", "offline").await;
    // Also for those who come later.
    let later = broker.listener().await;
    later.becomes("pypowerwall/availability", "offline").await;
}

#[actix_web::test]
async fn a_gateway_is_offline_when_its_data_expires_and_not_before() {
    let Some(broker) = Broker::start(Options::default()).await else { return };
    let gateway = gateway("home", SiteKind::Powerwall3).await;
    let _program = serve(&[&gateway], broker.port, &[("PW_CACHE_TTL", "8")]).await;
    let listener = broker.listener().await;
    listener.becomes("pypowerwall/home/online", "true").await;
    listener.becomes("pypowerwall/home/availability", "online").await;
    gateway.set(Fault::Refuse);
    listener.becomes("pypowerwall/home/online", "false").await;
    assert_eq!(listener.newest("pypowerwall/home/availability").as_deref(), Some("online"));
    listener.becomes("pypowerwall/home/availability", "offline").await;
    assert_ne!(listener.newest(BATTERY_CONFIG).as_deref(), Some(""), "an outage removes no entity");
    gateway.heal();
    listener.becomes("pypowerwall/home/availability", "online").await;
}

#[actix_web::test]
async fn a_broker_that_restarts_is_sent_everything_again() {
    let Some(mut broker) = Broker::start(Options::default()).await else { return };
    let gateway = gateway("home", SiteKind::Powerwall3).await;
    let program = serve(&[&gateway], broker.port, &[]).await;
    let listener = broker.listener().await;
    listener.becomes("pypowerwall/home/availability", "online").await;
    listener.announcement(BATTERY_CONFIG).await;

    broker.stop().await;
    let status = status_becomes(&program, |status| status["connected"] == false).await;
    assert_eq!(status["queued"], 0, "nothing waits for a broker that is away: {status}");
    // Until an attempt has failed as well: the two errors have different causes.
    status_becomes(&program, |now| now["last_error_at"] != status["last_error_at"]).await;
    listener.forget();
    broker.forget();
    broker.go_on().await;
    let later = broker.listener().await;
    later.becomes("pypowerwall/availability", "online").await;
    later.becomes("pypowerwall/home/availability", "online").await;
    later.announcement(BATTERY_CONFIG).await;
    later.until("the last of many values", |later| later.newest("pypowerwall/home/status").is_some()).await;
    status_becomes(&program, |status| status["connected"] == true).await;
    let log = program.log();
    assert_eq!(log.matches("; retrying").count(), 1, "an outage begins once:\n{log}");
    assert_eq!(log.matches("and 2 attempts").count(), 1, "and ends once:\n{log}");
}

#[actix_web::test]
async fn home_assistant_is_sent_everything_when_it_starts() {
    let Some(broker) = Broker::start(Options::default()).await else { return };
    let gateway = gateway("home", SiteKind::Powerwall2).await;
    let program = serve(&[&gateway], broker.port, &[]).await;
    let listener = broker.listener().await;
    listener.announcement(BATTERY_CONFIG).await;
    status_becomes(&program, |status| status["queued"] == 0 && status["published"].as_u64() > Some(50)).await;
    listener.forget();
    listener.say("homeassistant/status", "online", false).await;
    listener.announcement(BATTERY_CONFIG).await;
    listener.becomes("pypowerwall/home/name", "home").await;
}

#[actix_web::test]
async fn only_changes_are_sent() {
    let Some(broker) = Broker::start(Options::default()).await else { return };
    let gateway = gateway("home", SiteKind::Powerwall2).await;
    let program = serve(&[&gateway], broker.port, &[]).await;
    let listener = broker.listener().await;
    listener.announcement(BATTERY_CONFIG).await;
    status_becomes(&program, |status| status["queued"] == 0 && status["published"].as_u64() > Some(50)).await;
    // Several polls later.
    let before = listener.count(|topic, _| topic == "pypowerwall/home/status");
    listener
        .until("more polls", |listener| {
            listener.count(|topic, _| topic == "pypowerwall/home/status") > before + 3
        })
        .await;
    for topic in ["pypowerwall/home/name", "pypowerwall/home/version", BATTERY_CONFIG] {
        assert!(listener.count(|heard, _| heard == topic) <= 2, "{topic}");
    }
}

#[actix_web::test]
async fn a_gateway_that_is_no_longer_configured_disappears_from_home_assistant() {
    let Some(broker) = Broker::start(Options::default()).await else { return };
    let (home, barn) =
        (gateway("home", SiteKind::Powerwall2).await, gateway("barn", SiteKind::Powerwall2).await);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateways.json");
    let write = |gateways: &[&GatewayHandle]| {
        let list: Value = gateways.iter().map(|gateway| gateway.settings()).collect();
        std::fs::write(&path, serde_json::json!({ "gateways": list }).to_string()).unwrap();
    };
    write(&[&home, &barn]);
    let config = path.display().to_string();
    let program = serve(&[], broker.port, &[("PW_GATEWAYS", ""), ("PW_CONFIG", &config)]).await;
    let listener = broker.listener().await;
    let barn_config = "homeassistant/sensor/pypowerwall_barn_battery/config";
    listener.announcement(barn_config).await;
    listener.announcement(BATTERY_CONFIG).await;
    write(&[&home]);
    program.signal("HUP").await;
    listener.becomes(barn_config, "").await;
    listener.becomes("pypowerwall/barn/availability", "offline").await;
    listener
        .until("nothing is left of the barn", |listener| {
            listener.topics().keys().filter(|topic| topic.contains("barn")).count() == 1
        })
        .await;
    assert!(listener.newest(BATTERY_CONFIG).is_some_and(|payload| !payload.is_empty()));
    // And comes back with it.
    write(&[&home, &barn]);
    program.signal("HUP").await;
    listener.announcement(barn_config).await;
    listener.becomes("pypowerwall/barn/availability", "online").await;
}

#[actix_web::test]
async fn what_the_server_before_offered_and_this_one_does_not_is_removed() {
    let Some(broker) = Broker::start(Options::default()).await else { return };
    let listener = broker.listener().await;
    let left_behind = [
        "homeassistant/button/pypowerwall_home_go_off_grid/config",
        "homeassistant/sensor/pypowerwall_home_battery/config",
    ];
    for topic in left_behind {
        listener.say(topic, "{}", true).await;
        listener.becomes(topic, "{}").await;
    }
    let gateway = gateway("home", SiteKind::Inverter).await;
    let mut settings = gateway.settings();
    settings["type"] = "inverter".into();
    let list = Value::Array(vec![settings]).to_string();
    let _program = serve(&[], broker.port, &[("PW_GATEWAYS", &list)]).await;
    for topic in left_behind {
        listener.becomes(topic, "").await;
    }
    listener.announcement("homeassistant/sensor/pypowerwall_home_solar/config").await;
    assert_eq!(listener.newest("pypowerwall/home/battery"), None);
}

#[actix_web::test]
async fn both_layouts_show_the_sum_to_displays() {
    let Some(broker) = Broker::start(Options::default()).await else { return };
    let (one, two) = (gateway("one", SiteKind::Powerwall2).await, gateway("two", SiteKind::Powerwall3).await);
    let _program = serve(&[&one, &two], broker.port, &[("MQTT_LAYOUT", "both"), ("PW_CACHE_TTL", "3")]).await;
    let listener = broker.listener().await;
    let number = |listener: &Listener, topic: &str| -> Option<f64> {
        listener.newest(&format!("pypowerwall/{topic}"))?.parse().ok()
    };
    listener
        .until("the sum is that of both", |listener| {
            let (Some(sum), Some(one), Some(two)) = (
                number(listener, "load/instant_power"),
                number(listener, "one/home"),
                number(listener, "two/home"),
            ) else {
                return false;
            };
            (sum - one - two).abs() < 50.0
        })
        .await;
    listener
        .until("every topic has a number", |listener| {
            let topics =
                ["site/instant_power", "solar/instant_power", "battery/instant_power", "battery/level"];
            topics.iter().all(|topic| number(listener, topic).is_some())
        })
        .await;
    listener.becomes("pypowerwall/site/offgrid", "0").await;
    // With nobody to sum, there is no value rather than an old one.
    one.set(Fault::Refuse);
    two.set(Fault::Refuse);
    listener.becomes("pypowerwall/load/instant_power", "").await;
}

#[actix_web::test]
async fn a_broker_that_shall_keep_no_values_keeps_entities_and_whether_we_are_online() {
    let Some(broker) = Broker::start(Options::default()).await else { return };
    let gateway = gateway("home", SiteKind::Powerwall2).await;
    let listener = broker.listener().await;
    let environment = [("MQTT_RETAIN", "no"), ("MQTT_QOS", "2"), ("MQTT_TOPIC_PREFIX", "house/power")];
    let program = serve(&[&gateway], broker.port, &environment).await;
    listener.becomes("house/power/home/availability", "online").await;
    listener.until("values", |listener| listener.newest("house/power/home/status").is_some()).await;
    let announcement = listener.announcement(BATTERY_CONFIG).await;
    assert_eq!(announcement["state_topic"], "house/power/home/battery");
    status_becomes(&program, |status| status["queued"] == 0 && status["published"].as_u64() > Some(50)).await;
    program.signal("KILL").await;
    let later = broker.listener().await;
    later.becomes("house/power/availability", "offline").await;
    later.announcement(BATTERY_CONFIG).await;
    assert!(later.topics().keys().all(|topic| !topic.starts_with("house/power/home/")));
}
