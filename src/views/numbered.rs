//! Bodies in which units have numbers: `/freq`, `/pod`, `/temps/pw`, `/fans/pw`.
//!
//! There is one numbering for all of them: at first the order of the battery blocks in the system status, expansions
//! included, matched to the devices by serial; from then on what [`Numbering`](crate::model::Numbering) remembers.
//! Stored series depend on it.

use serde_json::{Map, Value};

use super::flat::grid_number;
use crate::link::vitals::join::{Unit, package_of, units};
use crate::model::{Documents, RawPercent, Readings};

/// Number from 1 on, serial and block of every battery that has a block, in the order of the numbers.
pub fn batteries(documents: &Documents) -> impl Iterator<Item = (usize, &str, &Value)> {
    let numbered = units(documents).into_iter().enumerate();
    numbered
        .filter(|(_, unit)| !unit.block.is_null())
        .map(|(index, unit)| (index + 1, unit.serial, unit.block))
}

/// The serial that a vitals key ends in.
pub(super) fn serial_of(key: &str) -> &str {
    key.rsplit("--").next().unwrap_or(key)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn field(value: Option<&Value>, key: &str) -> Value {
    value.and_then(|value| value.get(key)).cloned().unwrap_or_default()
}

/// `first`, or `second` where the first is null.
pub(super) fn either(first: Value, second: Value) -> Value {
    if first.is_null() { second } else { first }
}

/// Power of a unit in W, + discharging. The customer API tells watts in its blocks; a block that was made of what TEDAPI
/// tells of the inverter repeats its number, which is kilowatts.
fn power(unit: &Unit<'_>) -> Value {
    let told = field(Some(unit.block), "p_out");
    let of_inverter = field(unit.inverter.map(|(_, inverter)| inverter), "PINV_Pout");
    match told.as_f64() {
        Some(kilowatts) if told == of_inverter && kilowatts != 0.0 => {
            // To the milliwatt: a product of two floats has digits that nobody measured.
            Value::from((kilowatts * 1e6).round() / 1e3)
        }
        _ => told,
    }
}

/// Databases keep numbers and drop truth values.
pub(super) fn flag(value: Value) -> Value {
    match value {
        Value::Bool(flag) => i32::from(flag).into(),
        value => value,
    }
}

pub(super) fn freq(readings: &Readings, documents: &Documents) -> Value {
    let mut freq = Map::new();
    for (index, unit) in units(documents).iter().enumerate() {
        let mut set = |key: &str, value: Value| freq.insert(format!("PW{}_{key}", index + 1), value);
        let inverter = unit.inverter.map(|(_, block)| block);
        let block = |key: &str| field(Some(unit.block), key);
        set("name", unit.inverter.map(|(key, _)| key.as_str()).into());
        set("PINV_Fout", either(field(inverter, "PINV_Fout"), block("f_out")));
        set("PINV_VSplit1", field(inverter, "PINV_VSplit1"));
        set("PINV_VSplit2", field(inverter, "PINV_VSplit2"));
        set("PackagePartNumber", block("PackagePartNumber"));
        set("PackageSerialNumber", unit.serial.into());
        set("p_out", power(unit));
        for key in ["q_out", "v_out", "f_out", "i_out"] {
            set(key, block(key));
        }
    }
    let meters = documents.vitals.as_object().into_iter().flatten();
    for (_, device) in meters.filter(|(key, _)| key.starts_with("TESYNC") || key.starts_with("TEMSA")) {
        for (key, value) in device.as_object().into_iter().flatten() {
            if key.starts_with("ISLAND") || key.starts_with("METER") {
                freq.insert(key.clone(), value.clone());
            }
        }
    }
    freq.insert("grid_status".into(), readings.grid.map(grid_number).into());
    Value::Object(freq)
}

pub(super) fn pod(readings: &Readings, documents: &Documents) -> Value {
    let units = units(documents);
    let mut pod = Map::new();
    for (index, unit) in units.iter().enumerate() {
        let mut set = |key: &str, value: Value| pod.insert(format!("PW{}_{key}", index + 1), value);
        let vital = |key: &str| field(unit.pod.map(|(_, block)| block), key);
        let block = |key: &str| field(Some(unit.block), key);
        set("name", unit.pod.map(|(key, _)| key.as_str()).into());
        for key in [
            "POD_ActiveHeating",
            "POD_ChargeComplete",
            "POD_ChargeRequest",
            "POD_DischargeComplete",
            "POD_PermanentlyFaulted",
            "POD_PersistentlyFaulted",
            "POD_enable_line",
        ] {
            set(key, flag(vital(key)));
        }
        set("POD_available_charge_power", vital("POD_available_charge_power"));
        set("POD_available_dischg_power", vital("POD_available_dischg_power"));
        let remaining = vital("POD_nom_energy_remaining");
        set("POD_nom_energy_remaining", either(remaining, block("nominal_energy_remaining")));
        set("POD_nom_energy_to_be_charged", vital("POD_nom_energy_to_be_charged"));
        set(
            "POD_nom_full_pack_energy",
            either(vital("POD_nom_full_pack_energy"), block("nominal_full_pack_energy")),
        );
        if let Some(host) = host_of(unit.serial, documents)
            && let Some(number) = units.iter().position(|unit| unit.serial == host)
        {
            set("attached_to", format!("PW{}", number + 1).into());
        }
        set("PackagePartNumber", block("PackagePartNumber"));
        set("PackageSerialNumber", unit.serial.into());
        set("Type", unit_type(unit.serial, documents).map_or_else(|| block("Type"), Value::from));
        set("pinv_state", block("pinv_state"));
        set("pinv_grid_state", block("pinv_grid_state"));
        set("p_out", power(unit));
        for key in ["q_out", "v_out", "f_out", "i_out"] {
            set(key, block(key));
        }
        for key in ["energy_charged", "energy_discharged"] {
            set(key, block(key));
        }
        for key in ["off_grid", "vf_mode", "wobble_detected", "charge_power_clamped", "backup_ready"] {
            set(key, flag(block(key)));
        }
        for key in ["OpSeqState", "version"] {
            set(key, block(key));
        }
    }
    pod.insert("nominal_full_pack_energy".into(), serde_json::json!(readings.charge.full_pack));
    pod.insert("nominal_energy_remaining".into(), serde_json::json!(readings.charge.remaining));
    pod.insert("time_remaining_hours".into(), serde_json::json!(readings.time_remaining));
    let reserve = readings.reserve.map(RawPercent::to_app_reserve);
    pod.insert("backup_reserve_percent".into(), serde_json::json!(reserve));
    Value::Object(pod)
}

fn configured_blocks(documents: &Documents) -> impl Iterator<Item = &Value> {
    documents.config.get("battery_blocks").and_then(Value::as_array).into_iter().flatten()
}

/// The serial of the unit that an expansion hangs on.
pub(super) fn host_of<'a>(serial: &str, documents: &'a Documents) -> Option<&'a str> {
    let hosts = |block: &&Value| {
        let expansions = block.get("battery_expansions").and_then(Value::as_array).into_iter().flatten();
        let mut dins = expansions.flat_map(|expansion| [text(expansion, "din"), text(expansion, "vin")]);
        dins.any(|din| serial_of(din) == serial)
    };
    configured_blocks(documents).find(hosts).map(|block| serial_of(text(block, "vin")))
}

pub(super) fn unit_type<'a>(serial: &str, documents: &'a Documents) -> Option<&'a str> {
    let block = configured_blocks(documents).find(|block| serial_of(text(block, "vin")) == serial)?;
    Some(text(block, "type")).filter(|kind| !kind.is_empty())
}

pub(super) fn temps(documents: &Documents) -> Value {
    let units = units(documents);
    let mut next = units.len();
    let mut temps: Vec<(usize, Value)> = Vec::new();
    for (key, temperature) in documents.temps.as_object().into_iter().flatten() {
        let is_of = |unit: &Unit<'_>| {
            let modules = [unit.inverter, unit.pod];
            modules.into_iter().flatten().any(|(_, module)| package_of(module) == key)
                || unit.serial == serial_of(key)
        };
        let number = units.iter().position(is_of).unwrap_or_else(|| {
            next += 1;
            next - 1
        });
        temps.push((number, temperature.clone()));
    }
    temps.sort_by_key(|(number, _)| *number);
    temps.into_iter().map(|(number, temperature)| (format!("PW{}_temp", number + 1), temperature)).collect()
}

/// One fan of each solar inverter, both of each Powerwall 3. A device that tells nothing today keeps its numbers.
pub(super) fn fans(documents: &Documents) -> Value {
    let remembered = &documents.numbering.fans;
    let told = documents.fans.as_object().into_iter().flatten().map(|(key, _)| key);
    let others = told.filter(|key| !remembered.contains(key));
    let mut numbered = Map::new();
    let mut number = 0;
    for key in remembered.iter().chain(others) {
        let fan = documents.fans.get(key);
        let sides: &[&str] = if key.starts_with("TEPINV--") { &["_A", "_B"] } else { &[""] };
        for side in sides {
            number += 1;
            let Some(fan) = fan else { continue };
            let mut set = |name: &str, value: Value| numbered.insert(format!("FAN{number}_{name}"), value);
            if side.is_empty() {
                set("actual", field(Some(fan), "PVAC_Fan_Speed_Actual_RPM"));
                set("target", field(Some(fan), "PVAC_Fan_Speed_Target_RPM"));
            } else {
                set("actual", field(Some(fan), &format!("PCH_FanSpeed{side}")));
                set("target", Value::Null);
                set("duty", field(Some(fan), &format!("PCH_FanDuty{side}")));
            }
        }
    }
    Value::Object(numbered)
}
