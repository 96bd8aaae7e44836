//! The ready-made files for a broker and for Home Assistant behind it.

use std::path::{Path, PathBuf};

use powerwall_server::simulator::SiteKind;
use serde_json::Value;

use super::broker::{Broker, Listener, Options};
use super::{BATTERY_CONFIG, gateway, serve};

fn config(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

#[actix_web::test]
async fn the_example_of_mosquitto_serves_us_and_home_assistant() {
    let options = Options { example: Some(config("config/mosquitto")), ..Options::default() };
    let Some(broker) = Broker::start(options).await else { return };
    let gateway = gateway("home", SiteKind::Powerwall2).await;
    let password = ("MQTT_PASSWORD", "of-powerwall");
    let _program = serve(&[&gateway], broker.port, &[("MQTT_USERNAME", "powerwall"), password]).await;
    let home_assistant = Listener::new(broker.port, Some(("homeassistant", "of-homeassistant"))).await;
    home_assistant.announcement(BATTERY_CONFIG).await;
    home_assistant.becomes("pypowerwall/home/availability", "online").await;
    home_assistant.until("values", |listener| listener.newest("pypowerwall/home/status").is_some()).await;
    home_assistant.forget();
    home_assistant.say("homeassistant/status", "online", false).await;
    home_assistant.announcement(BATTERY_CONFIG).await;
}

#[test]
fn the_package_for_home_assistant_speaks_of_entities_that_are_announced() {
    let package = std::fs::read_to_string(config("config/home-assistant/powerwall.yaml")).unwrap();
    let package: Value = serde_norway::from_str(&package).unwrap();
    let text = package.to_string();
    let names = ["grid_power", "powerwall_power", "solar_power", "grid_connected", "battery"];
    for entity in text.split("default_gateway_").skip(1) {
        let name: String = entity.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
        assert!(names.contains(&name.as_str()), "{name}");
    }
    let own = package["template"][0]["sensor"].as_array().unwrap();
    let own: Vec<String> =
        own.iter().map(|sensor| sensor["name"].as_str().unwrap().to_lowercase().replace(' ', "_")).collect();
    for counter in package["sensor"].as_array().unwrap() {
        let source = counter["source"].as_str().unwrap().strip_prefix("sensor.").unwrap();
        assert!(source.starts_with("default_gateway_") || own.iter().any(|name| name == source), "{source}");
    }
}
