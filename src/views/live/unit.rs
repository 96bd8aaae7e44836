//! One battery, as the live feed sends it.

use serde_json::{Value, json};

use crate::model::{RawPercent, Unit, UnitFan, UnitKind};

/// How many of the last characters of a serial are shown.
const SHOWN_OF_SERIAL: usize = 4;

/// All of them, in the order of the numbers.
pub(super) fn all(units: &[Unit]) -> Value {
    units.iter().map(one).collect()
}

fn one(unit: &Unit) -> Value {
    let raw = unit.charge.state_of_energy();
    let (kind, name) = kind(unit.kind);
    let temperatures = &unit.temperatures;
    let temps = [
        ("pack_max", temperatures.pack_max),
        ("pack_min", temperatures.pack_min),
        ("ambient", temperatures.ambient),
        ("heatsink", temperatures.heatsink),
    ];
    let temps = temps.into_iter().filter(|(_, celsius)| celsius.is_some());
    let fan = |fan: &UnitFan| json!({ "name": fan.name, "rpm": fan.speed, "duty": fan.duty });
    json!({
        "number": format!("PW{}", unit.number),
        "name": name,
        "kind": kind,
        "part": unit.part,
        "serial": masked(&unit.serial),
        "attached_to": unit.attached_to.map(|number| format!("PW{number}")),
        "soe": raw.map(RawPercent::to_app_clamped),
        "soe_raw": raw,
        "remaining_wh": unit.charge.remaining,
        "full_wh": unit.charge.full_pack,
        "power": unit.power,
        "state": unit.state,
        "grid_state": unit.grid_state,
        "freq": unit.frequency,
        "voltage": unit.voltage,
        "volts": unit.legs,
        "temps": temps.map(|(name, celsius)| json!({ "name": name, "celsius": celsius })).collect::<Value>(),
        "fans": unit.fans.iter().map(fan).collect::<Value>(),
        "charge_limit_w": unit.charge_limit,
        "discharge_limit_w": unit.discharge_limit,
        "charged_wh": unit.charged.map(|counter| counter.energy),
        "discharged_wh": unit.discharged.map(|counter| counter.energy),
        "alerts": unit.alerts,
    })
}

/// The word for programs and that for people.
fn kind(kind: UnitKind) -> (Option<&'static str>, &'static str) {
    match kind {
        UnitKind::Powerwall2 => (Some("powerwall2"), "Powerwall 2"),
        UnitKind::Powerwall3 => (Some("powerwall3"), "Powerwall 3"),
        UnitKind::Follower => (Some("powerwall3"), "Powerwall 3 follower"),
        UnitKind::Expansion => (Some("expansion"), "Powerwall 3 expansion"),
        UnitKind::Unknown => (None, "Powerwall"),
    }
}

/// Serials identify a household; the end of one is enough to distinguish units.
fn masked(serial: &str) -> Option<String> {
    let hidden = serial.chars().count().checked_sub(SHOWN_OF_SERIAL).filter(|hidden| *hidden > 0)?;
    Some(format!("…{}", serial.chars().skip(hidden).collect::<String>()))
}
