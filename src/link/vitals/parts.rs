//! The parts of a site beside its batteries, out of the documents: meters, strings, fans, temperatures.

use serde_json::Value;

use super::join::{Devices, package_of};
use crate::link::json::{Look, serial_of};
use crate::model::site::signals::SIGNALS;
use crate::model::{
    BlockSignals, CounterSource, DeviceSignals, Documents, Fan, Meter, Meters, Number, RemoteMeter, Side,
    SolarString, Temperature, Transformer,
};

/// The meters in `/api/meters/aggregates`.
pub(in crate::link) fn meters(aggregates: &Value) -> Option<Meters> {
    aggregates.as_object()?;
    let generator = aggregates.at(&["generator"]);
    Some(Meters {
        site: meter(aggregates.at(&["site"])),
        battery: meter(aggregates.at(&["battery"])),
        load: meter(aggregates.at(&["load"])),
        solar: meter(aggregates.at(&["solar"])),
        generator: generator.is_object().then(|| meter(generator)),
    })
}

fn meter(section: &Value) -> Meter {
    let reading = |key: &str| section.at(&[key]).number();
    // The second names are those of older firmware.
    let first = |keys: [&str; 2]| keys.into_iter().find_map(reading);
    Meter {
        power: reading("instant_power"),
        reactive_power: reading("instant_reactive_power"),
        apparent_power: first(["instant_apparent_power", "instant_apparant_power"]),
        voltage: reading("instant_average_voltage"),
        current: first(["instant_average_current", "instant_total_current"]),
        currents: ["i_a_current", "i_b_current", "i_c_current"].map(reading),
        frequency: reading("frequency"),
        imported: CounterSource::SiteMeter.counted(reading("energy_imported")),
        exported: CounterSource::SiteMeter.counted(reading("energy_exported")),
    }
}

/// What the island controller measures on one side: `Main` or `Load`.
pub(super) fn side(vitals: &Value, side: &str) -> Side {
    let reading = |key: String| {
        let mut devices = vitals.as_object().into_iter().flatten();
        devices.find_map(|(_, device)| device.at(&[&key]).number())
    };
    let mut frequencies = [1, 2, 3].into_iter().map(|leg| reading(format!("ISLAND_FreqL{leg}_{side}")));
    Side {
        frequency: frequencies.find_map(|frequency| frequency),
        voltages: [1, 2, 3].map(|leg| reading(format!("ISLAND_VL{leg}N_{side}"))),
    }
}

/// Solar strings, in the order of the document.
pub(super) fn strings(document: &Value) -> Option<Vec<SolarString>> {
    let strings = document.as_object()?.iter();
    let string = |(name, string): (&String, &Value)| SolarString {
        name: name.clone(),
        voltage: string.at(&["Voltage"]).number(),
        current: string.at(&["Current"]).number(),
        power: string.at(&["Power"]).number(),
        state: string.at(&["State"]).text().map(str::to_owned),
        is_connected: string.at(&["Connected"]).as_bool(),
    };
    Some(strings.map(string).collect())
}

/// One fan of each solar inverter, both of each Powerwall 3. A device that reports nothing today keeps its
/// numbers.
pub(super) fn fans(document: &Value, remembered: &[String]) -> Option<Vec<Fan>> {
    let reported = document.as_object()?.iter().map(|(key, _)| key);
    let others = reported.filter(|key| !remembered.contains(key));
    let mut fans = Vec::new();
    let mut number = 0;
    for key in remembered.iter().chain(others) {
        let device = document.get(key);
        let sides: &[Option<&'static str>] = match key.starts_with("TEPINV--") {
            true => &[Some("A"), Some("B")],
            false => &[None],
        };
        for side in sides {
            number += 1;
            let Some(device) = device else { continue };
            let reading = |key: &str| -> Option<Number> { device.at(&[key]).number() };
            let of_side = |what: &str| reading(&format!("PCH_Fan{what}_{}", side.unwrap_or_default()));
            let (speed, target_speed, duty) = match side {
                Some(_) => (of_side("Speed"), None, of_side("Duty")),
                None => (reading("PVAC_Fan_Speed_Actual_RPM"), reading("PVAC_Fan_Speed_Target_RPM"), None),
            };
            fans.push(Fan { number, device: key.clone(), side: *side, speed, target_speed, duty });
        }
    }
    Some(fans)
}

/// Temperatures, by the numbers of their units.
pub(super) fn temperatures(document: &Value, units: &[Devices<'_>]) -> Option<Vec<Temperature>> {
    let mut next = units.len();
    let mut temperatures = Vec::new();
    for (key, celsius) in document.as_object()? {
        let is_of = |unit: &Devices<'_>| {
            unit.modules().any(|(_, module)| package_of(module) == key) || unit.serial == serial_of(key)
        };
        let index = units.iter().position(is_of).unwrap_or_else(|| {
            next += 1;
            next - 1
        });
        temperatures.push(Temperature { number: index + 1, device: key.clone(), celsius: celsius.number() });
    }
    temperatures.sort_by_key(|temperature| temperature.number);
    Some(temperatures)
}

/// The remote meters in the vitals.
pub(super) fn remote_meters(vitals: &Value) -> Vec<RemoteMeter> {
    let devices = vitals.as_object().into_iter().flatten();
    let meter = |(key, block): (&String, &Value)| {
        let din = key.strip_prefix("TRM--")?.to_owned();
        let mut indices: Vec<usize> = Vec::new();
        for field in block.as_object().into_iter().flatten().map(|(field, _)| field) {
            let index = field.strip_prefix("TRM_CT").and_then(|rest| rest.split_once('_'));
            let index = index.filter(|(index, _)| index.len() <= 2).and_then(|(index, _)| index.parse().ok());
            indices.extend(index.filter(|index| !indices.contains(index)));
        }
        let transformers = indices.into_iter().map(|index| transformer(block, index)).collect();
        Some(RemoteMeter { din, transformers })
    };
    devices.filter_map(meter).collect()
}

fn transformer(block: &Value, index: usize) -> Transformer {
    let field = |name: &str| block.at(&[&format!("TRM_CT{index}_{name}")]);
    Transformer {
        index,
        location: field("Location").text().map(str::to_owned),
        power: field("InstRealPower").number(),
        reactive_power: field("InstReactivePower").number(),
        voltage: field("InstVoltage").number(),
        current: field("InstCurrent").number(),
        exported_ws: field("EnergyExportedWs").number(),
        imported_ws: field("EnergyImportedWs").number(),
    }
}

/// Devices in the order in which the gateway reports them. The vitals win over the fans; the solar inverter
/// of a unit that has an inverter of its own reports the same fans again and is left out.
pub(super) fn signals(documents: &Documents) -> Vec<DeviceSignals> {
    let sources = [&documents.vitals, &documents.fans];
    let blocks = || sources.into_iter().filter_map(Value::as_object).flatten();
    let mut devices: Vec<DeviceSignals> = Vec::new();
    for (key, block) in blocks() {
        let kind = key.split("--").next().unwrap_or_default();
        if !["TEPOD", "TEPINV", "TETHC", "PVAC"].contains(&kind) {
            continue;
        }
        let serial = serial_in(key, block);
        let own_inverter =
            |(key, block): (&String, &Value)| key.starts_with("TEPINV--") && serial_in(key, block) == serial;
        if serial.is_empty() || kind == "PVAC" && blocks().any(own_inverter) {
            continue;
        }
        for (index, signal) in SIGNALS.iter().enumerate() {
            let Some(value) = block.at(&[signal.field]).as_f64() else { continue };
            let place = devices.iter().position(|device| device.serial == serial).unwrap_or_else(|| {
                devices.push(DeviceSignals { serial: serial.to_owned(), values: [None; SIGNALS.len()] });
                devices.len() - 1
            });
            devices[place].values[index].get_or_insert(value);
        }
    }
    devices
}

/// Every block that reports one of the signals. The fans win over the vitals; the solar inverter of a unit
/// that has an inverter of its own reports the same fans again and is left out.
pub(super) fn block_signals(documents: &Documents) -> Vec<BlockSignals> {
    let sources = [&documents.fans, &documents.vitals];
    let blocks = || sources.into_iter().filter_map(Value::as_object).flatten();
    let mut found: Vec<BlockSignals> = Vec::new();
    for (key, block) in blocks() {
        let serial = serial_in(key, block);
        let own_inverter =
            |(key, block): (&String, &Value)| key.starts_with("TEPINV--") && serial_in(key, block) == serial;
        if key.starts_with("PVAC--") && blocks().any(own_inverter) {
            continue;
        }
        let values = std::array::from_fn(|place| block.at(&[SIGNALS[place].field]).as_f64());
        match found.iter_mut().find(|known| known.key == *key) {
            Some(known) => {
                for (known, value) in known.values.iter_mut().zip(values) {
                    *known = known.or(value);
                }
            }
            None if values.iter().any(Option::is_some) => {
                found.push(BlockSignals { key: key.clone(), values });
            }
            None => {}
        }
    }
    found
}

/// The serial of the device that a block of the vitals is about.
fn serial_in<'a>(key: &'a str, block: &'a Value) -> &'a str {
    block.at(&["serialNumber"]).text().unwrap_or_else(|| serial_of(key))
}
