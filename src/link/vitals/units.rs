//! Batteries: everything that the devices and blocks of a site report about each, put together once.

use serde_json::Value;

use super::join::Devices;
use super::{Configured, UnitPower};
use crate::link::json::{Look, serial_of};
use crate::model::{
    Charge, Counter, CounterSource, Number, Places, Readings, Unit, UnitFan, UnitKind, UnitTemperatures,
};

const POWERWALL3_PART: &str = "1707000";

/// All of them, in the order of their numbers.
pub(super) fn units(
    devices: &[Devices<'_>],
    vitals: &Value,
    configured: &Configured,
    power: UnitPower,
    readings: &Readings,
) -> Vec<Unit> {
    let leader = readings.din.as_deref().map(serial_of);
    let leader = leader.filter(|leader| devices.iter().any(|unit| unit.serial == *leader));
    let numbered = devices.iter().enumerate();
    numbered
        .map(|(index, unit)| {
            let host = configured.hosts.iter().find(|(expansion, _)| expansion == unit.serial);
            let attached_to = host.and_then(|(_, host)| devices.iter().position(|unit| unit.serial == host));
            Unit {
                number: index + 1,
                is_leader: leader.map(|leader| leader == unit.serial),
                attached_to: attached_to.map(|index| index + 1),
                power: power(unit),
                ..one(unit, vitals, configured, attached_to.is_some())
            }
        })
        .collect()
}

/// What its own devices report of a battery.
fn one(unit: &Devices<'_>, vitals: &Value, configured: &Configured, is_attached: bool) -> Unit {
    let nothing = &Value::Null;
    let block = unit.block.map_or(nothing, |(_, block)| block);
    let inverter = unit.inverter.map_or(nothing, |(_, inverter)| inverter);
    let pod = unit.pod.map_or(nothing, |(_, pod)| pod);
    let thermal = thermal(vitals, unit.serial).unwrap_or(nothing);
    let first = |values: [(&Value, &str); 2]| values.into_iter().find_map(|(of, key)| of.at(&[key]).number());
    let text = |values: [(&Value, &str); 2]| {
        let mut texts = values.into_iter().filter_map(|(of, key)| of.at(&[key]).text());
        texts.next().map(str::to_owned)
    };

    let part = block.at(&["PackagePartNumber"]).text().or_else(|| part_of(unit, configured));
    let part = part.map(str::to_owned);
    let configured_type = configured.types.iter().find(|(serial, _)| serial == unit.serial);
    let configured_type = configured_type.map(|(_, kind)| kind.clone());
    let own_type = block.at(&["Type"]).text().unwrap_or_default();
    Unit {
        serial: unit.serial.to_owned(),
        kind: kind(is_attached, configured_type.as_deref(), own_type, part.as_deref()),
        part,
        configured_type,
        charge: Charge {
            remaining: first([(pod, "POD_nom_energy_remaining"), (block, "nominal_energy_remaining")]),
            full_pack: first([(pod, "POD_nom_full_pack_energy"), (block, "nominal_full_pack_energy")]),
            reported: None,
        },
        voltage: first([(inverter, "PINV_Vout"), (block, "v_out")]),
        legs: ["PINV_VSplit1", "PINV_VSplit2"].map(|leg| inverter.at(&[leg]).number()),
        frequency: first([(inverter, "PINV_Fout"), (block, "f_out")]),
        temperatures: UnitTemperatures {
            pack_max: pod.at(&["HVP_PackTempMax"]).number(),
            pack_min: pod.at(&["HVP_PackTempMin"]).number(),
            ambient: first([(inverter, "PCH_AmbientTemp"), (thermal, "THC_AmbientTemp")]),
            heatsink: first([(inverter, "PCH_heatsinkTemp"), (inverter, "PINV_HeatsinkTemp")]),
        },
        fans: fans(inverter),
        state: text([(block, "pinv_state"), (inverter, "PINV_State")]),
        grid_state: text([(block, "pinv_grid_state"), (inverter, "PINV_GridState")]),
        charge_limit: pod.at(&["POD_available_charge_power"]).number(),
        discharge_limit: pod.at(&["POD_available_dischg_power"]).number(),
        charged: counter(block, "energy_charged", inverter, "PINV_LifetimeEnergyCharged"),
        discharged: counter(block, "energy_discharged", inverter, "PINV_LifetimeEnergyDischarged"),
        alerts: alerts([pod, inverter, thermal]),
        places: Places {
            block: unit.block.map(|(index, _)| index),
            inverter: unit.inverter.map(|(key, _)| key.clone()),
            pod: unit.pod.map(|(key, _)| key.clone()),
        },
        ..Unit::default()
    }
}

/// The counter of its block, else that of its inverter.
fn counter(block: &Value, block_key: &str, inverter: &Value, inverter_key: &str) -> Option<Counter> {
    let of_block = CounterSource::BatteryBlock.counted(block.at(&[block_key]).number());
    of_block.or_else(|| CounterSource::Inverter.counted(inverter.at(&[inverter_key]).number()))
}

/// The thermal controller of a Powerwall 2.
fn thermal<'a>(vitals: &'a Value, serial: &str) -> Option<&'a Value> {
    let mut devices = vitals.as_object().into_iter().flatten();
    let is_it = |key: &str| key.starts_with("TETHC--") && serial_of(key) == serial;
    devices.find(|(key, _)| is_it(key)).map(|(_, device)| device)
}

/// The part number in the key `TYPE--part--serial` of its device; for a follower that nobody can ask, that in
/// its DIN.
fn part_of<'a>(unit: &Devices<'a>, configured: &'a Configured) -> Option<&'a str> {
    if let Some((key, _)) = unit.pod.or(unit.inverter) {
        return key.split("--").nth(1);
    }
    let din = configured.powerwall3.iter().find(|din| serial_of(din) == unit.serial)?;
    din.split_once("--").map(|(part, _)| part)
}

fn kind(is_attached: bool, configured: Option<&str>, own: &str, part: Option<&str>) -> UnitKind {
    let configured = configured.unwrap_or_default();
    let is_powerwall3 =
        configured.starts_with("Powerwall3") || part.is_some_and(|part| part.starts_with(POWERWALL3_PART));
    match (configured, own) {
        _ if is_attached => UnitKind::Expansion,
        (_, "BatteryExpansion") => UnitKind::Expansion,
        ("Powerwall3Follower", _) => UnitKind::Follower,
        _ if is_powerwall3 => UnitKind::Powerwall3,
        ("ACPW", _) | (_, "ACPW") => UnitKind::Powerwall2,
        _ => UnitKind::Unknown,
    }
}

fn fans(inverter: &Value) -> Vec<UnitFan> {
    let fan = |name: &'static str| {
        let of = |what: &str| -> Option<Number> { inverter.at(&[&format!("PCH_Fan{what}_{name}")]).number() };
        UnitFan { name, speed: of("Speed"), duty: of("Duty") }
    };
    let reports = |fan: &UnitFan| fan.speed.is_some() || fan.duty.is_some();
    ["A", "B"].map(fan).into_iter().filter(reports).collect()
}

/// Names of all that is active in its devices, sorted, each once.
fn alerts(devices: [&Value; 3]) -> Vec<String> {
    let lists = devices.into_iter().flat_map(|device| device.at(&["alerts"]).items());
    let mut names: Vec<String> = lists.filter_map(Look::text).map(str::to_owned).collect();
    names.sort_unstable();
    names.dedup();
    names
}
