//! Measurements of single units – temperatures and fans – under ids that stored series and entities hang on.
//!
//! Contract 0.13, section 4.1. The ids are permanent.

use serde_json::Value;

use super::Documents;

/// What belongs in one picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalGroup {
    Temperature,
    FanSpeed,
    FanDuty,
}

impl SignalGroup {
    pub fn unit(self) -> &'static str {
        match self {
            Self::Temperature => "°C",
            Self::FanSpeed => "rpm",
            Self::FanDuty => "%",
        }
    }

    /// Digits worth showing behind the point.
    pub fn decimals(self) -> usize {
        match self {
            Self::FanSpeed => 0,
            Self::Temperature | Self::FanDuty => 1,
        }
    }
}

/// One kind of measurement.
#[derive(Debug)]
pub struct Signal {
    pub id: &'static str,
    /// Its name in the vitals.
    field: &'static str,
    pub label: &'static str,
    pub group: SignalGroup,
    /// Levels of a topic.
    pub topic: &'static str,
    /// Of the Material Design set.
    pub icon: &'static str,
}

const fn signal([id, field, label, topic, icon]: [&'static str; 5], group: SignalGroup) -> Signal {
    Signal { id, field, label, group, topic, icon }
}

use SignalGroup::{FanDuty, FanSpeed, Temperature};

/// In the order in which they are shown.
#[rustfmt::skip]
pub static SIGNALS: [Signal; 11] = [
    signal(["pack_temp_max", "HVP_PackTempMax", "Pack temp (max)", "temperature/pack_max", "mdi:thermometer-high"], Temperature),
    signal(["pack_temp_min", "HVP_PackTempMin", "Pack temp (min)", "temperature/pack_min", "mdi:thermometer-low"], Temperature),
    signal(["shunt_temp", "HVP_ShuntTemperature", "Shunt temp", "temperature/shunt", "mdi:thermometer"], Temperature),
    signal(["inverter_ambient", "PCH_AmbientTemp", "Inverter ambient", "temperature/ambient", "mdi:thermometer"], Temperature),
    signal(["controller_ambient", "THC_AmbientTemp", "Thermal controller ambient", "temperature/controller", "mdi:thermometer"], Temperature),
    signal(["fan_a_rpm", "PCH_FanSpeed_A", "Fan A speed", "fan/a/rpm", "mdi:fan"], FanSpeed),
    signal(["fan_b_rpm", "PCH_FanSpeed_B", "Fan B speed", "fan/b/rpm", "mdi:fan"], FanSpeed),
    signal(["fan_rpm", "PVAC_Fan_Speed_Actual_RPM", "Fan speed", "fan/rpm", "mdi:fan"], FanSpeed),
    signal(["fan_target_rpm", "PVAC_Fan_Speed_Target_RPM", "Fan target speed", "fan/target_rpm", "mdi:speedometer"], FanSpeed),
    signal(["fan_a_duty", "PCH_FanDuty_A", "Fan A duty", "fan/a/duty", "mdi:percent"], FanDuty),
    signal(["fan_b_duty", "PCH_FanDuty_B", "Fan B duty", "fan/b/duty", "mdi:percent"], FanDuty),
];

/// What one unit measured.
#[derive(Debug)]
pub struct UnitSignals<'a> {
    pub serial: &'a str,
    /// At the place of each of [`SIGNALS`] its value, if there is one.
    values: [Option<f64>; SIGNALS.len()],
}

impl UnitSignals<'_> {
    pub fn known(&self) -> impl Iterator<Item = (&'static Signal, f64)> {
        SIGNALS.iter().zip(self.values).filter_map(|(signal, value)| Some((signal, value?)))
    }
}

/// Units in the order in which the gateway tells of them. The vitals win over the fans; the solar inverter of a unit
/// that has an inverter of its own tells the same fans again and is left out.
pub fn unit_signals(documents: &Documents) -> Vec<UnitSignals<'_>> {
    let sources = [&documents.vitals, &documents.fans];
    let blocks = || sources.into_iter().filter_map(Value::as_object).flatten();
    let mut units: Vec<UnitSignals<'_>> = Vec::new();
    for (key, block) in blocks() {
        let kind = key.split("--").next().unwrap_or_default();
        if !["TEPOD", "TEPINV", "TETHC", "PVAC"].contains(&kind) {
            continue;
        }
        let Some(serial) = serial(key, block) else { continue };
        let own_inverter = |(key, block): (&String, &Value)| {
            key.starts_with("TEPINV--") && self::serial(key, block) == Some(serial)
        };
        if kind == "PVAC" && blocks().any(own_inverter) {
            continue;
        }
        for (index, signal) in SIGNALS.iter().enumerate() {
            let Some(value) = block.get(signal.field).and_then(Value::as_f64) else { continue };
            let place = units.iter().position(|unit| unit.serial == serial).unwrap_or_else(|| {
                units.push(UnitSignals { serial, values: [None; SIGNALS.len()] });
                units.len() - 1
            });
            units[place].values[index].get_or_insert(value);
        }
    }
    units
}

/// The serial of the unit that a block tells of, if it can be a level of a topic.
fn serial<'a>(key: &'a str, block: &'a Value) -> Option<&'a str> {
    let told = block.get("serialNumber").and_then(Value::as_str);
    let serial = told.or_else(|| key.rsplit("--").next())?;
    is_topic_level(serial).then_some(serial)
}

/// Whether a name can be one level of an MQTT topic.
pub fn is_topic_level(name: &str) -> bool {
    let plain = |c: char| !c.is_control() && !matches!(c, '/' | '+' | '#');
    !name.is_empty() && name.len() <= 64 && name.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(vitals: Value, fans: Value) -> Vec<(String, Vec<(&'static str, f64)>)> {
        let documents = Documents { vitals, fans, ..Documents::default() };
        let units = unit_signals(&documents);
        let known = |unit: &UnitSignals<'_>| unit.known().map(|(signal, value)| (signal.id, value)).collect();
        units.iter().map(|unit| (unit.serial.to_owned(), known(unit))).collect()
    }

    #[test]
    fn the_vitals_win_and_the_fans_fill_gaps() {
        let vitals = json!({ "PVAC--1--A": { "PVAC_Fan_Speed_Actual_RPM": 900 } });
        let fans =
            json!({ "PVAC--1--A": { "PVAC_Fan_Speed_Actual_RPM": 1, "PVAC_Fan_Speed_Target_RPM": 950 } });
        assert_eq!(
            told(vitals, fans),
            [("A".to_owned(), vec![("fan_rpm", 900.0), ("fan_target_rpm", 950.0)])]
        );
    }

    #[test]
    fn what_is_no_number_or_no_serial_is_left_out() {
        let vitals = json!({
            "TEPOD--1--A": { "HVP_PackTempMax": null, "HVP_PackTempMin": true, "HVP_ShuntTemperature": "30" },
            "TEPOD--1--B/C": { "HVP_PackTempMax": 30.0 },
            "TEPOD--1--": { "HVP_PackTempMax": 30.0 },
            "NEURIO--1--D": { "HVP_PackTempMax": 30.0 },
            "TETHC--1--E": { "THC_AmbientTemp": 20, "serialNumber": "F" },
        });
        assert_eq!(told(vitals, Value::Null), [("F".to_owned(), vec![("controller_ambient", 20.0)])]);
    }

    #[test]
    fn fans_that_two_blocks_tell_of_are_told_once() {
        let vitals = json!({
            "PVAC--1--A": { "PVAC_Fan_Speed_Actual_RPM": 900 },
            "TEPINV--1--A": { "PCH_FanSpeed_A": 901 },
        });
        assert_eq!(told(vitals, Value::Null), [("A".to_owned(), vec![("fan_a_rpm", 901.0)])]);
    }
}
