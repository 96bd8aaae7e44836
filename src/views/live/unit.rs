//! One battery: everything that the devices and blocks of a site tell about it, under one number.

use serde_json::{Value, json};

use super::super::numbered;
use crate::link::vitals::join::{self, Unit};
use crate::model::{Charge, Documents, Number, RawPercent};

const POWERWALL3_PART: &str = "1707000";

/// How many of the last characters of a serial are shown.
const SHOWN_OF_SERIAL: usize = 4;

/// All of them, in the order of the numbers.
pub(super) fn all(documents: &Documents) -> Value {
    let units = join::units(documents);
    units.iter().enumerate().map(|(index, unit)| one(index, unit, &units, documents)).collect()
}

fn one(index: usize, unit: &Unit<'_>, units: &[Unit<'_>], documents: &Documents) -> Value {
    let inverter = |key: &str| numbered::field(unit.inverter.map(|(_, block)| block), key);
    let pod = |key: &str| numbered::field(unit.pod.map(|(_, block)| block), key);
    let block = |key: &str| numbered::field(Some(unit.block), key);
    let or = numbered::either;
    let thermal = device(documents, "TETHC--", unit.serial);
    let part = or(block("PackagePartNumber"), part_of(unit));
    let host = numbered::host_of(unit.serial, documents);
    let host = host.and_then(|host| units.iter().position(|unit| unit.serial == host));
    let (kind, name) = kind(unit, host.is_some(), part.as_str(), documents);
    let remaining = or(pod("POD_nom_energy_remaining"), block("nominal_energy_remaining"));
    let full = or(pod("POD_nom_full_pack_energy"), block("nominal_full_pack_energy"));
    let charge = Charge {
        remaining: Number::from_json(&remaining),
        full_pack: Number::from_json(&full),
        ..Charge::default()
    };
    let raw = charge.state_of_energy();
    let temps = [
        ("pack_max", pod("HVP_PackTempMax")),
        ("pack_min", pod("HVP_PackTempMin")),
        ("ambient", or(inverter("PCH_AmbientTemp"), numbered::field(thermal, "THC_AmbientTemp"))),
        ("heatsink", or(inverter("PCH_heatsinkTemp"), inverter("PINV_HeatsinkTemp"))),
    ];
    let temps = temps.into_iter().filter(|(_, celsius)| celsius.is_number());
    let fans = ["A", "B"].into_iter().filter_map(|side| {
        let (rpm, duty) =
            (inverter(&format!("PCH_FanSpeed_{side}")), inverter(&format!("PCH_FanDuty_{side}")));
        (!rpm.is_null() || !duty.is_null()).then(|| json!({ "name": side, "rpm": rpm, "duty": duty }))
    });
    json!({
        "number": format!("PW{}", index + 1),
        "name": name,
        "kind": kind,
        "part": part,
        "serial": masked(unit.serial),
        "attached_to": host.map(|host| format!("PW{}", host + 1)),
        "soe": raw.map(RawPercent::to_app_clamped),
        "soe_raw": raw,
        "remaining_wh": remaining,
        "full_wh": full,
        "power": power(unit),
        "state": or(block("pinv_state"), inverter("PINV_State")),
        "grid_state": or(block("pinv_grid_state"), inverter("PINV_GridState")),
        "freq": or(inverter("PINV_Fout"), block("f_out")),
        "voltage": or(inverter("PINV_Vout"), block("v_out")),
        "volts": [inverter("PINV_VSplit1"), inverter("PINV_VSplit2")],
        "temps": temps.map(|(name, celsius)| json!({ "name": name, "celsius": celsius })).collect::<Value>(),
        "fans": fans.collect::<Value>(),
        "charge_limit_w": pod("POD_available_charge_power"),
        "discharge_limit_w": pod("POD_available_dischg_power"),
        "charged_wh": or(block("energy_charged"), inverter("PINV_LifetimeEnergyCharged")),
        "discharged_wh": or(block("energy_discharged"), inverter("PINV_LifetimeEnergyDischarged")),
        "alerts": alerts([unit.pod.map(|(_, block)| block), unit.inverter.map(|(_, block)| block), thermal]),
    })
}

fn device<'a>(documents: &'a Documents, prefix: &str, serial: &str) -> Option<&'a Value> {
    let mut devices = documents.vitals.as_object().into_iter().flatten();
    let is_it = |key: &str| key.starts_with(prefix) && numbered::serial_of(key) == serial;
    devices.find(|(key, _)| is_it(key)).map(|(_, device)| device)
}

/// The part number in the key `TYPE--part--serial` of its device.
fn part_of(unit: &Unit<'_>) -> Value {
    let key = unit.pod.or(unit.inverter).map(|(key, _)| key.as_str());
    key.and_then(|key| key.split("--").nth(1)).map_or(Value::Null, Value::from)
}

/// The word for programs and that for people.
fn kind(
    unit: &Unit<'_>,
    is_attached: bool,
    part: Option<&str>,
    documents: &Documents,
) -> (Option<&'static str>, &'static str) {
    let configured = numbered::unit_type(unit.serial, documents).unwrap_or_default();
    let own = unit.block.get("Type").and_then(Value::as_str).unwrap_or_default();
    let is_powerwall3 =
        configured.starts_with("Powerwall3") || part.is_some_and(|part| part.starts_with(POWERWALL3_PART));
    match (configured, own) {
        _ if is_attached => (Some("expansion"), "Powerwall 3 expansion"),
        (_, "BatteryExpansion") => (Some("expansion"), "Powerwall 3 expansion"),
        ("Powerwall3Follower", _) => (Some("powerwall3"), "Powerwall 3 follower"),
        _ if is_powerwall3 => (Some("powerwall3"), "Powerwall 3"),
        ("ACPW", _) | (_, "ACPW") => (Some("powerwall2"), "Powerwall 2"),
        _ => (None, "Powerwall"),
    }
}

/// Serials identify a household; the end of one is enough to tell units apart.
fn masked(serial: &str) -> Option<String> {
    let hidden = serial.chars().count().checked_sub(SHOWN_OF_SERIAL).filter(|hidden| *hidden > 0)?;
    Some(format!("…{}", serial.chars().skip(hidden).collect::<String>()))
}

/// Watts. Inverters tell kilowatts; a block without an inverter comes from the customer API, which tells watts.
fn power(unit: &Unit<'_>) -> Option<Number> {
    match unit.inverter {
        Some((_, inverter)) => Number::from_json(inverter.get("PINV_Pout")?)?.times(Number::Int(1000)),
        None => Number::from_json(unit.block.get("p_out")?),
    }
}

/// Names of all that is active in its devices, sorted, each once.
fn alerts(devices: [Option<&Value>; 3]) -> Vec<&str> {
    let lists = devices.into_iter().flatten().filter_map(|device| device.get("alerts")?.as_array());
    let mut names: Vec<&str> = lists.flatten().filter_map(Value::as_str).collect();
    names.sort_unstable();
    names.dedup();
    names
}
