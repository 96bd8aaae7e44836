//! What the topics of one gateway say: contract 0.13, section 4.1. A value that is unknown has no topic here.

use serde_json::{Map, Value, json};

use super::text::{json, rounded};
use super::units::{Battery, MOST_PARTS, Meter, batteries, meters, number, strings};
use crate::model::device_signals::{SignalGroup, unit_signals};
use crate::model::{
    Documents, Freshness, GatewayFacts, GatewayKind, GridStatus, Number, RawPercent, Readings, Telemetry,
};

/// Topics, below that of the gateway, with their payloads, in the order in which they are published.
#[derive(Debug, Default)]
pub(super) struct Values(pub Vec<(String, String)>);

/// A battery knows more than a solar inverter: topics and entities that a gateway without batteries does not have.
pub(super) const OF_BATTERIES: [&str; 12] = [
    "battery",
    "battery_raw",
    "total_capacity",
    "current_charge",
    "powerwall",
    "battery_energy_imported",
    "battery_energy_exported",
    "mode",
    "reserve",
    "grid_charging",
    "grid_export",
    "time_remaining",
];

impl Values {
    /// Everything that may be said of a gateway at the moment.
    pub fn of(facts: &GatewayFacts, freshness: Freshness, telemetry: Option<&Telemetry>) -> Self {
        let said = telemetry.map(|telemetry| (&telemetry.readings, telemetry.documents()));
        let said = said.as_ref().map(|(readings, documents)| (*readings, &**documents));
        Self::of_parts(facts, freshness, said)
    }

    pub(super) fn of_parts(
        facts: &GatewayFacts,
        freshness: Freshness,
        said: Option<(&Readings, &Documents)>,
    ) -> Self {
        let mut values = Self::default();
        let online = freshness == Freshness::Live;
        values.put("online", online.to_string());
        values.put("name", facts.name.clone());
        if let Some((readings, documents)) = said {
            values.put_readings(readings, documents, online);
        }
        if facts.kind == GatewayKind::Inverter {
            values.0.retain(|(topic, _)| !OF_BATTERIES.contains(&topic.as_str()));
        }
        let available = if freshness.has_data() { "online" } else { "offline" };
        values.put("availability", available.to_owned());
        values
    }

    fn put(&mut self, topic: impl Into<String>, payload: String) {
        self.0.push((topic.into(), payload));
    }

    fn put_number(&mut self, topic: impl Into<String>, value: Option<f64>, decimals: usize) {
        if let Some(value) = value {
            self.put(topic, rounded(value, decimals));
        }
    }

    fn put_readings(&mut self, readings: &Readings, documents: &Documents, online: bool) {
        let raw = readings.charge.state_of_energy();
        let app = raw.map(RawPercent::to_app_clamped);
        self.put_number("battery", app.map(|percent| percent.0), 1);
        self.put_number("battery_raw", raw.map(|percent| percent.0), 1);

        let batteries = batteries(documents);
        let (capacity, charge) = energies(documents, &batteries);
        self.put_number("total_capacity", capacity, 0);
        self.put_number("current_charge", charge, 0);
        for battery in &batteries {
            self.put_number(format!("batteries/{}/capacity", battery.number), battery.capacity, 0);
            self.put_number(format!("batteries/{}/charge", battery.number), battery.charge, 0);
        }
        let batteries: Vec<Value> = batteries.iter().filter(|battery| battery.is_known()).map(told).collect();
        if !batteries.is_empty() {
            self.put("batteries", json(&batteries));
        }

        let power = &readings.power;
        let watts = |number: Option<Number>| number.map(Number::as_f64);
        self.put_number("solar", watts(power.solar), 1);
        self.put_number("grid", watts(power.site), 1);
        self.put_number("home", watts(power.load), 1);
        self.put_number("powerwall", watts(power.battery), 1);
        let meter = |section: &str, key: &str| number(documents.aggregates.get(section)?.get(key)?);
        let voltage = meter("site", "instant_average_voltage");
        let current = meter("site", "instant_average_current");
        self.put_number("grid_voltage", voltage, 2);
        self.put_number("grid_current", current, 2);
        if documents.aggregates.is_object() {
            self.put("aggregates", json(&documents.aggregates));
        }
        for (topic, section, key) in [
            ("grid_energy_imported", "site", "energy_imported"),
            ("grid_energy_exported", "site", "energy_exported"),
            ("home_energy_imported", "load", "energy_imported"),
            ("solar_energy_exported", "solar", "energy_exported"),
            ("battery_energy_imported", "battery", "energy_imported"),
            ("battery_energy_exported", "battery", "energy_exported"),
        ] {
            self.put_number(topic, meter(section, key), 0);
        }

        let connected = readings.grid.map(|grid| grid == GridStatus::Up);
        let reserve = readings.reserve.map(|raw| raw.to_app_reserve().0);
        let texts = [
            ("grid_status", readings.grid.map(|grid| grid_word(grid).to_owned())),
            ("grid_connected", connected.map(|connected| connected.to_string())),
            ("mode", readings.mode.clone()),
            ("reserve", reserve.map(|percent| rounded(percent, 1))),
            ("version", readings.firmware.clone()),
            ("grid_charging", documents.grid_charging.map(|allowed| allowed.to_string())),
            ("grid_export", documents.grid_export.clone()),
            ("time_remaining", watts(readings.time_remaining).map(|hours| rounded(hours, 2))),
        ];
        for (topic, text) in texts {
            if let Some(text) = text {
                self.put(topic, text);
            }
        }

        self.put_strings(documents);
        for meter in meters(documents) {
            self.put_meter(&meter);
        }
        self.put_signals(documents);
        let status = json!({
            "online": online,
            "soe": app,
            "soe_raw": raw,
            "total_capacity": capacity,
            "current_charge": charge,
            "batteries": batteries,
            "solar": watts(power.solar),
            "grid": watts(power.site),
            "grid_voltage": voltage,
            "grid_current": current,
            "home": watts(power.load),
            "powerwall": watts(power.battery),
            "grid_status": readings.grid,
            "grid_connected": connected,
            "mode": readings.mode,
            "reserve": reserve,
            "version": readings.firmware,
            "grid_charging": documents.grid_charging,
            "grid_export": documents.grid_export,
            "time_remaining": watts(readings.time_remaining),
        });
        self.put("status", json(&status));
    }

    fn put_strings(&mut self, documents: &Documents) {
        for string in strings(documents) {
            let topic = format!("strings/{}", string.id);
            for (what, value) in string.measured() {
                self.put_number(format!("{topic}/{what}"), value, 2);
            }
            if let Some(whole) = string.whole {
                self.put(topic, json(whole));
            }
        }
    }

    fn put_meter(&mut self, meter: &Meter<'_>) {
        let topic = meter.topic();
        for (what, value, decimals) in meter.measured() {
            self.put_number(format!("{topic}/{what}"), value, decimals);
        }
        self.put(topic, json(&meter.fields));
    }

    fn put_signals(&mut self, documents: &Documents) {
        for unit in unit_signals(documents).into_iter().take(MOST_PARTS) {
            let topic = format!("devices/{}", unit.serial);
            let mut all = Map::new();
            for (signal, value) in unit.known() {
                let text = rounded(value, signal.group.decimals());
                let rounded: Value = match signal.group {
                    SignalGroup::FanSpeed => text.parse::<i64>().map_or(Value::Null, Value::from),
                    _ => text.parse::<f64>().map_or(Value::Null, Value::from),
                };
                all.insert(signal.id.to_owned(), rounded);
                self.put(format!("{topic}/{}", signal.topic), text);
            }
            self.put(topic, json(&all));
        }
    }
}

/// Capacity and charge of all batteries, Wh: what the gateway sums, else the sum over those that tell theirs.
fn energies(documents: &Documents, batteries: &[Battery<'_>]) -> (Option<f64>, Option<f64>) {
    let told = |key: &str| documents.system_status.get(key).and_then(number);
    let sum = |of: fn(&Battery<'_>) -> Option<f64>| {
        batteries.iter().filter_map(of).reduce(|sum, energy| sum + energy)
    };
    (
        told("nominal_full_pack_energy").or_else(|| sum(|battery| battery.capacity)),
        told("nominal_energy_remaining").or_else(|| sum(|battery| battery.charge)),
    )
}

fn told(battery: &Battery<'_>) -> Value {
    json!({
        "index": battery.number,
        "capacity": battery.capacity,
        "charge": battery.charge,
        "serial": battery.serial,
    })
}

fn grid_word(grid: GridStatus) -> &'static str {
    match grid {
        GridStatus::Up => "UP",
        GridStatus::Syncing => "SYNCING",
        GridStatus::Down => "DOWN",
    }
}
