//! Which entities Home Assistant gets, and the documents that announce them: contract 0.13, section 4.3.
//!
//! The entities' history depends on their unique ids: none of them may ever change.

use std::collections::BTreeSet;

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use serde_json::{Map, Value, json};

use super::units::{MOST_PARTS, batteries, is_topic_level, meters, serial, strings};
use super::values::OF_BATTERIES;
use super::{control_entities, controls, text};
use crate::model::site::signals::SignalGroup;
use crate::model::{GatewayFacts, GatewayKind, Site};
use crate::settings::Controls;

/// What kind of value an entity shows, in the words of Home Assistant; an empty word is left out.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Shown {
    unit: &'static str,
    device_class: &'static str,
    state_class: &'static str,
}

const fn shown(unit: &'static str, device_class: &'static str, state_class: &'static str) -> Shown {
    Shown { unit, device_class, state_class }
}

const PLAIN: Shown = shown("", "", "");
const POWER: Shown = shown("W", "power", "measurement");
const VOLTAGE: Shown = shown("V", "voltage", "measurement");
const CURRENT: Shown = shown("A", "current", "measurement");
const STORED: Shown = shown("Wh", "energy_storage", "measurement");
const COUNTED: Shown = shown("Wh", "energy", "total_increasing");
const PERCENT: Shown = shown("%", "", "measurement");
const CONNECTIVITY: Shown = shown("", "connectivity", "");

/// One entity of one gateway.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entity {
    /// `sensor`, or `binary_sensor` with the states `true` and `false`.
    component: &'static str,
    /// The end of its unique id.
    suffix: String,
    name: String,
    /// Where its state is published, below the topic of the gateway.
    pub state: String,
    shown: Shown,
    icon: &'static str,
    is_diagnostic: bool,
    /// The unit it belongs to; `None`: to the gateway itself.
    serial: Option<String>,
}

impl Entity {
    /// Whether Home Assistant takes both for the same entity.
    pub fn is_same(&self, other: &Self) -> bool {
        (self.component, &self.suffix) == (other.component, &other.suffix)
    }
}

/// What every gateway has, in the order in which it is announced.
#[rustfmt::skip]
const BASE: [(&str, &str, &str, Shown, &str); 25] = [
    ("sensor", "battery", "Battery", shown("%", "battery", "measurement"), ""),
    ("sensor", "battery_raw", "Battery Raw", PERCENT, "mdi:battery-medium"),
    ("sensor", "solar", "Solar Power", POWER, "mdi:solar-power"),
    ("sensor", "grid", "Grid Power", POWER, "mdi:transmission-tower"),
    ("sensor", "grid_voltage", "Grid Voltage", VOLTAGE, "mdi:sine-wave"),
    ("sensor", "grid_current", "Grid Current", CURRENT, "mdi:current-ac"),
    ("sensor", "home", "Home Load", POWER, "mdi:home-lightning-bolt"),
    ("sensor", "powerwall", "Powerwall Power", POWER, "mdi:battery-charging"),
    ("sensor", "reserve", "Backup Reserve", PERCENT, "mdi:battery-lock"),
    ("sensor", "total_capacity", "Total Battery Capacity", STORED, "mdi:battery-high"),
    ("sensor", "current_charge", "Current Battery Charge", STORED, "mdi:battery-medium"),
    ("sensor", "grid_energy_imported", "Grid Energy Imported", COUNTED, "mdi:transmission-tower-import"),
    ("sensor", "grid_energy_exported", "Grid Energy Exported", COUNTED, "mdi:transmission-tower-export"),
    ("sensor", "home_energy_imported", "Home Energy Consumption", COUNTED, "mdi:home-lightning-bolt"),
    ("sensor", "solar_energy_exported", "Solar Energy Production", COUNTED, "mdi:solar-power"),
    ("sensor", "battery_energy_imported", "Battery Energy Charged", COUNTED, "mdi:battery-charging"),
    ("sensor", "battery_energy_exported", "Battery Energy Discharged", COUNTED, "mdi:battery-minus"),
    ("sensor", "grid_status", "Grid Status", PLAIN, "mdi:transmission-tower"),
    ("sensor", "mode", "Operation Mode", PLAIN, "mdi:cog"),
    ("sensor", "version", "Firmware Version", PLAIN, "mdi:information"),
    ("binary_sensor", "online", "Gateway Online", CONNECTIVITY, "mdi:lan-connect"),
    ("binary_sensor", "grid_connected", "Grid Connected", CONNECTIVITY, "mdi:transmission-tower"),
    ("binary_sensor", "grid_charging", "Grid Charging", PLAIN, "mdi:battery-charging-outline"),
    ("sensor", "grid_export", "Grid Export", PLAIN, "mdi:transmission-tower-export"),
    ("sensor", "time_remaining", "Time \
        Remaining", shown("h", "duration", "measurement"), "mdi:timer-outline"),
];

/// Not for every day.
const DIAGNOSTIC: [&str; 2] = ["battery_raw", "version"];

/// The entities of a gateway with this site: those of the gateway first, because the others refer to its
/// device.
pub(super) fn entities(facts: &GatewayFacts, site: &Site) -> Vec<Entity> {
    let mut entities = base(facts, site);
    of_strings(site, &mut entities);
    of_meters(site, &mut entities);
    of_batteries(site, &mut entities);
    of_signals(site, &mut entities);
    entities
}

fn base(facts: &GatewayFacts, site: &Site) -> Vec<Entity> {
    let grid = site.meters.as_ref().map(|meters| &meters.site);
    let is_reported = |suffix: &str| match suffix {
        "grid_voltage" => grid.and_then(|meter| meter.voltage).is_some(),
        "grid_current" => grid.and_then(|meter| meter.current).is_some(),
        _ => true,
    };
    let applies = |suffix: &&str| {
        (facts.kind != GatewayKind::Inverter || !OF_BATTERIES.contains(suffix)) && is_reported(suffix)
    };
    BASE.iter()
        .filter(|(_, suffix, ..)| applies(suffix))
        .map(|&(component, suffix, name, shown, icon)| Entity {
            component,
            suffix: suffix.to_owned(),
            name: name.to_owned(),
            state: suffix.to_owned(),
            shown,
            icon,
            is_diagnostic: DIAGNOSTIC.contains(&suffix),
            serial: None,
        })
        .collect()
}

fn sensor(suffix: String, name: String, state: String, shown: Shown, icon: &'static str) -> Entity {
    Entity { component: "sensor", suffix, name, state, shown, icon, is_diagnostic: true, serial: None }
}

fn of_strings(site: &Site, entities: &mut Vec<Entity>) {
    for string in strings(site) {
        let id = &string.id;
        for (what, label, shown, icon) in [
            ("voltage", "Voltage", VOLTAGE, "mdi:lightning-bolt"),
            ("current", "Current", CURRENT, "mdi:current-ac"),
            ("power", "Power", POWER, "mdi:solar-power-variant"),
        ] {
            let suffix = format!("string_{}_{what}", words(id));
            let name = format!("String {id} {label}");
            entities.push(sensor(suffix, name, format!("strings/{id}/{what}"), shown, icon));
        }
    }
}

fn of_meters(site: &Site, entities: &mut Vec<Entity>) {
    for meter in meters(site) {
        let serial = meter.din.rsplit("--").next().unwrap_or(meter.din);
        let location = meter.location().map(|location| format!(" ({location})")).unwrap_or_default();
        for (what, label, shown, icon) in [
            ("voltage", "Voltage", VOLTAGE, "mdi:lightning-bolt"),
            ("current", "Current", CURRENT, "mdi:current-ac"),
            ("power", "Power", POWER, "mdi:flash"),
            ("energy_imported", "Energy Imported", COUNTED, "mdi:transmission-tower-import"),
            ("energy_exported", "Energy Exported", COUNTED, "mdi:transmission-tower-export"),
        ] {
            let suffix = format!("remote_meter_{}_{}_{what}", words(meter.din), meter.ct());
            let name = format!("Remote Meter {serial} {}{location} {label}", meter.ct().to_uppercase());
            entities.push(sensor(suffix, name, format!("{}/{what}", meter.topic()), shown, icon));
        }
    }
}

fn of_batteries(site: &Site, entities: &mut Vec<Entity>) {
    for battery in batteries(site) {
        let number = battery.number;
        for (what, label, icon, value) in [
            ("capacity", "Capacity", "mdi:battery-high", battery.charge.full_pack),
            ("charge", "Charge", "mdi:battery-medium", battery.charge.remaining),
        ] {
            if value.is_none() {
                continue;
            }
            let name = match serial(battery) {
                Some(_) => label.to_owned(),
                None => format!("Battery {number} {label}"),
            };
            let suffix = format!("battery_{number}_{what}");
            let state = format!("batteries/{number}/{what}");
            let serial = serial(battery).map(str::to_owned);
            entities.push(Entity {
                is_diagnostic: false,
                serial,
                ..sensor(suffix, name, state, STORED, icon)
            });
        }
    }
}

fn of_signals(site: &Site, entities: &mut Vec<Entity>) {
    let named = site.devices.iter().filter(|device| is_topic_level(&device.serial));
    for unit in named.take(MOST_PARTS) {
        for (signal, _) in unit.known() {
            let device_class = if signal.group == SignalGroup::Temperature { "temperature" } else { "" };
            let shown = shown(signal.group.unit(), device_class, "measurement");
            let suffix = format!("device_{}_{}", slug(&unit.serial), signal.id);
            let state = format!("devices/{}/{}", unit.serial, signal.topic);
            entities.push(Entity {
                serial: Some(unit.serial.to_owned()),
                ..sensor(suffix, signal.label.to_owned(), state, shown, signal.icon)
            });
        }
    }
}

/// Where and as what a gateway is announced.
pub(super) struct Announcement<'a> {
    /// What our topics begin with.
    pub prefix: &'a str,
    /// What Home Assistant's topics begin with.
    pub discovery_prefix: &'a str,
    pub facts: &'a GatewayFacts,
    pub firmware: Option<&'a str>,
}

impl Announcement<'_> {
    fn config_topic(&self, component: &str, suffix: &str) -> String {
        let Self { discovery_prefix, facts, .. } = self;
        format!("{discovery_prefix}/{component}/pypowerwall_{}_{suffix}/config", facts.id)
    }

    /// The topic that announces `entity`.
    pub fn topic(&self, entity: &Entity) -> String {
        self.config_topic(entity.component, &entity.suffix)
    }

    /// Topics of entities that this gateway does not have, but may have had with the server before ours.
    /// Those that take orders are no such, if their orders may be given here.
    pub fn foreign_topics(&self, allowed: Controls) -> Vec<String> {
        let foreign =
            control_entities::ALL.iter().filter(|entity| !controls::is_allowed(allowed, entity.kind));
        let mut topics: Vec<String> =
            foreign.map(|entity| entity.config_topic(self.discovery_prefix, &self.facts.id)).collect();
        if self.facts.kind == GatewayKind::Inverter {
            let batteries = BASE.iter().filter(|(_, suffix, ..)| OF_BATTERIES.contains(suffix));
            topics.extend(batteries.map(|(component, suffix, ..)| self.config_topic(component, suffix)));
        }
        topics
    }

    /// The topics and documents that announce the entities for these orders.
    pub fn controls(&self, orders: &BTreeSet<&str>) -> Vec<(String, String)> {
        let wanted = control_entities::ALL.iter().filter(|entity| orders.contains(entity.kind.word()));
        let announced = wanted.map(|entity| {
            let document = entity.document(self.prefix, &self.facts.id, self.device(None));
            (entity.config_topic(self.discovery_prefix, &self.facts.id), text::json(&document))
        });
        announced.collect()
    }

    /// The document that announces `entity`.
    pub fn document(&self, entity: &Entity) -> String {
        let base = format!("{}/{}", self.prefix, self.facts.id);
        let mut document = Map::new();
        let mut set = |key: &str, value: Value| {
            if value.as_str() != Some("") {
                document.insert(key.to_owned(), value);
            }
        };
        set("name", entity.name.as_str().into());
        set("unique_id", format!("pypowerwall_{}_{}", self.facts.id, entity.suffix).into());
        set("state_topic", format!("{base}/{}", entity.state).into());
        if entity.component == "binary_sensor" {
            set("payload_on", "true".into());
            set("payload_off", "false".into());
        }
        set("device", self.device(entity.serial.as_deref()));
        let availability = |topic: String| {
            let (up, down) = ("online", "offline");
            json!({ "topic": topic, "payload_available": up, "payload_not_available": down })
        };
        let topics = [format!("{base}/availability"), format!("{}/availability", self.prefix)];
        set("availability", topics.map(availability).to_vec().into());
        set("availability_mode", "all".into());
        set("unit_of_measurement", entity.shown.unit.into());
        set("device_class", entity.shown.device_class.into());
        set("state_class", entity.shown.state_class.into());
        set("icon", entity.icon.into());
        set("entity_category", if entity.is_diagnostic { "diagnostic" } else { "" }.into());
        text::json(&document)
    }

    fn device(&self, serial: Option<&str>) -> Value {
        let gateway = format!("pypowerwall_{}", self.facts.id);
        let firmware = self.firmware.unwrap_or("unknown");
        match serial {
            None => json!({
                "identifiers": [gateway],
                "name": self.facts.name,
                "manufacturer": "Tesla",
                "model": "Powerwall",
                "sw_version": firmware,
            }),
            Some(serial) => json!({
                "identifiers": [format!("{gateway}_{}", slug(serial))],
                "name": format!("Powerwall {serial}"),
                "serial_number": serial,
                "manufacturer": "Tesla",
                "model": "Powerwall",
                "sw_version": firmware,
                "via_device": gateway,
            }),
        }
    }
}

/// Lower case, with one `_` for whatever else there is.
fn words(text: &str) -> String {
    let mut words = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii_alphanumeric() {
            words.push(c.to_ascii_lowercase());
        } else if !words.ends_with('_') {
            words.push('_');
        }
    }
    words
}

/// A serial as part of an id. What gets lost in an unusual one is made up for by a digest of the whole.
fn slug(serial: &str) -> String {
    if serial.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()) {
        return serial.to_ascii_lowercase();
    }
    let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, serial.as_bytes());
    let hex: String = digest.as_ref().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("{}_{hex}", words(serial).trim_matches('_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unusual_serials_keep_apart() {
        assert_eq!(slug("TG125337000AAA"), "tg125337000aaa");
        let (one, other) = (slug("tg-1 a"), slug("tg-1_a"));
        assert!(one.starts_with("tg_1_a_") && one.len() == "tg_1_a_".len() + 8, "{one}");
        assert_ne!(one, other);
    }
}
