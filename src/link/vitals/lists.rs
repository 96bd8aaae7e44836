//! Solar strings and temperatures, gathered over the devices of the vitals.

use serde_json::{Map, Value};

use crate::link::json::{Look, Object};

/// Solar strings by letter and inverter: `A`…`F` of the first inverter, `A1`… of the second, and so on.
pub(in crate::link) fn strings(vitals: &Value) -> Value {
    let Some(devices) = vitals.as_object() else { return Value::Null };
    let mut strings = Object::default();
    let inverters = devices.iter().filter(|(key, _)| key.starts_with("PVAC--"));
    for (position, (key, pvac)) in inverters.enumerate() {
        let suffix = match position % 9 {
            0 => String::new(),
            number => number.to_string(),
        };
        let pvs = vitals.at(&[&key.replacen("PVAC", "PVS", 1)]);
        let letters =
            ('A'..='F').filter(|letter| pvac.get(format!("PVAC_PVMeasuredVoltage_{letter}")).is_some());
        for letter in letters {
            // Each inverter lists its values in its own order, and clients see that order.
            let mut string = Object::default();
            for key in pvac.as_object().into_iter().flat_map(Map::keys) {
                let name = match key.strip_suffix(letter).and_then(|key| key.strip_suffix('_')) {
                    Some("PVAC_PvState") => "State",
                    Some("PVAC_PVMeasuredVoltage") => "Voltage",
                    Some("PVAC_PVCurrent") => "Current",
                    Some("PVAC_PVMeasuredPower") => "Power",
                    _ => continue,
                };
                string.set(name, pvac.at(&[key]).clone());
            }
            if let Some(connected) = pvs.get(format!("PVS_String{letter}_Connected")) {
                string.set("Connected", connected.clone());
            }
            strings.set(format!("{letter}{suffix}"), string.build());
        }
    }
    strings.build()
}

/// Temperatures by vitals key, °C: of every Powerwall 2, and of every Powerwall 3 pack once one of them
/// reports.
pub(in crate::link) fn temps(vitals: &Value) -> Value {
    let Some(devices) = vitals.as_object() else { return Value::Null };
    let pack = |block: &Value| block.get("HVP_PackTempMax").cloned();
    let packs_report = devices
        .iter()
        .any(|(key, block)| key.starts_with("TEPOD") && pack(block).is_some_and(|v| !v.is_null()));
    let mut temps = Object::default();
    for (key, block) in devices {
        if key.starts_with("TETHC") {
            temps.set(key.as_str(), block.at(&["THC_AmbientTemp"]).clone());
        } else if let Some(temperature) = pack(block).filter(|_| packs_report && key.starts_with("TEPOD")) {
            temps.set(key.as_str(), temperature);
        }
    }
    temps.build()
}
