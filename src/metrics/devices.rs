//! Readings of devices: batteries, temperatures, solar strings, fans.

use serde_json::Value;

use super::Gateway;
use super::exposition::Exposition;
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

pub(super) fn put(page: &mut Exposition, gateways: &[Gateway<'_>]) {
    let told = || gateways.iter().filter_map(|gateway| Some((gateway.id, gateway.telemetry?.documents())));
    for (name, help, key) in UNITS {
        let mut family = page.gauge(name, help);
        for (id, documents) in told() {
            for (unit, block) in units(documents) {
                family.sample(&[("gateway", id), ("unit", unit)], number(block.get(key)));
            }
        }
    }
    let mut temperatures = page.gauge("powerwall_temperature_celsius", "Temperature of a device.");
    for (id, documents) in told() {
        for (device, temperature) in devices(&documents.temps) {
            temperatures.sample(&[("gateway", id), ("device", device)], number(Some(temperature)));
        }
    }
    for (name, help, key) in STRINGS {
        let mut family = page.gauge(name, help);
        for (id, documents) in told() {
            for (string, readings) in devices(&documents.strings) {
                family.sample(&[("gateway", id), ("string", string)], number(readings.get(key)));
            }
        }
    }
    for (name, help, keys) in FANS {
        let mut family = page.gauge(name, help);
        for (id, documents) in told() {
            for (device, readings) in devices(&documents.fans) {
                for (key, fan) in keys {
                    let labels = [("gateway", id), ("device", device), ("fan", fan)];
                    family.sample(&labels, number(readings.get(key)));
                }
            }
        }
    }
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
