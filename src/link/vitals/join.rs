//! Which devices belong to which battery: the blocks of the system status matched to the vitals by serial.

use serde_json::Value;

use crate::link::json::{Look, serial_of};
use crate::model::Documents;

/// The devices of one battery.
pub(in crate::link) struct Devices<'a> {
    pub serial: &'a str,
    /// Its place in the system status, and what stands there.
    pub block: Option<(usize, &'a Value)>,
    /// Vitals key and block of its inverter.
    pub inverter: Option<(&'a String, &'a Value)>,
    /// Vitals key and block of its pod.
    pub pod: Option<(&'a String, &'a Value)>,
}

impl<'a> Devices<'a> {
    /// A battery of which nothing is reported today.
    pub fn absent(serial: &'a str) -> Self {
        Self { serial, block: None, inverter: None, pod: None }
    }

    /// Blocks of the vitals that belong to it.
    pub fn modules(&self) -> impl Iterator<Item = (&'a String, &'a Value)> {
        [self.inverter, self.pod].into_iter().flatten()
    }
}

/// What a vitals key says after the type.
fn identity(key: &str) -> &str {
    key.split_once("--").map_or(key, |(_, identity)| identity)
}

/// The vitals key of the package that a power module sits in; empty where the module is the package.
pub(super) fn package_of(module: &Value) -> &str {
    let parent = module.at(&["componentParentDin"]).text().unwrap_or_default();
    if parent.starts_with("TETHC--") { parent } else { "" }
}

/// The batteries in their order: blocks first, then devices that no block stands for. A device belongs to the
/// block with its own serial, or with the serial of the package it sits in.
pub(super) fn devices(documents: &Documents) -> Vec<Devices<'_>> {
    let devices = |prefix: &'static str| {
        let vitals = documents.vitals.as_object().into_iter().flatten();
        vitals.filter(move |(key, _)| key.starts_with(prefix))
    };
    let belongs = |(key, module): (&String, &Value), serial: &str| {
        !serial.is_empty() && (serial_of(key) == serial || serial_of(package_of(module)) == serial)
    };
    let device = |prefix, serial: &str| devices(prefix).find(|device| belongs(*device, serial));

    let blocks = documents.system_status.at(&["battery_blocks"]).items().iter();
    let mut units: Vec<Devices<'_>> = blocks
        .enumerate()
        // Null or a scalar in the list is no unit, and keeps the places of the others.
        .filter(|(_, block)| block.is_object())
        .map(|(index, block)| {
            let serial = block.at(&["PackageSerialNumber"]).text().unwrap_or_default();
            Devices {
                serial,
                block: Some((index, block)),
                inverter: device("TEPINV--", serial),
                pod: device("TEPOD--", serial),
            }
        })
        .collect();

    for (key, module) in devices("TEPINV--").chain(devices("TEPOD--")) {
        let module_of = |prefix| devices(prefix).find(|(other, _)| identity(other) == identity(key));
        let is_known = |unit: &Devices<'_>| {
            unit.modules().any(|(known, _)| identity(known) == identity(key))
                || unit.block.is_some() && belongs((key, module), unit.serial)
        };
        if !units.iter().any(is_known) {
            let (inverter, pod) = (module_of("TEPINV--"), module_of("TEPOD--"));
            units.push(Devices { serial: serial_of(key), block: None, inverter, pod });
        }
    }
    units
}
