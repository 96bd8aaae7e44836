//! Strings, temperatures, fans and alerts, gathered over all devices of a site.

use serde_json::{Map, Value};

use super::facts::island_state;
use super::powerwall3::{self, FAN_SIGNALS};
use super::signals::{serial, table};
use super::site::Site;
use crate::model::json::{Look, Object, names};

/// Solar strings by letter and inverter: `A`…`F` of the first inverter, `A1`… of the second, and so on.
pub(in crate::model) fn strings(vitals: &Value) -> Value {
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

/// Temperatures by vitals key, °C: of every Powerwall 2, and of every Powerwall 3 pack once one of them tells.
pub(in crate::model) fn temps(vitals: &Value) -> Value {
    let Some(devices) = vitals.as_object() else { return Value::Null };
    let pack = |block: &Value| block.get("HVP_PackTempMax").cloned();
    let packs_tell = devices
        .iter()
        .any(|(key, block)| key.starts_with("TEPOD") && pack(block).is_some_and(|v| !v.is_null()));
    let mut temps = Object::default();
    for (key, block) in devices {
        if key.starts_with("TETHC") {
            temps.set(key.as_str(), block.at(&["THC_AmbientTemp"]).clone());
        } else if let Some(temperature) = pack(block).filter(|_| packs_tell && key.starts_with("TEPOD")) {
            temps.set(key.as_str(), temperature);
        }
    }
    temps.build()
}

/// Speeds of the fans of solar inverters, by vitals key, rpm. Only what is told is there.
pub(super) fn solar_fans(site: &Site<'_>) -> Vec<(String, Value)> {
    let names = ["PVAC_Fan_Speed_Actual_RPM", "PVAC_Fan_Speed_Target_RPM"];
    let mut fans: Vec<(String, Value)> = Vec::new();
    let mut add = |part: Option<&str>, serial: &str, source: &Value| {
        let key = format!("PVAC--{}--{serial}", part.unwrap_or_default());
        let told = names.iter().filter(|name| source.at(&[name]).number().is_some());
        let speeds: Map<String, Value> =
            told.map(|name| ((*name).into(), source.at(&[name]).clone())).collect();
        if speeds.is_empty() {
            return;
        }
        match fans.iter_mut().find(|(known, _)| *known == key) {
            Some((_, Value::Object(known))) => {
                for (name, speed) in speeds {
                    known.entry(name).or_insert(speed);
                }
            }
            _ => fans.push((key, Value::Object(speeds))),
        }
    };
    for pvac in site.controller.at(&["esCan", "bus", "PVAC"]).items() {
        let logging = pvac.at(&["PVAC_Logging"]);
        if let Some(serial) = pvac.at(&["packageSerialNumber"]).name()
            && !logging.at(&["isMIA"]).is_true()
        {
            add(pvac.at(&["packagePartNumber"]).text(), serial, logging);
        }
    }
    for component in site.msa() {
        if let Some(serial) = serial(component) {
            add(component.at(&["partNumber"]).text(), serial, &table(component));
        }
    }
    fans
}

/// All fans by vitals key: those of solar inverters, then those of Powerwall 3 units, leader first.
pub(super) fn fans(site: &Site<'_>) -> Value {
    if !site.controller.is_object() {
        return Value::Null;
    }
    let mut fans = Object::default();
    for (key, speeds) in solar_fans(site) {
        fans.set(key, speeds);
    }
    for (key, block) in powerwall3::blocks(site) {
        let speeds = FAN_SIGNALS.map(|name| block.at(&[name]));
        if key.starts_with("TEPINV--") && speeds.iter().any(|speed| !speed.is_null()) {
            let mut fan = Object::default();
            fan.copy(&FAN_SIGNALS, &block);
            fans.set(key, fan.build());
        }
    }
    fans.build()
}

/// Names of everything that is active, sorted, each once. The island state counts among them.
pub(super) fn alerts(site: &Site<'_>, vitals: &Value) -> Vec<String> {
    let devices = vitals.as_object().into_iter().flatten();
    let mut alerts: Vec<String> = devices
        .flat_map(|(_, block)| names(block.at(&["alerts"])))
        .chain(names(site.alerts_active()))
        .chain(island_state(&site.status))
        .map(|name| if name == "SystemGridConnected" { "SystemConnectedToGrid" } else { name })
        .map(str::to_owned)
        .collect();
    alerts.sort_unstable();
    alerts.dedup();
    alerts
}
