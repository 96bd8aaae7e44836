//! What the topics of one gateway say: contract 0.13, section 4.1. A value that is unknown has no topic here.

use serde_json::{Map, Value, json};

use super::text::json;
use super::units::{MOST_PARTS, batteries, float, is_topic_level, meters, serial, strings};
use crate::model::number::fixed;
use crate::model::site::signals::SignalGroup;
use crate::model::{
    Charge, Documents, Freshness, GatewayFacts, GatewayKind, GridStatus, Meter, Number, RawPercent, Site,
    Telemetry, Unit,
};

/// Topics, below that of the gateway, with their payloads, in the order in which they are published.
#[derive(Debug, Default)]
pub(super) struct Values(pub Vec<(String, String)>);

/// A battery knows more than a solar inverter: topics and entities that a gateway without batteries does not
/// have.
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
        let said = telemetry.map(|telemetry| (telemetry.site(), telemetry.documents()));
        Self::of_parts(facts, freshness, said.as_ref().map(|(site, documents)| (*site, &**documents)))
    }

    pub(super) fn of_parts(
        facts: &GatewayFacts,
        freshness: Freshness,
        said: Option<(&Site, &Documents)>,
    ) -> Self {
        let mut values = Self::default();
        let online = freshness == Freshness::Live;
        values.put("online", online.to_string());
        values.put("name", facts.name.clone());
        if let Some((site, documents)) = said {
            values.put_site(site, documents, online);
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
            self.put(topic, fixed(value, decimals));
        }
    }

    fn put_number_of(&mut self, topic: impl Into<String>, value: Option<Number>, decimals: usize) {
        self.put_number(topic, float(value), decimals);
    }

    /// `documents` are for the topics that repeat one of them.
    fn put_site(&mut self, site: &Site, documents: &Documents, online: bool) {
        let charge = Stored::of(site);
        self.put_charge(&charge);
        self.put_meters(site, documents);
        self.put_settings(site);
        self.put_strings(site, documents);
        for meter in meters(site) {
            let topic = meter.topic();
            for (what, value, decimals) in meter.measured() {
                self.put_number(format!("{topic}/{what}"), value, decimals);
            }
            self.put(topic, json(&meter.fields()));
        }
        self.put_signals(site);
        self.put("status", json(&status(site, &charge, online)));
    }

    fn put_charge(&mut self, stored: &Stored<'_>) {
        let app = stored.percent.map(RawPercent::to_app_clamped);
        self.put_number("battery", app.map(|percent| percent.0), 1);
        self.put_number("battery_raw", stored.percent.map(|percent| percent.0), 1);
        self.put_number("total_capacity", stored.capacity, 0);
        self.put_number("current_charge", stored.charge, 0);
        for unit in stored.units {
            self.put_number_of(format!("batteries/{}/capacity", unit.number), unit.charge.full_pack, 0);
            self.put_number_of(format!("batteries/{}/charge", unit.number), unit.charge.remaining, 0);
        }
        let batteries = stored.batteries();
        if !batteries.is_empty() {
            self.put("batteries", json(&batteries));
        }
    }

    fn put_meters(&mut self, site: &Site, documents: &Documents) {
        let power = &site.readings.power;
        self.put_number_of("solar", power.solar, 1);
        self.put_number_of("grid", power.site, 1);
        self.put_number_of("home", power.load, 1);
        self.put_number_of("powerwall", power.battery, 1);
        let Some(meters) = &site.meters else { return };
        self.put_number_of("grid_voltage", meters.site.voltage, 2);
        self.put_number_of("grid_current", meters.site.current, 2);
        self.put("aggregates", json(&documents.aggregates));
        for (topic, energy) in [
            ("grid_energy_imported", meters.site.imported),
            ("grid_energy_exported", meters.site.exported),
            ("home_energy_imported", meters.load.imported),
            ("solar_energy_exported", meters.solar.exported),
            ("battery_energy_imported", meters.battery.imported),
            ("battery_energy_exported", meters.battery.exported),
        ] {
            self.put_number_of(topic, energy.map(|counter| counter.energy), 0);
        }
    }

    fn put_settings(&mut self, site: &Site) {
        let readings = &site.readings;
        let texts = [
            ("grid_status", readings.grid.map(|grid| grid_word(grid).to_owned())),
            ("grid_connected", is_connected(site).map(|connected| connected.to_string())),
            ("mode", readings.mode.clone()),
            ("reserve", reserve(site).map(|percent| fixed(percent, 1))),
            ("version", readings.firmware.clone()),
            ("grid_charging", readings.grid_charging.map(|allowed| allowed.to_string())),
            ("grid_export", readings.grid_export.clone()),
            ("time_remaining", float(readings.time_remaining).map(|hours| fixed(hours, 2))),
        ];
        for (topic, text) in texts {
            if let Some(text) = text {
                self.put(topic, text);
            }
        }
    }

    fn put_strings(&mut self, site: &Site, documents: &Documents) {
        for string in strings(site) {
            let topic = format!("strings/{}", string.id);
            for (what, value) in string.measured() {
                self.put_number(format!("{topic}/{what}"), value, 2);
            }
            if let Some(whole) = documents.strings.get(&string.id).filter(|_| string.is_single) {
                self.put(topic, json(whole));
            }
        }
    }

    fn put_signals(&mut self, site: &Site) {
        let named = site.devices.iter().filter(|device| is_topic_level(&device.serial));
        for device in named.take(MOST_PARTS) {
            let topic = format!("devices/{}", device.serial);
            let mut all = Map::new();
            for (signal, value) in device.known() {
                let text = fixed(value, signal.group.decimals());
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

/// Energy in the batteries, Wh: what the gateway sums, else the sum over those that report theirs.
struct Stored<'a> {
    percent: Option<RawPercent>,
    capacity: Option<f64>,
    charge: Option<f64>,
    units: &'a [Unit],
}

impl<'a> Stored<'a> {
    fn of(site: &'a Site) -> Self {
        let (units, charge) = (batteries(site), &site.readings.charge);
        let sum = |of: fn(&Charge) -> Option<Number>| {
            units.iter().filter_map(|unit| float(of(&unit.charge))).reduce(|sum, energy| sum + energy)
        };
        Self {
            percent: charge.state_of_energy(),
            capacity: float(charge.full_pack).or_else(|| sum(|charge| charge.full_pack)),
            charge: float(charge.remaining).or_else(|| sum(|charge| charge.remaining)),
            units,
        }
    }

    /// The batteries of which something is known.
    fn batteries(&self) -> Vec<Value> {
        let is_known = |unit: &&Unit| unit.charge.full_pack.is_some() || unit.charge.remaining.is_some();
        let battery = |unit: &Unit| {
            json!({
                "index": unit.number,
                "capacity": float(unit.charge.full_pack),
                "charge": float(unit.charge.remaining),
                "serial": serial(unit),
            })
        };
        self.units.iter().filter(is_known).map(battery).collect()
    }
}

fn is_connected(site: &Site) -> Option<bool> {
    site.readings.grid.map(|grid| grid == GridStatus::Up)
}

fn reserve(site: &Site) -> Option<f64> {
    site.readings.reserve.map(|raw| raw.to_app_reserve().0)
}

/// Everything in one payload.
fn status(site: &Site, stored: &Stored<'_>, online: bool) -> Value {
    let readings = &site.readings;
    let at_grid = |of: fn(&Meter) -> Option<Number>| site.meters.as_ref().and_then(|meters| of(&meters.site));
    json!({
        "online": online,
        "soe": stored.percent.map(RawPercent::to_app_clamped),
        "soe_raw": stored.percent,
        "total_capacity": stored.capacity,
        "current_charge": stored.charge,
        "batteries": stored.batteries(),
        "solar": float(readings.power.solar),
        "grid": float(readings.power.site),
        "grid_voltage": float(at_grid(|meter| meter.voltage)),
        "grid_current": float(at_grid(|meter| meter.current)),
        "home": float(readings.power.load),
        "powerwall": float(readings.power.battery),
        "grid_status": readings.grid,
        "grid_connected": is_connected(site),
        "mode": readings.mode,
        "reserve": reserve(site),
        "version": readings.firmware,
        "grid_charging": readings.grid_charging,
        "grid_export": readings.grid_export,
        "time_remaining": float(readings.time_remaining),
    })
}

fn grid_word(grid: GridStatus) -> &'static str {
    match grid {
        GridStatus::Up => "UP",
        GridStatus::Syncing => "SYNCING",
        GridStatus::Down => "DOWN",
    }
}
