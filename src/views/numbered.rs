//! Bodies in which units have numbers: `/freq`, `/pod`, `/temps/pw`, `/fans/pw`.
//!
//! There is one numbering for all of them, that of the site. Stored series depend on it. What the site has is
//! taken from there; what only these bodies repeat is copied from the documents, where the unit knows its
//! places.

use serde_json::{Map, Value, json};

use super::flat::grid_number;
use crate::model::{Documents, RawPercent, Site, Unit};

/// What the documents have of one unit.
struct Entries<'a> {
    block: Option<&'a Value>,
    pod: Option<&'a Value>,
}

impl<'a> Entries<'a> {
    fn of(unit: &Unit, documents: &'a Documents) -> Self {
        let blocks = documents.system_status.get("battery_blocks");
        Self {
            block: blocks.zip(unit.places.block).and_then(|(blocks, index)| blocks.get(index)),
            pod: unit.places.pod.as_ref().and_then(|key| documents.vitals.get(key)),
        }
    }
}

fn field(value: Option<&Value>, key: &str) -> Value {
    value.and_then(|value| value.get(key)).cloned().unwrap_or_default()
}

/// Databases keep numbers and drop truth values.
pub(super) fn flag(value: Value) -> Value {
    match value {
        Value::Bool(flag) => i32::from(flag).into(),
        value => value,
    }
}

pub(super) fn freq(site: &Site, documents: &Documents) -> Value {
    let mut freq = Map::new();
    for unit in site.units.iter().flatten() {
        let mut set = |key: &str, value: Value| freq.insert(format!("PW{}_{key}", unit.number), value);
        let entries = Entries::of(unit, documents);
        let block = |key: &str| field(entries.block, key);
        set("name", json!(unit.places.inverter));
        set("PINV_Fout", json!(unit.frequency));
        set("PINV_VSplit1", json!(unit.legs[0]));
        set("PINV_VSplit2", json!(unit.legs[1]));
        set("PackagePartNumber", json!(unit.part));
        set("PackageSerialNumber", json!(unit.serial));
        set("p_out", json!(unit.power));
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
    freq.insert("grid_status".into(), site.readings.grid.map(grid_number).into());
    Value::Object(freq)
}

/// With `zeros`, a flag that is not reported is 0, as the server before had it.
pub(super) fn pod(site: &Site, documents: &Documents, zeros: bool) -> Value {
    let mut pod = Map::new();
    for unit in site.units.iter().flatten() {
        put_pod(&mut pod, unit, &Entries::of(unit, documents), zeros);
    }
    let readings = &site.readings;
    pod.insert("nominal_full_pack_energy".into(), json!(readings.charge.full_pack));
    pod.insert("nominal_energy_remaining".into(), json!(readings.charge.remaining));
    pod.insert("time_remaining_hours".into(), json!(readings.time_remaining));
    let reserve = readings.reserve.map(RawPercent::to_app_reserve);
    pod.insert("backup_reserve_percent".into(), json!(reserve));
    Value::Object(pod)
}

fn put_pod(pod: &mut Map<String, Value>, unit: &Unit, entries: &Entries<'_>, zeros: bool) {
    let flag = |value: Value| match flag(value) {
        Value::Null if zeros => 0.into(),
        flag => flag,
    };
    let mut set = |key: &str, value: Value| pod.insert(format!("PW{}_{key}", unit.number), value);
    let vital = |key: &str| field(entries.pod, key);
    let block = |key: &str| field(entries.block, key);
    set("name", json!(unit.places.pod));
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
    set("POD_available_charge_power", json!(unit.charge_limit));
    set("POD_available_dischg_power", json!(unit.discharge_limit));
    set("POD_nom_energy_remaining", json!(unit.charge.remaining));
    set("POD_nom_energy_to_be_charged", vital("POD_nom_energy_to_be_charged"));
    set("POD_nom_full_pack_energy", json!(unit.charge.full_pack));
    if let Some(number) = unit.attached_to {
        set("attached_to", format!("PW{number}").into());
    }
    set("PackagePartNumber", json!(unit.part));
    set("PackageSerialNumber", json!(unit.serial));
    set("Type", unit.configured_type.as_deref().map_or_else(|| block("Type"), Value::from));
    set("pinv_state", block("pinv_state"));
    set("pinv_grid_state", block("pinv_grid_state"));
    set("p_out", json!(unit.power));
    for key in ["q_out", "v_out", "f_out", "i_out", "energy_charged", "energy_discharged"] {
        set(key, block(key));
    }
    for key in ["off_grid", "vf_mode", "wobble_detected", "charge_power_clamped", "backup_ready"] {
        set(key, flag(block(key)));
    }
    for key in ["OpSeqState", "version"] {
        set(key, block(key));
    }
}

pub(super) fn temps(site: &Site) -> Value {
    let temperatures = site.temperatures.iter().flatten();
    temperatures.map(|one| (format!("PW{}_temp", one.number), json!(one.celsius))).collect()
}

/// One fan of each solar inverter, both of each Powerwall 3.
pub(super) fn fans(site: &Site) -> Value {
    let mut numbered = Map::new();
    for fan in site.fans.iter().flatten() {
        let mut set = |name: &str, value: Value| numbered.insert(format!("FAN{}_{name}", fan.number), value);
        set("actual", json!(fan.speed));
        set("target", json!(fan.target_speed));
        if fan.side.is_some() {
            set("duty", json!(fan.duty));
        }
    }
    Value::Object(numbered)
}

#[cfg(test)]
mod tests;
