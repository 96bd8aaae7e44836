//! Readings of devices: batteries, temperatures, solar strings, fans.

use serde_json::Value;

use super::series::{Series, gauge};
use crate::model::Documents;

/// More than any site has of one kind; the rest is made up.
const MOST_DEVICES: usize = 64;

/// Solar strings: name, help, and the key of the value.
const STRINGS: [(&str, &str, &str); 4] = [
    ("powerwall_string_power_watts", "Power of a solar string.", "Power"),
    ("powerwall_string_voltage_volts", "Voltage of a solar string.", "Voltage"),
    ("powerwall_string_current_amperes", "Current of a solar string.", "Current"),
    ("powerwall_string_connected", "Whether a solar string is connected.", "Connected"),
];

/// Batteries: name, help, and the key of the value.
const UNITS: [(&str, &str, &str); 2] = [
    ("powerwall_unit_energy_watthours", "Energy in one battery.", "nominal_energy_remaining"),
    (
        "powerwall_unit_capacity_watthours",
        "Energy in one battery when it is full.",
        "nominal_full_pack_energy",
    ),
];

/// Fans: name, help, and for each key of a value the fan it belongs to.
type Fan = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const FANS: [Fan; 3] = [
    (
        "powerwall_fan_speed_rpm",
        "Speed of a fan.",
        &[("PVAC_Fan_Speed_Actual_RPM", "A"), ("PCH_FanSpeed_A", "A"), ("PCH_FanSpeed_B", "B")],
    ),
    (
        "powerwall_fan_target_speed_rpm",
        "Speed that a fan should have.",
        &[("PVAC_Fan_Speed_Target_RPM", "A")],
    ),
    (
        "powerwall_fan_duty_percent",
        "How hard a fan is driven.",
        &[("PCH_FanDuty_A", "A"), ("PCH_FanDuty_B", "B")],
    ),
];

/// What the documents of one telemetry say about devices.
#[derive(Debug, Default)]
pub(super) struct Devices {
    /// By serial, one value for each of [`UNITS`].
    units: Vec<(String, [Option<f64>; UNITS.len()])>,
    temperatures: Vec<(String, Option<f64>)>,
    /// By name, one value for each of [`STRINGS`].
    strings: Vec<(String, [Option<f64>; STRINGS.len()])>,
    /// For each of [`FANS`]: device, fan, value.
    fans: [Vec<(String, &'static str, f64)>; FANS.len()],
}

impl Devices {
    pub fn of(documents: &Documents) -> Self {
        let units = units(documents).into_iter();
        let strings = devices(&documents.strings);
        Self {
            units: units.map(|(unit, block)| (unit.to_owned(), UNITS.map(|(.., key)| number(block.get(key))))).collect(),
            temperatures: devices(&documents.temps)
                .map(|(device, temperature)| (device.to_owned(), number(Some(temperature))))
                .collect(),
            strings: strings
                .map(|(name, readings)| (name.to_owned(), STRINGS.map(|(.., key)| number(readings.get(key)))))
                .collect(),
            fans: FANS.map(|(.., keys)| fans(documents, keys)),
        }
    }
}

fn fans(documents: &Documents, keys: &[(&str, &'static str)]) -> Vec<(String, &'static str, f64)> {
    let of_device = |(device, readings): (&str, &Value)| {
        let known = keys.iter().filter_map(|(key, fan)| Some((*fan, number(readings.get(key))?)));
        known.map(|(fan, value)| (device.to_owned(), fan, value)).collect::<Vec<_>>()
    };
    devices(&documents.fans).flat_map(of_device).collect()
}

pub(super) fn all() -> Vec<Series> {
    let units = UNITS.into_iter().enumerate().map(|(place, (name, help, _))| {
        gauge(name, help, move |family, gateway| {
            for (unit, values) in gateway.derived().map_or(&[][..], |derived| &derived.devices.units) {
                family.sample(&[("gateway", gateway.id), ("unit", unit)], values[place]);
            }
        })
    });
    let temperatures =
        gauge("powerwall_temperature_celsius", "Temperature of a device.", |family, gateway| {
            for (device, value) in gateway.derived().map_or(&[][..], |derived| &derived.devices.temperatures) {
                family.sample(&[("gateway", gateway.id), ("device", device)], *value);
            }
        });
    let strings = STRINGS.into_iter().enumerate().map(|(place, (name, help, _))| {
        gauge(name, help, move |family, gateway| {
            for (string, values) in gateway.derived().map_or(&[][..], |derived| &derived.devices.strings) {
                family.sample(&[("gateway", gateway.id), ("string", string)], values[place]);
            }
        })
    });
    let fans = FANS.into_iter().enumerate().map(|(place, (name, help, _))| {
        gauge(name, help, move |family, gateway| {
            for (device, fan, value) in gateway.derived().map_or(&[][..], |derived| &derived.devices.fans[place]) {
                family.sample(&[("gateway", gateway.id), ("device", device), ("fan", fan)], *value);
            }
        })
    });
    units.chain([temperatures]).chain(strings).chain(fans).collect()
}

/// The entries of a document that has one for each device.
fn devices(document: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let entries = document.as_object().into_iter().flatten();
    entries.map(|(device, value)| (device.as_str(), value)).take(MOST_DEVICES)
}

/// The batteries by serial. A serial that is there twice counts once: samples must differ in their labels.
fn units(documents: &Documents) -> Vec<(&str, &Value)> {
    let blocks = documents.system_status.get("battery_blocks").and_then(Value::as_array);
    let mut units: Vec<(&str, &Value)> = Vec::new();
    for block in blocks.into_iter().flatten().take(MOST_DEVICES) {
        let serial = block.get("PackageSerialNumber").and_then(Value::as_str);
        if let Some(serial) = serial.filter(|serial| units.iter().all(|(known, _)| known != serial)) {
            units.push((serial, block));
        }
    }
    units
}

/// A number; a truth value as 1 or 0.
fn number(value: Option<&Value>) -> Option<f64> {
    match value? {
        Value::Bool(truth) => Some(f64::from(u8::from(*truth))),
        value => value.as_f64(),
    }
}
