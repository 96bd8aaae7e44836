//! The real program, a real broker and simulated gateways: what the broker and those behind it come to know.

mod broker;
#[path = "../service/program.rs"]
#[allow(dead_code, reason = "shared with the other test program")]
mod program;
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

/// The program with these gateways, telling a broker at `port`.
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
    // Every announced entity finds its value, except what this protocol does not tell.
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
