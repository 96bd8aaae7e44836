//! Meters outside the gateway: Neurio (wired or paired) and Tesla's remote meter.

use serde_json::{Value, json};

use super::parsed::Parsed;
use crate::link::json::{Look, Object, value_of};
use crate::model::Number;

/// One meter with the transformers (CTs) that the configuration enables.
pub(super) struct Meter {
    pub serial: String,
    pub cts: Vec<Ct>,
    /// Whether the configuration knows this meter.
    configured: bool,
    /// When the meter last spoke, as sent.
    pub timestamp: Value,
    firmware: Value,
}

/// One current transformer.
pub(super) struct Ct {
    /// Position on the meter; decides the phase.
    pub index: usize,
    /// W, scaled as configured.
    pub power: Value,
    reactive: Value,
    pub voltage: Value,
    pub current: Value,
    /// `site`, `solar` …; null when the configuration does not know the meter.
    pub location: Value,
    /// Ws
    exported: Value,
    /// Ws
    imported: Value,
}

/// What the configuration says of one meter, which may take several entries.
#[derive(Default)]
struct MeterConfig {
    locations: Vec<Option<Value>>,
    scale: Option<Number>,
}

impl MeterConfig {
    fn of(config: &Value, types: &[&str], serial: &str) -> Option<Self> {
        let mut merged = None;
        for entry in config.at(&["meters"]).items() {
            let known_type = entry.at(&["type"]).text().is_some_and(|kind| types.contains(&kind));
            if !known_type || entry.at(&["connection", "device_serial"]).text() != Some(serial) {
                continue;
            }
            let meter = merged.get_or_insert_with(|| Self {
                scale: entry.at(&["real_power_scale_factor"]).number(),
                ..Self::default()
            });
            let location = entry.at(&["location"]);
            for (index, enabled) in entry.at(&["cts"]).items().iter().enumerate() {
                if meter.locations.len() <= index {
                    meter.locations.resize(index + 1, None);
                }
                if enabled.is_true() {
                    let own = location.items().get(index).unwrap_or(location);
                    meter.locations[index] = Some(own.clone());
                }
            }
        }
        merged
    }
}

/// The Neurio meters of a parsed.
pub(super) fn neurios(parsed: &Parsed<'_>, document: &Value) -> Vec<Meter> {
    let readings = document.at(&["neurio", "readings"]).items().iter().filter(|reading| reading.is_object());
    let meter = |(position, reading): (usize, &Value)| {
        let serial =
            reading.at(&["serial"]).name().map_or_else(|| (1000 + position).to_string(), str::to_owned);
        let config = MeterConfig::of(&parsed.config, &["neurio_w2_tcp"], &serial);
        let names = ["realPowerW", "reactivePowerVAR", "voltageV", "currentA"];
        Meter {
            cts: cts(reading.at(&["dataRead"]), names, config.as_ref()),
            configured: config.is_some(),
            timestamp: reading.at(&["timestamp"]).clone(),
            firmware: Value::Null,
            serial,
        }
    };
    readings.enumerate().map(meter).collect()
}

/// The remote meters of a parsed.
pub(super) fn remote_meters(parsed: &Parsed<'_>) -> Vec<Meter> {
    let meters = parsed.controller.at(&["teslaRemoteMeter", "meters"]).items().iter();
    let meter = |meter: &Value| {
        let serial = meter.at(&["din"]).name()?.to_owned();
        let config = MeterConfig::of(&parsed.config, &["trm_mb", "trm_wifi"], &serial);
        let reading = meter.at(&["reading"]);
        let names = ["realPowerW", "reactivePowerVAR", "voltageV", "currentA"];
        let mut cts = cts(reading.at(&["ctReadings"]), names, config.as_ref());
        for ct in &mut cts {
            // A transformer of a remote meter that reports no power measures none.
            if ct.power.is_null() {
                ct.power = Value::from(0);
            }
        }
        Some(Meter {
            serial,
            cts,
            configured: config.is_some(),
            timestamp: reading.at(&["timestamp"]).clone(),
            firmware: reading.at(&["firmwareVersion"]).clone(),
        })
    };
    meters.filter_map(meter).collect()
}

fn cts(readings: &Value, names: [&str; 4], config: Option<&MeterConfig>) -> Vec<Ct> {
    let [power, reactive, voltage, current] = names;
    let scale = config.and_then(|config| config.scale).filter(|scale| scale.as_f64() != 1.0);
    let ct = |(index, reading): (usize, &Value)| {
        let location = match config {
            Some(config) => config.locations.get(index)?.clone()?,
            None => Value::Null,
        };
        let measured = reading.at(&[power]).number();
        let scaled = match scale {
            Some(scale) => measured.and_then(|watts| watts.times(scale)),
            None => measured,
        };
        Some(Ct {
            index,
            power: value_of(scaled),
            reactive: reading.at(&[reactive]).clone(),
            voltage: reading.at(&[voltage]).clone(),
            current: reading.at(&[current]).clone(),
            location,
            exported: reading.at(&["energyExportedWs"]).clone(),
            imported: reading.at(&["energyImportedWs"]).clone(),
        })
    };
    readings.items().iter().enumerate().filter_map(ct).collect()
}

impl Ct {
    pub fn is_at(&self, location: &str) -> bool {
        self.location.text() == Some(location)
    }

    /// Amperes with the sign of the power.
    pub fn signed_current(&self) -> Option<Number> {
        signed(self.current.number(), self.power.number())
    }
}

/// `current` with the sign of `power`.
pub(super) fn signed(current: Option<Number>, power: Option<Number>) -> Option<Number> {
    let current = current?;
    let magnitude = if current.as_f64() < 0.0 { Number::Int(0).minus(current)? } else { current };
    match power {
        Some(power) if power.as_f64() < 0.0 => Number::Int(0).minus(magnitude),
        _ => Some(magnitude),
    }
}

impl Meter {
    pub fn neurio_block(&self, vin: Option<&str>) -> (String, Value) {
        let mut block = Object::default();
        for ct in &self.cts {
            let key = |name: &str| format!("NEURIO_CT{}_{name}", ct.index);
            block
                .set(key("InstRealPower"), ct.power.clone())
                .set(key("InstReactivePower"), ct.reactive.clone())
                .set(key("InstVoltage"), ct.voltage.clone())
                .set(key("InstCurrent"), ct.current.clone())
                .set(key("Location"), ct.location.clone());
        }
        self.finish(&mut block, vin, "NEURIO");
        (format!("NEURIO--{}", self.serial), block.build())
    }

    pub fn remote_block(&self, vin: Option<&str>) -> (String, Value) {
        let mut block = Object::default();
        for ct in &self.cts {
            let key = |name: &str| format!("TRM_CT{}_{name}", ct.index);
            block
                .set(key("InstRealPower"), ct.power.clone())
                .set(key("InstReactivePower"), ct.reactive.clone())
                .set(key("InstVoltage"), ct.voltage.clone())
                .set(key("InstCurrent"), ct.current.clone())
                .set(key("EnergyExportedWs"), ct.exported.clone())
                .set(key("EnergyImportedWs"), ct.imported.clone())
                .set(key("Location"), ct.location.clone());
        }
        self.finish(&mut block, vin, "TESLA");
        (format!("TRM--{}", self.serial), block.build())
    }

    fn finish(&self, block: &mut Object, vin: Option<&str>, manufacturer: &str) {
        block
            .set("componentParentDin", vin)
            .set("firmwareVersion", self.firmware.clone())
            .set("lastCommunicationTime", self.timestamp.clone())
            .set("manufacturer", self.configured.then_some(manufacturer))
            .set("meterAttributes", json!({ "meterLocation": [] }))
            .set("serialNumber", self.serial.as_str());
    }
}
