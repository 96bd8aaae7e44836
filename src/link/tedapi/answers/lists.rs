//! Strings, temperatures, fans and alerts, gathered over all devices of a parsed.

use serde_json::{Map, Value};

use super::facts::island_state;
use super::parsed::Parsed;
use super::powerwall3::{self, FAN_SIGNALS};
use super::signals::{serial, table};
use crate::link::json::{Look, Object, names};

/// Speeds of the fans of solar inverters, by vitals key, rpm. Only what is reported is there.
pub(super) fn solar_fans(parsed: &Parsed<'_>) -> Vec<(String, Value)> {
    let names = ["PVAC_Fan_Speed_Actual_RPM", "PVAC_Fan_Speed_Target_RPM"];
    let mut fans: Vec<(String, Value)> = Vec::new();
    let mut add = |part: Option<&str>, serial: &str, source: &Value| {
        let key = format!("PVAC--{}--{serial}", part.unwrap_or_default());
        let reported = names.iter().filter(|name| source.at(&[name]).number().is_some());
        let speeds: Map<String, Value> =
            reported.map(|name| ((*name).into(), source.at(&[name]).clone())).collect();
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
    for pvac in parsed.controller.at(&["esCan", "bus", "PVAC"]).items() {
        let logging = pvac.at(&["PVAC_Logging"]);
        if let Some(serial) = pvac.at(&["packageSerialNumber"]).name()
            && !logging.at(&["isMIA"]).is_true()
        {
            add(pvac.at(&["packagePartNumber"]).text(), serial, logging);
        }
    }
    for component in parsed.msa() {
        if let Some(serial) = serial(component) {
            add(component.at(&["partNumber"]).text(), serial, &table(component));
        }
    }
    fans
}

/// All fans by vitals key: those of solar inverters, then those of Powerwall 3 units, leader first.
pub(super) fn fans(parsed: &Parsed<'_>) -> Value {
    if !parsed.controller.is_object() {
        return Value::Null;
    }
    let mut fans = Object::default();
    for (key, speeds) in solar_fans(parsed) {
        fans.set(key, speeds);
    }
    for (key, block) in powerwall3::blocks(parsed) {
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
pub(super) fn alerts(parsed: &Parsed<'_>, vitals: &Value) -> Vec<String> {
    let devices = vitals.as_object().into_iter().flatten();
    let mut alerts: Vec<String> = devices
        .flat_map(|(_, block)| names(block.at(&["alerts"])))
        .chain(names(parsed.alerts_active()))
        .chain(island_state(&parsed.status))
        .map(|name| if name == "SystemGridConnected" { "SystemConnectedToGrid" } else { name })
        .map(str::to_owned)
        .collect();
    alerts.sort_unstable();
    alerts.dedup();
    alerts
}
