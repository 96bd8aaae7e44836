//! Which devices belong to which battery: the blocks of the system status matched to the vitals by serial.

use serde_json::Value;

use crate::link::json::serial_of;
use crate::model::Documents;

/// One numbered battery.
pub struct Unit<'a> {
    pub serial: &'a str,
    /// Its entry in the system status.
    pub block: &'a Value,
    /// Vitals key and block of its inverter.
    pub inverter: Option<(&'a String, &'a Value)>,
    /// Vitals key and block of its pod.
    pub pod: Option<(&'a String, &'a Value)>,
}

pub(super) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// What a vitals key says after the type.
fn identity(key: &str) -> &str {
    key.split_once("--").map_or(key, |(_, identity)| identity)
}

/// The vitals key of the package that a power module sits in; empty where the module is the package.
pub fn package_of(module: &Value) -> &str {
    let parent = text(module, "componentParentDin");
    if parent.starts_with("TETHC--") { parent } else { "" }
}

/// The batteries in their order: blocks first, then devices that no block stands for. A device belongs to the block
/// with its own serial, or with the serial of the package it sits in.
pub fn units(documents: &Documents) -> Vec<Unit<'_>> {
    let devices = |prefix: &'static str| {
        let vitals = documents.vitals.as_object().into_iter().flatten();
        vitals.filter(move |(key, _)| key.starts_with(prefix))
    };
    let belongs = |(key, module): (&String, &Value), serial: &str| {
        !serial.is_empty() && (serial_of(key) == serial || serial_of(package_of(module)) == serial)
    };
    let device = |prefix, serial: &str| devices(prefix).find(|device| belongs(*device, serial));
    let blocks = documents.system_status.get("battery_blocks").and_then(Value::as_array);
    let mut units: Vec<Unit<'_>> = blocks
        .into_iter()
        .flatten()
        .map(|block| {
            let serial = text(block, "PackageSerialNumber");
            Unit { serial, block, inverter: device("TEPINV--", serial), pod: device("TEPOD--", serial) }
        })
        .collect();
    for (key, module) in devices("TEPINV--").chain(devices("TEPOD--")) {
        let module_of = |prefix| devices(prefix).find(|(other, _)| identity(other) == identity(key));
        let is_known = |unit: &Unit<'_>| {
            let modules = [unit.inverter, unit.pod];
            modules.into_iter().flatten().any(|(known, _)| identity(known) == identity(key))
                || !unit.block.is_null() && belongs((key, module), unit.serial)
        };
        if !units.iter().any(is_known) {
            let (inverter, pod) = (module_of("TEPINV--"), module_of("TEPOD--"));
            units.push(Unit { serial: serial_of(key), block: &Value::Null, inverter, pod });
        }
    }
    by_number(units, &documents.numbering.units)
}

/// What is remembered first, also where nothing is told of it today; then what is not.
fn by_number<'a>(mut reported: Vec<Unit<'a>>, remembered: &'a [String]) -> Vec<Unit<'a>> {
    let mut units: Vec<Unit<'_>> = remembered
        .iter()
        .map(|serial| match reported.iter().position(|unit| unit.serial == serial) {
            Some(index) => reported.remove(index),
            None => Unit { serial, block: &Value::Null, inverter: None, pod: None },
        })
        .collect();
    units.append(&mut reported);
    units
}

/// Serials of all units there are, in the order in which they are reported. For documents without numbers.
pub(in crate::link) fn reported_serials(documents: &Documents) -> Vec<String> {
    units(documents).iter().map(|unit| unit.serial.to_owned()).filter(|serial| !serial.is_empty()).collect()
}
